#include <rocksdb/env.h>
#include <rocksdb/metadata.h>
#include <rocksdb/sst_file_writer.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <tuple>
#include <utility>

#include "storage/parts/index_source.h"
#include "storage/parts/manifest.h"
#include "storage/parts/rocks.h"
#include "storage/parts/run_files.h"
#include "storage/parts/run_format.h"
#include "storage/parts/run_writer_impl.h"
#include "storage/parts/runs.h"
#include "storage/parts/stored_run.h"

namespace basalt::storage {

namespace {

// Index writes before the commit record go in batches of this size, so that a first commit of a
// million series does not stand in memory twice.
constexpr size_t kIndexBatchBytes = 4u << 20;

bool InOrder(const std::shared_ptr<StoredRun>& a, const std::shared_ptr<StoredRun>& b) {
  const RunInfo& x = a->info();
  const RunInfo& y = b->info();
  // A seal of what another left, with nothing applied in between, has the same `last`; its number
  // would not do, since a rewrite of the other takes a higher one.
  return std::tie(x.partition, x.day, x.last, x.after, x.number) <
         std::tie(y.partition, y.day, y.last, y.after, y.number);
}

}  // namespace

struct RunStore::Impl {
  explicit Impl(Database& db) : database(db), shared(std::make_shared<RunsShared>(db)) {}

  Status Load();
  Status EmptyIncoming() const;
  Status Ingest(const std::vector<FinishedRun>& added) const;
  Status FlushIndex(const std::vector<IndexFlush>& index);
  // The lines of quarantined blocks that nobody needs once these runs are gone.
  [[nodiscard]] std::vector<std::string> StaleQuarantine(const std::vector<uint32_t>& dropped) const
      BASALT_EXCLUDES(mu);
  void Publish(const RunCommit& commit) BASALT_EXCLUDES(mu);
  Status CollectGarbage();
  void RebuildSnapshot() BASALT_REQUIRES(mu);
  void Step(CommitStep step) const {
    if (hook) hook(step);
  }

  Database& database;
  const std::shared_ptr<RunsShared> shared;
  std::string incoming;  // where runs are written
  std::atomic<uint32_t> next_run{1};
  uint64_t orphans = 0;
  std::vector<std::string> stale_quarantine;  // keys in `meta`; as of opening
  std::function<void(CommitStep)> hook;

