// storage/parts/runs.h -- runs: what a seal or a rewrite leaves on disk, and the one place where
// they come and go.
//
// A run is the superblocks of one seal or rewrite of one partition and one UTC day: one SST with a
// key range that nobody else has. A run that the manifest (`meta`) does not name does not exist:
// its file is removed at the next open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/status.h"
#include "storage/index/persist.h"
#include "storage/index/series_set.h"
#include "storage/parts/database.h"
#include "storage/reader.h"

namespace basalt::storage {

inline constexpr size_t kMaxQuarantineReason = 256;  // bytes kept of why
inline constexpr uint8_t kSealLevel = 0;
inline constexpr uint8_t kRewriteLevel = 1;
// Buckets instead of samples (rollup.h): kRewriteLevel + the number of the resolution.
inline constexpr uint8_t kFiveMinuteLevel = 2;
inline constexpr uint8_t kHourLevel = 3;
constexpr uint8_t LevelOf(Resolution resolution) {
  return static_cast<uint8_t>(kRewriteLevel + static_cast<uint8_t>(resolution));
}

// One line of the manifest.
struct RunInfo {
  uint32_t number = 0;  // never used twice in a data directory
  PartitionId partition{0};
  uint16_t day = 0;  // days since 1970-01-01 UTC; all its samples are of this day
  uint8_t level = kSealLevel;
  // Its place in the order of log positions: (after, last]. `last` is what was applied when the
  // seal froze it, `after` the `last` of the partition's seal before; a rewrite spans its inputs.
  // Where two runs have a sample of the same series and time, the one with the higher `last` wins
  // (DESIGN decision 7), and where that is the same, the one with the higher `after`: a seal of all
  // that another has left may have an empty interval.
  LogPosition after;
  LogPosition last;
  // Deletes at or before this position are already carried out in its samples; later ones mask
  // them.
  LogPosition deletes_applied;
  // Of a rollup, `samples` are values of columns, and it stands for the samples of all runs of its
  // day up to `last`.
  uint64_t samples = 0;
  uint64_t rows = 0;
  uint64_t superblocks = 0;
  uint64_t bytes = 0;  // superblocks, without SST framing
  int64_t min_ms = 0;  // of a rollup: its whole day
  int64_t max_ms = 0;
  // What it was filtered by: RetentionRules::Shape; 0: by nothing.
  uint64_t shape = 0;
  // A rollup: of some of its series no samples are left that it could be computed from again.
  bool raw_gone = false;
  friend bool operator==(const RunInfo&, const RunInfo&) = default;

  [[nodiscard]] bool is_rollup() const { return level > kRewriteLevel; }
  [[nodiscard]] Resolution resolution() const {
    return is_rollup() ? static_cast<Resolution>(level - kRewriteLevel) : Resolution::kRaw;
  }
};

// A superblock on its way into a run.
struct SuperblockInput {
  SeriesPlace place;  // of its first row
  uint16_t row = 0;  // number of its first row among the run's rows of that (tenant, metric, group)
  SeriesPlace last_place;  // of its last row
  int64_t min_ms = 0;
  int64_t max_ms = 0;
  uint32_t samples = 0;
  uint32_t rows = 0;
  std::string_view bytes;
};

// A run written and fsynced, outside RocksDB still. Deletes its file unless it was committed.
class FinishedRun {
 public:
  FinishedRun() = default;
  ~FinishedRun();
  FinishedRun(FinishedRun&& other) noexcept;
  FinishedRun& operator=(FinishedRun&& other) noexcept;
  [[nodiscard]] const RunInfo& info() const { return info_; }

 private:
  friend class RunWriter;
  friend class RunStore;
  RunInfo info_;
  std::string path_;
  rocksdb::Env* env_ = nullptr;
};

// Writes one run. One thread. Abandoning it (destructor without Finish) removes the file.
class RunWriter {
 public:
  ~RunWriter();
  RunWriter(RunWriter&&) noexcept;
  // In rising order of (place, row). kInternal if not; kResourceExhausted when the disk is full.
  Status Add(const SuperblockInput& block);
  [[nodiscard]] uint64_t superblocks() const;
  [[nodiscard]] uint64_t bytes() const;
  // What RunInfo is to say of it; 0 and false otherwise.
  void SetShape(uint64_t shape, bool raw_gone);
  // Fsyncs. kInvalidArgument if nothing was added. `deletes_applied`: see RunInfo.
  Result<FinishedRun> Finish(LogPosition after, LogPosition last, LogPosition deletes_applied);

