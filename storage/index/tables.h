// storage/index/tables.h -- the append-only tables of an index: strings, label pairs, groups,
// shapes, series.
//
// Everything is a number: a string once in the dictionary, a label (tenant, name, value) once as a
// pair, a target's labels once in its group, and what is left of a series' labels once in its
// *shape*, which the same metric of every other target shares. So a series is its id, its group and
// its shape: 24 bytes. Numbers are given in order of first appearance.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/labels.h"
#include "storage/index/series_set.h"
#include "storage/index/stable_vector.h"

namespace basalt::storage::index_internal {

using StringId = uint32_t;
using PairId = uint32_t;
using ShapeId = uint32_t;

// Block keys keep metric 0 for shared time columns (storage/codec/keys.h), so number 0 is nobody's
// and number 1 is the metric of a series without a name.
inline constexpr StringId kNoMetricName = 1;
inline constexpr size_t kReservedStrings = 2;
inline constexpr PairId kNoPair = 0xFFFF'FFFF;

struct LabelPair {
  StringId name = 0;
  StringId value = 0;
  TenantId tenant = kDefaultTenant;
};

struct GroupEntry {
  TenantId tenant = kDefaultTenant;
  uint32_t pair_count = 0;
  const PairId* pairs = nullptr;  // the placement labels, sorted by name
};

// The labels of a series that its group does not carry.
struct ShapeView {
  PairId name = kNoPair;            // the pair of __name__
  StringId metric = kNoMetricName;  // its value
  std::span<const PairId> own;      // the others, sorted by name
};

struct SeriesEntry {
  GroupId group{0};
  ShapeId shape = 0;
};

// One thread appends; any thread reads what it knows of (stable_vector.h).
struct Tables {
  Tables();

  StringId AddString(std::string_view text);
  PairId AddPair(const LabelPair& pair);
  GroupId AddGroup(TenantId tenant, std::span<const PairId> pairs);
  ShapeId AddShape(PairId name, std::span<const PairId> own);
  SeriesOrdinal AddSeries(const SeriesId& id, const SeriesEntry& entry);

  [[nodiscard]] std::string_view String(StringId id) const;
  [[nodiscard]] const LabelPair& Pair(PairId id) const { return pairs[id]; }
  [[nodiscard]] std::span<const PairId> GroupPairs(GroupId group) const;
  [[nodiscard]] ShapeView Shape(ShapeId id) const {
    const uint32_t* const run = shapes[id];
    return {run[0], run[1], {run + 3, run[2]}};
  }
  [[nodiscard]] const SeriesEntry& Series(SeriesOrdinal ordinal) const {
    return series[static_cast<uint32_t>(ordinal)];
  }
  [[nodiscard]] SeriesPlace Place(SeriesOrdinal ordinal) const;
  // All labels, sorted by name; views live as long as the tables.
  void AppendLabels(SeriesOrdinal ordinal, std::vector<LabelView>& out) const;
  [[nodiscard]] std::string_view Label(SeriesOrdinal ordinal, std::string_view name) const;

  // Series order (index.h) of two series in one place: by remaining labels, then le.
  [[nodiscard]] std::strong_ordering CompareShapes(ShapeId a, ShapeId b) const;
  [[nodiscard]] bool Before(SeriesOrdinal a, SeriesOrdinal b) const;

  [[nodiscard]] size_t Bytes() const;

  RunArena<char> text;
  RunArena<uint32_t> words;
  StableVector<const char*> strings;  // varint length, bytes
  StableVector<LabelPair> pairs;
  StableVector<GroupEntry> groups;
  StableVector<const uint32_t*> shapes;  // pair of the name, metric, count, that many pairs
  StableVector<SeriesId> ids;            // by ordinal
  StableVector<SeriesEntry> series;
};

}  // namespace basalt::storage::index_internal
