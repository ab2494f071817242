// storage/codec/keys.h -- where a superblock lives (DESIGN decision 3). Big-endian, so that byte
// order is key order.
//
//    0         2    4      5        9         13        17       21     23
//   [partition|day |level |run     |tenant   |metric   |group   |row   ]
//    u16       u16  u8     u32      u32       u32       u32      u16
//
// A run belongs to one partition and one UTC day and is one SST with a range nobody else has. The
// key names the first row of the superblock, so the rows of a metric begin in the last superblock
// whose key is not above (metric, 0, 0).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/ids.h"
#include "engine/base/status.h"
#include "engine/base/time.h"

namespace basalt::storage {

inline constexpr size_t kBlockKeyBytes = 23;
inline constexpr size_t kRunPrefixBytes = 9;  // partition, day, level, run

// Numbers of metric names begin at 1 and end below this one. Under it (and the last tenant), behind
// all rows, a run keeps its shared time columns: superblocks without rows, whose `group` is the
// run's number of their first column and whose `row` is 0. Which columns there are is known after
// the last row, so this order lets a run be written in one go.
inline constexpr uint32_t kTimesMetric = UINT32_MAX;
inline constexpr TenantId kTimesTenant{UINT32_MAX};

// Days since 1970-01-01 UTC; the last one is in 2149.
inline constexpr int64_t kMaxDay = 0xFFFF;

// What a run is called: never used twice inside a partition.
struct RunKey {
  PartitionId partition{0};
  uint16_t day = 0;
  uint8_t level = 0;  // 0: sealed; higher: rewritten
  uint32_t run = 0;
  friend auto operator<=>(const RunKey&, const RunKey&) = default;
};

struct BlockKey {
  RunKey run;
  TenantId tenant = kDefaultTenant;
  uint32_t metric = 0;
  uint32_t group = 0;  // GroupId, or the first column under kTimesMetric
  uint16_t row = 0;    // tells superblocks apart whose first rows share metric and group: 0, 1, ...
  friend auto operator<=>(const BlockKey&, const BlockKey&) = default;
};

// A half-open range of keys, [begin, end). `end` is empty where nothing can follow (the last
// run of all).
struct KeyRange {
  std::string begin;
  std::string end;
};

// Byte order of encoded keys is the order of the structs.
std::string EncodeBlockKey(const BlockKey& key);
// kDataLoss if `bytes` is not kBlockKeyBytes long.
Result<BlockKey> DecodeBlockKey(std::string_view bytes);

// All keys of a run.
KeyRange RunRange(const RunKey& run);

// The day of a time. kOutOfRange before 1970 or after kMaxDay.
Result<uint16_t> DayOf(int64_t time_ms);
constexpr int64_t DayStartMs(uint16_t day) { return int64_t{day} * kMsPerDay; }

}  // namespace basalt::storage
