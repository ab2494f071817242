// engine/notify/alert_log.h -- the file that makes alerts survive a crash.
//
// Append-only: each record is one alert's latest state. Format (version 1): the file begins with
// "basalt-alerts-1\n"; a record is [u32 payload bytes][u32 CRC-32C of the payload][payload], little
// endian; the payload is described in alert_log.cc. A torn record at the end is what a crash leaves
// and is cut off; damage before it is reported and the rest is read on.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/status.h"
#include "engine/notify/alert.h"

namespace basalt::notify {

// Above this, a record is damage and not an alert.
inline constexpr uint32_t kMaxAlertRecordBytes = 1u << 20;
// The file is rewritten with what still matters once it is larger than this and than twice that.
inline constexpr uint64_t kRewriteBytes = 4u << 20;

void EncodeAlert(const Alert& alert, std::string& out);
// Safe on hostile bytes. kDataLoss.
Result<Alert> DecodeAlert(std::string_view payload);

// Reads the file at `path` and says what in it is damaged; writes nothing. A torn end is none.
// kUnavailable if it cannot be read; kDataLoss if it is not an alert log.
Status CheckAlertLog(const std::string& path, std::vector<std::string>& damage);

// One thread, one process.
class AlertLog {
 public:
  // Opens or creates `path` and reads it: the latest state of each alert, by fingerprint. What was
  // damaged is said in `warnings`. kUnavailable if the file cannot be opened; kDataLoss if it is
  // not an alert log.
  static Result<AlertLog> Open(const std::string& path, std::map<Hash128, Alert>& alerts,
                               std::vector<std::string>& warnings);
  ~AlertLog();
  AlertLog(AlertLog&& other) noexcept;
  AlertLog& operator=(AlertLog&&) = delete;

  // Appends and syncs. After an error the file ends where it ended before.
  Status Append(std::span<const Alert> alerts);
  // True once rewriting pays.
  [[nodiscard]] bool WantsRewrite() const {
    return bytes_ > kRewriteBytes && bytes_ > 2 * kept_bytes_;
  }
  // Replaces the file by one with these alerts only, atomically.
  Status Rewrite(std::span<const Alert* const> alerts);

  [[nodiscard]] uint64_t bytes() const { return bytes_; }

 private:
  AlertLog(std::string path, int fd, uint64_t bytes)
      : path_(std::move(path)), fd_(fd), bytes_(bytes), kept_bytes_(bytes) {}

  std::string path_;
  int fd_ = -1;
  uint64_t bytes_ = 0;
  uint64_t kept_bytes_ = 0;  // after the last rewrite
};

}  // namespace basalt::notify
