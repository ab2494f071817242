#include "storage/parts/run_files.h"

#include <rocksdb/convenience.h>
#include <rocksdb/metadata.h>

#include <algorithm>
#include <memory>
#include <string>

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

// DeleteFilesInRanges drops files by editing the manifest; it leaves
// files that a compaction holds or that are in level 0, which ours never are, so what it left is
// removed the slow way rather than kept for ever.
Status DeleteRuns(Database::Rocks& rocks, const std::vector<RunKey>& runs) {
  rocksdb::ColumnFamilyHandle* const blocks = rocks.handle(Family::kBlocks);
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
  BASALT_TRY(FromRocks(rocks.Ready(), "drop runs"));
  const rocksdb::Status dropped =
      rocksdb::DeleteFilesInRanges(rocks.db.get(), blocks, ranges.data(), ranges.size(), false);
  rocks.KeepFiles(!dropped.ok());
  BASALT_TRY(FromRocks(dropped, "drop runs"));
  for (size_t i = 0; i < runs.size(); ++i) {
    rocksdb::ReadOptions read;
    read.fill_cache = false;
    const std::unique_ptr<rocksdb::Iterator> it(rocks.db->NewIterator(read, blocks));
    it->Seek(keys[i].begin);
    if (!it->Valid() || !it->key().starts_with(rocksdb::Slice(keys[i].begin))) continue;
    const std::string end = keys[i].end.empty() ? std::string(64, '\xFF') : keys[i].end;
    BASALT_TRY(FromRocks(rocks.db->DeleteRange(rocksdb::WriteOptions(), blocks, keys[i].begin, end),
                         "drop a run"));
    rocksdb::CompactRangeOptions compact;
    compact.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
    const rocksdb::Slice from(keys[i].begin);
    const rocksdb::Slice to(end);
    BASALT_TRY(FromRocks(rocks.db->CompactRange(compact, blocks, &from, &to), "drop a run"));
  }
  return OkStatus();
}

}  // namespace basalt::storage
