#include "tests/support/faulty_files.h"

#include <utility>

namespace basalt::testing {
namespace {

class FaultyFile final : public storage::File {
 public:
  FaultyFile(SimulatedDisk& disk, SimulatedDisk::Handle handle)
      : disk_(disk), handle_(std::move(handle)) {}
  Status Write(uint64_t offset, std::span<const std::byte> bytes) override {
    return disk_.Write(handle_, offset,
                       {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  Result<size_t> Read(uint64_t offset, std::span<std::byte> out) const override {
    return disk_.Read(handle_, offset, reinterpret_cast<char*>(out.data()), out.size());
  }
  Status Preallocate(uint64_t bytes) override { return disk_.Allocate(handle_, bytes); }
  Status Truncate(uint64_t bytes) override { return disk_.Truncate(handle_, bytes); }
  Status SyncData() override { return disk_.Sync(handle_); }
  [[nodiscard]] Result<uint64_t> Size() const override { return disk_.Size(handle_); }

 private:
  SimulatedDisk& disk_;
  const SimulatedDisk::Handle handle_;
};

class FaultyLock final : public storage::FileLock {
 public:
  FaultyLock(SimulatedDisk& disk, uint64_t number) : disk_(disk), number_(number) {}
  ~FaultyLock() override { disk_.Unlock(number_); }

 private:
  SimulatedDisk& disk_;
  const uint64_t number_;
};

class FaultyFiles final : public storage::Files {
 public:
  explicit FaultyFiles(SimulatedDisk& disk) : disk_(disk) {}
  Result<std::unique_ptr<storage::File>> Open(const std::string& path,
                                              storage::OpenMode mode) override {
    auto handle = mode == storage::OpenMode::kCreate || mode == storage::OpenMode::kCreateForSectors
                      ? disk_.Create(path)
                      : disk_.Open(path);
    if (!handle.ok()) return handle.status();
    return std::unique_ptr<storage::File>(std::make_unique<FaultyFile>(disk_, *std::move(handle)));
  }
  Status CreateDirectories(const std::string& path) override {
    return disk_.IsDirectory(path) ? OkStatus() : disk_.MakeDirectory(path);
  }
  Result<std::vector<std::string>> List(const std::string& directory) override {
    return disk_.List(directory);
  }
  Status Rename(const std::string& from, const std::string& to) override {
    return disk_.Rename(from, to);
  }
  Status Link(const std::string& from, const std::string& to) override {
    return disk_.Link(from, to);
  }
  Status Unlink(const std::string& path) override { return disk_.Unlink(path); }
  Status SyncDirectory(const std::string& directory) override {
    return disk_.SyncDirectory(directory);
  }
  Result<storage::FileInfo> Stat(const std::string& path) override {
    if (disk_.IsDirectory(path)) return storage::FileInfo{.is_directory = true};
    BASALT_TRY_ASSIGN(const auto file, disk_.Open(path));
    BASALT_TRY_ASSIGN(const uint64_t bytes, disk_.Size(file));
    return storage::FileInfo{.bytes = bytes, .modified_ns = disk_.Modified(file)};
  }
  Status RemoveDirectory(const std::string& path) override { return disk_.RemoveDirectory(path); }
  Result<uint64_t> FreeBytes(const std::string& /*directory*/) override {
    return disk_.FreeBytes();
  }
  Result<std::unique_ptr<storage::FileLock>> Lock(const std::string& path) override {
    BASALT_TRY_ASSIGN(const uint64_t number, disk_.Lock(path));
    return std::unique_ptr<storage::FileLock>(std::make_unique<FaultyLock>(disk_, number));
  }

 private:
  SimulatedDisk& disk_;
};

}  // namespace

std::unique_ptr<storage::Files> MakeFaultyFiles(SimulatedDisk& disk) {
  return std::make_unique<FaultyFiles>(disk);
}

}  // namespace basalt::testing
