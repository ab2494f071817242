// storage/replay.h -- the log's records applied again when the store opens. Private to
// storage/*.cc.
#pragma once

#include <cstdint>

#include "engine/base/status.h"
#include "storage/sealer.h"
#include "storage/store.h"
#include "storage/store_core.h"

namespace basalt::storage {

// Applies the records from `from` on, each partition on its strand, from where Sealer::ReplayFrom
// says. Counts in `progress` and tells StoreOptions::on_replay now and then. kDataLoss for damage,
// naming where. Everything is applied when it returns.
Status ReplayLog(StoreCore& core, const Sealer& sealer, uint64_t from, ReplayProgress& progress);

}  // namespace basalt::storage
