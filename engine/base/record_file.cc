#include "engine/base/record_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "engine/base/hash.h"
#include "engine/base/little_endian.h"

namespace basalt {
namespace {

Status Failed(const char* what, const std::string& path) {
  std::string message = path + ": " + what + ": " + std::strerror(errno);
  return errno == ENOSPC || errno == EDQUOT ? ResourceExhausted(std::move(message))
                                            : Unavailable(std::move(message));
}

uint32_t Crc(std::string_view bytes) {
  return Crc32c(std::as_bytes(std::span(bytes.data(), bytes.size())));
}

void AppendRecord(std::string_view payload, std::string& out) {
  AppendLittleEndian(static_cast<uint32_t>(payload.size()), out);
  AppendLittleEndian(Crc(payload), out);
  out += payload;
}

Status CheckSize(const std::string& path, std::string_view payload) {
  if (!payload.empty() && payload.size() <= kMaxRecordBytes) return OkStatus();
  return InvalidArgument(path + ": a record of " + std::to_string(payload.size()) +
                         " bytes; allowed are 1 to " + std::to_string(kMaxRecordBytes));
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

Status WriteFully(FileSteps& steps, int fd, const std::string& path, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = steps.Write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failed("write", path);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return OkStatus();
}

Result<uint64_t> SizeOf(int fd, const std::string& path) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return Failed("stat", path);
  return static_cast<uint64_t>(info.st_size);
}

// A new name in a directory is durable once the directory is.
Status SyncDirectoryOf(FileSteps& steps, const std::string& path) {
  const std::string directory = std::filesystem::path(path).parent_path().string();
  const int fd =
      ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Failed("open the directory", path);
  const int result = steps.Sync(fd);
  ::close(fd);
  return result == 0 ? OkStatus() : Failed("sync the directory", path);
}

// New, or a crash came while it was made.
Result<bool> IsBegun(int fd, const std::string& path, std::string_view magic, uint64_t size) {
  std::string begin(std::min<uint64_t>(size, kRecordFileMagicBytes), '\0');
  BASALT_TRY(ReadFully(fd, path, 0, begin).status());
  if (begin == magic) return true;
  if (begin.size() < magic.size() && magic.starts_with(begin)) return false;
  return DataLoss(path + ": is of another kind or version, it does not begin with \"" +
                  std::string(magic.substr(0, magic.find('\n'))) + "\"; move it away");
}

}  // namespace

ssize_t FileSteps::Write(int fd, const char* bytes, size_t size) {
  return ::write(fd, bytes, size);
}
int FileSteps::Sync(int fd) { return ::fdatasync(fd); }
int FileSteps::Rename(const char* from, const char* to) { return std::rename(from, to); }

FileSteps& SystemFileSteps() {
  static FileSteps steps;
  return steps;
}

std::string RecordFile::Damage::ToString() const {
  return "the record at byte " + std::to_string(offset) + " is damaged and left out: " + what;
}

RecordFile::~RecordFile() { ::close(fd_); }

Result<RecordFile::Opened> RecordFile::Open(const std::string& path, std::string_view magic,
                                            const OnRecord& on_record, FileSteps& steps) {
  BASALT_CHECK(magic.size() == kRecordFileMagicBytes);
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return Failed("open", path);
  Opened opened;
  opened.file.reset(new RecordFile(path, magic, fd, steps));  // closes it
  RecordFile& file = *opened.file;
  BASALT_TRY_ASSIGN(const uint64_t size, SizeOf(fd, path));
  BASALT_TRY_ASSIGN(const bool is_begun, IsBegun(fd, path, magic, size));
  if (!is_begun) {
    BASALT_TRY(file.Begin());
    return opened;
  }
  BASALT_TRY_ASSIGN(file.bytes_, file.Replay(size, on_record, opened.damaged));
  file.kept_bytes_ = file.bytes_;
  opened.cut_bytes = size - file.bytes_;
  if (opened.cut_bytes > 0 && ::ftruncate(fd, static_cast<off_t>(file.bytes_)) != 0)
    return Failed("cut off the torn end", path);
  return opened;
}

Result<std::vector<RecordFile::Damage>> RecordFile::Check(const std::string& path,
                                                          std::string_view magic,
                                                          const OnRecord& on_record) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Failed("open", path);
  const RecordFile file(path, magic, fd, SystemFileSteps());  // closes it
  BASALT_TRY_ASSIGN(const uint64_t size, SizeOf(fd, path));
  std::vector<Damage> damaged;
  BASALT_TRY_ASSIGN(const bool is_begun, IsBegun(fd, path, magic, size));
  if (is_begun) BASALT_TRY(file.Replay(size, on_record, damaged).status());
  return damaged;
}

Status RecordFile::Begin() {
  if (::ftruncate(fd_, 0) != 0) return Failed("truncate", path_);
  BASALT_TRY(WriteFully(steps_, fd_, path_, magic_));
  BASALT_TRY(Sync());
  BASALT_TRY(SyncDirectoryOf(steps_, path_));
  bytes_ = kept_bytes_ = kRecordFileMagicBytes;
  return OkStatus();
}

