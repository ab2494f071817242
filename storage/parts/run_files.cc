#include "storage/parts/run_files.h"

#include <rocksdb/convenience.h>
#include <rocksdb/metadata.h>

#include <algorithm>

namespace basalt::storage {

Result<std::vector<RunKey>> RunsInFiles(const Database::Rocks& rocks) {
  rocksdb::ColumnFamilyMetaData meta;
  rocks.db->GetColumnFamilyMetaData(rocks.handle(Family::kBlocks), &meta);
  std::vector<RunKey> out;
  for (const rocksdb::LevelMetaData& level : meta.levels) {
    for (const rocksdb::SstFileMetaData& file : level.files) {
      BASALT_TRY_ASSIGN(const BlockKey first, DecodeBlockKey(file.smallestkey));
      out.push_back(first.run);
    }
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

// By an edit of the MANIFEST. DeleteFilesInRanges leaves files of level 0, which none of `blocks`
// is in (RunStore::Ingest), and files that a compaction holds: none runs.
Status DeleteRuns(Database::Rocks& rocks, const std::vector<RunKey>& runs) {
  std::vector<KeyRange> keys;
  keys.reserve(runs.size());
  for (const RunKey& run : runs) keys.push_back(RunRange(run));
  std::vector<rocksdb::Slice> bounds;
  bounds.reserve(keys.size() * 2);
  std::vector<rocksdb::RangePtr> ranges;
  for (const KeyRange& key : keys) {
    const rocksdb::Slice* const begin = &bounds.emplace_back(key.begin);
    const rocksdb::Slice* const end = &bounds.emplace_back(key.end);
    ranges.emplace_back(begin, key.end.empty() ? nullptr : end);
  }
  const MutexLock lock(rocks.write_mu);
  const PausedWork paused(*rocks.db);
  BASALT_TRY(FromRocks(rocks.Ready(), "drop runs"));
  const rocksdb::Status dropped = rocksdb::DeleteFilesInRanges(
      rocks.db.get(), rocks.handle(Family::kBlocks), ranges.data(), ranges.size(), false);
  rocks.KeepFiles(!dropped.ok());
  return FromRocks(dropped, "drop runs");
}

}  // namespace basalt::storage
