// storage/store.h -- opens a data directory; append, settle, delete, checkpoint.
//
// A sample's way in: Append -> one log record -> fdatasync by group commit -> apply (head, index,
// observers) -> done. Down: seal -> runs of superblocks in RocksDB -> rewrite. Both directions
// survive SIGKILL and power cuts at any instant: what was acknowledged is found again, and nothing
// is found that was not attempted (DESIGN decision 6).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/executor.h"
#include "engine/base/ids.h"
#include "engine/base/status.h"
#include "storage/apply_observer.h"
#include "storage/ingest_batch.h"
#include "storage/integrity.h"
#include "storage/reader.h"
#include "storage/store_step.h"

namespace rocksdb {
class Env;
}

namespace basalt::storage {

class Files;     // storage/log/files.h: the log's own door to the disk
class Resolver;  // storage/resolver.h

enum class SyncMode : uint8_t {
  kAlways,    // fdatasync before the ack: nothing acknowledged is ever lost
  kInterval,  // fdatasync every `sync_interval`: a power cut may lose that much; a killed process
              // loses nothing
};

// How far opening has come; for a log line, and for a readiness page that says more than "no".
struct ReplayProgress {
  uint64_t records_done = 0;
  uint64_t records_total = 0;
  bool finished = false;
};

// How long the samples of some series are kept, and how finely. Rules are asked in order, and the
// first one that a series fits decides for it; a series that fits none is kept for
// RetentionPolicy::keep. All by whole UTC days: a day goes when its last instant is older.
struct RetentionRule {
  std::optional<TenantId> tenant;  // absent: every tenant
  MatcherSet matchers;             // all must hold; empty: every series
  Duration raw{0};                 // samples; 0: for ever
  // Buckets (storage/reader.h). 0: none are kept. Where both are given, the hours for longer.
  // Native histograms are in no bucket; they go with `raw` only where no bucket is kept.
  Duration five_minutes{0};
  Duration hours{0};
};

inline constexpr size_t kMaxRetentionRules = 64;

struct RetentionPolicy {
  Duration keep{0};    // of series that fit no rule; 0: for ever
  uint64_t bytes = 0;  // of everything in the data directory; oldest days go first. 0: no bound
  std::vector<RetentionRule> rules;  // at most kMaxRetentionRules
};

// kInvalidArgument naming the field: "rules[2].five_minutes: 7d is shorter than raw, 30d".
Status CheckRetention(const RetentionPolicy& policy);

struct StoreOptions {
  std::string directory;
  // Power of two, 1..65536; fixed when the directory is created (a different one later is
  // kFailedPrecondition).
  uint32_t partitions = 8;
  SyncMode sync = SyncMode::kAlways;
  Duration sync_interval{1000};

  // Triggers of seal. They shape bytes, never answers.
  uint32_t seal_samples = 120;  // a row is full
  // While the rows of all partitions together would hold no more samples than this, they are full
  // only when they are several times as long. A restart after a kill replays so many: about 2 s.
  uint64_t head_samples = 100'000'000;
  Duration seal_age = std::chrono::hours(2);  // a row is old
  size_t head_budget_bytes = 512u << 20;      // samples not sealed, of all partitions
  size_t log_budget_bytes = 1u << 30;         // unsealed segments
  size_t segment_bytes = 128u << 20;
  // Close seals for at most about this long, so that the next start has little to replay. Zero: it
  // does not.
  Duration close_patience = std::chrono::seconds(7);
  size_t block_cache_bytes = 512u << 20;

  // Samples older than this are dropped by whole days; zero keeps everything. The same as
  // retention_policy.keep, which wins if it is not zero.
  Duration retention{0};
  RetentionPolicy retention_policy;
  // What a delete masks is rewritten after this long, so that several deletes share a rewrite.
  Duration purge_delay = std::chrono::minutes(10);
  // Bounds of background rewriting (a Settle or CleanTombstones that somebody waits for is not
  // held back): bytes read and written in a second, and the share of one core that it takes while
  // there are appends or queries. 0 bytes: no bound.
  uint64_t rewrite_bytes_per_second = 64u << 20;
  double rewrite_cpu_share = 0.25;
  // With less than this free on the disk the store is read-only: appends are refused before the
  // disk is full, so that sealing and dropping, which make room, still can. It ends by itself when
  // more than `disk_resume_bytes` are free and a trial write succeeds. 0: only a write that fails
  // tells. A disk that fails otherwise makes the store read-only, too, and likewise until a trial
  // write succeeds.
  uint64_t disk_reserve_bytes = 256u << 20;
  uint64_t disk_resume_bytes = 512u << 20;
  // How often the store looks for what is due: maintenance, and whether there is room again.
  Duration tick{1000};
  // Waiting appends beyond this are refused with kResourceExhausted, so memory stays bounded when
  // the disk stalls.
  size_t max_append_bytes_in_flight = 256u << 20;

  // Called by Open now and then while it replays the log, and once at the end.
  std::function<void(const ReplayProgress&)> on_replay;

