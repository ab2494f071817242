// storage/parts/rocks.h -- RocksDB itself; included by the sources of storage/parts only.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/status.h>

#include <array>
#include <memory>
#include <string_view>

#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "storage/parts/background_errors.h"
#include "storage/parts/database.h"
#include "storage/parts/resumable_env.h"

namespace basalt::storage {

struct Database::Rocks {
  std::unique_ptr<ResumableEnv> resumable_env;  // dies after the database
  rocksdb::Env* env = nullptr;
  std::shared_ptr<BackgroundErrors> background_errors;
  rocksdb::Options block_options;  // of Family::kBlocks, for files written outside
  std::unique_ptr<rocksdb::DB> db;
  // Held for a write, a flush and a checkpoint: see MakeWalReplaceable.
  Mutex write_mu;
  uint64_t wal_bytes BASALT_GUARDED_BY(write_mu) = 0;  // written since all families were flushed
  std::array<rocksdb::ColumnFamilyHandle*, kFamilyCount> handles{};

  [[nodiscard]] rocksdb::ColumnFamilyHandle* handle(Family family) const {
    return handles[static_cast<size_t>(family)];
  }
  // Before a write. RocksDB 7.8 recovers from a failed write of its log by flushing the memtables,
  // which begins a new log, but not if all of them are empty; then it goes on with the writer that
  // has failed, which stops the process by an assertion, or fails for ever without them. So one of
  // them is kept from being empty, by a key in the family that has no use, which takes no file to
  // write. While it recovers from another failure, it may empty them between this and the write: so
  // this fails until that is over.
  rocksdb::Status MakeWalReplaceable() BASALT_REQUIRES(write_mu);
  // All families, so that RocksDB's log begins anew.
  rocksdb::Status FlushAll() BASALT_REQUIRES(write_mu);
};

// RocksDB's status as ours, "<context>: <RocksDB's words>"; ok stays ok.
Status FromRocks(const rocksdb::Status& status, std::string_view context);

inline rocksdb::Slice ToSlice(std::string_view s) { return {s.data(), s.size()}; }
inline std::string_view ToView(const rocksdb::Slice& s) { return {s.data(), s.size()}; }

}  // namespace basalt::storage
