// storage/parts/rewrite.h -- merges a partition-day's neighbouring runs into one with long rows,
// and makes its rollups. Our compaction.
//
// The merge goes by series order, then time; at equal time the run with precedence wins; deletes
// and retention are carried out. Memory is one superblock an input and one output, and their time
// columns. Nothing is visible before the one commit at the end.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>

#include "engine/base/ids.h"
#include "engine/base/status.h"
#include "storage/index/index.h"
#include "storage/parts/deletes.h"
#include "storage/parts/pace.h"
#include "storage/parts/rewrite_plan.h"
#include "storage/parts/runs.h"

namespace basalt::storage {

struct RewriteResult {
  uint64_t samples_read = 0;
  uint64_t samples_written = 0;  // fewer by duplicates, deletes and retention
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;  // samples and rollups
  uint64_t buckets_written = 0;
  uint64_t samples_expired = 0;  // by retention
  // Samples that came for buckets whose samples are gone: the bucket stays as it is.
  uint64_t samples_too_late = 0;
  // By delete: the samples of this day that it took out.
  std::map<LogPosition, uint64_t> removed;
};

// Which resolutions of a series stay, [kRaw] included.
using SeriesFate = std::array<bool, kResolutionCount>;

struct RewriteContext {
  const std::atomic<bool>* cancel = nullptr;
  Pace* pace = nullptr;  // null: as fast as it goes
  // Read before `deletes` was taken: every delete up to here is in it, or concerns no run any more.
  LogPosition deletes_known = {};
  // Asked once a series of the task; null: samples stay, and there are no rollups.
  std::function<SeriesFate(SeriesOrdinal)> fate = {};
  // Calls the commit, or refuses with an error.
  std::function<Status(const std::function<Status()>& commit)> around_commit = {};
  // Adds what is to be atomic with the commit.
  std::function<void(const RewriteResult&, WriteBatch&)> before_commit = {};
};

// Carries out one task. `index` is the partition's; `deletes` was taken after the task was planned,
// so that it knows every delete that one of the runs has carried out. kCancelled as soon as
// `cancel` is set, between series; kAborted if one of the runs was dropped meanwhile; kDataLoss if
// an input is damaged: the inputs then stay as they are, since dropping them would make the damage
// final.
Result<RewriteResult> Rewrite(RunStore& store, const RewriteTask& task, const PartitionIndex& index,
                              const DeleteSnapshot& deletes, const RewriteContext& context);

}  // namespace basalt::storage