  const Clock* clock = &SystemClock();  // outlives the store
  // Background work: seal, rewrite, retention. Must outlive the store. Null: a thread of its own.
  Executor* background = nullptr;
  // Apply: the partitions' strands run here. Must outlive the store. Null: two threads of its own.
  Executor* apply = nullptr;
  // For tests: disks that fail, shorten, delay or forget. Null: the machine's.
  Files* files = nullptr;
  rocksdb::Env* env = nullptr;
  // For tests: called when a step (storage/store_step.h) begins and ends.
  StepHook on_step;
};

// What an append came to. `token` may be given back as TakeSnapshot's `at_least`.
struct AppendResult {
  LogPosition token;
  uint64_t samples_accepted = 0;     // floats and histograms
  uint64_t samples_identical = 0;    // already there, bit for bit
  uint64_t samples_overwritten = 0;  // same time, other bits: the later one in the log wins
  uint64_t samples_late = 0;         // older than the newest of their series; accepted
  uint64_t series_created = 0;
  uint64_t exemplars_accepted = 0;
  uint64_t samples_too_old = 0;  // their day has been dropped by retention: left out
};
using AppendDone = std::function<void(const Result<AppendResult>&)>;

struct DeleteRequest {
  TenantId tenant = kDefaultTenant;
  std::vector<MatcherSet> any_of;
  TimeRange range;
};

enum class PurgeState : uint8_t {
  kPending,  // masked everywhere: no answer shows it; some file still holds it
  kPurged,   // no file of the data directory holds it
};

// What became of one delete. Durable: it is there after a restart, for as long as the directory
// lives or until kMaxPurgeReceipts newer ones have been purged.
struct PurgeReceipt {
  LogPosition id;  // of the delete's record; written "<lane>-<seq>"
  TenantId tenant = kDefaultTenant;
  std::vector<MatcherSet> any_of;
  TimeRange range;
  PurgeState state = PurgeState::kPending;
  int64_t requested_ms = 0;  // wall clock; of a delete replayed after a crash: when it was replayed
  int64_t purged_ms = 0;     // when the last file that held any of it was unlinked; 0: pending
  uint64_t series = 0;       // that matched and may have had samples in the range
  // Samples taken out so far, and by how many bytes the runs that replaced those which held them
  // are smaller. A rewrite that carries out several deletes at once shares its bytes by samples. A
  // crash may count twice what was sealed without the deleted samples and is replayed with them.
  uint64_t samples = 0;
  uint64_t bytes_freed = 0;
  // XXH3-128 of id, tenant, matchers, range and the ids of all matched series: two stores that
  // deleted the same have the same digest.
  Hash128 digest;
};
inline constexpr size_t kMaxPurgeReceipts = 10'000;

// Counters since open and gauges of now; /metrics shows them.
struct StoreStats {
  uint64_t samples_appended = 0;
  uint64_t samples_late = 0;
  uint64_t samples_identical = 0;
  uint64_t samples_overwritten = 0;
  uint64_t histograms_appended = 0;
  uint64_t exemplars_appended = 0;
  uint64_t series_created = 0;
  uint64_t series_created_last_hour = 0;  // by appends since the store was opened, about: counted
  uint64_t series_created_last_day = 0;   // by whole minutes and by whole hours
  uint64_t resolver_bytes = 0;
  uint64_t active_series = 0;
  uint64_t total_series = 0;
  uint64_t groups = 0;
  uint64_t head_bytes = 0;
  uint64_t head_samples = 0;
  uint64_t index_bytes = 0;     // an estimate
  uint64_t database_bytes = 0;  // RocksDB: memtables, block cache, table readers
  uint64_t log_bytes = 0;
  uint64_t log_segments = 0;
  uint64_t log_syncs = 0;
  uint64_t log_sync_ns = 0;  // sum of fdatasync times
  uint64_t log_records = 0;
  uint64_t append_bytes_in_flight = 0;
  uint64_t seals = 0;
  uint64_t rewrites = 0;
  uint64_t runs = 0;
  uint64_t run_bytes = 0;
  uint64_t run_samples = 0;
  uint64_t replayed_records = 0;
  uint64_t replay_ms = 0;
  uint64_t rollup_runs = 0;  // of `runs`
  uint64_t file_bytes = 0;   // everything in the database and the log
  uint64_t sst_files = 0;    // that the database accounts for
  uint64_t log_bytes_written = 0;
  uint64_t seal_bytes_written = 0;
  uint64_t rewrite_bytes_written = 0;  // raw and rollups
  uint64_t rewrite_bytes_read = 0;
  uint64_t retention_runs_dropped = 0;
  uint64_t retention_bytes_dropped = 0;
  uint64_t retention_size_days_dropped = 0;  // for want of room, of `bytes`
  uint64_t samples_too_old = 0;              // refused: their day has been dropped already
  uint64_t deletes_pending = 0;              // receipts that are not purged
  uint64_t run_directory_bytes = 0;          // directories of runs in memory
  uint64_t damaged_blocks = 0;               // quarantined now
  uint64_t disk_free_bytes = 0;              // as of the last tick; UINT64_MAX: not known
  uint64_t read_only_total = 0;              // how often it became read-only
  bool read_only = false;  // the disk is full or failing; why is in `read_only_reason`
  std::string read_only_reason;
};

// Thread-safe.
class Store {
 public:
  // Opens or creates; replays the log. kFailedPrecondition: another process has it, or the format
  // or the partition count differs (the message says which and what to do). kDataLoss: damage that
  // recovery may not decide about.
  static Result<std::unique_ptr<Store>> Open(const StoreOptions& options);
  virtual ~Store() = default;  // as Close(), without its error

