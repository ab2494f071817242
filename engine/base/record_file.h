// engine/base/record_file.h -- an append-only file of checksummed records: what a small state is
// kept in (engine/ingest's folds) and what a relay buffers in.
//
// Format (version 1): the file begins with 16 bytes that its owner chooses; a record is [u32
// payload bytes][u32 CRC-32C of the payload][payload], little endian. A torn record at the end is
// what a crash leaves, and is cut off when the file is opened to be written.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/status.h"

namespace basalt {

inline constexpr size_t kRecordFileMagicBytes = 16;
inline constexpr size_t kRecordHeaderBytes = 8;
// Above this, a record is damage.
inline constexpr uint32_t kMaxRecordBytes = 256u << 20;

// Thread-compatible, but for Read, which may run beside anything: records never change.
class RecordFile {
 public:
  struct Opened {
    std::unique_ptr<RecordFile> file;
    uint64_t records = 0;
    uint64_t cut_bytes = 0;  // behind the last sound record: a torn one, or damage
  };
  // Opens or creates, and hands each sound record to `on_record` with its offset; the payload is
  // borrowed for the call. Null: they are only checked. kDataLoss: the file begins with something
  // else. kUnavailable: the file cannot be opened, read or cut.
  static Result<Opened> Open(
      const std::string& path, std::string_view magic,
      const std::function<void(uint64_t offset, std::string_view payload)>& on_record);
  ~RecordFile();
  RecordFile(const RecordFile&) = delete;
  RecordFile& operator=(const RecordFile&) = delete;

  // In the kernel when this returns: it survives the process. Returns the record's offset. After an
  // error the file ends where it ended before. kResourceExhausted: the disk is full.
  Result<uint64_t> Append(std::string_view payload);
  // On the disk when this returns.
  Status Sync();
  // The record at `offset` into `payload`; returns the offset behind it. kDataLoss if there is no
  // sound record.
  Result<uint64_t> Read(uint64_t offset, std::string& payload) const;

  [[nodiscard]] uint64_t bytes() const { return bytes_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  RecordFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  const std::string path_;
  const int fd_;
  uint64_t bytes_ = 0;
  std::string buffer_;
};

// Gives the file at `from` the name `to`, which it takes from any other, durably.
Status RenameDurably(const std::string& from, const std::string& to);

}  // namespace basalt
