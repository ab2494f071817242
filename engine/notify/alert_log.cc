#include "engine/notify/alert_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "engine/base/varint.h"

// Payload: varint version (1), varint flags (1: resolved, 2: urgent), zigzag startsAt ms, zigzag
// endsAt ms (0 unless resolved), then four strings, each a varint length and bytes: canonical
// labels of identity, labels and annotations, and the generator URL.

namespace basalt::notify {
namespace {

constexpr std::string_view kMagic = "basalt-alerts-1\n";
constexpr uint64_t kPayloadVersion = 1;
constexpr uint64_t kResolved = 1;
constexpr uint64_t kUrgent = 2;
constexpr size_t kHeaderBytes = 8;

Status Failed(const std::string& what, const std::string& path) {
  return Unavailable("alert log " + path + ": " + what + ": " + std::strerror(errno));
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

void AppendString(std::string_view text, std::string& out) {
  AppendVarint(text.size(), out);
  out += text;
}
void AppendLabels(const Labels& labels, std::string& out) {
  std::string bytes;
  AppendCanonical(labels, bytes);
  AppendString(bytes, out);
}

uint32_t Crc(std::string_view bytes) {
  return Crc32c(std::as_bytes(std::span(bytes.data(), bytes.size())));
}

void AppendRecord(const Alert& alert, std::string& out) {
  std::string payload;
  EncodeAlert(alert, payload);
  AppendU32(static_cast<uint32_t>(payload.size()), out);
  AppendU32(Crc(payload), out);
  out += payload;
}

Status WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
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
Status SyncDirectoryOf(const std::string& path) {
  const std::string directory = std::filesystem::path(path).parent_path();
  const int fd =
      ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Failed("open the directory", path);
  const int result = ::fsync(fd);
  ::close(fd);
  return result == 0 ? OkStatus() : Failed("sync the directory", path);
}

// The latest state of each alert; returns the length of the sound part.
size_t Replay(std::string_view bytes, std::map<Hash128, Alert>& alerts,
              std::vector<std::string>& warnings) {
  size_t at = kMagic.size();
  while (bytes.size() - at >= kHeaderBytes) {
    const uint32_t length = ReadU32(bytes.substr(at));
    const uint32_t crc = ReadU32(bytes.substr(at + 4));
    if (length > kMaxAlertRecordBytes || bytes.size() - at - kHeaderBytes < length) break;
    const std::string_view payload = bytes.substr(at + kHeaderBytes, length);
    Result<Alert> alert = Crc(payload) == crc ? DecodeAlert(payload)
                                              : Result<Alert>(DataLoss("checksum does not fit"));
    at += kHeaderBytes + length;
    if (alert.ok()) {
      const Hash128 fingerprint = Fingerprint(*alert);
      alerts[fingerprint] = std::move(alert).value();
    } else if (at < bytes.size()) {
      warnings.push_back("alert log: the record before byte " + std::to_string(at) +
                         " is damaged and left out: " + std::string(alert.status().message()));
    } else {
      return at - kHeaderBytes - length;  // torn: its length was written, its bytes were not
    }
  }
  return at;
}

}  // namespace

void EncodeAlert(const Alert& alert, std::string& out) {
  AppendVarint(kPayloadVersion, out);
  AppendVarint((alert.resolved() ? kResolved : 0) | (alert.urgent ? kUrgent : 0), out);
  AppendVarint(ZigZag(ToMs(alert.starts_at)), out);
  AppendVarint(ZigZag(alert.resolved() ? ToMs(*alert.ends_at) : 0), out);
  AppendLabels(alert.identity, out);
  AppendLabels(alert.labels, out);
  AppendLabels(alert.annotations, out);
  AppendString(alert.generator_url, out);
}

Result<Alert> DecodeAlert(std::string_view payload) {
  VarintReader reader(payload);
  uint64_t version = 0;
  uint64_t flags = 0;
  int64_t starts_ms = 0;
  int64_t ends_ms = 0;
  std::string_view identity;
  std::string_view labels;
  std::string_view annotations;
  std::string_view url;
  if (!reader.Read(version)) return DataLoss("alert record: cut off");
  if (version != kPayloadVersion) {
    return DataLoss("alert record: version " + std::to_string(version) + " is not known");
  }
  if (!reader.Read(flags) || !reader.ReadSigned(starts_ms) || !reader.ReadSigned(ends_ms) ||
      !reader.ReadString(identity) || !reader.ReadString(labels) ||
      !reader.ReadString(annotations) || !reader.ReadString(url) || !reader.done()) {
    return DataLoss("alert record: fields do not fit");
  }
  Alert alert;
  BASALT_TRY_ASSIGN(alert.identity, LabelsFromCanonical(identity));
  BASALT_TRY_ASSIGN(alert.labels, LabelsFromCanonical(labels));
  BASALT_TRY_ASSIGN(alert.annotations, LabelsFromCanonical(annotations));
  alert.generator_url = url;
  alert.starts_at = FromMs(starts_ms);
  if ((flags & kResolved) != 0) alert.ends_at = FromMs(ends_ms);
  alert.urgent = (flags & kUrgent) != 0;
  return alert;
}

Status CheckAlertLog(const std::string& path, std::vector<std::string>& damage) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Failed("open", path);
  const Result<std::string> bytes = ReadAll(fd, path);
  ::close(fd);
  BASALT_TRY(bytes.status());
  if (bytes->size() < kMagic.size() && kMagic.starts_with(*bytes)) return OkStatus();
  if (!bytes->starts_with(kMagic)) return DataLoss("alert log " + path + ": is no alert log");
  std::map<Hash128, Alert> alerts;
  (void)Replay(*bytes, alerts, damage);
  return OkStatus();
}

Result<AlertLog> AlertLog::Open(const std::string& path, std::map<Hash128, Alert>& alerts,
                                std::vector<std::string>& warnings) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return Failed("open", path);
  AlertLog log(path, fd, 0);  // closes it
  BASALT_TRY_ASSIGN(const std::string bytes, ReadAll(fd, path));
  if (bytes.size() < kMagic.size() && kMagic.starts_with(bytes)) {
    // New, or a crash came before the first sync.
    if (::ftruncate(fd, 0) != 0) return Failed("truncate", path);
    BASALT_TRY(WriteAll(fd, kMagic, path));
    if (::fdatasync(fd) != 0) return Failed("sync", path);
    BASALT_TRY(SyncDirectoryOf(path));
    log.bytes_ = log.kept_bytes_ = kMagic.size();
    return log;
  }
  if (!bytes.starts_with(kMagic)) {
    return DataLoss("alert log " + path + ": is not an alert log of a known version; move it away");
  }
  const size_t sound = Replay(bytes, alerts, warnings);
  if (sound < bytes.size() && ::ftruncate(fd, static_cast<off_t>(sound)) != 0) {
    return Failed("cut off the torn end", path);
  }
  log.bytes_ = log.kept_bytes_ = sound;
  return log;
}

