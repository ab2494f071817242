// storage/parts/run_files.h -- which runs stand in files of the family `blocks`, and how whole ones
// go. Included by sources of storage/parts only.
#pragma once

#include <vector>

#include "engine/base/status.h"
#include "storage/codec/keys.h"
#include "storage/parts/rocks.h"

namespace basalt::storage {

// A run's key for each file, rising, each once. kDataLoss if a file's first key does not parse.
Result<std::vector<RunKey>> RunsInFiles(const Database::Rocks& rocks);

// Removes the files of whole runs. Errors are the disk's; calling again is fine.
Status DeleteRuns(Database::Rocks& rocks, const std::vector<RunKey>& runs)
    BASALT_EXCLUDES(rocks.write_mu);

}  // namespace basalt::storage
