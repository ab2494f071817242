// storage/applied_tracker.h -- how far the log has been applied, in one number.
//
// A record is applied on the strands of the partitions that it touches, so records finish out of
// order; the watermark is the last of those before which nothing is missing.
#pragma once

#include <chrono>
#include <cstdint>
#include <set>

#include "engine/base/mutex.h"

namespace basalt::storage {

// Thread-safe.
class AppliedTracker {
 public:
  // Everything up to `seq` is applied: after replay.
  void Start(uint64_t seq) BASALT_EXCLUDES(mu_);
  // Record `seq` is applied, in all its partitions. Each exactly once.
  void Finish(uint64_t seq) BASALT_EXCLUDES(mu_);
  [[nodiscard]] uint64_t watermark() const BASALT_EXCLUDES(mu_);
  // False if `timeout` passed first.
  [[nodiscard]] bool WaitFor(uint64_t seq, std::chrono::nanoseconds timeout) const
      BASALT_EXCLUDES(mu_);

 private:
  mutable Mutex mu_;
  mutable CondVar risen_;
  uint64_t watermark_ BASALT_GUARDED_BY(mu_) = 0;
  std::set<uint64_t> ahead_
      BASALT_GUARDED_BY(mu_);  // finished, with a gap below; bounded by what is in flight
  mutable uint64_t waiting_ BASALT_GUARDED_BY(mu_) = 0;
};

}  // namespace basalt::storage
