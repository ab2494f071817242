#include "storage/parts/resumable_env.h"

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/mutex.h"

namespace basalt::storage {
namespace {

namespace rdb = ROCKSDB_NAMESPACE;
using rdb::DataVerificationInfo;
using rdb::FileOptions;
using rdb::IODebugContext;
using rdb::IOOptions;
using rdb::IOStatus;
using rdb::Slice;

// Whether the MANIFEST is known to be as RocksDB believes, and the files that must wait for it.
// Thread-safe.
class ManifestDoubt {
 public:
  void Failed() BASALT_EXCLUDES(mu_) {
    const MutexLock lock(mu_);
    in_doubt_ = true;
    replaced_ = false;
  }
  // CURRENT names another MANIFEST, once its directory is synced.
  void Replaced() BASALT_EXCLUDES(mu_) {
    const MutexLock lock(mu_);
    replaced_ = in_doubt_;
  }
  // What may be removed now that a directory is synced.
  std::vector<std::string> Synced() BASALT_EXCLUDES(mu_) {
    const MutexLock lock(mu_);
    if (!replaced_) return {};
    in_doubt_ = replaced_ = false;
    return std::exchange(waiting_, {});
  }
  // True: the file stays for now.
  bool Keeps(const std::string& path) BASALT_EXCLUDES(mu_) {
    const MutexLock lock(mu_);
    if (!in_doubt_) return false;
    waiting_.push_back(path);
    return true;
  }

 private:
  Mutex mu_;
  bool in_doubt_ BASALT_GUARDED_BY(mu_) = false;
  bool replaced_ BASALT_GUARDED_BY(mu_) = false;
  std::vector<std::string> waiting_ BASALT_GUARDED_BY(mu_);
};

// What a file's calls need of all of them. Thread-safe.
class Translation {
 public:
  void Detach() { detached_.store(true, std::memory_order_release); }
  [[nodiscard]] bool detached() const { return detached_.load(std::memory_order_acquire); }
  // A full disk as another error; every failure as one that may pass.
  static IOStatus Told(IOStatus status) {
    if (status.IsIOError() && !status.IsNoSpace() && !status.IsPathNotFound()) {
      status.SetRetryable(true);
      return status;
    }
    if (!status.IsNoSpace()) return status;
    IOStatus told = rdb::status_to_io_status(rdb::Status::SpaceLimit(status.ToString()));
    told.SetRetryable(true);
    return told;
  }
  // Does a change, unless nothing is to be changed any more.
  template <typename Change>
  IOStatus Do(Change change) const {
    return detached() ? IOStatus::OK() : Told(change());
  }

 private:
  std::atomic<bool> detached_{false};
};

// A file of a detached database.
class NoFile final : public rdb::FSWritableFile {
 public:
  using FSWritableFile::Append;
  IOStatus Append(const Slice& data, const IOOptions&, IODebugContext*) override {
    bytes_ += data.size();
    return IOStatus::OK();
  }
  IOStatus Truncate(uint64_t, const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return bytes_; }

 private:
  uint64_t bytes_ = 0;
};

class ResumableFile final : public rdb::FSWritableFileOwnerWrapper {
 public:
  // `doubt`: of a MANIFEST; null for any other file.
  ResumableFile(std::unique_ptr<rdb::FSWritableFile> target, const Translation& translation,
                ManifestDoubt* doubt)
      : FSWritableFileOwnerWrapper(std::move(target)), translation_(translation), doubt_(doubt) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* dbg) override {
    return Do([&] { return target()->Append(data, options, dbg); });
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const DataVerificationInfo& info,
                  IODebugContext* dbg) override {
    return Do([&] { return target()->Append(data, options, info, dbg); });
  }
  IOStatus PositionedAppend(const Slice& data, uint64_t offset, const IOOptions& options,
                            IODebugContext* dbg) override {
    return Do([&] { return target()->PositionedAppend(data, offset, options, dbg); });
  }
  IOStatus PositionedAppend(const Slice& data, uint64_t offset, const IOOptions& options,
                            const DataVerificationInfo& info, IODebugContext* dbg) override {
    return Do([&] { return target()->PositionedAppend(data, offset, options, info, dbg); });
  }
  IOStatus Truncate(uint64_t size, const IOOptions& options, IODebugContext* dbg) override {
    return Do([&] { return target()->Truncate(size, options, dbg); });
  }
  IOStatus Close(const IOOptions& options, IODebugContext* dbg) override {
    return Do([&] { return target()->Close(options, dbg); });
  }
  IOStatus Flush(const IOOptions& options, IODebugContext* dbg) override {
    return Do([&] { return target()->Flush(options, dbg); });
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* dbg) override {
    return Do([&] { return target()->Sync(options, dbg); });
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* dbg) override {
    return Do([&] { return target()->Fsync(options, dbg); });
  }
  IOStatus RangeSync(uint64_t offset, uint64_t bytes, const IOOptions& options,
                     IODebugContext* dbg) override {
    return Do([&] { return target()->RangeSync(offset, bytes, options, dbg); });
  }
  IOStatus Allocate(uint64_t offset, uint64_t bytes, const IOOptions& options,
                    IODebugContext* dbg) override {
    return Do([&] { return target()->Allocate(offset, bytes, options, dbg); });
  }

