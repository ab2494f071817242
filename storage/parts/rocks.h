// storage/parts/rocks.h -- RocksDB itself; included by the sources of storage/parts only.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/status.h>

#include <array>
#include <memory>
#include <string_view>

#include "engine/base/status.h"
#include "storage/parts/database.h"

namespace basalt::storage {

struct Database::Rocks {
  rocksdb::Env* env = nullptr;
  rocksdb::Options block_options;  // of Family::kBlocks, for files written outside
  std::unique_ptr<rocksdb::DB> db;
  std::array<rocksdb::ColumnFamilyHandle*, kFamilyCount> handles{};

  [[nodiscard]] rocksdb::ColumnFamilyHandle* handle(Family family) const {
    return handles[static_cast<size_t>(family)];
  }
};

// RocksDB's status as ours, "<context>: <RocksDB's words>"; ok stays ok.
Status FromRocks(const rocksdb::Status& status, std::string_view context);

inline rocksdb::Slice ToSlice(std::string_view s) { return {s.data(), s.size()}; }
inline std::string_view ToView(const rocksdb::Slice& s) { return {s.data(), s.size()}; }

}  // namespace basalt::storage
