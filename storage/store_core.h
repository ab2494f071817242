// storage/store_core.h -- what the parts of the store share: partitions, log, database. Private to
// storage/*.cc.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/executor.h"
#include "engine/base/mutex.h"
#include "storage/applied_tracker.h"
#include "storage/change_log.h"
#include "storage/head/partition_head.h"
#include "storage/index/index.h"
#include "storage/log/files.h"
#include "storage/log/record.h"
#include "storage/log/segment_log.h"
#include "storage/parts/database.h"
#include "storage/parts/deletes.h"
#include "storage/parts/runs.h"
#include "storage/parts/side_store.h"
#include "storage/purge_receipts.h"
#include "storage/resolver.h"
#include "storage/series_churn.h"
#include "storage/store.h"
#include "storage/writer_table.h"

namespace basalt::storage {

// One partition. What is applied to it runs on its strand, in log order.
struct Partition {
  Partition(PartitionId p, Executor& pool) : id(p), index(p), strand(pool) {}

  const PartitionId id;
  PartitionIndex index;
  std::unique_ptr<PartitionHead> head;  // made once the index is loaded
  Strand strand;
};

// Counters that only rise; StoreStats shows them.
struct StoreCounters {
  std::atomic<uint64_t> samples{0};
  std::atomic<uint64_t> late{0};
  std::atomic<uint64_t> identical{0};
  std::atomic<uint64_t> overwritten{0};
  std::atomic<uint64_t> histograms{0};
  std::atomic<uint64_t> exemplars{0};
  std::atomic<uint64_t> series_created{0};
  std::atomic<uint64_t> seals{0};
  std::atomic<uint64_t> rewrites{0};
  std::atomic<uint64_t> seal_bytes_written{0};
  std::atomic<uint64_t> rewrite_bytes_read{0};
  std::atomic<uint64_t> rewrite_bytes_written{0};
  std::atomic<uint64_t> retention_runs_dropped{0};
  std::atomic<uint64_t> retention_bytes_dropped{0};
  std::atomic<uint64_t> retention_size_days_dropped{0};
  std::atomic<uint64_t> too_old{0};
  std::atomic<uint64_t> replayed_records{0};
  std::atomic<uint64_t> replay_ms{0};
};

// What one section of a record came to, exemplars included.
struct SectionResult {
  ApplyCounts counts;
  uint64_t exemplars = 0;
};

// On whose behalf this thread's steps are, until it ends.
class WorkScope {
 public:
  explicit WorkScope(StoreWork work) : before_(std::exchange(Current(), work)) {}
  ~WorkScope() { Current() = before_; }
  WorkScope(const WorkScope&) = delete;
  WorkScope& operator=(const WorkScope&) = delete;
  static StoreWork current() { return Current(); }

 private:
  static StoreWork& Current() {
    static thread_local StoreWork current = StoreWork::kOther;
    return current;
  }
  const StoreWork before_;
};

// How many snapshots there are: they use the store until they are gone. Thread-safe.
class SnapshotCount {
 public:
  void Add() BASALT_EXCLUDES(mu_) {
    const MutexLock lock(mu_);
    ++count_;
  }
  void Remove() BASALT_EXCLUDES(mu_) {
    const MutexLock lock(mu_);
    if (--count_ == 0) none_.NotifyAll();
  }
  [[nodiscard]] size_t count() const BASALT_EXCLUDES(mu_) {
    const MutexLock lock(mu_);
    return count_;
  }
  // Waits until there is none, at most `timeout`; returns how many are left.
  size_t WaitForNone(std::chrono::nanoseconds timeout) BASALT_EXCLUDES(mu_) {
    const auto until = std::chrono::steady_clock::now() + timeout;
    MutexLock lock(mu_);
    while (count_ > 0) {
      const auto left = until - std::chrono::steady_clock::now();
      if (left <= std::chrono::nanoseconds(0)) break;
      none_.WaitFor(lock, left);
    }
    return count_;
  }

 private:
  mutable Mutex mu_;
  CondVar none_;
  size_t count_ BASALT_GUARDED_BY(mu_) = 0;
};

// Tells a test that a step begins and ends (StoreOptions::on_step).
class Step {
 public:
  Step(const StoreOptions& options, StoreStep step) : on_step_(options.on_step), step_(step) {
    if (on_step_) on_step_({.step = step_, .begins = true, .work = WorkScope::current()});
  }
  ~Step() {
    if (on_step_) on_step_({.step = step_, .begins = false, .work = WorkScope::current()});
  }
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

 private:
  const StepHook& on_step_;
  const StoreStep step_;
};

// The state of an open store. Members are made in the order in which opening needs them and die in
// reverse.
struct StoreCore final : SeriesFinder {
  explicit StoreCore(const StoreOptions& o) : options(o) {}

  [[nodiscard]] SeriesOrdinal FindSeries(PartitionId partition, const SeriesId& id) const override {
    return partitions[static_cast<size_t>(partition)]->index.Find(id);
  }
  void FillIds(PartitionId partition, std::span<BatchSeries> series) const override {
    const PartitionIndex& index = partitions[static_cast<size_t>(partition)]->index;
    for (BatchSeries& one : series) {
      if (one.ordinal != kUnknownOrdinal) one.id = index.id(one.ordinal);
    }
  }
  [[nodiscard]] Partition& at(PartitionId partition) {
    return *partitions[static_cast<size_t>(partition)];
  }

  // Applies one section on the strand of its partition (or, in replay, whoever stands for it).
  void ApplySection(const IngestBatch& batch, LogPosition position, SectionResult& result);
  // Applies a delete to one partition, likewise.
  Status ApplyDelete(Partition& partition, const DeleteRecord& record, LogPosition position);

  const StoreOptions options;
  std::unique_ptr<ThreadPool> own_apply;  // if the options gave none
  std::unique_ptr<FileLock> directory_lock;
  std::unique_ptr<Database> database;
  std::unique_ptr<RunStore> runs;
  std::unique_ptr<DeleteMasks> deletes;
  std::unique_ptr<PurgeReceipts> receipts;
  std::unique_ptr<ExemplarStore> exemplars;
  std::unique_ptr<MetadataStore> metadata;
  std::vector<std::unique_ptr<Partition>> partitions;
  std::unique_ptr<Resolver> resolver;
  WriterTable writers;
  AppliedTracker applied;
  ChangeLog changes;
  StoreCounters counters;
  mutable SeriesChurn churn;
  SnapshotCount snapshots;
  std::unique_ptr<SegmentLog> log;

  // Held shared while a snapshot collects its pieces; alone while a delete is applied, and while
  // sealed samples leave the head. So a snapshot sees each sample and each delete wholly on one
  // side.
  mutable SharedMutex handover;

  // Held shared by a delete from the look at what is left of its days until it is applied; alone
  // while a rewrite commits that leaves buckets only.
  mutable SharedMutex downsampling;
};

}  // namespace basalt::storage