AlertLog::AlertLog(AlertLog&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      bytes_(other.bytes_),
      kept_bytes_(other.kept_bytes_) {}

AlertLog::~AlertLog() {
  if (fd_ >= 0) ::close(fd_);
}

Status AlertLog::Append(std::span<const Alert> alerts) {
  std::string out;
  for (const Alert& alert : alerts) AppendRecord(alert, out);
  Status status = WriteAll(fd_, out, path_);
  if (status.ok() && ::fdatasync(fd_) != 0) status = Failed("sync", path_);
  if (!status.ok()) {
    // Half a record would hide those after it.
    if (::ftruncate(fd_, static_cast<off_t>(bytes_)) != 0) return Failed("cut off", path_);
    return status;
  }
  bytes_ += out.size();
  return OkStatus();
}

Status AlertLog::Rewrite(std::span<const Alert* const> alerts) {
  std::string out(kMagic);
  for (const Alert* alert : alerts) AppendRecord(*alert, out);
  const std::string next = path_ + ".new";
  const int fd = ::open(next.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return Failed("open the new file", next);
  Status status = WriteAll(fd, out, next);
  if (status.ok() && ::fdatasync(fd) != 0) status = Failed("sync", next);
  if (status.ok() && ::rename(next.c_str(), path_.c_str()) != 0) status = Failed("rename", next);
  if (!status.ok()) {
    ::close(fd);
    return status;
  }
  ::close(std::exchange(fd_, fd));
  bytes_ = kept_bytes_ = out.size();
  return SyncDirectoryOf(path_);
}

}  // namespace basalt::notify
