#include "storage/store.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "engine/base/log.h"
#include "storage/backup.h"
#include "storage/parts/index_source.h"
#include "storage/replay.h"
#include "storage/store_impl.h"

namespace basalt::storage {
namespace {

constexpr size_t kQueuedTasks = 1u << 16;
// Queries under way may finish while the store closes.
constexpr std::chrono::seconds kSnapshotPatience(5);

Status CheckOptions(const StoreOptions& options) {
  if (options.directory.empty()) return InvalidArgument("store: directory is empty");
  if (!std::has_single_bit(options.partitions) || options.partitions > 65'536) {
    return InvalidArgument("store: partitions " + std::to_string(options.partitions) +
                           " is not a power of two in 1..65536");
  }
  if (options.seal_samples < 1 || options.seal_samples > kMaxSealSamples) {
    return InvalidArgument("store: seal_samples " + std::to_string(options.seal_samples) +
                           " is not in 1.." + std::to_string(kMaxSealSamples));
  }
  return OkStatus();
}

}  // namespace

Result<std::unique_ptr<Store>> Store::Open(const StoreOptions& options) {
  BASALT_TRY(CheckOptions(options));
  auto store = std::make_unique<StoreImpl>(options);
  BASALT_TRY(store->Start().WithContext("open " + options.directory));
  return std::unique_ptr<Store>(std::move(store));
}

// ---- open ----

Status StoreImpl::Start() {
  RetentionPolicy policy = core_.options.retention_policy;
  if (policy.keep == Duration(0)) policy.keep = core_.options.retention;
  BASALT_TRY(SetRetention(policy).WithContext("retention"));
  if (!(core_.options.rewrite_cpu_share > 0 && core_.options.rewrite_cpu_share <= 1)) {
    return InvalidArgument("store: rewrite_cpu_share is not in (0, 1]");
  }
  BASALT_TRY(OpenFiles());
  BASALT_TRY(LoadPartitions());
  BASALT_TRY(Replay());
  if (core_.options.background == nullptr) {
    own_background_ = std::make_unique<ThreadPool>("basalt-seal", 1, kQueuedTasks);
  }
  started_ = true;
  rewriter_ = std::make_unique<ThreadPool>("basalt-rewrite", 1, kQueuedTasks);
  ticker_ = std::thread([this] { Tick(); });
  return OkStatus();
}

namespace {

// The steps of a commit, for a test: each ends where the next begins.
std::function<void(CommitStep)> StepsOfCommits(const StepHook& on_step) {
  return [on_step](CommitStep step) {
    const auto tell = [&](StoreStep of, bool begins) {
      on_step({.step = of, .begins = begins, .work = WorkScope::current()});
    };
    switch (step) {
      case CommitStep::kWritten:
        return tell(StoreStep::kIngest, true);
      case CommitStep::kIngested:
        tell(StoreStep::kIngest, false);
        return tell(StoreStep::kIndexFlush, true);
      case CommitStep::kIndexFlushed:
        tell(StoreStep::kIndexFlush, false);
        return tell(StoreStep::kMetaCommit, true);
      case CommitStep::kCommitted:
        tell(StoreStep::kMetaCommit, false);
        return tell(StoreStep::kCollect, true);
      case CommitStep::kCollected:
        return tell(StoreStep::kCollect, false);
    }
  };
}

}  // namespace

Status StoreImpl::OpenFiles() {
  const StoreOptions& options = core_.options;
  Files& files = options.files != nullptr ? *options.files : PosixFiles();
  BASALT_TRY(files.CreateDirectories(options.directory));
  if (files.Stat(options.directory + "/" + kRestoringMarker).ok()) {
    return FailedPrecondition(
        "a restore into it has not finished; run 'basalt restore' again and it goes on");
  }
  // Our files would stand among those of the backup.
  if (files.Stat(options.directory + "/" + kBackupMarker).ok())
    return FailedPrecondition("is a backup; 'basalt restore' makes a data directory of it");
  BASALT_TRY_ASSIGN(core_.directory_lock, files.Lock(options.directory + "/LOCK"));
  LookAtDisk();
  BASALT_TRY_ASSIGN(core_.database, Database::Open({.directory = options.directory + "/db",
                                                    .partitions = options.partitions,
                                                    .block_cache_bytes = options.block_cache_bytes,
                                                    .env = options.env}));
  BASALT_TRY_ASSIGN(core_.runs, RunStore::Open(*core_.database));
  BASALT_TRY_ASSIGN(core_.deletes, DeleteMasks::Open(*core_.database));
  BASALT_TRY_ASSIGN(core_.receipts, PurgeReceipts::Open(*core_.database, *options.clock));
  BASALT_TRY_ASSIGN(core_.metadata, MetadataStore::Open(*core_.database));
  core_.exemplars = std::make_unique<ExemplarStore>(*core_.database);
  if (options.on_step) core_.runs->SetCommitHook(StepsOfCommits(options.on_step));
  BASALT_TRY_ASSIGN(const auto writers, core_.runs->Writers());
  core_.writers.Load(writers);
  BASALT_TRY_ASSIGN(core_.log,
                    SegmentLog::Open({.directory = options.directory + "/log",
                                      .lane = 0,
                                      .sync = options.sync,
                                      .sync_interval = options.sync_interval,
                                      .segment_bytes = options.segment_bytes,
                                      .max_bytes_in_flight = options.max_append_bytes_in_flight,
                                      .files = options.files}));
  return OkStatus();
}

Status StoreImpl::LoadPartitions() {
  Executor* pool = core_.options.apply;
  if (pool == nullptr) {
    core_.own_apply = std::make_unique<ThreadPool>("basalt-apply", 2, kQueuedTasks);
    pool = core_.own_apply.get();
  }
  const std::unique_ptr<IndexSource> source = MakeIndexSource(*core_.database);
  for (uint32_t p = 0; p < core_.options.partitions; ++p) {
    core_.partitions.push_back(std::make_unique<Partition>(static_cast<PartitionId>(p), *pool));
  }
  // Side by side: this is most of what a start after a clean end does.
  std::vector<Status> loaded(core_.options.partitions);
  for (uint32_t p = 0; p < core_.options.partitions; ++p) {
    (void)core_.partitions[p]->strand.Post([this, &source, &loaded, p] {
      Partition& partition = *core_.partitions[p];
      loaded[p] = partition.index.Load(*source, core_.runs->Counts(partition.id));
    });
  }
  for (const auto& partition : core_.partitions) partition->strand.Drain();
  for (uint32_t p = 0; p < core_.options.partitions; ++p) {
    const auto& partition = core_.partitions[p];
    BASALT_TRY(loaded[p].WithContext("partition " + std::to_string(p)));
    partition->head = std::make_unique<PartitionHead>(partition->id, partition->index,
                                                      core_.options.seal_samples);
  }
  core_.resolver =
      std::make_unique<Resolver>(ResolverOptions{.partitions = core_.options.partitions}, core_);
  return sealer_.Load();
}

Status StoreImpl::Replay() {
  const auto begun = core_.options.clock->Monotonic();
  const LogPosition head = core_.log->Head();
  uint64_t from = 1;
  for (const LogPosition& position : core_.runs->ReplayFrom()) {
    if (position.lane == 0) from = std::max<uint64_t>(from, position.seq);
  }
  if (from > head.seq + 1) {
    return DataLoss("the manifest wants the log from record " + std::to_string(from) +
                    ", but it ends at " + std::to_string(head.seq) +
                    ": files of the log are missing");
  }
  if (const uint64_t first = core_.log->First().seq; from < first) {
    return DataLoss("the manifest wants the log from record " + std::to_string(from) +
                    ", but it begins with " + std::to_string(first) +
                    ": files of the log, or commits in db/*.log, are missing");
  }
  ReplayProgress progress{.records_total = head.seq + 1 - from};
  Status status = OkStatus();
  if (progress.records_total > 0) status = ReplayLog(core_, sealer_, from, progress);
  BASALT_TRY(status.WithContext("replay"));
  core_.applied.Start(head.seq);
  const auto took = core_.options.clock->Monotonic() - begun;
  core_.counters.replay_ms =
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count());
  progress.finished = true;
  if (core_.options.on_replay) core_.options.on_replay(progress);
  BASALT_LOG(kInfo, "log replayed", {"records", progress.records_done}, {"from", from},
             {"ms", core_.counters.replay_ms.load()});
  return OkStatus();
}

