// storage/rollup_reader.h -- Selection::ReadRollup over a snapshot. Private to storage/*.cc.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "storage/head/partition_head.h"
#include "storage/index/series_set.h"
#include "storage/parts/deletes.h"
#include "storage/parts/runs.h"
#include "storage/reader.h"

namespace basalt::storage {

// What a snapshot holds of one partition. `owner` keeps all of it alive.
struct RollupSource {
  std::shared_ptr<const void> owner;
  const RunsSnapshot* runs = nullptr;
  std::shared_ptr<const DeleteSnapshot> deletes;
  const PartitionHead* head = nullptr;
  uint64_t head_view = 0;
  PartitionId partition{0};
  std::shared_ptr<const SeriesSet> series;
  // Told of every damaged block that is met, and of what cannot be shown. May be null.
  std::function<void(const Status&)> on_damage;
  // Samples of series [begin, end) in a range.
  std::function<std::unique_ptr<SampleCursor>(size_t begin, size_t end, TimeRange range)> read_raw;
};

// See storage/reader.h. That a series has native histograms beside floats whose samples are gone is
// told by `on_damage`: buckets are all there is, and show its floats only. kInvalidArgument for
// kRaw.
Result<std::unique_ptr<RollupCursor>> MakeRollupCursor(RollupSource source, size_t begin,
                                                       size_t end, Resolution resolution,
                                                       TimeRange range);
// Whether a rollup run says all that the snapshot's samples of its day say, the head apart.
bool IsCurrent(const RunInfo& rollup, const RunsSnapshot& runs, const DeleteSnapshot& deletes);
// Selection::RolledUp and RawGone.
std::vector<TimeRange> RolledUpIn(const RunsSnapshot& runs, const DeleteSnapshot& deletes,
                                  PartitionId partition, Resolution resolution, TimeRange range);
std::vector<TimeRange> RawGoneIn(const RunsSnapshot& runs, PartitionId partition, TimeRange range);

}  // namespace basalt::storage
