// Cardinality: how many series have what, counted in lists and bitmaps.
#include <algorithm>
#include <vector>

#include "storage/index/impl.h"
#include "storage/index/index.h"

namespace basalt::storage {

using index_internal::CarrierId;
using index_internal::LabelPair;
using index_internal::TenantIndex;

Result<uint64_t> PartitionIndex::CountLabels(
    TenantId tenant_id, const std::vector<MatcherSet>& any_of, TimeRange range,
    const std::function<void(const LabelView&, uint64_t)>& fn) const {
  BASALT_TRY_ASSIGN(const Roaring matching, impl_->MatchAny(tenant_id, any_of, range));
  const index_internal::Tables& tables = *impl_->tables;
  const ReaderLock lock(impl_->mu);
  const TenantIndex* const tenant = impl_->FindTenant(tenant_id);
  if (tenant == nullptr) return uint64_t{0};
  // Each carrier's share first: a label's is the sum of its carriers'.
  std::vector<uint32_t> shares(impl_->series_of_carrier.size());
  for (size_t c = 0; c < shares.size(); ++c) {
    shares[c] = static_cast<uint32_t>(impl_->series_of_carrier[c].CountIn(matching));
  }
  for (const auto& [id, name] : tenant->names) {
    for (size_t i = 0; i < name->pairs.size(); ++i) {
      uint64_t series = 0;
      impl_->carriers_of_pair[name->pairs[i]].ForEach(
          [&](CarrierId carrier) { series += shares[carrier]; });
      if (series == 0) continue;
      const LabelPair& pair = tables.Pair(name->pairs[i]);
      fn({tables.String(pair.name), tables.String(pair.value)}, series);
    }
  }
  return matching.cardinality();
}

std::vector<DaySeries> PartitionIndex::SeriesByDay(size_t days) const {
  std::vector<DaySeries> out;
  Roaring before;
  const ReaderLock lock(impl_->activity_mu);
  size_t older = impl_->days.size();
  for (const auto& [day, activity] : impl_->days) {
    if (older-- <= days) {
      const uint64_t active = activity.series.cardinality();
      out.push_back({.day = day,
                     .active = active,
                     .created = active - activity.series.and_cardinality(before)});
    }
    before |= activity.series;
  }
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace basalt::storage
