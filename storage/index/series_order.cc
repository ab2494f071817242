#include "storage/index/series_order.h"

#include <algorithm>
#include <span>
#include <utility>

namespace basalt::storage::index_internal {

namespace {

// Sorts by labels. The place is compared as three numbers; labels only inside one place.
void SortByLabels(const Tables& tables, std::span<uint32_t> ordinals) {
  struct Keyed {
    SeriesPlace place;
    ShapeId shape;
    uint32_t ordinal;
  };
  std::vector<Keyed> keyed;
  keyed.reserve(ordinals.size());
  for (const uint32_t o : ordinals) {
    keyed.push_back({tables.Place(SeriesOrdinal{o}), tables.Series(SeriesOrdinal{o}).shape, o});
  }
  std::sort(keyed.begin(), keyed.end(), [&tables](const Keyed& a, const Keyed& b) {
    if (a.place != b.place) return a.place < b.place;
    return tables.CompareShapes(a.shape, b.shape) < 0;
  });
  for (size_t i = 0; i < keyed.size(); ++i) ordinals[i] = keyed[i].ordinal;
}

// The old order with the ordinals [order.size(), count) merged in.
std::shared_ptr<const SeriesOrder> Extend(const Tables& tables, const SeriesOrder& order,
                                          size_t count) {
  std::vector<uint32_t> tail;
  tail.reserve(count - order.size());
  for (size_t o = order.size(); o < count; ++o) tail.push_back(static_cast<uint32_t>(o));
  SortByLabels(tables, tail);
  std::vector<uint32_t> ranked(order.size());
  for (size_t o = 0; o < order.size(); ++o) ranked[order.rank[o]] = static_cast<uint32_t>(o);
  std::vector<uint32_t> merged(count);
  std::merge(ranked.begin(), ranked.end(), tail.begin(), tail.end(), merged.begin(),
             [&tables](uint32_t a, uint32_t b) {
               return tables.Before(SeriesOrdinal{a}, SeriesOrdinal{b});
             });
  auto made = std::make_shared<SeriesOrder>();
  made->rank.resize(count);
  for (size_t r = 0; r < count; ++r) made->rank[merged[r]] = static_cast<uint32_t>(r);
  return made;
}

// Sorts ordinals that all have a rank.
void SortByRank(const SeriesOrder& order, std::span<uint32_t> ordinals) {
  // Laying them out over the whole order beats sorting once a selection is not tiny.
  if (ordinals.size() > order.size() / 32) {
    constexpr uint32_t kNobody = 0xFFFF'FFFF;
    std::vector<uint32_t> at(order.size(), kNobody);
    for (const uint32_t o : ordinals) at[order.rank[o]] = o;
    size_t next = 0;
    for (const uint32_t o : at) {
      if (o != kNobody) ordinals[next++] = o;
    }
    return;
  }
  std::vector<uint64_t> keyed;
  keyed.reserve(ordinals.size());
  for (const uint32_t o : ordinals) keyed.push_back(uint64_t{order.rank[o]} << 32 | o);
  std::sort(keyed.begin(), keyed.end());
  for (size_t i = 0; i < keyed.size(); ++i) ordinals[i] = static_cast<uint32_t>(keyed[i]);
}

// Sorts `ordinals` (ascending numbers, no duplicates).
void SortAscending(const Tables& tables, const SeriesOrder& order,
                   std::vector<uint32_t>& ordinals) {
  const auto tail = std::lower_bound(ordinals.begin(), ordinals.end(), order.size());
  const auto ranked = static_cast<size_t>(tail - ordinals.begin());
  SortByRank(order, std::span(ordinals).first(ranked));
  SortByLabels(tables, std::span(ordinals).subspan(ranked));
  if (ranked != 0 && ranked != ordinals.size()) {
    std::inplace_merge(ordinals.begin(), tail, ordinals.end(), [&tables](uint32_t a, uint32_t b) {
      return tables.Before(SeriesOrdinal{a}, SeriesOrdinal{b});
    });
  }
}

}  // namespace

std::shared_ptr<const SeriesOrder> SeriesOrderKeeper::Get() const {
  const size_t count = tables_.series.size();
  const MutexLock lock(mu_);
  if (count - std::min(count, order_->size()) > std::max(kMinTail, order_->size() / 8)) {
    order_ = Extend(tables_, *order_, count);
  }
  return order_;
}

std::vector<SeriesOrdinal> SeriesOrderKeeper::Sorted(const Roaring& set) const {
  std::vector<uint32_t> ordinals(set.cardinality());
  set.toUint32Array(ordinals.data());
  SortAscending(tables_, *Get(), ordinals);
  std::vector<SeriesOrdinal> out;
  out.reserve(ordinals.size());
  for (const uint32_t o : ordinals) out.push_back(SeriesOrdinal{o});
  return out;
}

void SeriesOrderKeeper::Sort(std::vector<SeriesOrdinal>& ordinals) const {
  std::vector<uint32_t> numbers;
  numbers.reserve(ordinals.size());
  for (const SeriesOrdinal o : ordinals) numbers.push_back(static_cast<uint32_t>(o));
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  SortAscending(tables_, *Get(), numbers);
  ordinals.clear();
  for (const uint32_t o : numbers) ordinals.push_back(SeriesOrdinal{o});
}

size_t SeriesOrderKeeper::Bytes() const {
  const MutexLock lock(mu_);
  return order_->size() * sizeof(uint32_t);
}

}  // namespace basalt::storage::index_internal
