#include "engine/base/record_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <span>
#include <utility>

#include "engine/base/hash.h"

namespace basalt {
namespace {

Status Failed(const char* what, const std::string& path) {
  std::string message = path + ": " + what + ": " + std::strerror(errno);
  return errno == ENOSPC || errno == EDQUOT ? ResourceExhausted(std::move(message))
                                            : Unavailable(std::move(message));
}

uint32_t LoadU32(const char* bytes) {
  uint32_t v = 0;
  for (size_t i = 0; i < 4; ++i)
    v |= static_cast<uint32_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  return v;
}
void AppendU32(uint32_t v, std::string& out) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(v >> shift);
}
uint32_t Crc(std::string_view bytes) {
  return Crc32c(std::as_bytes(std::span(bytes.data(), bytes.size())));
}

// Fills `out` from `offset`; false at the end of the file.
Result<bool> ReadFully(int fd, const std::string& path, uint64_t offset, std::span<char> out) {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failed("read", path);
    if (n == 0) return false;
    out = out.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return true;
}

Status WriteFully(int fd, const std::string& path, uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failed("write", path);
    bytes.remove_prefix(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return OkStatus();
}

}  // namespace

RecordFile::~RecordFile() { ::close(fd_); }

Result<RecordFile::Opened> RecordFile::Open(
    const std::string& path, std::string_view magic,
    const std::function<void(uint64_t offset, std::string_view payload)>& on_record) {
  BASALT_CHECK(magic.size() == kRecordFileMagicBytes);
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return Failed("open", path);
  Opened opened;
  opened.file.reset(new RecordFile(path, fd));
  struct stat info{};
  if (::fstat(fd, &info) != 0) return Failed("stat", path);
  const auto size = static_cast<uint64_t>(info.st_size);
  RecordFile& file = *opened.file;
  if (size < kRecordFileMagicBytes) {
    // New, or its making was interrupted.
    if (::ftruncate(fd, 0) != 0) return Failed("truncate", path);
    BASALT_TRY(WriteFully(fd, path, 0, magic));
    opened.cut_bytes = size;
    file.bytes_ = kRecordFileMagicBytes;
    return opened;
  }
  std::string payload(kRecordFileMagicBytes, '\0');
  BASALT_TRY(ReadFully(fd, path, 0, payload).status());
  if (payload != magic)
    return DataLoss(path + ": begins with something else than \"" + std::string(magic) + "\"");
  file.bytes_ = size;
  uint64_t at = kRecordFileMagicBytes;
  while (at < size) {
    const Result<uint64_t> next = file.Read(at, payload);
    if (!next.ok() && next.status().code() != StatusCode::kDataLoss) return next.status();
    if (!next.ok()) break;
    if (on_record) on_record(at, payload);
    ++opened.records;
    at = *next;
  }
  opened.cut_bytes = size - at;
  if (at < size && ::ftruncate(fd, static_cast<off_t>(at)) != 0) return Failed("truncate", path);
  file.bytes_ = at;
  return opened;
}

Result<uint64_t> RecordFile::Append(std::string_view payload) {
  if (payload.size() > kMaxRecordBytes) {
    return InvalidArgument(path_ + ": a record of " + std::to_string(payload.size()) +
                           " bytes; the bound is " + std::to_string(kMaxRecordBytes));
  }
  buffer_.clear();
  AppendU32(static_cast<uint32_t>(payload.size()), buffer_);
  AppendU32(Crc(payload), buffer_);
  buffer_ += payload;
  if (const Status status = WriteFully(fd_, path_, bytes_, buffer_); !status.ok()) {
    // What was written of it would be cut off at the next opening, too; but then a shorter record
    // in its place might leave a sound-looking rest.
    (void)::ftruncate(fd_, static_cast<off_t>(bytes_));
    return status;
  }
  return std::exchange(bytes_, bytes_ + buffer_.size());
}

Status RecordFile::Sync() {
  if (::fdatasync(fd_) != 0) return Failed("sync", path_);
  return OkStatus();
}

Result<uint64_t> RecordFile::Read(uint64_t offset, std::string& payload) const {
  char header[kRecordHeaderBytes];
  BASALT_TRY_ASSIGN(const bool has_header, ReadFully(fd_, path_, offset, header));
  const std::string where = path_ + ": record at " + std::to_string(offset);
  if (!has_header) return DataLoss(where + ": ends early");
  const uint32_t size = LoadU32(header);
  if (size > kMaxRecordBytes) return DataLoss(where + ": " + std::to_string(size) + " bytes");
  // Looked up before it is allocated: a length is only believed if the file holds that much.
  struct stat info{};
  if (::fstat(fd_, &info) != 0) return Failed("stat", path_);
  if (offset + kRecordHeaderBytes + size > static_cast<uint64_t>(info.st_size))
    return DataLoss(where + ": ends early");
  payload.resize(size);
  BASALT_TRY_ASSIGN(const bool whole, ReadFully(fd_, path_, offset + kRecordHeaderBytes, payload));
  if (!whole) return DataLoss(where + ": ends early");
  if (Crc(payload) != LoadU32(header + 4)) return DataLoss(where + ": checksum");
  return offset + kRecordHeaderBytes + size;
}

Status RenameDurably(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) return Failed("rename", from);
  const std::string directory = std::filesystem::path(to).parent_path().string();
  const int fd = ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY);
  if (fd < 0) return Failed("open", directory);
  const int synced = ::fsync(fd);
  ::close(fd);
  if (synced != 0) return Failed("sync", directory);
  return OkStatus();
}

}  // namespace basalt
