// engine/base/record_file.h -- an append-only file of checksummed records: what a small state is
// kept in (alerts, their history, folded series) and what a relay buffers in.
//
// Format (version 1): the file begins with 16 bytes that its owner chooses; a record is [u32
// payload bytes, at least 1][u32 CRC-32C of the payload][payload], little endian. What a crash
// leaves at the end, half a record or a page of zeros, is cut off when the file is opened to be
// written. Damage before the end is reported, left where it is, and what follows is read.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"

namespace basalt {

inline constexpr size_t kRecordFileMagicBytes = 16;
inline constexpr size_t kRecordHeaderBytes = 8;
// Above this, a record is damage.
inline constexpr uint32_t kMaxRecordBytes = 256u << 20;

// What changes the disk, so that tests can end the process between any two steps.
class FileSteps {
 public:
  virtual ~FileSteps() = default;
  virtual ssize_t Write(int fd, const char* bytes, size_t size);
  virtual int Sync(int fd);
  virtual int Rename(const char* from, const char* to);
};
FileSteps& SystemFileSteps();

// Thread-compatible, but for Read, which may run beside Append and Sync: records never change.
class RecordFile {
 public:
  // Takes a sound record; the payload is borrowed for the call. An error: its owner cannot make
  // sense of it, which is damage as well.
  using OnRecord = std::function<Status(uint64_t offset, std::string_view payload)>;
  // A record that is left out. Its bytes stay, until the file is rewritten.
  struct Damage {
    uint64_t offset = 0;
    std::string what;
    // "the record at byte 16 is damaged and left out: ..."
    [[nodiscard]] std::string ToString() const;
  };
  struct Opened {
    std::unique_ptr<RecordFile> file;
    std::vector<Damage> damaged;  // in the order of the file
    uint64_t cut_bytes = 0;       // behind the last whole record
  };
  // Opens or creates. `on_record` may be null: records are only checked. kDataLoss: the file is of
  // another kind, and is left alone. kUnavailable: it cannot be opened, read or cut.
  static Result<Opened> Open(const std::string& path, std::string_view magic,
                             const OnRecord& on_record, FileSteps& steps = SystemFileSteps());
  // The same without a change to the file, for those who verify: what is damaged. A torn end is
  // none.
  static Result<std::vector<Damage>> Check(const std::string& path, std::string_view magic,
                                           const OnRecord& on_record);
  ~RecordFile();
  RecordFile(const RecordFile&) = delete;
  RecordFile& operator=(const RecordFile&) = delete;

  // In the kernel when this returns: it survives the process. Returns the record's offset. After an
  // error the file ends where it ended before. kInvalidArgument: the payload is empty or above
  // kMaxRecordBytes. kResourceExhausted: the disk is full.
  Result<uint64_t> Append(std::string_view payload);
  // All of them or none; with `sync` they are on the disk.
  Status Append(std::span<const std::string> payloads, bool sync);
  // On the disk when this returns.
  Status Sync();
  // The record at `offset` into `payload`. kDataLoss if there is no sound record.
  Status Read(uint64_t offset, std::string& payload) const;

  // True once the file is larger than `least` bytes and than twice what its last rewrite left.
  [[nodiscard]] bool WantsRewrite(uint64_t least) const {
    return bytes_ > least && bytes_ > 2 * kept_bytes_;
  }
  // Replaces the file by one with these records only, atomically and durably. Not beside Read.
  Status Rewrite(std::span<const std::string> payloads);

  [[nodiscard]] uint64_t bytes() const { return bytes_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  RecordFile(std::string path, std::string_view magic, int fd, FileSteps& steps)
      : path_(std::move(path)), magic_(magic), steps_(steps), fd_(fd) {}
  Status Begin();
  // Bytes of the sound part.
  Result<uint64_t> Replay(uint64_t size, const OnRecord& on_record,
                          std::vector<Damage>& damaged) const;
  Status AppendBuffer(bool sync);

  const std::string path_;
  const std::string magic_;
  FileSteps& steps_;
  int fd_;
  bool has_rest_ = false;  // of an append that failed, behind bytes_
  uint64_t bytes_ = 0;
  uint64_t kept_bytes_ = 0;  // when it was opened, or rewritten
  std::string buffer_;
};

// Gives the file at `from` the name `to`, which it takes from any other, durably.
Status RenameDurably(const std::string& from, const std::string& to,
                     FileSteps& steps = SystemFileSteps());

}  // namespace basalt
