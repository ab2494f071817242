#include "tests/support/faulty_env.h"

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace basalt::testing {
namespace {

namespace rdb = ROCKSDB_NAMESPACE;
using rdb::FileOptions;
using rdb::IODebugContext;
using rdb::IOOptions;
using rdb::IOStatus;
using rdb::Slice;

IOStatus ToRocks(const Status& status) {
  const std::string text(status.message());
  switch (status.code()) {
    case StatusCode::kOk:
      return IOStatus::OK();
    case StatusCode::kNotFound:
      return IOStatus::PathNotFound(text);
    case StatusCode::kResourceExhausted:
      return IOStatus::NoSpace(text);
    default:
      return IOStatus::IOError(text);
  }
}

// RocksDB joins paths with and without doubled slashes; the disk knows one name a file.
std::string Clean(const std::string& path) {
  std::string out;
  for (const char c : path) {
    if (c != '/' || out.empty() || out.back() != '/') out += c;
  }
  if (out.size() > 1 && out.back() == '/') out.pop_back();
  return out;
}

class ReadOnly final : public rdb::FSRandomAccessFile {
 public:
  ReadOnly(SimulatedDisk& disk, SimulatedDisk::Handle handle)
      : disk_(disk), handle_(std::move(handle)) {}
  IOStatus Read(uint64_t offset, size_t n, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) const override {
    const auto got = disk_.Read(handle_, offset, scratch, n);
    *result = Slice(scratch, got.ok() ? *got : 0);
    return ToRocks(got.status());
  }

 private:
  SimulatedDisk& disk_;
  const SimulatedDisk::Handle handle_;
};

class Sequential final : public rdb::FSSequentialFile {
 public:
  Sequential(SimulatedDisk& disk, SimulatedDisk::Handle handle)
      : disk_(disk), handle_(std::move(handle)) {}
  IOStatus Read(size_t n, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) override {
    const auto got = disk_.Read(handle_, offset_, scratch, n);
    *result = Slice(scratch, got.ok() ? *got : 0);
    offset_ += result->size();
    return ToRocks(got.status());
  }
  IOStatus Skip(uint64_t n) override {
    offset_ += n;
    return IOStatus::OK();
  }

 private:
  SimulatedDisk& disk_;
  const SimulatedDisk::Handle handle_;
  uint64_t offset_ = 0;
};

class Writable final : public rdb::FSWritableFile {
 public:
  Writable(SimulatedDisk& disk, SimulatedDisk::Handle handle, uint64_t size)
      : disk_(disk), handle_(std::move(handle)), size_(size) {}
  using FSWritableFile::Append;
  using FSWritableFile::PositionedAppend;
  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* dbg) override {
    return PositionedAppend(data, size_, options, dbg);
  }
  IOStatus PositionedAppend(const Slice& data, uint64_t offset, const IOOptions&,
                            IODebugContext*) override {
    const Status status = disk_.Write(handle_, offset, {data.data(), data.size()});
    if (status.ok()) size_ = std::max(size_, offset + data.size());
    return ToRocks(status);
  }
  IOStatus Truncate(uint64_t size, const IOOptions&, IODebugContext*) override {
    const Status status = disk_.Truncate(handle_, size);
    if (status.ok()) size_ = size;
    return ToRocks(status);
  }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return ToRocks(disk_.Sync(handle_)); }
  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    return ToRocks(disk_.Sync(handle_));
  }
  IOStatus RangeSync(uint64_t, uint64_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }
  bool IsSyncThreadSafe() const override { return true; }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return size_; }

 private:
  SimulatedDisk& disk_;
  const SimulatedDisk::Handle handle_;
  uint64_t size_;
};

class Directory final : public rdb::FSDirectory {
 public:
  Directory(SimulatedDisk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    return ToRocks(disk_.SyncDirectory(path_));
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }

 private:
  SimulatedDisk& disk_;
  const std::string path_;
};

class Lock final : public rdb::FileLock {
 public:
  explicit Lock(uint64_t held) : number(held) {}
  const uint64_t number;
};

class NoLogger final : public rdb::Logger {
 public:
  using Logger::Logv;
  void Logv(const char*, va_list) override {}
  // Asked when the database limits its log's size.
  size_t GetLogFileSize() const override { return 0; }
};

class FaultyFileSystem final : public rdb::FileSystemWrapper {
 public:
  explicit FaultyFileSystem(SimulatedDisk& disk)
      : FileSystemWrapper(rdb::FileSystem::Default()), disk_(disk) {}
  const char* Name() const override { return "FaultyFileSystem"; }