 private:
  friend class RunStore;
  friend class RunBuilder;
  struct Impl;
  explicit RunWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// One superblock of a run's directory.
struct SuperblockRef {
  SeriesPlace place;
  uint16_t row = 0;
  SeriesPlace last_place;
  int64_t min_ms = 0;
  int64_t max_ms = 0;
  uint32_t samples = 0;
  uint32_t bytes = 0;
};

// A run's directory: its superblocks in key order, rows first, then shared time columns. Shared
// with a bounded cache (kDirectoryCacheBytes); whoever walks it holds it.
using RunDirectory = std::vector<SuperblockRef>;
// Where the superblocks of time columns begin.
size_t TimesBegin(const RunDirectory& directory);

// All open runs' directories together; about 80 bytes a superblock of 32 KiB, so this is the
// directories of 25 GB. What is asked for beyond is read again.
inline constexpr size_t kDirectoryCacheBytes = 64u << 20;
// Stands for a run's directory where a block's number is asked for.
inline constexpr size_t kDirectoryBlock = SIZE_MAX;

// A run that is being read: its file stays while this lives. Immutable; thread-safe.
class Run {
 public:
  virtual ~Run() = default;
  [[nodiscard]] virtual const RunInfo& info() const = 0;
  // RunInfo::shape, or what RunStore::Conform has said since.
  [[nodiscard]] virtual uint64_t shape() const { return info().shape; }
  // kDataLoss if the directory is damaged (counted).
  [[nodiscard]] virtual Result<std::shared_ptr<const RunDirectory>> Directory() const = 0;
  // Indexes [first, second) into the directory of the superblocks that may hold rows of `place`.
  [[nodiscard]] virtual Result<std::pair<size_t, size_t>> Find(const SeriesPlace& place) const = 0;
  // The bytes of superblock `i`, pinned in the block cache. kDataLoss naming partition, day, run,
  // block, times and reason if RocksDB's checksum does not fit; the block is then quarantined: from
  // now on, restarts included, it is not read (and that is the error), until a scrub finds that it
  // reads well again. The error of one block always has the same words.
  [[nodiscard]] virtual Result<PinnedBytes> Read(size_t i, CacheUse use) const = 0;
  // For who will read it again.
  [[nodiscard]] Result<PinnedBytes> Read(size_t i) const { return Read(i, CacheUse::kKeep); }
  // Somebody has found the superblock's own checksum to be right. RocksDB checks its own whenever
  // it reads the file again, so that need not be done twice; it saves 2 us a superblock.
  [[nodiscard]] virtual bool IsChecked(size_t i) const = 0;
  virtual void SetChecked(size_t i) const = 0;
  // A reader found damage inside the superblock (its own checksum): quarantine it likewise. Returns
  // the kDataLoss.
  [[nodiscard]] virtual Status Quarantine(size_t i, const Status& why) const = 0;
  // The block reads well after all. True if it was quarantined.
  virtual bool Release(size_t i) const = 0;
  // By number in the directory, kDirectoryBlock for the directory itself, with the reason.
  [[nodiscard]] virtual std::map<size_t, std::string> Quarantined() const = 0;
  // "partition 3 day 2026-11-23 run 42 block 17", for messages.
  [[nodiscard]] virtual std::string Describe(size_t i) const = 0;
};

// The runs at one moment. Immutable; thread-safe; holds the files of all its runs.
class RunsSnapshot {
 public:
  explicit RunsSnapshot(std::vector<std::shared_ptr<const Run>> runs);
  // All, by partition, day and precedence (lowest first).
  [[nodiscard]] std::span<const std::shared_ptr<const Run>> runs() const { return runs_; }
  // Those of a partition with samples in the range; inside a day the later ones take precedence
  // over the earlier. Rollups have no samples: they come by RollupsOf.
  [[nodiscard]] std::vector<std::shared_ptr<const Run>> Overlapping(PartitionId partition,
                                                                    TimeRange range) const;
  // The rollups of a partition and resolution whose day the range touches, by day.
  [[nodiscard]] std::vector<std::shared_ptr<const Run>> RollupsOf(PartitionId partition,
                                                                  Resolution resolution,
                                                                  TimeRange range) const;

