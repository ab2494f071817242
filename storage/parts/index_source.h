// storage/parts/index_source.h -- the index's families in the database.
#pragma once

#include <memory>

#include "storage/index/persist.h"
#include "storage/parts/database.h"

namespace basalt::storage {

Family ToFamily(IndexFamily family);

// Reads an index from the database: PartitionIndex::Load(*MakeIndexSource(db), store.Counts(p)).
// `database` must outlive it.
std::unique_ptr<IndexSource> MakeIndexSource(const Database& database);

}  // namespace basalt::storage
