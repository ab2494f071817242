#include "engine/admin/snapshots.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <random>
#include <system_error>

#include "engine/base/log.h"

namespace basalt::admin {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHalfMade = ".new";

std::string NewName(Timestamp now) {
  const std::time_t seconds = ToMs(now) / kMsPerSecond;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 32> text{};
  const size_t n = std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &utc);
  std::random_device random;
  std::array<char, 24> suffix{};
  std::snprintf(suffix.data(), suffix.size(), "-%08x%08x", random(), random());
  return std::string(text.data(), n) + suffix.data();
}

bool IsName(const std::string& name) {
  return name.size() >= 18 && name.size() <= 64 && name[0] != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == 'T' || c == 'Z' ||
                  c == '-';
         });
}

Status Failed(const std::string& doing, const fs::path& path, const std::error_code& error) {
  const std::string text = doing + " " + path.string() + ": " + error.message();
  return error == std::errc::no_space_on_device ? ResourceExhausted(text) : Unavailable(text);
}

Status SyncFile(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  const std::error_code error(errno, std::generic_category());
  if (fd >= 0) ::close(fd);
  return synced ? OkStatus() : Failed("sync", path, error);
}

// What other layers keep beside the store, such as the alert log. Those append and sync; a record
// that is being written meanwhile is a torn end, which they expect.
Status CopySideFiles(const fs::path& from, const fs::path& to) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(from, error)) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_regular_file(error) || name == "LOCK" || name.ends_with(".tmp")) continue;
    fs::copy_file(entry.path(), to / name, error);
    if (error == std::errc::no_such_file_or_directory) continue;  // replaced meanwhile
    if (error) return Failed("copy", entry.path(), error);
    BASALT_TRY(SyncFile(to / name));
  }
  return error ? Failed("list", from, error) : SyncFile(to);
}

}  // namespace

Snapshots::Snapshots(storage::Store& store, const std::string& data_directory, const Clock& clock)
    : store_(store),
      data_(fs::absolute(data_directory).lexically_normal().string()),
      root_((fs::path(data_) / "snapshots").string()),
      clock_(clock) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root_, error)) {
    if (entry.path().extension() != kHalfMade) continue;
    std::error_code ignored;  // it is tried again at the next start
    fs::remove_all(entry.path(), ignored);
  }
}

Result<Snapshot> Snapshots::Create() {
  const MutexLock lock(mu_);
  std::error_code error;
  fs::create_directories(root_, error);
  if (error) return Failed("create", root_, error);
  const std::string name = NewName(clock_.Now());
  const fs::path making = fs::path(root_) / (name + kHalfMade);
  const fs::path path = fs::path(root_) / name;
  const auto make = [&]() -> Status {
    BASALT_TRY(store_.Checkpoint(making.string()));
    BASALT_TRY(CopySideFiles(data_, making));
    fs::rename(making, path, error);
    if (error) return Failed("rename", making, error);
    return SyncFile(root_);
  };
  if (Status made = make(); !made.ok()) {
    std::error_code ignored;
    fs::remove_all(making, ignored);
    return made.WithContext("snapshot");
  }
  BASALT_LOG(kInfo, "a snapshot is taken", {"path", path.string()});
  return Snapshot{.name = name, .path = path.string()};
}

Result<std::vector<Snapshot>> Snapshots::List() const {
  std::vector<Snapshot> out;
  std::error_code error;
  if (!fs::exists(root_, error)) return out;
  for (const auto& entry : fs::directory_iterator(root_, error)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory(error) && IsName(name)) out.push_back({name, entry.path().string()});
  }
  if (error) return Failed("list", root_, error);
  std::sort(out.begin(), out.end(),
            [](const Snapshot& a, const Snapshot& b) { return a.name < b.name; });
  return out;
}

Status Snapshots::Remove(const std::string& name) {
  const MutexLock lock(mu_);
  if (!IsName(name)) return InvalidArgument("snapshot name \"" + name + "\" is not possible");
  const fs::path path = fs::path(root_) / name;
  std::error_code error;
  if (!fs::is_directory(path, error)) return NotFound("there is no snapshot " + name);
  fs::remove_all(path, error);
  if (error) return Failed("remove", path, error);
  BASALT_LOG(kInfo, "a snapshot is removed", {"name", name});
  return OkStatus();
}

}  // namespace basalt::admin