 private:
  template <typename Change>
  IOStatus Do(Change change) {
    IOStatus status = translation_.Do(change);
    if (!status.ok() && doubt_ != nullptr) doubt_->Failed();
    return status;
  }

  const Translation& translation_;
  ManifestDoubt* const doubt_;
};

}  // namespace

class ResumableEnv::Files final : public rdb::FileSystemWrapper {
 public:
  Files(const std::shared_ptr<rdb::FileSystem>& target, std::string directory)
      : FileSystemWrapper(target), directory_(std::move(directory)) {}
  void Detach() { translation_.Detach(); }
  const char* Name() const override { return "BasaltResumable"; }

  IOStatus NewWritableFile(const std::string& path, const FileOptions& options,
                           std::unique_ptr<rdb::FSWritableFile>* out,
                           IODebugContext* dbg) override {
    return Wrapped(path, out, [&] { return target()->NewWritableFile(path, options, out, dbg); });
  }
  IOStatus ReopenWritableFile(const std::string& path, const FileOptions& options,
                              std::unique_ptr<rdb::FSWritableFile>* out,
                              IODebugContext* dbg) override {
    return Wrapped(path, out,
                   [&] { return target()->ReopenWritableFile(path, options, out, dbg); });
  }
  IOStatus ReuseWritableFile(const std::string& path, const std::string& old,
                             const FileOptions& options, std::unique_ptr<rdb::FSWritableFile>* out,
                             IODebugContext* dbg) override {
    return Wrapped(path, out,
                   [&] { return target()->ReuseWritableFile(path, old, options, out, dbg); });
  }
  IOStatus NewDirectory(const std::string& path, const IOOptions& options,
                        std::unique_ptr<rdb::FSDirectory>* out, IODebugContext* dbg) override {
    IOStatus status = target()->NewDirectory(path, options, out, dbg);
    // Checkpoints, and their MANIFESTs, have directories of their own.
    if (status.ok() && path == directory_)
      *out = std::make_unique<Directory>(std::move(*out), *this);
    return status;
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* dbg) override {
    IOStatus status = translation_.Do([&] { return target()->RenameFile(from, to, options, dbg); });
    if (to == directory_ + "/CURRENT") {
      if (status.ok()) {
        doubt_.Replaced();
      } else {
        doubt_.Failed();
      }
    }
    return status;
  }
  IOStatus LinkFile(const std::string& from, const std::string& to, const IOOptions& options,
                    IODebugContext* dbg) override {
    return translation_.Do([&] { return target()->LinkFile(from, to, options, dbg); });
  }
  IOStatus CreateDir(const std::string& path, const IOOptions& options,
                     IODebugContext* dbg) override {
    return translation_.Do([&] { return target()->CreateDir(path, options, dbg); });
  }
  IOStatus CreateDirIfMissing(const std::string& path, const IOOptions& options,
                              IODebugContext* dbg) override {
    return translation_.Do([&] { return target()->CreateDirIfMissing(path, options, dbg); });
  }
  IOStatus DeleteFile(const std::string& path, const IOOptions& options,
                      IODebugContext* dbg) override {
    if (path.ends_with(".sst") && doubt_.Keeps(path)) return IOStatus::OK();
    return translation_.Do([&] { return target()->DeleteFile(path, options, dbg); });
  }

 private:
  class Directory final : public rdb::FSDirectoryWrapper {
   public:
    Directory(std::unique_ptr<rdb::FSDirectory> target, Files& files)
        : FSDirectoryWrapper(std::move(target)), files_(files) {}
    IOStatus Fsync(const IOOptions& options, IODebugContext* dbg) override {
      return files_.Synced([&] { return FSDirectoryWrapper::Fsync(options, dbg); });
    }
    IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* dbg,
                                 const rdb::DirFsyncOptions& what) override {
      return files_.Synced(
          [&] { return FSDirectoryWrapper::FsyncWithDirOptions(options, dbg, what); });
    }

   private:
    Files& files_;
  };

  template <typename Open>
  IOStatus Wrapped(const std::string& path, std::unique_ptr<rdb::FSWritableFile>* out, Open open) {
    if (translation_.detached()) {
      *out = std::make_unique<NoFile>();
      return IOStatus::OK();
    }
    IOStatus status = open();
    const bool manifest = path.starts_with(directory_ + "/MANIFEST-");
    if (status.ok()) {
      *out = std::make_unique<ResumableFile>(std::move(*out), translation_,
                                             manifest ? &doubt_ : nullptr);
    }
    return Translation::Told(std::move(status));
  }

  template <typename Sync>
  IOStatus Synced(Sync sync) {
    if (translation_.detached()) return IOStatus::OK();
    IOStatus status = sync();
    if (status.ok()) {
      // What cannot be removed now is removed when the database is opened again.
      for (const std::string& path : doubt_.Synced())
        target()->DeleteFile(path, IOOptions(), nullptr).PermitUncheckedError();
    }
    return Translation::Told(std::move(status));
  }

  const std::string directory_;
  Translation translation_;
  ManifestDoubt doubt_;
};

ResumableEnv::ResumableEnv(rocksdb::Env& base, std::string directory)
    : files_(std::make_shared<Files>(base.GetFileSystem(), std::move(directory))),
      env_(rdb::NewCompositeEnv(files_)) {}
ResumableEnv::~ResumableEnv() = default;

void ResumableEnv::Detach() { files_->Detach(); }

}  // namespace basalt::storage
