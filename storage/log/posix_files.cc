#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
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

class PosixFile final : public File {
 public:
  PosixFile(std::string path, Descriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  Status Write(uint64_t offset, std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return Failed("write", path_, errno);
      if (n == 0) return Failed("write", path_, EIO);  // must not happen; would loop for ever
      offset += static_cast<uint64_t>(n);
      bytes = bytes.subspan(static_cast<size_t>(n));
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
  const std::string path_;
  const Descriptor fd_;
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
    BASALT_TRY_ASSIGN(Descriptor fd,
                      OpenDescriptor(mode == OpenMode::kCreate ? "create" : "open", path, flags));
    return std::unique_ptr<File>(std::make_unique<PosixFile>(path, std::move(fd)));
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
