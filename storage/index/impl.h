// storage/index/impl.h -- what a PartitionIndex is made of; private to storage/index.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <atomic>
#include <map>
#include <memory>
#include <roaring/roaring.hh>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/mutex.h"
#include "storage/index/index.h"
#include "storage/index/match_cache.h"
#include "storage/index/matcher.h"
#include "storage/index/posting_list.h"
#include "storage/index/series_order.h"
#include "storage/index/stable_vector.h"
#include "storage/index/tables.h"

namespace basalt::storage {

namespace index_internal {

inline size_t Mix(uint64_t h) {
  h *= 0x9E37'79B9'7F4A'7C15;
  return static_cast<size_t>(h ^ h >> 32);
}

// Sets of numbers that are looked up by what the numbers stand for: 4 bytes an entry, no second
// copy of any string. `tables` is the one that gave the numbers.
struct ByString {
  using is_transparent = void;  // NOLINT(readability-identifier-naming): the standard's name
  const Tables* tables;
  size_t operator()(std::string_view s) const { return HashBytes64(s); }
  size_t operator()(StringId id) const { return HashBytes64(tables->String(id)); }
  bool operator()(StringId a, StringId b) const { return a == b; }
  bool operator()(StringId a, std::string_view b) const { return tables->String(a) == b; }
};
struct ByPair {
  using is_transparent = void;  // NOLINT(readability-identifier-naming): the standard's name
  const Tables* tables;
  size_t operator()(const LabelPair& p) const {
    return Mix((uint64_t{p.name} << 32 | p.value) ^ Mix(static_cast<uint64_t>(p.tenant)));
  }
  size_t operator()(PairId id) const { return (*this)(tables->Pair(id)); }
  bool operator()(PairId a, PairId b) const { return a == b; }
  bool operator()(PairId a, const LabelPair& b) const {
    const LabelPair& p = tables->Pair(a);
    return p.name == b.name && p.value == b.value && p.tenant == b.tenant;
  }
};
struct GroupKey {
  TenantId tenant;
  std::span<const PairId> pairs;
};
struct ByGroup {
  using is_transparent = void;  // NOLINT(readability-identifier-naming): the standard's name
  const Tables* tables;
  size_t operator()(const GroupKey& key) const {
    uint64_t h = static_cast<uint64_t>(key.tenant);
    for (const PairId id : key.pairs) h = Mix(h ^ id) + 1;
    return Mix(h);
  }
  size_t operator()(uint32_t group) const { return (*this)(Key(group)); }
  // Groups of one placement key are equal here: the set holds the newest.
  bool operator()(uint32_t a, uint32_t b) const { return (*this)(a, Key(b)); }
  bool operator()(uint32_t a, const GroupKey& b) const {
    const GroupKey key = Key(a);
    return key.tenant == b.tenant &&
           std::equal(key.pairs.begin(), key.pairs.end(), b.pairs.begin(), b.pairs.end());
  }
  [[nodiscard]] GroupKey Key(uint32_t group) const {
    return {tables->groups[group].tenant, tables->GroupPairs(GroupId{group})};
  }
};
struct ShapeKey {
  PairId name;
  std::span<const PairId> own;
};
struct ByShape {
  using is_transparent = void;  // NOLINT(readability-identifier-naming): the standard's name
  const Tables* tables;
  size_t operator()(const ShapeKey& key) const {
    uint64_t h = key.name;
    for (const PairId id : key.own) h = Mix(h ^ id) + 1;
    return Mix(h);
  }
  size_t operator()(ShapeId shape) const { return (*this)(Key(shape)); }
  bool operator()(ShapeId a, ShapeId b) const { return a == b; }
  bool operator()(ShapeId a, const ShapeKey& b) const {
    const ShapeKey key = Key(a);
    return key.name == b.name &&
           std::equal(key.own.begin(), key.own.end(), b.own.begin(), b.own.end());
  }
  [[nodiscard]] ShapeKey Key(ShapeId shape) const {
    const ShapeView view = tables->Shape(shape);
    return {view.name, view.own};
  }
};
struct BySeriesId {
  using is_transparent = void;  // NOLINT(readability-identifier-naming): the standard's name
  const Tables* tables;
  size_t operator()(const SeriesId& id) const { return id.hash.low; }
  size_t operator()(uint32_t ordinal) const { return tables->ids[ordinal].hash.low; }
  bool operator()(uint32_t a, uint32_t b) const { return a == b; }
  bool operator()(uint32_t a, const SeriesId& b) const { return tables->ids[a] == b; }
};
template <typename By>
using NumberSet = absl::flat_hash_set<uint32_t, By, By>;

// Postings go by way of *carriers*: a carrier is a group or a shape, which are what labels stand
// in. A label lists its carriers and a carrier its series, so that a new series of a known target
// and metric costs two appends however many labels it has (docs/0001-postings.md).
using CarrierId = uint32_t;

// One label name of one tenant.
struct NameIndex {
  StringId name = 0;
  StableVector<PairId> pairs;  // one a value, in order of first appearance; read without a lock
  Roaring carriers;            // that have the label, whatever its value
  uint64_t value_bytes = 0;
};

struct TenantIndex {
  TenantId tenant = kDefaultTenant;
  Roaring series;
  absl::flat_hash_map<StringId, std::unique_ptr<NameIndex>> names;
};

struct Term;  // of a selection: select.cc

struct DayActivity {
  Roaring series;
  uint64_t version = 0;  // of the last change
  uint64_t saved = 0;    // version on disk
};

}  // namespace index_internal

// Locks: `mu` for tables' look-up sets and postings, `activity_mu` for activity; `mu` first where
// both are held. The tables themselves are read without a lock once a number is known.
struct PartitionIndex::Impl {
  explicit Impl(PartitionId p);