// ---- close ----

Status StoreImpl::Close() {
  stop_rewrites_ = true;  // of a settle, too
  stop_scrub_ = true;
  sealer_.Closing();
  {
    MutexLock lock(state_mu_);
    if (closed_) return close_status_;
    closing_ = true;
    while (under_way_ > 0) state_changed_.Wait(lock);
    if (closed_) return close_status_;
    closed_ = true;
  }
  {
    const MutexLock lock(tick_mu_);
    stop_ticks_ = true;
    tick_wake_.NotifyAll();
  }
  if (ticker_.joinable()) ticker_.join();
  {
    MutexLock lock(tick_mu_);
    while (posted_ || rewriting_) tick_done_.Wait(lock);
  }
  if (rewriter_ != nullptr) rewriter_->Stop();
  if (own_background_ != nullptr) own_background_->Stop();
  for (const auto& partition : core_.partitions) partition->strand.Drain();
  if (started_) SealForGood();
  Status status;
  if (core_.log != nullptr) status = core_.log->Close();
  if (const size_t left = core_.snapshots.WaitForNone(kSnapshotPatience); left > 0) {
    status = FailedPrecondition("close: " + std::to_string(left) + " snapshots are in use");
  } else if (core_.database != nullptr) {
    if (Status closed = core_.database->Close(); status.ok()) status = std::move(closed);
  }
  core_.directory_lock.reset();
  const MutexLock lock(state_mu_);
  close_status_ = status;
  return status;
}

