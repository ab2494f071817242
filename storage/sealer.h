// storage/sealer.h -- from the head to runs: freeze, write, commit, drop, trim; now, when due, and
// at the end. Private to storage/*.cc.
//
// A seal takes one partition, or a few side by side when somebody waits. Each partition has a
// replay position of its own: the first record that its part of the head still needs. A commit
// stores them all, so that sealing one partition spares the next start its records, though the log
// is kept from the oldest of them on.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "storage/seal_plan.h"
#include "storage/store_core.h"

namespace basalt::storage {

// Thread-safe. `core` must outlive it.
class Sealer {
 public:
  explicit Sealer(StoreCore& core)
      : core_(core),
        limits_{.seal_samples = core.options.seal_samples,
                .head_samples = core.options.head_samples,
                .head_budget_bytes = core.options.head_budget_bytes,
                .log_budget_bytes = core.options.log_budget_bytes} {}

  // Once partitions and runs are loaded, before replay: where the runs of each partition end, and
  // where its replay begins. kDataLoss if the manifest's keys do not parse.
  Status Load() BASALT_EXCLUDES(mu_);
  // The first record that a partition's replay applies.
  [[nodiscard]] uint64_t ReplayFrom(PartitionId partition) const BASALT_EXCLUDES(mu_);

  // What is due, the most urgent first, one partition after another; and new series, if they are
  // many.
  Status SealDue() BASALT_EXCLUDES(mu_);
  // The store closes: SealDue ends after the seal that it is at.
  void Closing() { closing_ = true; }
  // Everything.
  Status SealAll() BASALT_EXCLUDES(mu_);
  // New series, and then as many partitions as `patience` allows, those that a start would replay
  // longest first; begins no seal that would not be done in time, by what the ones before it took a
  // sample. Returns how many are left, and why if that was an error; what is left stays in the log,
  // so nothing is lost by stopping here, or by being killed.
  Result<size_t> SealWithin(std::chrono::nanoseconds patience) BASALT_EXCLUDES(mu_);

  // Calls `fn` while no seal commits or trims.
  template <typename Fn>
  Status WhileIdle(Fn fn) BASALT_EXCLUDES(mu_) {
    const MutexLock lock(mu_);
    return fn();
  }

  // HeadStats::sample_bytes of all partitions, as of the last SealDue.
  [[nodiscard]] size_t sample_bytes() const {
    return sample_bytes_.load(std::memory_order_relaxed);
  }

 private:
  struct Timing {
    std::chrono::nanoseconds full_since{0};  // 0: no group is full
    bool phased = false;
  };
  // Without orders it commits what the index, the side stores and the deletes have new.
  Status Seal(std::span<const SealOrder> orders) BASALT_REQUIRES(mu_);
  // Writes the frozen partitions, one a thread; `removed`: see WriteFrozen.
  Result<std::vector<FinishedRun>> Write(std::span<const SealOrder> orders,
                                         std::span<const FrozenPartition> frozen,
                                         std::map<LogPosition, uint64_t>& removed)
      BASALT_REQUIRES(mu_);
  // Remembers when the log got where it is.
  void Mark() BASALT_REQUIRES(mu_);
  // The newest log position that is older than `age`; 0 if none is known to be.
  uint64_t SeqOlderThan(Duration age) BASALT_REQUIRES(mu_);
  std::vector<PartitionFill> Fills() BASALT_REQUIRES(mu_);
  [[nodiscard]] uint64_t UncommittedSeries() const;

  StoreCore& core_;
  const SealLimits limits_;
  mutable Mutex mu_;
  std::deque<std::pair<uint64_t, std::chrono::nanoseconds>> marks_
      BASALT_GUARDED_BY(mu_);                          // seq at a time
  std::vector<Timing> timing_ BASALT_GUARDED_BY(mu_);  // by partition
  std::vector<LogPosition> sealed_to_
      BASALT_GUARDED_BY(mu_);                                 // by partition: its newest run's last
  std::vector<uint64_t> replay_from_ BASALT_GUARDED_BY(mu_);  // by partition
  std::atomic<size_t> sample_bytes_{0};
  std::atomic<bool> closing_{false};
};

}  // namespace basalt::storage