  IOStatus NewSequentialFile(const std::string& f, const FileOptions&,
                             std::unique_ptr<rdb::FSSequentialFile>* r, IODebugContext*) override {
    return OpenAs<Sequential>(f, r);
  }
  IOStatus NewRandomAccessFile(const std::string& f, const FileOptions&,
                               std::unique_ptr<rdb::FSRandomAccessFile>* r,
                               IODebugContext*) override {
    return OpenAs<ReadOnly>(f, r);
  }
  IOStatus NewWritableFile(const std::string& f, const FileOptions&,
                           std::unique_ptr<rdb::FSWritableFile>* r, IODebugContext*) override {
    auto handle = disk_.Create(Clean(f));
    if (!handle.ok()) return ToRocks(handle.status());
    // RocksDB 7.8 takes a record of its MANIFEST whose middle is missing for damage and does not
    // open; it relies on a size never being there before the bytes are (ext4's data=ordered, xfs,
    // btrfs, zfs). So here its end may be missing, and nothing else. See
    // storage/parts/docs/0001-commit.md.
    if (f.find("/MANIFEST-") != std::string::npos) disk_.KeepInOrder(*handle);
    *r = std::make_unique<Writable>(disk_, *std::move(handle), 0);
    return IOStatus::OK();
  }
  IOStatus ReopenWritableFile(const std::string& f, const FileOptions& options,
                              std::unique_ptr<rdb::FSWritableFile>* r,
                              IODebugContext* dbg) override {
    auto handle = disk_.Open(Clean(f));
    if (handle.status().code() == StatusCode::kNotFound) return NewWritableFile(f, options, r, dbg);
    if (!handle.ok()) return ToRocks(handle.status());
    const auto size = disk_.Size(*handle);
    if (size.ok()) *r = std::make_unique<Writable>(disk_, *std::move(handle), *size);
    return ToRocks(size.status());
  }
  IOStatus ReuseWritableFile(const std::string& f, const std::string& old,
                             const FileOptions& options, std::unique_ptr<rdb::FSWritableFile>* r,
                             IODebugContext* dbg) override {
    if (IOStatus renamed = ToRocks(disk_.Rename(Clean(old), Clean(f))); !renamed.ok())
      return renamed;
    return NewWritableFile(f, options, r, dbg);
  }
  IOStatus NewRandomRWFile(const std::string& f, const FileOptions&,
                           std::unique_ptr<rdb::FSRandomRWFile>*, IODebugContext*) override {
    return IOStatus::NotSupported("random writes on the simulated disk", f);
  }
  IOStatus NewMemoryMappedFileBuffer(const std::string& f,
                                     std::unique_ptr<rdb::MemoryMappedFileBuffer>*) override {
    return IOStatus::NotSupported("mapped files on the simulated disk", f);
  }
  IOStatus NewDirectory(const std::string& name, const IOOptions&,
                        std::unique_ptr<rdb::FSDirectory>* r, IODebugContext*) override {
    if (!disk_.IsDirectory(Clean(name))) return IOStatus::PathNotFound(name);
    *r = std::make_unique<Directory>(disk_, Clean(name));
    return IOStatus::OK();
  }
  IOStatus FileExists(const std::string& f, const IOOptions&, IODebugContext*) override {
    if (disk_.IsDirectory(Clean(f))) return IOStatus::OK();
    const Status status = disk_.Open(Clean(f)).status();
    return status.code() == StatusCode::kNotFound ? IOStatus::NotFound(f) : ToRocks(status);
  }
  IOStatus GetChildren(const std::string& dir, const IOOptions&, std::vector<std::string>* r,
                       IODebugContext*) override {
    auto names = disk_.List(Clean(dir));
    if (names.ok()) *r = *std::move(names);
    return ToRocks(names.status());
  }
  IOStatus GetChildrenFileAttributes(const std::string& dir, const IOOptions& options,
                                     std::vector<rdb::FileAttributes>* result,
                                     IODebugContext* dbg) override {
    return FileSystem::GetChildrenFileAttributes(dir, options, result, dbg);
  }
  IOStatus DeleteFile(const std::string& f, const IOOptions&, IODebugContext*) override {
    return ToRocks(disk_.Unlink(Clean(f)));
  }
  IOStatus Truncate(const std::string& f, size_t size, const IOOptions&, IODebugContext*) override {
    const auto handle = disk_.Open(Clean(f));
    return ToRocks(handle.ok() ? disk_.Truncate(*handle, size) : handle.status());
  }
  IOStatus CreateDir(const std::string& d, const IOOptions&, IODebugContext*) override {
    if (disk_.IsDirectory(Clean(d))) return IOStatus::IOError(d, "exists");
    return ToRocks(disk_.MakeDirectory(Clean(d)));
  }
  IOStatus CreateDirIfMissing(const std::string& d, const IOOptions&, IODebugContext*) override {
    return disk_.IsDirectory(Clean(d)) ? IOStatus::OK() : ToRocks(disk_.MakeDirectory(Clean(d)));
  }
  IOStatus DeleteDir(const std::string& d, const IOOptions&, IODebugContext*) override {
    return ToRocks(disk_.RemoveDirectory(Clean(d)));
  }
  IOStatus GetFileSize(const std::string& f, const IOOptions&, uint64_t* size,
                       IODebugContext*) override {
    const auto handle = disk_.Open(Clean(f));
    if (!handle.ok()) return ToRocks(handle.status());
    const auto bytes = disk_.Size(*handle);
    *size = bytes.value_or(0);
    return ToRocks(bytes.status());
  }
  IOStatus GetFileModificationTime(const std::string&, const IOOptions&, uint64_t* time,
                                   IODebugContext*) override {
    *time = 0;
    return IOStatus::OK();
  }
  IOStatus GetAbsolutePath(const std::string& path, const IOOptions&, std::string* out,
                           IODebugContext*) override {
    *out = Clean(path);
    return IOStatus::OK();
  }
  IOStatus RenameFile(const std::string& s, const std::string& t, const IOOptions&,
                      IODebugContext*) override {
    // RocksDB renames CURRENT before it syncs the directory that has the new MANIFEST's name: it
    // relies on what every journalling file system does, keeping names of a directory in order.
    const std::string to = Clean(t);
    const Status ordered = disk_.SyncDirectory(to.substr(0, to.rfind('/')));
    if (!ordered.ok()) return ToRocks(ordered);
    return ToRocks(disk_.Rename(Clean(s), to));
  }
  IOStatus LinkFile(const std::string& s, const std::string& t, const IOOptions&,
                    IODebugContext*) override {
    return ToRocks(disk_.Link(Clean(s), Clean(t)));
  }
  IOStatus NumFileLinks(const std::string& f, const IOOptions&, uint64_t*,
                        IODebugContext*) override {
    return IOStatus::NotSupported("link counts on the simulated disk", f);
  }
  IOStatus AreFilesSame(const std::string& first, const std::string& second, const IOOptions&,
                        bool* same, IODebugContext*) override {
    const auto a = disk_.Open(Clean(first));
    const auto b = disk_.Open(Clean(second));
    if (!a.ok()) return ToRocks(a.status());
    if (!b.ok()) return ToRocks(b.status());
    *same = a->node == b->node;
    return IOStatus::OK();
  }
  IOStatus LockFile(const std::string& f, const IOOptions&, rdb::FileLock** lock,
                    IODebugContext*) override {
    const auto number = disk_.Lock(Clean(f));
    if (number.ok()) *lock = new Lock(*number);
    return ToRocks(number.status());
  }
  IOStatus UnlockFile(rdb::FileLock* lock, const IOOptions&, IODebugContext*) override {
    disk_.Unlock(static_cast<Lock*>(lock)->number);
    delete lock;
    return IOStatus::OK();
  }
  IOStatus NewLogger(const std::string&, const IOOptions&, std::shared_ptr<rdb::Logger>* result,
                     IODebugContext*) override {
    *result = std::make_shared<NoLogger>();
    return IOStatus::OK();
  }
  IOStatus GetFreeSpace(const std::string&, const IOOptions&, uint64_t* free,
                        IODebugContext*) override {
    *free = uint64_t{1} << 40;
    return IOStatus::OK();
  }
  IOStatus IsDirectory(const std::string& path, const IOOptions&, bool* is_dir,
                       IODebugContext*) override {
    *is_dir = disk_.IsDirectory(Clean(path));
    return IOStatus::OK();
  }

 private:
  template <typename T, typename Base>
  IOStatus OpenAs(const std::string& path, std::unique_ptr<Base>* r) {
    auto handle = disk_.Open(Clean(path));
    if (handle.ok()) *r = std::make_unique<T>(disk_, *std::move(handle));
    return ToRocks(handle.status());
  }

  SimulatedDisk& disk_;
};

}  // namespace

void EnvDeleter::operator()(rocksdb::Env* env) const { delete env; }

std::unique_ptr<rocksdb::Env, EnvDeleter> MakeFaultyEnv(SimulatedDisk& disk) {
  return std::unique_ptr<rocksdb::Env, EnvDeleter>(
      rdb::NewCompositeEnv(std::make_shared<FaultyFileSystem>(disk)).release());
}

}  // namespace basalt::testing