// So that the next start has little to replay. Nothing depends on it: what is not sealed is in the
// log.
void StoreImpl::SealForGood() {
  const auto begin = core_.options.clock->Monotonic();
  const Result<size_t> left = sealer_.SealWithin(core_.options.close_patience);
  if (!left.ok()) {
    BASALT_LOG(kWarn, "close: the head is not sealed; the next start replays the log",
               {"error", left.status().ToString()});
  } else if (*left > 0) {
    const auto took = core_.options.clock->Monotonic() - begin;
    BASALT_LOG(kInfo, "close: out of time; nothing is lost, the next start replays the rest",
               {"partitions", *left},
               {"ms", std::chrono::duration_cast<std::chrono::milliseconds>(took).count()});
  }
}

StoreStats StoreImpl::Stats() const {
  StoreStats stats;
  const StoreCounters& c = core_.counters;
  stats.samples_appended = c.samples;
  stats.samples_late = c.late;
  stats.samples_identical = c.identical;
  stats.samples_overwritten = c.overwritten;
  stats.histograms_appended = c.histograms;
  stats.exemplars_appended = c.exemplars;
  stats.series_created = c.series_created;
  stats.seals = c.seals;
  stats.rewrites = c.rewrites;
  stats.replayed_records = c.replayed_records;
  stats.replay_ms = c.replay_ms;
  for (const auto& partition : core_.partitions) {
    const HeadStats head = partition->head->Stats();
    stats.active_series += head.series;
    stats.groups += head.groups;
    stats.head_bytes += head.bytes;
    stats.head_samples += head.samples;
    stats.total_series += partition->index.series_count();
    stats.index_bytes += partition->index.Stats().bytes;
  }
  stats.database_bytes = core_.database->MemoryBytes();
  stats.resolver_bytes = core_.resolver->memory_bytes();
  const Timestamp now = core_.options.clock->Now();
  stats.series_created_last_hour = core_.churn.LastHour(now);
  stats.series_created_last_day = core_.churn.LastDay(now);
  const LogStats log = core_.log->Stats();
  stats.log_bytes = log.segment_bytes;
  stats.log_segments = log.segments;
  stats.log_bytes_written = log.bytes;
  stats.log_syncs = log.syncs;
  stats.log_sync_ns = log.sync_ns;
  stats.log_records = log.records;
  const RunStats runs = core_.runs->Stats();
  stats.runs = runs.runs;
  stats.run_bytes = runs.bytes;
  stats.run_samples = runs.samples;
  stats.damaged_blocks = runs.damaged_blocks;
  stats.rollup_runs = runs.rollups;
  stats.run_directory_bytes = runs.directory_bytes;
  stats.sst_files = runs.sst_files;
  stats.file_bytes = runs.file_bytes + stats.log_bytes;
  stats.seal_bytes_written = c.seal_bytes_written;
  stats.rewrite_bytes_written = c.rewrite_bytes_written;
  stats.rewrite_bytes_read = c.rewrite_bytes_read;
  stats.retention_runs_dropped = c.retention_runs_dropped;
  stats.retention_bytes_dropped = c.retention_bytes_dropped;
  stats.retention_size_days_dropped = c.retention_size_days_dropped;
  stats.samples_too_old = c.too_old;
  stats.deletes_pending = core_.receipts->Pending().size();
  const MutexLock lock(state_mu_);
  stats.append_bytes_in_flight = bytes_in_flight_;
  const DiskState disk = disk_.State();
  stats.read_only = disk.read_only;
  stats.read_only_reason = disk.reason;
  stats.read_only_total = disk.times;
  stats.disk_free_bytes = disk.free_bytes;
  return stats;
}

}  // namespace basalt::storage