Result<uint64_t> RecordFile::Replay(uint64_t size, const OnRecord& on_record,
                                    std::vector<Damage>& damaged) const {
  uint64_t at = kRecordFileMagicBytes;
  std::string payload;
  while (size - at >= kRecordHeaderBytes) {
    char header[kRecordHeaderBytes];
    BASALT_TRY(ReadFully(fd_, path_, at, header).status());
    const auto length = LoadLittleEndian<uint32_t>(header);
    if (length == 0 || length > kMaxRecordBytes || size - at - kRecordHeaderBytes < length) break;
    payload.resize(length);
    BASALT_TRY(ReadFully(fd_, path_, at + kRecordHeaderBytes, payload).status());
    const uint64_t offset = std::exchange(at, at + kRecordHeaderBytes + length);
    const bool is_sound = Crc(payload) == LoadLittleEndian<uint32_t>(header + 4);
    // At the end it is torn: its length was written, its bytes were not.
    if (!is_sound && at == size) return offset;
    const Status status = !is_sound   ? DataLoss("its checksum does not fit")
                          : on_record ? on_record(offset, payload)
                                      : OkStatus();
    if (!status.ok()) damaged.push_back({offset, std::string(status.message())});
  }
  return at;
}

Result<uint64_t> RecordFile::Append(std::string_view payload) {
  BASALT_TRY(CheckSize(path_, payload));
  buffer_.clear();
  AppendRecord(payload, buffer_);
  const uint64_t offset = bytes_;
  BASALT_TRY(AppendBuffer(false));
  return offset;
}

Status RecordFile::Append(std::span<const std::string> payloads, bool sync) {
  buffer_.clear();
  for (const std::string& payload : payloads) {
    BASALT_TRY(CheckSize(path_, payload));
    AppendRecord(payload, buffer_);
  }
  return AppendBuffer(sync);
}

Status RecordFile::AppendBuffer(bool sync) {
  // Half a record would hide those after it.
  const auto cut = [this] {
    has_rest_ = ::ftruncate(fd_, static_cast<off_t>(bytes_)) != 0;
    return has_rest_ ? Failed("cut off what was not written whole", path_) : OkStatus();
  };
  if (has_rest_) BASALT_TRY(cut());
  Status status = WriteFully(steps_, fd_, path_, buffer_);
  if (status.ok() && sync) status = Sync();
  if (!status.ok()) {
    (void)cut();
    return status;
  }
  bytes_ += buffer_.size();
  return OkStatus();
}

Status RecordFile::Sync() {
  if (steps_.Sync(fd_) != 0) return Failed("sync", path_);
  return OkStatus();
}

Status RecordFile::Read(uint64_t offset, std::string& payload) const {
  char header[kRecordHeaderBytes];
  const std::string where = path_ + ": record at " + std::to_string(offset);
  BASALT_TRY_ASSIGN(const bool has_header, ReadFully(fd_, path_, offset, header));
  if (!has_header) return DataLoss(where + ": ends early");
  const auto length = LoadLittleEndian<uint32_t>(header);
  // Looked up before it is allocated: a length is only believed if the file holds that much.
  BASALT_TRY_ASSIGN(const uint64_t size, SizeOf(fd_, path_));
  if (length > kMaxRecordBytes || offset + kRecordHeaderBytes + length > size)
    return DataLoss(where + ": ends early");
  payload.resize(length);
  BASALT_TRY(ReadFully(fd_, path_, offset + kRecordHeaderBytes, payload).status());
  if (Crc(payload) != LoadLittleEndian<uint32_t>(header + 4)) return DataLoss(where + ": checksum");
  return OkStatus();
}

Status RecordFile::Rewrite(std::span<const std::string> payloads) {
  std::string out = magic_;
  for (const std::string& payload : payloads) {
    BASALT_TRY(CheckSize(path_, payload));
    AppendRecord(payload, out);
  }
  const std::string fresh = path_ + ".new";
  const int fd = ::open(fresh.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return Failed("open", fresh);
  Status status = WriteFully(steps_, fd, fresh, out);
  if (status.ok() && steps_.Sync(fd) != 0) status = Failed("sync", fresh);
  if (status.ok() && steps_.Rename(fresh.c_str(), path_.c_str()) != 0)
    status = Failed("rename", fresh);
  if (!status.ok()) {
    ::close(fd);
    return status;
  }
  ::close(std::exchange(fd_, fd));
  has_rest_ = false;
  bytes_ = kept_bytes_ = out.size();
  return SyncDirectoryOf(steps_, path_);
}

Status RenameDurably(const std::string& from, const std::string& to, FileSteps& steps) {
  if (steps.Rename(from.c_str(), to.c_str()) != 0) return Failed("rename", from);
  return SyncDirectoryOf(steps, to);
}

}  // namespace basalt
