#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "storage/log/files.h"

namespace basalt::storage {
namespace {

StatusCode CodeOf(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return StatusCode::kNotFound;
    case EEXIST:
      return StatusCode::kAlreadyExists;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EFBIG:  // RLIMIT_FSIZE, or a file system's own limit
      return StatusCode::kResourceExhausted;
    case EACCES:
    case EPERM:
    case EROFS:
      return StatusCode::kPermissionDenied;
    case EIO:
      return StatusCode::kDataLoss;
    default:
      return StatusCode::kInternal;
  }
}

Status Failed(std::string_view doing, const std::string& path, int error) {
  std::string text(doing);
  text += " ";
  text += path;
  text += ": ";
  text += std::generic_category().message(error);
  return {CodeOf(error), std::move(text)};
}

// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0)
      ::close(fd_);  // nothing of ours rests on its result: what matters was synced before
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

Result<Descriptor> OpenDescriptor(std::string_view doing, const std::string& path, int flags) {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return Failed(doing, path, errno);
  return Descriptor(fd);
}

// Memory that the kernel can write from without a copy of its own, for any disk.
constexpr size_t kDirectAlignment = 4096;
constexpr size_t kDirectBytes = 1u << 20;  // in one call
struct FreeDirect {
  void operator()(std::byte* p) const { std::free(p); }
};
using DirectBuffer = std::unique_ptr<std::byte, FreeDirect>;

class PosixFile final : public File {
 public:
  // `direct`: the same file, opened to be written past the page cache.
  PosixFile(std::string path, Descriptor fd, std::optional<Descriptor> direct)
      : path_(std::move(path)),
        fd_(std::move(fd)),
        direct_(std::move(direct)),
        writes_direct_(direct_.has_value()) {}

  Status Write(uint64_t offset, std::span<const std::byte> bytes) override {
    if (offset % kSectorBytes == 0 && bytes.size() % kSectorBytes == 0 &&
        writes_direct_.load(std::memory_order_relaxed)) {
      return WriteDirect(offset, bytes);
    }
    while (!bytes.empty()) {
      BASALT_TRY_ASSIGN(const size_t n, WriteSome(fd_, offset, bytes));
      offset += n;
      bytes = bytes.subspan(n);
    }
    return OkStatus();
  }

