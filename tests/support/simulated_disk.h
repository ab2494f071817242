// tests/support/simulated_disk.h -- a disk in memory that fails on command and forgets what was not
// synced when its power is cut. The log's files (faulty_files.h) and RocksDB's (faulty_env.h) can
// live on one.
//
//   SimulatedDisk disk(seed);
//   disk.Inject({.kind = DiskFault::kPowerCut, .at = n});   // during the n-th change from now
//   ... use it until it fails, drop everything that has files open ...
//   disk.Restore();                                         // power is back; open again
//
// The model is POSIX at its harshest: bytes are durable after a sync of their file, names after a
// sync of their directory, and of all else any part may survive a cut: single sectors, torn
// sectors, a file's size without its bytes, a later rename without an earlier one. A failed sync
// forgets what it should have written, as Linux does. Making and renaming a directory
// are durable at once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/mutex.h"
#include "engine/base/status.h"

namespace basalt::testing {

enum class DiskOp : uint8_t {
  kOpen,
  kRead,
  kList,
  kLock,  // these change nothing
  kCreate,
  kWrite,
  kAllocate,
  kTruncate,
  kSync,
  kRename,
  kLink,
  kUnlink,
  kSyncDirectory,
  kMakeDirectory,
};
constexpr bool IsChange(DiskOp op) { return op >= DiskOp::kCreate; }

struct DiskFault {
  enum Kind : uint8_t {
    kFail,      // as EIO: DATA_LOSS
    kFull,      // as ENOSPC: RESOURCE_EXHAUSTED, with nothing done
    kShort,     // a write does half of its bytes and then fails as kFull; other calls: as kFull
    kPowerCut,  // the call may or may not have happened; everything after it fails
  };
  Kind kind = kFail;
  uint64_t at = 1;                            // the n-th change after Inject(), from 1
  bool sticky = false;                        // and all after it, until ClearFault()
  std::optional<DiskOp> only = std::nullopt;  // counts, and spoils, calls of this kind only
  std::string in_path = {};                   // likewise, of paths that hold this
  uint64_t times = 1;                         // so many in a row, unless it is sticky
};

// How much of what was not synced is there after a power cut.
enum class Survival : uint8_t { kNothing, kEverything, kAnything };

// Thread-safe. Paths are plain strings; "a/b" and "/a/b" differ, and "a//b" is another file than
// "a/b".
class SimulatedDisk {
 public:
  explicit SimulatedDisk(uint64_t seed) : random_(seed) {}

  // ---- for tests
  void Inject(const DiskFault& fault) BASALT_EXCLUDES(mu_);
  void ClearFault() BASALT_EXCLUDES(mu_);
  // Called before every call, outside all locks: it may wait, which delays the call.
  void SetHook(std::function<void(DiskOp, const std::string&)> hook) BASALT_EXCLUDES(mu_);
  // The sum of all files' sizes cannot exceed this.
  void SetCapacity(uint64_t bytes) BASALT_EXCLUDES(mu_);
  // Calls that a fault has spoilt so far.
  [[nodiscard]] uint64_t faults() const BASALT_EXCLUDES(mu_);
  // Changes so far.
  [[nodiscard]] uint64_t changes() const BASALT_EXCLUDES(mu_);
  [[nodiscard]] bool powered() const BASALT_EXCLUDES(mu_);
  void CutPower() BASALT_EXCLUDES(mu_);
  // Decides what has survived and turns the power on. Also cuts it first if it is on. Files open
  // before are dead.
  void Restore(Survival survival = Survival::kAnything) BASALT_EXCLUDES(mu_);
  // A file's bytes; and writing them behind everybody's back, durably. The file must exist.
  [[nodiscard]] std::string Contents(const std::string& path) const BASALT_EXCLUDES(mu_);
  void SetContents(const std::string& path, std::string bytes) BASALT_EXCLUDES(mu_);

