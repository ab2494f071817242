// storage/parts/rocks_log.h -- checks RocksDB's own logs (write-ahead log, MANIFEST), which it
// verifies only when it opens. Their format is public: 32 KiB blocks of records {masked CRC32C,
// length, type, payload}.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/status.h"

namespace rocksdb {
class Env;
}

namespace basalt::storage {

struct RocksLogCheck {
  uint64_t records = 0;
  uint64_t bytes = 0;  // read
  std::string damage;  // "offset 4711: ..."; empty: none
  std::string torn;    // where it ends in the middle of a record, as a crash leaves it; or empty
};

// Reads `path` as it is now. A record that does not check is damage if a sound one stands in a
// later block, and a torn end otherwise. kNotFound if the file has gone; other errors are the
// disk's.
Result<RocksLogCheck> CheckRocksLog(rocksdb::Env& env, const std::string& path);

}  // namespace basalt::storage