 private:
  std::vector<std::shared_ptr<const Run>> runs_;
  bool any_rollup_ = false;  // every query asks for them, and mostly there is none
};

// Between the steps of a commit, so that tests can stop there (docs/0001-commit.md).
enum class CommitStep : uint8_t { kWritten, kIngested, kIndexFlushed, kCommitted, kCollected };

// One change of the manifest.
struct RunCommit {
  std::vector<FinishedRun> added;  // ingested in one call
  std::vector<uint32_t>
      dropped;  // run numbers; kAborted, and nothing is done, if one is not there any more
  std::vector<LogPosition>
      replay_from;  // a lane's first record that replay still needs; lanes not named stay
  std::vector<IndexFlush> index;
  // WriterSequence: last applied; 0 forgets the writer.
  std::vector<std::pair<Hash128, uint64_t>> writers;
  WriteBatch extra;  // exemplars, metadata, deletes, the store's own keys; atomic with the manifest
};

struct RunStats {
  uint64_t runs = 0;
  uint64_t bytes = 0;
  uint64_t samples = 0;
  uint64_t damaged_blocks = 0;   // quarantined
  uint64_t orphans_removed = 0;  // at open
  uint64_t rollups = 0;          // of `runs`
  uint64_t file_bytes = 0;       // of all families' files, as RocksDB counts them
  uint64_t waiting_bytes = 0;    // of those, dropped runs' that a reader holds still
  uint64_t sst_files = 0;        // as many
  uint64_t directory_bytes = 0;  // of directories in memory
};

// Thread-safe. `database` must outlive it; snapshots may outlive neither.
class RunStore {
 public:
  // Reads the manifest. Files that it does not name are removed by the first Commit or
  // CollectGarbage: the store first compares the manifest with its log, and while those two
  // disagree nothing may be deleted. kDataLoss if a run of the manifest has no file.
  static Result<std::unique_ptr<RunStore>> Open(Database& database);
  ~RunStore();

  // A writer for a new run, in `<directory>/incoming`.
  Result<RunWriter> NewRun(PartitionId partition, uint16_t day, uint8_t level);

  // In order: ingest `added`, flush the index, one synced batch, then drop. After an error nothing
  // of it is visible; calling again with new runs is fine. Durable when it returns. One at a time
  // (it waits).
  Status Commit(RunCommit commit);

  // Drops runs of days before `first_kept` in one commit; returns how many.
  Result<size_t> DropDaysBefore(uint16_t first_kept);
  // The same for these runs, those that are gone already left out.
  Result<size_t> Drop(std::vector<uint32_t> runs);
  // These runs are as `shape` wants them: nothing is rewritten, the manifest says so from now on.
  Status Conform(const std::vector<uint32_t>& runs, uint64_t shape);
  // Dropped runs are numbered by the commit that dropped them. Every file dropped by a commit
  // before OldestWaiting() is unlinked; DropEpoch() is the newest commit's number.
  [[nodiscard]] uint64_t DropEpoch() const;
  [[nodiscard]] uint64_t OldestWaiting() const;
  // Removes files of dropped runs whose last reader let go. Commit does it too; call it now and
  // then off the request path.
  Status CollectGarbage();

  [[nodiscard]] std::shared_ptr<const RunsSnapshot> Snapshot() const;
  [[nodiscard]] RunStats Stats() const;
  // The file that a run lies in, relative to the database's directory; empty if there is none.
  [[nodiscard]] std::string FileOf(const RunInfo& run) const;

  // What the manifest says, as of the last commit.
  [[nodiscard]] std::vector<LogPosition> ReplayFrom() const;  // by lane
  [[nodiscard]] IndexCounts Counts(PartitionId partition) const;
  Result<std::vector<std::pair<Hash128, uint64_t>>> Writers() const;

  // Tests only: called between the steps, on the committing thread.
  void SetCommitHook(std::function<void(CommitStep)> hook);

 private:
  struct Impl;
  explicit RunStore(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace basalt::storage
