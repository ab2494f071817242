// storage/disk_guard.h -- decides when the store takes no writes for want of room or because the
// disk fails, and when it does again.
//
// Two thresholds, so that it does not flap: below `reserve_bytes` free it becomes read-only, above
// `resume_bytes`, and when a trial write succeeds (a quota is not seen in what is free), it ends. A
// write that fails, for want of room or otherwise, makes it read-only whatever is said to be free;
// that ends when a trial write succeeds. Trials that fail are tried less and less often, at most
// kMostLooksBetweenTrials looks apart.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "storage/log/files.h"

namespace basalt::storage {

struct DiskState {
  bool read_only = false;
  std::string reason;
  uint64_t times = 0;                // how often it became read-only
  uint64_t free_bytes = UINT64_MAX;  // as of the last look; UINT64_MAX: not known
};

// At one look a second, a disk that works again is noticed within so many seconds.
inline constexpr uint32_t kMostLooksBetweenTrials = 8;

// Thread-safe.
class DiskGuard {
 public:
  struct Options {
    uint64_t reserve_bytes = 0;  // 0: only writes that fail tell
    uint64_t resume_bytes = 0;   // less than the reserve is taken as the reserve
  };
  // `files` must outlive it.
  DiskGuard(Files& files, std::string directory, Options options)
      : files_(files), directory_(std::move(directory)), options_(options) {}

  // Ok if writes are taken. kResourceExhausted: no room, kUnavailable: the disk fails; both may
  // pass. Other codes: the log has failed for good.
  [[nodiscard]] Status Check() const BASALT_EXCLUDES(mu_);
  // A write has met a full disk (kResourceExhausted) or one that fails (kUnavailable).
  void MayPass(const Status& why) BASALT_EXCLUDES(mu_);
  // The log has failed; only opening anew helps.
  void Failed(const Status& why) BASALT_EXCLUDES(mu_);

  enum class Change : uint8_t { kNone, kReadOnly, kWritableAgain };
  // Looks at the disk, now and then, and off the request path: it may write and sync a little. One
  // at a time. `others`: whether everybody else who writes there can do so again; asked before the
  // mode ends.
  Change Look(const std::function<Status()>& others) BASALT_EXCLUDES(mu_);

  [[nodiscard]] DiskState State() const BASALT_EXCLUDES(mu_);

 private:
  Status TryToWrite();
  // Whether this look is one that tries.
  bool TrialIsDue() BASALT_REQUIRES(mu_);
  void BecomeReadOnly(const Status& why) BASALT_REQUIRES(mu_);

  Files& files_;
  const std::string directory_;
  const Options options_;
  mutable Mutex mu_;
  Status why_ BASALT_GUARDED_BY(mu_);
  uint64_t times_ BASALT_GUARDED_BY(mu_) = 0;
  uint32_t looks_between_trials_ BASALT_GUARDED_BY(mu_) = 1;
  uint32_t looks_to_trial_ BASALT_GUARDED_BY(mu_) = 1;
  uint64_t free_bytes_ BASALT_GUARDED_BY(mu_) = UINT64_MAX;
};

}  // namespace basalt::storage