  Mutex commit_mu;   // one commit at a time; taken before `mu`
  Mutex collect_mu;  // one collection at a time; taken before shared->mu
  mutable Mutex mu;
  std::map<uint32_t, std::shared_ptr<StoredRun>> runs BASALT_GUARDED_BY(mu);
  std::shared_ptr<const RunsSnapshot> snapshot BASALT_GUARDED_BY(mu);
  std::map<uint16_t, LogPosition> replay_from BASALT_GUARDED_BY(mu);
  std::map<PartitionId, IndexCounts> counts BASALT_GUARDED_BY(mu);
};

void RunStore::Impl::RebuildSnapshot() {
  std::vector<std::shared_ptr<StoredRun>> sorted;
  sorted.reserve(runs.size());
  for (const auto& [number, run] : runs) sorted.push_back(run);
  std::sort(sorted.begin(), sorted.end(), InOrder);
  snapshot = std::make_shared<const RunsSnapshot>(
      std::vector<std::shared_ptr<const Run>>(sorted.begin(), sorted.end()));
}

// Removes runs that were being written when the process ended.
Status RunStore::Impl::EmptyIncoming() const {
  rocksdb::Env& env = *database.rocks().env;
  BASALT_TRY(FromRocks(env.CreateDirIfMissing(incoming), "create " + incoming));
  std::vector<std::string> names;
  BASALT_TRY(FromRocks(env.GetChildren(incoming, &names), "list " + incoming));
  for (const std::string& name : names) {
    if (name == "." || name == "..") continue;
    BASALT_TRY(FromRocks(env.DeleteFile(incoming + "/" + name), "remove " + name));
  }
  return OkStatus();
}

Status RunStore::Impl::Load() {
  const Database::Rocks& rocks = database.rocks();
  incoming = database.options().directory + "/incoming";
  if (!database.options().read_only) BASALT_TRY(EmptyIncoming());

  BASALT_TRY_ASSIGN(const std::vector<RunKey> in_files, RunsInFiles(rocks));
  BASALT_TRY_ASSIGN(Manifest manifest, ReadManifest(database));
  const MutexLock lock(mu);
  for (const RunInfo& info : manifest.runs) {
    if (!std::binary_search(in_files.begin(), in_files.end(), KeyOf(info))) {
      return DataLoss("partition " + std::to_string(static_cast<uint16_t>(info.partition)) +
                      " run " + std::to_string(info.number) +
                      ": the manifest names it, but its file is gone");
    }
    runs.emplace(info.number, std::make_shared<StoredRun>(info, shared));
  }
  replay_from = std::move(manifest.replay_from);
  counts = std::move(manifest.counts);
  for (QuarantinedBlock& block : manifest.quarantined) {
    if (const auto run = runs.find(block.run); run != runs.end()) {
      run->second->LoadQuarantined(block.block, std::move(block.reason));
    } else {
      // Found while its run was being dropped; goes with the next commit.
      stale_quarantine.push_back(std::move(block.key));
    }
  }
  uint32_t next = manifest.next_run;
  for (const RunKey& run : in_files) {
    next = std::max(next, run.run + 1);
    if (runs.contains(run.run)) continue;
    ++orphans;
    shared->AddWaiting(0, 0);
    shared->AddGarbage({run, 0, 0});
  }
  next_run = next;
  RebuildSnapshot();
  return OkStatus();
}

Status RunStore::Impl::Ingest(const std::vector<FinishedRun>& added) const {
  if (added.empty()) return OkStatus();
  std::vector<std::string> paths;
  paths.reserve(added.size());
  for (const FinishedRun& run : added) paths.push_back(run.path_);
  rocksdb::IngestExternalFileOptions options;
  options.move_files = true;
  // Ranges are private: anything in the way is a mistake of ours, and RocksDB is to say so instead
  // of stacking files.
  options.snapshot_consistency = false;
  options.allow_global_seqno = false;
  options.write_global_seqno = false;
  options.allow_blocking_flush = false;
  options.fail_if_not_bottommost_level = true;
  Database::Rocks& rocks = database.rocks();
  const std::string context = "ingest " + std::to_string(paths.size()) + " runs";
  const MutexLock lock(rocks.write_mu);
  const PausedWork paused(*rocks.db);
  BASALT_TRY(FromRocks(rocks.Ready(), context));
  const rocksdb::Status ingested =
      rocks.db->IngestExternalFile(rocks.handle(Family::kBlocks), paths, options);
  rocks.KeepFiles(!ingested.ok());
  return FromRocks(ingested, context);
}

Status RunStore::Impl::FlushIndex(const std::vector<IndexFlush>& index) {
  // Not synced: the sync of the commit record makes durable what was written before it, and
  // whatever of this survives a crash without that record lies beyond the counts.
  WriteBatch batch;
  for (const IndexFlush& flush : index) {
    for (const IndexWrite& write : flush.writes) {
      if (write.value.empty()) {
        batch.Delete(ToFamily(write.family), write.key);
      } else {
        batch.Put(ToFamily(write.family), write.key, write.value);
      }
      if (batch.bytes() < kIndexBatchBytes) continue;
      BASALT_TRY(database.Write(std::exchange(batch, WriteBatch()), false));
    }
  }
  return batch.empty() ? OkStatus() : database.Write(std::move(batch), false);
}

std::vector<std::string> RunStore::Impl::StaleQuarantine(
    const std::vector<uint32_t>& dropped) const {
  std::vector<std::string> keys = stale_quarantine;
  const MutexLock lock(mu);
  for (const uint32_t number : dropped) {
    const auto found = runs.find(number);
    if (found == runs.end()) continue;
    for (const auto& [block, reason] : found->second->Quarantined()) {
      keys.push_back(QuarantineKey(number, block));
    }
  }
  return keys;
}

void RunStore::Impl::Publish(const RunCommit& commit) {
  std::vector<std::shared_ptr<StoredRun>> gone;  // destroyed outside the lock
  const uint64_t epoch = commit.dropped.empty() ? 0 : ++shared->drop_epoch;
  const MutexLock lock(mu);
  for (const uint32_t number : commit.dropped) {
    const auto it = runs.find(number);
    it->second->MarkDropped(epoch);
    gone.push_back(std::move(it->second));
    runs.erase(it);
  }
  for (const FinishedRun& run : commit.added) {
    runs.emplace(run.info().number, std::make_shared<StoredRun>(run.info(), shared));
  }
  for (const LogPosition& position : commit.replay_from) replay_from[position.lane] = position;
  for (const IndexFlush& flush : commit.index) counts[flush.partition] = flush.counts;
  RebuildSnapshot();
}

Status RunStore::Impl::CollectGarbage() {
  const MutexLock collecting(collect_mu);
  std::vector<DroppedRun> runs_to_go;
  {
    const MutexLock lock(shared->mu);
    runs_to_go.swap(shared->garbage);
  }
  if (runs_to_go.empty()) return OkStatus();
  std::vector<RunKey> keys;
  keys.reserve(runs_to_go.size());
  for (const DroppedRun& dropped : runs_to_go) keys.push_back(dropped.run);
  Status status = DeleteRuns(database.rocks(), keys);
  const MutexLock lock(shared->mu);
  for (const DroppedRun& dropped : runs_to_go) {
    if (status.ok()) {
      shared->waiting.erase(shared->waiting.find(dropped.epoch));
      shared->waiting_bytes -= dropped.bytes;
    } else {
      shared->garbage.push_back(dropped);  // again next time; at the next open at the latest
    }
  }
  return status;
}

RunStore::RunStore(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
RunStore::~RunStore() = default;

Result<std::unique_ptr<RunStore>> RunStore::Open(Database& database) {
  auto impl = std::make_shared<Impl>(database);
  BASALT_TRY(impl->Load());
  return std::unique_ptr<RunStore>(new RunStore(std::move(impl)));
}

Result<RunWriter> RunStore::NewRun(PartitionId partition, uint16_t day, uint8_t level) {
  const Database::Rocks& rocks = impl_->database.rocks();
  auto writer = std::make_unique<RunWriter::Impl>();
  writer->env = rocks.env;
  writer->info.number = impl_->next_run++;
  writer->info.partition = partition;
  writer->info.day = day;
  writer->info.level = level;
  writer->path = impl_->incoming + "/run-" + std::to_string(writer->info.number) + ".sst";
  writer->context = "write run " + std::to_string(writer->info.number) + " of partition " +
                    std::to_string(static_cast<uint16_t>(partition)) + " day " +
                    std::to_string(day);
  writer->file =
      std::make_unique<rocksdb::SstFileWriter>(rocksdb::EnvOptions(), rocks.block_options);
  BASALT_TRY(FromRocks(writer->file->Open(writer->path), writer->context));
  return RunWriter(std::move(writer));
}

Status RunStore::Commit(RunCommit commit) {
  Impl& impl = *impl_;
  const MutexLock committing(impl.commit_mu);
  {
    const MutexLock lock(impl.mu);
    for (const uint32_t number : commit.dropped) {
      if (!impl.runs.contains(number)) {
        return Aborted("commit: run " + std::to_string(number) + " is not there any more");
      }
    }
  }
  impl.Step(CommitStep::kWritten);
  BASALT_TRY(impl.Ingest(commit.added));
  impl.Step(CommitStep::kIngested);
  if (Status status = impl.FlushIndex(commit.index); !status.ok()) {
    for (const FinishedRun& run : commit.added) {
      impl.shared->AddWaiting(impl.shared->drop_epoch, 0);
      impl.shared->AddGarbage({KeyOf(run.info()), impl.shared->drop_epoch, 0});
    }
    return status.WithContext("commit: flush the index");
  }
  impl.Step(CommitStep::kIndexFlushed);
  // If this fails, nobody knows whether the record is on disk. The files therefore stay until the
  // next open, which reads what it finds. RocksDB refuses writes from here on; after a full disk,
  // until it has found room and begun another log.
  WriteBatch record = CommitRecord(commit, impl.StaleQuarantine(commit.dropped), impl.next_run);
  BASALT_TRY(impl.database.Write(std::move(record), true));
  impl.Publish(commit);
  impl.Step(CommitStep::kCommitted);
  // The commit stands whatever comes of this; what could not be removed is tried again.
  (void)impl.CollectGarbage();
  impl.Step(CommitStep::kCollected);
  return OkStatus();
}

Result<size_t> RunStore::DropDaysBefore(uint16_t first_kept) {
  RunCommit commit;
  for (const std::shared_ptr<const Run>& run : Snapshot()->runs()) {
    if (run->info().day < first_kept) commit.dropped.push_back(run->info().number);
  }
  const size_t count = commit.dropped.size();
  if (count != 0) BASALT_TRY(Commit(std::move(commit)));
  return count;
}

Result<size_t> RunStore::Drop(std::vector<uint32_t> runs) {
  while (true) {
    RunCommit commit;
    const auto snapshot = Snapshot();
    for (const std::shared_ptr<const Run>& run : snapshot->runs()) {
      const uint32_t number = run->info().number;
      if (std::find(runs.begin(), runs.end(), number) != runs.end()) {
        commit.dropped.push_back(number);
      }
    }
    const size_t count = commit.dropped.size();
    if (count == 0) return count;
    const Status status = Commit(std::move(commit));
    if (status.ok()) return count;
    // One of them went meanwhile: the others are still to be dropped.
    if (status.code() != StatusCode::kAborted) return status;
  }
}

Status RunStore::Conform(const std::vector<uint32_t>& runs, uint64_t shape) {
  Impl& impl = *impl_;
  const MutexLock committing(impl.commit_mu);
  WriteBatch batch;
  std::vector<std::shared_ptr<StoredRun>> conforming;
  {
    const MutexLock lock(impl.mu);
    for (const uint32_t number : runs) {
      const auto it = impl.runs.find(number);
      if (it == impl.runs.end()) continue;
      RunInfo info = it->second->info();
      info.shape = shape;
      PutRun(info, batch);
      conforming.push_back(it->second);
    }
  }
  if (conforming.empty()) return OkStatus();
  BASALT_TRY(impl.database.Write(std::move(batch), true));
  for (const std::shared_ptr<StoredRun>& run : conforming) run->SetShape(shape);
  return OkStatus();
}

uint64_t RunStore::DropEpoch() const { return impl_->shared->drop_epoch; }

uint64_t RunStore::OldestWaiting() const {
  const MutexLock lock(impl_->shared->mu);
  return impl_->shared->waiting.empty() ? UINT64_MAX : *impl_->shared->waiting.begin();
}

Status RunStore::CollectGarbage() { return impl_->CollectGarbage(); }

std::shared_ptr<const RunsSnapshot> RunStore::Snapshot() const {
  const MutexLock lock(impl_->mu);
  return impl_->snapshot;
}

RunStats RunStore::Stats() const {
  RunStats stats;
  for (const std::shared_ptr<const Run>& run : Snapshot()->runs()) {
    ++stats.runs;
    stats.bytes += run->info().bytes;
    if (run->info().is_rollup()) {
      ++stats.rollups;
    } else {
      stats.samples += run->info().samples;
    }
    stats.damaged_blocks += run->Quarantined().size();
  }
  uint64_t bytes = 0;
  const Database::Rocks& rocks = impl_->database.rocks();
  if (rocks.db != nullptr &&
      rocks.db->GetAggregatedIntProperty(rocksdb::DB::Properties::kLiveSstFilesSize, &bytes)) {
    stats.file_bytes = bytes;
  }
  if (rocks.db != nullptr) {
    const auto count = [&](rocksdb::ColumnFamilyHandle* family) {
      rocksdb::ColumnFamilyMetaData meta;
      rocks.db->GetColumnFamilyMetaData(family, &meta);
      stats.sst_files += meta.file_count;
    };
    for (rocksdb::ColumnFamilyHandle* const family : rocks.handles) count(family);
    // Its one key (Rocks::MakeWalReplaceable) is flushed with the others.
    count(rocks.db->DefaultColumnFamily());
  }
  {
    const MutexLock lock(impl_->shared->mu);
    stats.waiting_bytes = impl_->shared->waiting_bytes;
  }
  stats.directory_bytes = impl_->shared->directories.bytes();
  stats.orphans_removed = impl_->orphans;
  return stats;
}

std::string RunStore::FileOf(const RunInfo& run) const {
  const Database::Rocks& rocks = impl_->database.rocks();
  rocksdb::ColumnFamilyMetaData meta;
  rocks.db->GetColumnFamilyMetaData(rocks.handle(Family::kBlocks), &meta);
  for (const rocksdb::LevelMetaData& level : meta.levels) {
    for (const rocksdb::SstFileMetaData& file : level.files) {
      const auto first = DecodeBlockKey(file.smallestkey);
      if (first.ok() && first->run == KeyOf(run)) return file.name.substr(file.name.rfind('/') + 1);
    }
  }
  return "";
}

std::vector<LogPosition> RunStore::ReplayFrom() const {
  const MutexLock lock(impl_->mu);
  std::vector<LogPosition> out;
  for (const auto& [lane, position] : impl_->replay_from) out.push_back(position);
  return out;
}

IndexCounts RunStore::Counts(PartitionId partition) const {
  const MutexLock lock(impl_->mu);
  const auto it = impl_->counts.find(partition);
  return it == impl_->counts.end() ? IndexCounts{} : it->second;
}

Result<std::vector<std::pair<Hash128, uint64_t>>> RunStore::Writers() const {
  return ReadWriters(impl_->database);
}

void RunStore::SetCommitHook(std::function<void(CommitStep)> hook) {
  const MutexLock committing(impl_->commit_mu);
  impl_->hook = std::move(hook);
}

}  // namespace basalt::storage