  // ---- for faulty_files.h and faulty_env.h
  struct Node;
  struct Handle {
    std::shared_ptr<Node> node;
    std::string path;
    uint64_t boot = 0;
  };
  Result<Handle> Open(const std::string& path) BASALT_EXCLUDES(mu_);
  Result<Handle> Create(const std::string& path) BASALT_EXCLUDES(mu_);  // emptied if it exists
  Status Write(const Handle& file, uint64_t offset, std::string_view bytes) BASALT_EXCLUDES(mu_);
  Result<size_t> Read(const Handle& file, uint64_t offset, char* out, size_t size)
      BASALT_EXCLUDES(mu_);
  Status Allocate(const Handle& file, uint64_t bytes) BASALT_EXCLUDES(mu_);
  Status Truncate(const Handle& file, uint64_t bytes) BASALT_EXCLUDES(mu_);
  Status Sync(const Handle& file) BASALT_EXCLUDES(mu_);
  Result<uint64_t> Size(const Handle& file) BASALT_EXCLUDES(mu_);
  // Rises with every change of the file's bytes.
  int64_t Modified(const Handle& file) BASALT_EXCLUDES(mu_);
  Result<uint64_t> FreeBytes() BASALT_EXCLUDES(mu_);  // UINT64_MAX: as much as you like
  Status Rename(const std::string& from, const std::string& to) BASALT_EXCLUDES(mu_);
  Status Link(const std::string& from, const std::string& to) BASALT_EXCLUDES(mu_);
  Status Unlink(const std::string& path) BASALT_EXCLUDES(mu_);
  Status SyncDirectory(const std::string& path) BASALT_EXCLUDES(mu_);
  Status MakeDirectory(const std::string& path) BASALT_EXCLUDES(mu_);  // also its parents
  Status RemoveDirectory(const std::string& path) BASALT_EXCLUDES(mu_);
  Result<std::vector<std::string>> List(const std::string& path) BASALT_EXCLUDES(mu_);
  [[nodiscard]] bool IsDirectory(const std::string& path) const BASALT_EXCLUDES(mu_);
  // Of a file that only grows: what a power cut leaves of it is a beginning, as on a file system
  // that shows a size only once the bytes are there.
  void KeepInOrder(const Handle& file) BASALT_EXCLUDES(mu_);
  // Returns the lock's number, for Unlock.
  Result<uint64_t> Lock(const std::string& path) BASALT_EXCLUDES(mu_);
  void Unlock(uint64_t number) BASALT_EXCLUDES(mu_);

 private:
  // A change of names that is not durable yet. A rename inside one directory is one change.
  struct NameChange {
    std::string directory;
    std::string set;  // gets `node`, if not empty
    std::shared_ptr<Node> node;
    std::string remove;  // if not empty
  };
  enum class Go : uint8_t { kOn, kShort, kCut };  // kCut: do it or not, then CutLocked

  void CallHook(DiskOp op, const std::string& path) BASALT_EXCLUDES(mu_);
  Result<Go> Begin(DiskOp op, const std::string& path) BASALT_REQUIRES(mu_);
  Result<Go> BeginOn(DiskOp op, const Handle& file) BASALT_REQUIRES(mu_);
  Status CutLocked() BASALT_REQUIRES(mu_);
  // With all that is below it; durable at once, as making one is.
  void MoveDirectory(const std::string& from, const std::string& to) BASALT_REQUIRES(mu_);
  // Of a call that changes names: does it or, in a power cut, perhaps not.
  Status Change(Go go, NameChange change) BASALT_REQUIRES(mu_);
  bool Coin(uint32_t one_in) BASALT_REQUIRES(mu_) { return random_() % one_in == 0; }
  static void Apply(const NameChange& change, std::map<std::string, std::shared_ptr<Node>>& names);
  [[nodiscard]] uint64_t UsedBytes() const BASALT_REQUIRES(mu_);

  mutable Mutex mu_;
  std::mt19937_64 random_ BASALT_GUARDED_BY(mu_);
  std::function<void(DiskOp, const std::string&)> hook_ BASALT_GUARDED_BY(mu_);
  std::map<std::string, std::shared_ptr<Node>> names_ BASALT_GUARDED_BY(mu_);
  std::map<std::string, std::shared_ptr<Node>> durable_names_ BASALT_GUARDED_BY(mu_);
  std::vector<NameChange> pending_ BASALT_GUARDED_BY(mu_);
  std::set<std::string> directories_ BASALT_GUARDED_BY(mu_);
  std::map<uint64_t, std::string> locks_ BASALT_GUARDED_BY(mu_);
  uint64_t next_lock_ BASALT_GUARDED_BY(mu_) = 1;
  uint64_t boot_ BASALT_GUARDED_BY(mu_) = 1;
  bool powered_ BASALT_GUARDED_BY(mu_) = true;
  uint64_t changes_ BASALT_GUARDED_BY(mu_) = 0;
  uint64_t until_fault_ BASALT_GUARDED_BY(mu_) = 0;  // changes; 0: none to come
  uint64_t faults_ BASALT_GUARDED_BY(mu_) = 0;
  DiskFault fault_ BASALT_GUARDED_BY(mu_);
  uint64_t capacity_ BASALT_GUARDED_BY(mu_) = UINT64_MAX;
};

}  // namespace basalt::testing
