// storage/parts/manifest.h -- which runs there are, where replay begins, how far the index goes:
// the keys of family `meta` that a commit writes together (docs/0001-commit.md; drawn in
// storage/docs/keys.md). Here they are read and written; run_store.cc decides what they say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/status.h"
#include "storage/parts/database.h"
#include "storage/parts/runs.h"

namespace basalt::storage {

struct QuarantinedBlock {
  std::string key;  // in `meta`
  uint32_t run = 0;
  size_t block = 0;  // StoredRun's words
  std::string reason;
};

// What `meta` says when a store is opened.
struct Manifest {
  std::vector<RunInfo> runs;                    // by number
  std::map<uint16_t, LogPosition> replay_from;  // by lane
  std::map<PartitionId, IndexCounts> counts;    // of what is committed of the index
  std::vector<QuarantinedBlock> quarantined;    // also of runs that have gone since
  uint32_t next_run = 1;
};
// kDataLoss names what does not parse.
Result<Manifest> ReadManifest(const Database& database);

// Last applied sequence numbers of writers that have been heard. kDataLoss.
Result<std::vector<std::pair<Hash128, uint64_t>>> ReadWriters(const Database& database);

// The commit record: `commit.extra`, which is taken out of it, and the manifest's changes; keys of
// `unneeded` go. One synced write of it is the commit.
WriteBatch CommitRecord(RunCommit& commit, std::span<const std::string> unneeded,
                        uint32_t next_run);

// A run's line alone.
void PutRun(const RunInfo& info, WriteBatch& batch);

}  // namespace basalt::storage
