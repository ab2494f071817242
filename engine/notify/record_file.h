// engine/notify/record_file.h -- an append-only file of records that a crash can cut but not spoil.
//
// The file begins with 16 bytes that name its kind; a record is [u32 payload bytes][u32 CRC-32C of
// the payload][payload], little endian. A torn record at the end is what a crash leaves and is cut
// off; damage before it is reported and the rest is read on.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"

namespace basalt::notify {

// Above this, a record is damage.
inline constexpr uint32_t kMaxRecordBytes = 1u << 20;
// The file is rewritten with what still matters once it is larger than this and than twice that.
inline constexpr uint64_t kRewriteBytes = 4u << 20;

// What changes the disk, so that tests can end the process between any two steps.
class FileSteps {
 public:
  virtual ~FileSteps() = default;
  virtual ssize_t Write(int fd, const char* bytes, size_t size);
  virtual int Sync(int fd);
  virtual int Rename(const char* from, const char* to);
};
FileSteps& SystemFileSteps();

// Takes one payload; an error: it is damaged, and left out.
using RecordReader = std::function<Status(std::string_view payload)>;

// One thread, one process.
class RecordFile {
 public:
  // Opens or creates `path`. `magic` has 16 bytes. kUnavailable if the file cannot be opened;
  // kDataLoss if it is another kind of file, which is then left alone.
  static Result<RecordFile> Open(const std::string& path, std::string_view magic,
                                 const RecordReader& read, std::vector<std::string>& warnings,
                                 FileSteps& steps = SystemFileSteps());
  // Reads and says what is damaged; writes nothing. A torn end is none.
  static Status Check(const std::string& path, std::string_view magic, const RecordReader& read,
                      std::vector<std::string>& damage);
  ~RecordFile();
  RecordFile(RecordFile&& other) noexcept;
  RecordFile& operator=(RecordFile&&) = delete;

  // After an error the file ends where it ended before. Without `sync` a power cut may take the
  // records back, a killed process does not.
  Status Append(std::span<const std::string> payloads, bool sync);
  // True once rewriting pays.
  [[nodiscard]] bool WantsRewrite() const {
    return bytes_ > rewrite_bytes_ && bytes_ > 2 * kept_bytes_;
  }
  void SetRewriteBytes(uint64_t bytes) { rewrite_bytes_ = bytes; }
  // Replaces the file by one with these records only, atomically.
  Status Rewrite(std::span<const std::string> payloads);

  [[nodiscard]] uint64_t bytes() const { return bytes_; }

 private:
  RecordFile(std::string path, std::string_view magic, int fd, FileSteps& steps)
      : path_(std::move(path)), magic_(magic), fd_(fd), steps_(&steps) {}

  std::string path_;
  std::string magic_;
  int fd_ = -1;
  FileSteps* steps_;
  uint64_t rewrite_bytes_ = kRewriteBytes;
  uint64_t bytes_ = 0;
  uint64_t kept_bytes_ = 0;  // after the last rewrite
};

}  // namespace basalt::notify