  // One request: its batches form one log record, so all of it survives or none. `done` is called
  // exactly once, when everything is durable, applied and visible, or has failed; on a thread of
  // the store's that must not be blocked. Errors: kResourceExhausted (in flight or disk full: try
  // again later), kUnavailable (closing; or the disk fails: try again later), kInvalidArgument (a
  // batch is not well formed), kDataLoss/kInternal (the log failed; the store is read-only from
  // then on).
  virtual void Append(std::vector<IngestBatch> batches, AppendDone done) = 0;
  // The same, waiting.
  Result<AppendResult> Append(std::vector<IngestBatch> batches);

  // The highest sequence number of a stream's writer that is durable and applied
  // (storage/ingest_batch.h, WriterSequence); 0 for one never seen. Kept over restarts.
  [[nodiscard]] virtual uint64_t LastSequence(const Hash128& writer) const = 0;

  // Deletes by matcher and range; a log record, so it has a place among the writes. Waits until it
  // is applied: from then on nothing shows it. The position is the id of its receipt. Where a
  // downsampling rule has left only buckets, the range must cover whole ones: otherwise
  // kFailedPrecondition says which range would work.
  virtual Result<LogPosition> Delete(const DeleteRequest& request) = 0;

  // Carries out now what deletes have masked, and waits until it is on disk: as Prometheus'
  // clean_tombstones. Receipts become kPurged as soon as the last query lets go of the old files.
  virtual Status CleanTombstones() { return Unimplemented("this store keeps no tombstones"); }
  // Newest first. kNotFound: no such delete, or its receipt was dropped.
  [[nodiscard]] virtual std::vector<PurgeReceipt> PurgeReceipts() const { return {}; }
  [[nodiscard]] virtual Result<PurgeReceipt> FindPurgeReceipt(LogPosition id) const {
    return NotFound("no delete at " + std::to_string(id.lane) + "-" + std::to_string(id.seq));
  }

  // Replaces the policy; what it drops goes at the next tick. kInvalidArgument: CheckRetention.
  virtual Status SetRetention(const RetentionPolicy& /*policy*/) {
    return Unimplemented("this store keeps everything");
  }

  // Seals and rewrites everything and truncates preallocation: for measuring and for backups.
  virtual Status Settle() = 0;
  // Seals what is due. The background does this by itself; a caller may nudge it.
  virtual void SealIfDue() = 0;
  // All that is due, rewriting included and not held back, and waits: for those whose clock runs
  // faster than the background looks at it.
  virtual Status Maintain() { return Unimplemented("this store has no background work"); }

  // A consistent copy, by hard links where the file system allows, that Open() can open.
  // `directory` must not exist.
  virtual Status Checkpoint(const std::string& directory) = 0;

  // Reads everything and checks it, while all else goes on; see storage/integrity.h. Damaged blocks
  // are quarantined, quarantined ones that read well again are released. One at a time:
  // kFailedPrecondition for a second. kCancelled when asked to, and when the store closes.
  virtual Result<ScrubReport> Scrub(const ScrubOptions& options) = 0;
  // The blocks that are left out of answers until they read well again.
  [[nodiscard]] virtual std::vector<Damage> Quarantine() const = 0;

  // From now on `observer` sees new series and samples; first OnSeries is called for every series
  // in memory, each partition in one step with its place in the log, so that between this and a
  // snapshot taken inside `at_cut` (called once a partition, at that place) nothing is missed or
  // seen twice. At most one observer at a time; null removes it. Waits until all partitions are
  // done.
  virtual void Observe(ApplyObserver* observer, const std::function<void(PartitionId)>& at_cut) = 0;

  // Of a series that a resolver's handle or a batch has named; empty if there is none.
  [[nodiscard]] virtual Labels LabelsOf(PartitionId /*partition*/,
                                        SeriesOrdinal /*ordinal*/) const {
    return {};
  }
  [[nodiscard]] virtual SeriesId IdOf(PartitionId /*partition*/, SeriesOrdinal /*ordinal*/) const {
    return {};
  }
  [[nodiscard]] virtual const Reader& reader() const = 0;
  [[nodiscard]] virtual Resolver& resolver() = 0;
  [[nodiscard]] virtual StoreStats Stats() const = 0;

  // Finishes what is in flight, flushes, closes. Later calls fail with kUnavailable. Idempotent.
  virtual Status Close() = 0;
};

}  // namespace basalt::storage