  Result<size_t> Read(uint64_t offset, std::span<std::byte> out) const override {
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t n = ::pread(fd_.get(), out.data() + done, out.size() - done,
                                static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return Failed("read", path_, errno);
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  Status Preallocate(uint64_t bytes) override {
    int result = 0;
    do {
      result = ::fallocate(fd_.get(), 0, 0, static_cast<off_t>(bytes));
    } while (result != 0 && errno == EINTR);
    if (result == 0) return OkStatus();
    if (errno != EOPNOTSUPP && errno != ENOSYS) return Failed("preallocate", path_, errno);
    BASALT_TRY_ASSIGN(const uint64_t size, Size());
    return size < bytes ? Truncate(bytes) : OkStatus();
  }

  Status Truncate(uint64_t bytes) override {
    int result = 0;
    do {
      result = ::ftruncate(fd_.get(), static_cast<off_t>(bytes));
    } while (result != 0 && errno == EINTR);
    return result == 0 ? OkStatus() : Failed("truncate", path_, errno);
  }

  Status SyncData() override {
    return ::fdatasync(fd_.get()) == 0 ? OkStatus() : Failed("sync", path_, errno);
  }

  [[nodiscard]] Result<uint64_t> Size() const override {
    struct stat info{};
    if (::fstat(fd_.get(), &info) != 0) return Failed("stat", path_, errno);
    return static_cast<uint64_t>(info.st_size);
  }

 private:
  // 0: not past the page cache.
  Result<size_t> WriteSome(const Descriptor& to, uint64_t offset,
                           std::span<const std::byte> bytes) {
    ssize_t n = 0;
    do {
      n = ::pwrite(to.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EINVAL && &to != &fd_) return size_t{0};
    if (n < 0) return Failed("write", path_, errno);
    if (n == 0) return Failed("write", path_, EIO);  // must not happen; would loop for ever
    return static_cast<size_t>(n);
  }

  // What the kernel refuses to write past the page cache (EINVAL: sectors larger than ours, a file
  // system that opens files so and does not mean it) goes through it, and so does what follows.
  // What is on the disk already stays: the kernel keeps both ways coherent.
  Status WriteDirect(uint64_t offset, std::span<const std::byte> bytes) {
    const size_t size = std::min(
        kDirectBytes, (bytes.size() + kDirectAlignment - 1) / kDirectAlignment * kDirectAlignment);
    const DirectBuffer buffer(static_cast<std::byte*>(std::aligned_alloc(kDirectAlignment, size)));
    if (buffer == nullptr) return Failed("write", path_, ENOMEM);
    while (!bytes.empty()) {
      const std::span<const std::byte> part = bytes.first(std::min(bytes.size(), size));
      std::memcpy(buffer.get(), part.data(), part.size());
      BASALT_TRY_ASSIGN(const size_t n, WriteSome(*direct_, offset, {buffer.get(), part.size()}));
      if (n == 0) {
        writes_direct_.store(false, std::memory_order_relaxed);
        return Write(offset, bytes);
      }
      offset += n;
      bytes = bytes.subspan(n);
    }
    return OkStatus();
  }

  const std::string path_;
  const Descriptor fd_;
  const std::optional<Descriptor> direct_;
  std::atomic<bool> writes_direct_;
};

class PosixLock final : public FileLock {
 public:
  explicit PosixLock(Descriptor fd) : fd_(std::move(fd)) {}

 private:
  const Descriptor fd_;  // closing it unlocks
};

std::string ParentOf(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

class PosixFilesImpl final : public Files {
 public:
  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    const int flags = mode == OpenMode::kRead     ? O_RDONLY
                      : mode == OpenMode::kUpdate ? O_RDWR
                                                  : O_RDWR | O_CREAT | O_TRUNC;
    const bool creates = (flags & O_CREAT) != 0;
    BASALT_TRY_ASSIGN(Descriptor fd, OpenDescriptor(creates ? "create" : "open", path, flags));
    std::optional<Descriptor> direct;
    if (mode == OpenMode::kCreateForSectors) {
      auto opened = OpenDescriptor("open", path, O_WRONLY | O_DIRECT);  // EINVAL: cannot be had
      if (opened.ok()) direct.emplace(*std::move(opened));
    }
    return std::unique_ptr<File>(
        std::make_unique<PosixFile>(path, std::move(fd), std::move(direct)));
  }

  Status CreateDirectories(const std::string& path) override {
    if (::mkdir(path.c_str(), 0755) == 0) return SyncDirectory(ParentOf(path));
    if (errno == EEXIST) {
      struct stat info{};
      if (::stat(path.c_str(), &info) != 0) return Failed("stat", path, errno);
      return S_ISDIR(info.st_mode) ? OkStatus() : Failed("create directory", path, EEXIST);
    }
    const std::string parent = ParentOf(path);
    if (errno != ENOENT || parent == path || parent == ".")
      return Failed("create directory", path, errno);
    BASALT_TRY(CreateDirectories(parent));
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST)
      return Failed("create directory", path, errno);
    return SyncDirectory(parent);
  }

  Result<std::vector<std::string>> List(const std::string& directory) override {
    DIR* stream = ::opendir(directory.c_str());
    if (stream == nullptr) return Failed("list", directory, errno);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(stream)) {
      std::string name(entry->d_name);
      if (name != "." && name != "..") names.push_back(std::move(name));
      errno = 0;
    }
    const int error = errno;
    ::closedir(stream);
    if (error != 0) return Failed("list", directory, error);
    std::sort(names.begin(), names.end());
    return names;
  }

  Status Rename(const std::string& from, const std::string& to) override {
    return ::rename(from.c_str(), to.c_str()) == 0 ? OkStatus()
                                                   : Failed("rename " + from + " to", to, errno);
  }
  Status Link(const std::string& from, const std::string& to) override {
    return ::link(from.c_str(), to.c_str()) == 0 ? OkStatus()
                                                 : Failed("link " + from + " to", to, errno);
  }
  Status Unlink(const std::string& path) override {
    return ::unlink(path.c_str()) == 0 ? OkStatus() : Failed("unlink", path, errno);
  }

  Status SyncDirectory(const std::string& directory) override {
    BASALT_TRY_ASSIGN(const Descriptor fd,
                      OpenDescriptor("open directory", directory, O_RDONLY | O_DIRECTORY));
    return ::fsync(fd.get()) == 0 ? OkStatus() : Failed("sync directory", directory, errno);
  }

  Result<FileInfo> Stat(const std::string& path) override {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) return Failed("stat", path, errno);
    constexpr int64_t kNsPerSecond = 1'000'000'000;
    return FileInfo{.is_directory = S_ISDIR(info.st_mode),
                    .bytes = static_cast<uint64_t>(info.st_size),
                    .modified_ns = info.st_mtim.tv_sec * kNsPerSecond + info.st_mtim.tv_nsec};
  }
  Status RemoveDirectory(const std::string& path) override {
    return ::rmdir(path.c_str()) == 0 ? OkStatus() : Failed("remove directory", path, errno);
  }
  Result<uint64_t> FreeBytes(const std::string& directory) override {
    struct statvfs info{};
    if (::statvfs(directory.c_str(), &info) != 0) return Failed("statvfs", directory, errno);
    return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  }

  Result<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    BASALT_TRY_ASSIGN(Descriptor fd, OpenDescriptor("open lock", path, O_RDWR | O_CREAT));
    // flock and not fcntl: it belongs to the open file, so it also keeps out a second holder in
    // this process.
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK)
        return FailedPrecondition("lock " + path + ": another process has it");
      return Failed("lock", path, errno);
    }
    return std::unique_ptr<FileLock>(std::make_unique<PosixLock>(std::move(fd)));
  }
};

}  // namespace

Files& PosixFiles() {
  static PosixFilesImpl files;
  return files;
}

}  // namespace basalt::storage
