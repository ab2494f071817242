#include "engine/notify/record_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "engine/base/hash.h"

namespace basalt::notify {
namespace {

constexpr size_t kHeaderBytes = 8;

Status Failed(const std::string& what, const std::string& path) {
  return Unavailable("file " + path + ": " + what + ": " + std::strerror(errno));
}

void AppendU32(uint32_t v, std::string& out) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(v >> shift);
}
uint32_t ReadU32(std::string_view bytes) {
  uint32_t v = 0;
  for (size_t i = 0; i < 4; ++i)
    v |= static_cast<uint32_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  return v;
}

uint32_t Crc(std::string_view bytes) {
  return Crc32c(std::as_bytes(std::span(bytes.data(), bytes.size())));
}

void AppendRecord(std::string_view payload, std::string& out) {
  AppendU32(static_cast<uint32_t>(payload.size()), out);
  AppendU32(Crc(payload), out);
  out += payload;
}

Status WriteAll(FileSteps& steps, int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = steps.Write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failed("write", path);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return OkStatus();
}

Result<std::string> ReadAll(int fd, const std::string& path) {
  std::string out;
  std::array<char, 65'536> buffer{};
  while (true) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failed("read", path);
    if (n == 0) return out;
    out.append(buffer.data(), static_cast<size_t>(n));
  }
}

// A new name in a directory is durable once the directory is.
Status SyncDirectoryOf(FileSteps& steps, const std::string& path) {
  const std::string directory = std::filesystem::path(path).parent_path();
  const int fd =
      ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Failed("open the directory", path);
  const int result = steps.Sync(fd);
  ::close(fd);
  return result == 0 ? OkStatus() : Failed("sync the directory", path);
}

// Returns the length of the sound part.
size_t Replay(std::string_view bytes, size_t at, const RecordReader& read,
              std::vector<std::string>& warnings) {
  while (bytes.size() - at >= kHeaderBytes) {
    const uint32_t length = ReadU32(bytes.substr(at));
    const uint32_t crc = ReadU32(bytes.substr(at + 4));
    if (length > kMaxRecordBytes || bytes.size() - at - kHeaderBytes < length) break;
    const std::string_view payload = bytes.substr(at + kHeaderBytes, length);
    const Status status = Crc(payload) == crc ? read(payload) : DataLoss("checksum does not fit");
    at += kHeaderBytes + length;
    if (status.ok()) continue;
    // At the end it is torn: its length was written, its bytes were not.
    if (at == bytes.size()) return at - kHeaderBytes - length;
    warnings.push_back("the record before byte " + std::to_string(at) +
                       " is damaged and left out: " + std::string(status.message()));
  }
  return at;
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

Status RecordFile::Check(const std::string& path, std::string_view magic, const RecordReader& read,
                         std::vector<std::string>& damage) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Failed("open", path);
  const Result<std::string> bytes = ReadAll(fd, path);
  ::close(fd);
  BASALT_TRY(bytes.status());
  if (bytes->size() < magic.size() && magic.starts_with(*bytes)) return OkStatus();
  if (!bytes->starts_with(magic)) return DataLoss("file " + path + ": is of another kind");
  (void)Replay(*bytes, magic.size(), read, damage);
  return OkStatus();
}

Result<RecordFile> RecordFile::Open(const std::string& path, std::string_view magic,
                                    const RecordReader& read, std::vector<std::string>& warnings,
                                    FileSteps& steps) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return Failed("open", path);
  RecordFile file(path, magic, fd, steps);  // closes it
  BASALT_TRY_ASSIGN(const std::string bytes, ReadAll(fd, path));
  if (bytes.size() < magic.size() && magic.starts_with(bytes)) {
    // New, or a crash came before the first sync.
    if (::ftruncate(fd, 0) != 0) return Failed("truncate", path);
    BASALT_TRY(WriteAll(steps, fd, magic, path));
    if (steps.Sync(fd) != 0) return Failed("sync", path);
    BASALT_TRY(SyncDirectoryOf(steps, path));
    file.bytes_ = file.kept_bytes_ = magic.size();
    return file;
  }
  if (!bytes.starts_with(magic))
    return DataLoss("file " + path + ": is of another kind or version; move it away");
  const size_t sound = Replay(bytes, magic.size(), read, warnings);
  if (sound < bytes.size() && ::ftruncate(fd, static_cast<off_t>(sound)) != 0)
    return Failed("cut off the torn end", path);
  file.bytes_ = file.kept_bytes_ = sound;
  return file;
}

RecordFile::RecordFile(RecordFile&& other) noexcept
    : path_(std::move(other.path_)),
      magic_(std::move(other.magic_)),
      fd_(std::exchange(other.fd_, -1)),
      steps_(other.steps_),
      rewrite_bytes_(other.rewrite_bytes_),
      bytes_(other.bytes_),
      kept_bytes_(other.kept_bytes_) {}

RecordFile::~RecordFile() {
  if (fd_ >= 0) ::close(fd_);
}

Status RecordFile::Append(std::span<const std::string> payloads, bool sync) {
  std::string out;
  for (const std::string& payload : payloads) {
    // It would be taken for damage when it is read.
    if (payload.size() > kMaxRecordBytes)
      return InvalidArgument("file " + path_ + ": a record of " + std::to_string(payload.size()) +
                             " bytes is above " + std::to_string(kMaxRecordBytes));
    AppendRecord(payload, out);
  }
  Status status = WriteAll(*steps_, fd_, out, path_);
  if (status.ok() && sync && steps_->Sync(fd_) != 0) status = Failed("sync", path_);
  if (!status.ok()) {
    // Half a record would hide those after it.
    if (::ftruncate(fd_, static_cast<off_t>(bytes_)) != 0) return Failed("cut off", path_);
    return status;
  }
  bytes_ += out.size();
  return OkStatus();
}

Status RecordFile::Rewrite(std::span<const std::string> payloads) {
  std::string out(magic_);
  for (const std::string& payload : payloads) AppendRecord(payload, out);
  const std::string next = path_ + ".new";
  const int fd = ::open(next.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return Failed("open the new file", next);
  Status status = WriteAll(*steps_, fd, out, next);
  if (status.ok() && steps_->Sync(fd) != 0) status = Failed("sync", next);
  if (status.ok() && steps_->Rename(next.c_str(), path_.c_str()) != 0)
    status = Failed("rename", next);
  if (!status.ok()) {
    ::close(fd);
    return status;
  }
  ::close(std::exchange(fd_, fd));
  bytes_ = kept_bytes_ = out.size();
  return SyncDirectoryOf(*steps_, path_);
}

}  // namespace basalt::notify
