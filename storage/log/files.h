// storage/log/files.h -- the log's only door to the disk, so that a test can fail it, shorten it or
// cut its power.
//
// Every error is a Status that says what was being done to what: kNotFound (no such file),
// kAlreadyExists, kResourceExhausted (disk, quota or file descriptors full: may pass),
// kFailedPrecondition (lock held by another process), kPermissionDenied (also a read-only file
// system), kDataLoss (EIO: the device gave up), kInternal.
//
// What is durable, as POSIX has it and tests/support/faulty_files.h plays it: bytes after
// SyncData() of their file; a name (created, renamed, unlinked) after SyncDirectory() of its
// directory. Nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/status.h"

namespace basalt::storage {

// What every disk can write by itself (some only do so in multiples of it).
inline constexpr size_t kSectorBytes = 512;

// An open file. Reads and writes at offsets may come from several threads at once; the destructor
// closes.
class File {
 public:
  virtual ~File() = default;
  // Writes all of `bytes` at `offset`, however many calls that takes. After an error any part of it
  // may be there.
  virtual Status Write(uint64_t offset, std::span<const std::byte> bytes) = 0;
  // Fills `out` from `offset` on; fewer bytes than asked only at the end of the file. Returns how
  // many.
  virtual Result<size_t> Read(uint64_t offset, std::span<std::byte> out) const = 0;
  // Reserves [0, bytes) on the disk and extends the file to it with zeros; never shortens. Where
  // the file system cannot reserve, only extends (writes may then still meet a full disk).
  virtual Status Preallocate(uint64_t bytes) = 0;
  virtual Status Truncate(uint64_t bytes) = 0;
  // Returns when bytes, and the size needed to read them back, are on the disk. Not to be tried
  // again after an error: the kernel reports a lost page once and then forgets it.
  virtual Status SyncData() = 0;
  [[nodiscard]] virtual Result<uint64_t> Size() const = 0;
};

// What is known of a name without reading it.
struct FileInfo {
  bool is_directory = false;
  uint64_t bytes = 0;
  int64_t modified_ns = 0;  // since 1970; changes whenever the bytes do, and with nothing else
};

// Held until destroyed, or until the process ends in whatever way.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

enum class OpenMode : uint8_t {
  kRead,    // must exist
  kUpdate,  // must exist; read and write
  kCreate,  // read and write; emptied if it exists
  // The same. Writes of whole sectors (kSectorBytes, at multiples of it) go to the disk past the
  // page cache, where the file system can do that: what is on the disk is then what was written,
  // not the 4 KiB pages that it touches. Other writes, and reads, are as ever.
  kCreateForSectors,
};

// Thread-safe. Paths are the operating system's.
class Files {
 public:
  virtual ~Files() = default;
  virtual Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;
  // Also its parents, durably; no error if it is there.
  virtual Status CreateDirectories(const std::string& path) = 0;
  // Names (not paths) in the directory, without "." and "..", sorted.
  virtual Result<std::vector<std::string>> List(const std::string& directory) = 0;
  // Replaces `to` if it exists; atomic.
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  // A second name for the same bytes (checkpoints).
  virtual Status Link(const std::string& from, const std::string& to) = 0;
  virtual Status Unlink(const std::string& path) = 0;
  virtual Status SyncDirectory(const std::string& directory) = 0;
  virtual Result<FileInfo> Stat(const std::string& path) = 0;
  // Removes an empty directory.
  virtual Status RemoveDirectory(const std::string& path) = 0;
  // What an unprivileged writer may still fill of the disk that `directory` is on.
  virtual Result<uint64_t> FreeBytes(const std::string& directory) = 0;
  // Creates the file if needed. kFailedPrecondition at once if another process, or another holder
  // in this one, has it.
  virtual Result<std::unique_ptr<FileLock>> Lock(const std::string& path) = 0;
};

// The machine's disk. Lives as long as the process.
Files& PosixFiles();

}  // namespace basalt::storage