  // ---- apply side (index.cc) ----
  index_internal::StringId InternString(std::string_view text) BASALT_REQUIRES(mu);
  index_internal::PairId InternPair(TenantId tenant, std::string_view name, std::string_view value)
      BASALT_REQUIRES(mu);
  GroupId InternGroup(TenantId tenant, std::span<const index_internal::PairId> pairs)
      BASALT_REQUIRES(mu);
  index_internal::TenantIndex& Tenant(TenantId tenant) BASALT_REQUIRES(mu);
  // A pair joins its name's list; called once a pair, in their order.
  void RegisterPair(index_internal::PairId pair) BASALT_REQUIRES(mu);
  index_internal::ShapeId InternShape(index_internal::PairId name,
                                      std::span<const index_internal::PairId> own)
      BASALT_REQUIRES(mu);
  // The newest group or shape of the tables can be found by its labels and gets its carrier.
  void RegisterGroup() BASALT_REQUIRES(mu);
  void RegisterShape() BASALT_REQUIRES(mu);
  void AddCarrierOf(index_internal::CarrierId carrier, index_internal::PairId pair)
      BASALT_REQUIRES(mu);
  // Of all posting lists, about.
  [[nodiscard]] uint64_t ListBytes() const BASALT_REQUIRES_SHARED(mu);
  // The newest series of the tables enters the postings.
  void Post(uint32_t ordinal) BASALT_REQUIRES(mu);

  // ---- read side (select.cc) ----
  // The series of the matchers, active in the range. Nothing newer than the call's begin.
  Result<Roaring> Match(TenantId tenant, const MatcherSet& matchers, TimeRange range) const
      BASALT_EXCLUDES(mu, activity_mu);
  Result<Roaring> MatchAny(TenantId tenant, const std::vector<MatcherSet>& any_of,
                           TimeRange range) const BASALT_EXCLUDES(mu, activity_mu);
  void KeepActive(TimeRange range, Roaring& series) const BASALT_EXCLUDES(activity_mu);
  // Removes the series of which the term says no, one by one.
  void KeepByCarrier(const index_internal::Term& term, Roaring& set) const
      BASALT_REQUIRES_SHARED(mu);
  // By carrier: whether one of the series has it.
  [[nodiscard]] std::vector<bool> CarriersOf(const Roaring& set) const BASALT_REQUIRES_SHARED(mu);
  const index_internal::TenantIndex* FindTenant(TenantId tenant) const BASALT_REQUIRES_SHARED(mu);
  const index_internal::NameIndex* FindName(const index_internal::TenantIndex& tenant,
                                            std::string_view name) const BASALT_REQUIRES_SHARED(mu);

  const PartitionId partition;
  const std::shared_ptr<index_internal::Tables> tables;
  const index_internal::SeriesOrderKeeper order;
  mutable index_internal::MatchCache matched;

  mutable SharedMutex mu;
  index_internal::NumberSet<index_internal::ByString> strings BASALT_GUARDED_BY(mu);
  index_internal::NumberSet<index_internal::ByPair> pairs BASALT_GUARDED_BY(mu);
  index_internal::NumberSet<index_internal::ByGroup> groups BASALT_GUARDED_BY(mu);
  index_internal::NumberSet<index_internal::ByShape> shapes BASALT_GUARDED_BY(mu);
  index_internal::NumberSet<index_internal::BySeriesId> series BASALT_GUARDED_BY(mu);
  std::vector<index_internal::CarrierId> group_carriers BASALT_GUARDED_BY(mu);
  std::vector<index_internal::CarrierId> shape_carriers BASALT_GUARDED_BY(mu);
  // Contents under mu.
  index_internal::StableVector<index_internal::PostingList> carriers_of_pair;
  index_internal::StableVector<index_internal::PostingList> series_of_carrier;
  std::map<TenantId, index_internal::TenantIndex> tenants BASALT_GUARDED_BY(mu);

  // What ListBytes found, and for how many series.
  mutable std::atomic<uint64_t> list_bytes{0};
  mutable std::atomic<uint64_t> list_bytes_of{0};

  mutable SharedMutex activity_mu;
  std::map<uint16_t, index_internal::DayActivity> days BASALT_GUARDED_BY(activity_mu);
  uint64_t last_version BASALT_GUARDED_BY(activity_mu) = 0;  // of any day
  std::vector<uint16_t> last_active;  // apply thread only: by ordinal, day + 1, 0 for none

  mutable Mutex flush_mu;
  IndexCounts flushed BASALT_GUARDED_BY(flush_mu);
  std::vector<uint16_t> forgotten_days BASALT_GUARDED_BY(flush_mu);
};

}  // namespace basalt::storage
