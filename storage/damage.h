// storage/damage.h -- damage in the words of integrity.h. Private to storage/*.cc.
#pragma once

#include <string>

#include "storage/index/index.h"
#include "storage/integrity.h"
#include "storage/log/log.h"
#include "storage/parts/runs.h"

namespace basalt::storage {

// A quarantined block (kDirectoryBlock: the run's directory). `index` is of the run's partition, or
// null if it could not be read; `file` is relative to the data directory.
Damage DescribeBlock(const Run& run, size_t block, const std::string& file, const std::string& what,
                     const PartitionIndex* index);

// Decodes a record of the log, all of it, and says what does not fit.
Status CheckRecord(const LogRecord& record, uint32_t partitions);

}  // namespace basalt::storage
