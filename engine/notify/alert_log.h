// engine/notify/alert_log.h -- the file that makes alerts survive a crash: alerts.log.
//
// A file of engine/base/record_file.h whose records are alerts' latest states, and which receiver
// has taken which; the payloads are described in alert_log.cc.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/record_file.h"
#include "engine/base/status.h"
#include "engine/notify/alert.h"

namespace basalt::notify {

// An alert of more bytes is not written down.
inline constexpr uint32_t kMaxAlertBytes = 1u << 20;
// The file is rewritten with what still matters once it is larger than this and than twice that.
inline constexpr uint64_t kLogRewriteBytes = 4u << 20;

// A receiver's answer 2xx to a state of an alert.
struct Acceptance {
  Hash128 fingerprint{};
  uint64_t receiver = 0;  // ReceiverId of its key
  Timestamp starts_at{};  // of the state that was taken
  bool resolved = false;
  Timestamp at{};
  friend bool operator==(const Acceptance&, const Acceptance&) = default;
};
uint64_t ReceiverId(std::string_view key);

void EncodeAlert(const Alert& alert, std::string& out);
// Safe on hostile bytes. kDataLoss.
Result<Alert> DecodeAlert(std::string_view payload);

// What is known of each alert.
struct AlertLogContent {
  std::map<Hash128, Alert> alerts;  // the latest state
  // The latest of each receiver; of alerts that are not in `alerts` too.
  std::map<std::pair<Hash128, uint64_t>, Acceptance> acceptances;
};

// Reads the file at `path` and says what in it is damaged; writes nothing. A torn end is none.
// kUnavailable if it cannot be read; kDataLoss if it is not an alert log.
Result<std::vector<RecordFile::Damage>> CheckAlertLog(const std::string& path);

// One thread, one process.
class AlertLog {
 public:
  // Opens or creates `path` and reads it. What was damaged is said in `warnings`. kUnavailable if
  // the file cannot be opened; kDataLoss if it is not an alert log.
  static Result<AlertLog> Open(const std::string& path, AlertLogContent& content,
                               std::vector<std::string>& warnings,
                               FileSteps& steps = SystemFileSteps());

  // Appends and syncs. After an error the file ends where it ended before.
  Status Append(std::span<const Alert> alerts);
  // Appends without a sync: what is lost is sent once more.
  Status Append(std::span<const Acceptance> acceptances);
  [[nodiscard]] bool WantsRewrite(uint64_t least) const { return file_->WantsRewrite(least); }
  // Replaces the file by one with these only, atomically.
  Status Rewrite(std::span<const Alert* const> alerts, std::span<const Acceptance> acceptances);

  [[nodiscard]] uint64_t bytes() const { return file_->bytes(); }

 private:
  explicit AlertLog(std::unique_ptr<RecordFile> file) : file_(std::move(file)) {}

  std::unique_ptr<RecordFile> file_;
};

}  // namespace basalt::notify
