// storage/index/series_order.h -- the series order as a permutation, so that sorting a selection
// compares numbers and not labels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <roaring/roaring.hh>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/mutex.h"
#include "storage/index/tables.h"

namespace basalt::storage::index_internal {

// Ranks of ordinals [0, size()): 4 bytes a series. Immutable.
struct SeriesOrder {
  std::vector<uint32_t> rank;  // by ordinal
  [[nodiscard]] size_t size() const { return rank.size(); }
};

// Keeps the permutation about up to date: it is extended when an eighth of the series (and at least
// kMinTail) are newer, so that its cost a series is constant; what is newer is sorted by labels.
// Thread-safe.
class SeriesOrderKeeper {
 public:
  static constexpr size_t kMinTail = 1024;

  explicit SeriesOrderKeeper(const Tables& tables)
      : tables_(tables), order_(std::make_shared<SeriesOrder>()) {}

  // The members of `set` in series order; all of them are series of the tables.
  [[nodiscard]] std::vector<SeriesOrdinal> Sorted(const Roaring& set) const BASALT_EXCLUDES(mu_);
  void Sort(std::vector<SeriesOrdinal>& ordinals) const BASALT_EXCLUDES(mu_);
  [[nodiscard]] size_t Bytes() const BASALT_EXCLUDES(mu_);

 private:
  [[nodiscard]] std::shared_ptr<const SeriesOrder> Get() const BASALT_EXCLUDES(mu_);

  const Tables& tables_;
  mutable Mutex mu_;
  mutable std::shared_ptr<const SeriesOrder> order_ BASALT_GUARDED_BY(mu_);
};

}  // namespace basalt::storage::index_internal
