// storage/parts/deletes.h -- deletions that runs on disk do not yet reflect (DESIGN decision 7).
//
// A delete record is applied to the head at once; here it masks the runs that were sealed before
// it, until a rewrite has carried it out in all of them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "storage/parts/database.h"
#include "storage/parts/runs.h"
#include "storage/reader.h"

namespace basalt::storage {

struct DeleteMask {
  PartitionId partition{0};
  LogPosition position;  // of the record
  TimeRange range;
  std::vector<SeriesOrdinal> ordinals;  // sorted
};

// A range that a delete took from a series.
struct DeletedRange {
  TimeRange range;
  LogPosition position;  // of the delete
};

// The masks of one partition at one moment. Immutable; thread-safe.
class DeleteSnapshot {
 public:
  explicit DeleteSnapshot(std::vector<std::shared_ptr<const DeleteMask>> masks)
      : masks_(std::move(masks)) {}
  [[nodiscard]] bool empty() const { return masks_.empty(); }
  // Appends the ranges in which samples of `ordinal` are deleted that lie where deletes up to
  // `applied` are carried out already (a run's RunInfo::deletes_applied); they may overlap.
  void AppendMasks(LogPosition applied, SeriesOrdinal ordinal, std::vector<TimeRange>& out) const;
  void AppendMasks(const RunInfo& run, SeriesOrdinal ordinal, std::vector<TimeRange>& out) const {
    AppendMasks(run.deletes_applied, ordinal, out);
  }
  // The same with who deleted, in log order.
  void AppendDeleted(const RunInfo& run, SeriesOrdinal ordinal,
                     std::vector<DeletedRange>& out) const;
  // True if no mask touches the run at all: the common case, asked once a run.
  [[nodiscard]] bool Spares(const RunInfo& run) const;
  [[nodiscard]] LogPosition newest() const;  // {} if there is none
  [[nodiscard]] std::span<const std::shared_ptr<const DeleteMask>> masks() const { return masks_; }

 private:
  std::vector<std::shared_ptr<const DeleteMask>> masks_;  // by position
};

// Thread-safe.
class DeleteMasks {
 public:
  // kDataLoss naming the key that does not parse.
  static Result<std::unique_ptr<DeleteMasks>> Open(const Database& database);

  // Masks from now on. The same (partition, position) twice is one, so replay is harmless.
  void Add(DeleteMask mask) BASALT_EXCLUDES(mu_);
  // A reader takes this before its snapshot of the runs: a mask may go as soon as new runs have
  // replaced those that needed it.
  [[nodiscard]] std::shared_ptr<const DeleteSnapshot> Snapshot(PartitionId partition) const
      BASALT_EXCLUDES(mu_);
  // Writes what is not yet on disk into the batch of the next commit, and takes out the masks that
  // neither a run of `runs` nor the head needs: masks at or after `head_from`, the oldest position
  // that is not sealed, stay. Call Saved once the batch is durable.
  void Save(const RunsSnapshot& runs, LogPosition head_from, WriteBatch& batch)
      BASALT_EXCLUDES(mu_);
  void Saved() BASALT_EXCLUDES(mu_);
  // True while the delete masks anything in any partition.
  [[nodiscard]] bool Masks(LogPosition position) const BASALT_EXCLUDES(mu_);

 private:
  enum class OnDisk : uint8_t { kNo, kBeingSaved, kYes };
  struct PartitionMasks {
    std::vector<std::shared_ptr<const DeleteMask>> masks;  // by position
    std::vector<OnDisk> on_disk;                           // parallel
    std::shared_ptr<const DeleteSnapshot> snapshot;
    void Publish() { snapshot = std::make_shared<const DeleteSnapshot>(masks); }
  };
  DeleteMasks() = default;
  void AddLocked(DeleteMask mask, OnDisk on_disk) BASALT_REQUIRES(mu_);

  mutable Mutex mu_;
  std::map<PartitionId, PartitionMasks> partitions_ BASALT_GUARDED_BY(mu_);
};

}  // namespace basalt::storage
