// storage/index/series_set.h -- the series that a selection found, in series order.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/labels.h"

namespace basalt::storage {

// Where a series' rows stand in block keys: (tenant, metric, group) is a prefix of the series
// order.
struct SeriesPlace {
  TenantId tenant = kDefaultTenant;
  MetricId metric{0};
  GroupId group{0};
  friend auto operator<=>(const SeriesPlace&, const SeriesPlace&) = default;
};

namespace index_internal {
struct Tables;
}  // namespace index_internal

// Immutable; thread-safe. Keeps the index's strings alive, not the index.
class SeriesSet {
 public:
  SeriesSet(std::shared_ptr<const index_internal::Tables> tables,
            std::vector<SeriesOrdinal> ordinals)
      : tables_(std::move(tables)), ordinals_(std::move(ordinals)) {}

  [[nodiscard]] size_t size() const { return ordinals_.size(); }
  [[nodiscard]] std::span<const SeriesOrdinal> ordinals() const { return ordinals_; }
  [[nodiscard]] SeriesOrdinal ordinal(size_t i) const { return ordinals_[i]; }
  [[nodiscard]] SeriesId id(size_t i) const;
  [[nodiscard]] SeriesPlace place(size_t i) const;
  [[nodiscard]] GroupId group(size_t i) const { return place(i).group; }
  [[nodiscard]] Labels labels(size_t i) const;
  // Views into the index's dictionary, sorted by name; valid while this set lives.
  void AppendLabels(size_t i, std::vector<LabelView>& out) const;
  // Empty if absent; valid while this set lives.
  [[nodiscard]] std::string_view label(size_t i, std::string_view name) const;

 private:
  std::shared_ptr<const index_internal::Tables> tables_;
  std::vector<SeriesOrdinal> ordinals_;
};

}  // namespace basalt::storage
