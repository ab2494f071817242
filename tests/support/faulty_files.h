// tests/support/faulty_files.h -- the log's files on a simulated disk (SegmentLogOptions::files,
// StoreOptions::files).
#pragma once

#include <memory>

#include "storage/log/files.h"
#include "tests/support/simulated_disk.h"

namespace basalt::testing {

// `disk` must outlive it and all that it opened.
std::unique_ptr<storage::Files> MakeFaultyFiles(SimulatedDisk& disk);

}  // namespace basalt::testing
