// storage/parts/scrub.h -- reads every byte that RocksDB keeps for us and checks it, past the block
// cache: the checksums of all SSTs, and of every superblock and run directory their own.
#pragma once

#include <functional>
#include <string>

#include "engine/base/status.h"
#include "storage/integrity.h"
#include "storage/parts/database.h"
#include "storage/parts/runs.h"

namespace rocksdb {
class Env;
}

namespace basalt::storage {

// A block that does not check has been quarantined: `file` is relative to the data directory,
// `why` the block's error.
using BlockDamaged =
    std::function<void(const Run& run, size_t block, const std::string& file, const Status& why)>;

// Goes through the live files of an open database, its manifest and its write-ahead log. Blocks
// that read well leave the quarantine (counted in the report). Files that go meanwhile are left
// out. Errors: kCancelled; what the disk says where it does not answer at all.
Status ScrubDatabase(const Database& database, const RunStore& runs, ScrubPace& pace,
                     ScrubReport& report, const BlockDamaged& damaged);

// The same for a directory that no database opens any more: names the files that are damaged.
Status ScrubDatabaseFiles(const std::string& directory, rocksdb::Env* env, ScrubPace& pace,
                          ScrubReport& report);

}  // namespace basalt::storage
