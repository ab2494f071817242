// storage/index/persist.h -- how an index goes to disk and comes back. Keys are drawn in
// storage/docs/keys.md.
//
// The tables of an index only grow, so a flush is their new tails, in blocks of a fixed number of
// entries with the block's number as key: a half-full block is written again, fuller, under the
// same key. The counts are the commit point: whatever lies beyond them on disk was never committed
// and is ignored.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/status.h"

namespace basalt::storage {

// Column families.
enum class IndexFamily : uint8_t { kDictionary, kRegistry, kActivity };

struct IndexWrite {
  IndexFamily family;
  std::string key;
  std::string value;  // empty: delete the key
};

// Sizes of the tables at one moment; "next ordinals" of DESIGN decision 6.
struct IndexCounts {
  uint32_t strings = 0;
  uint32_t pairs = 0;
  uint32_t groups = 0;
  uint32_t shapes = 0;
  uint32_t series = 0;
  friend bool operator==(const IndexCounts&, const IndexCounts&) = default;
};

struct IndexFlush {
  PartitionId partition{0};
  IndexCounts counts;
  std::vector<IndexWrite> writes;
  // Days whose activity is in `writes`, with the version written, for FlushCommitted.
  std::vector<std::pair<uint16_t, uint64_t>> days;
};

// Where Load reads from; storage/parts implements it over RocksDB, tests over a map.
class IndexSource {
 public:
  virtual ~IndexSource() = default;
  // Calls `fn` with every key that starts with `prefix`, in key order, until it fails.
  virtual Status ForEach(
      IndexFamily family, std::string_view prefix,
      const std::function<Status(std::string_view key, std::string_view value)>& fn) const = 0;
};

}  // namespace basalt::storage
