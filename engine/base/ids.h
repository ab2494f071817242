// engine/base/ids.h -- the identities that reach keys, logs and the wire. DESIGN decisions 2, 4, 6,
// 18, 19.
#pragma once

#include <compare>
#include <cstdint>

#include "engine/base/hash.h"

namespace basalt {

// In every key, limit, cache key and log line. The default tenant needs no header on a request.
enum class TenantId : uint32_t {};
inline constexpr TenantId kDefaultTenant{0};

// 0 .. partition count - 1. A target's series live in one partition (storage/resolver.h,
// PlacementPartition).
enum class PartitionId : uint16_t {};

// Dense inside a partition, given in apply order, never reused while anything refers to it.
enum class SeriesOrdinal : uint32_t {};
inline constexpr SeriesOrdinal kUnknownOrdinal{0xFFFF'FFFF};

// A group is the series of one target: dense inside a partition, like ordinals. An optimisation,
// never a meaning.
enum class GroupId : uint32_t {};

// A metric name: the number of its string in the partition's label dictionary, given in apply order
// (storage/index) from 1 on. It is the first part of the series order and of block keys.
enum class MetricId : uint32_t {};

// XXH3-128 of tenant and canonical labels (engine/base/labels.h); the same on every machine, for
// ever.
struct SeriesId {
  Hash128 hash;
  friend auto operator<=>(const SeriesId&, const SeriesId&) = default;
};

// A record's place in the log. Sequence numbers of a lane are dense and start at 1; 0 is before
// everything.
struct LogPosition {
  uint16_t lane = 0;
  uint64_t seq = 0;
  friend auto operator<=>(const LogPosition&, const LogPosition&) = default;
};

}  // namespace basalt
