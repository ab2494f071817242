// storage/head/seal.h -- from a frozen part of the head to runs on disk.
#pragma once

#include <map>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/status.h"
#include "storage/head/partition_head.h"
#include "storage/index/index.h"
#include "storage/parts/deletes.h"
#include "storage/parts/runs.h"

namespace basalt::storage {

// Writes the samples of `frozen`, deletes carried out, as one run a UTC day: rows in series order,
// each as long as the day and kMaxSamplesPerRow allow, time columns once a run. The runs cover the
// log positions (after, frozen.last] and are not committed yet. Empty if deletes left nothing.
// `removed` gains, by delete, the samples that it took out.
// Errors: those of the disk; nothing stays behind.
Result<std::vector<FinishedRun>> WriteFrozen(const FrozenPartition& frozen, PartitionId partition,
                                             const PartitionIndex& index,
                                             const DeleteSnapshot& masks, LogPosition after,
                                             RunStore& runs,
                                             std::map<LogPosition, uint64_t>& removed);

}  // namespace basalt::storage
