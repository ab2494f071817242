// storage/parts/rewrite.h -- merges a partition-day's neighbouring runs into one with long rows.
// Our compaction.
//
// The merge goes by series order, then time; at equal time the run with precedence wins; deletes
// are carried out. Memory is one superblock an input and one output. Nothing is visible before the
// one commit at the end.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/status.h"
#include "storage/index/index.h"
#include "storage/parts/deletes.h"
#include "storage/parts/runs.h"

namespace basalt::storage {

// Runs to merge: all of one partition and day, neighbours in precedence.
struct RewriteTask {
  PartitionId partition{0};
  uint16_t day = 0;
  std::vector<uint32_t> runs;
};

struct RewritePolicy {
  // An open day is due when so many sealed runs stand behind its last rewritten one: those are
  // merged.
  size_t min_runs = 4;
  // Days before this one are closed. There everything is merged into one run, when it was never
  // rewritten, or has min_runs runs, or what came late is an eighth of it.
  uint16_t closed_before = 0;
  // Everything that is not yet one rewritten run a day is due (settle).
  bool all = false;
};

// What is due, oldest day first. Pure.
std::vector<RewriteTask> PlanRewrites(const RunsSnapshot& runs, const RewritePolicy& policy);

struct RewriteResult {
  uint64_t samples_read = 0;
  uint64_t samples_written = 0;  // fewer by duplicates and deletes
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;
};

// Carries out one task. `index` is the partition's; `deletes` was taken after the task was planned,
// so that it knows every delete that one of the runs has carried out. kCancelled as soon as
// `cancel` is set, between superblocks; kAborted if one of the runs was dropped meanwhile;
// kDataLoss if an input is damaged: the inputs then stay as they are, since dropping them would
// make the damage final.
Result<RewriteResult> Rewrite(RunStore& store, const RewriteTask& task, const PartitionIndex& index,
                              const DeleteSnapshot& deletes, const std::atomic<bool>& cancel);

}  // namespace basalt::storage
