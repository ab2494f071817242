#include "engine/ingest/newest_sample.h"

#include <array>
#include <string>

#include "engine/base/stale.h"
#include "storage/resolver.h"

namespace basalt::ingest {
namespace {

// How far back is looked, one after another: a series that is written is found at once.
constexpr std::array<int64_t, 3> kSpansMs = {3'600'000, 86'400'000, 30 * int64_t{86'400'000}};

Result<std::optional<NewestSample>> NewestOf(const storage::Selection& selection, size_t series,
                                             int64_t since_ms) {
  std::optional<NewestSample> newest;
  const auto cursor = selection.Read(series, series + 1, {.range = {.min_ms = since_ms}});
  storage::SeriesColumns columns;
  for (;;) {
    BASALT_TRY_ASSIGN(const bool more, cursor->Next(columns));
    if (!more) return newest;
    for (size_t i = columns.time_ms.size(); i-- > 0;) {
      if (IsStaleMarker(columns.values[i])) continue;
      newest = {.time_ms = columns.time_ms[i],
                .start_ms = columns.start_ms.empty() ? storage::kNoStartMs : columns.start_ms[i],
                .value = columns.values[i],
                .histogram = std::nullopt};
      break;
    }
    for (size_t i = columns.histograms.size(); i-- > 0;) {
      const storage::HistogramPoint& point = columns.histograms[i];
      if (newest.has_value() && newest->time_ms > point.time_ms) break;
      if (IsStaleMarker(point.histogram.sum)) continue;
      newest = {.time_ms = point.time_ms,
                .start_ms = point.start_ms,
                .value = 0,
                .histogram = point.histogram};
      break;
    }
  }
}

}  // namespace

Result<std::optional<NewestSample>> FindNewestSample(storage::Store& store, TenantId tenant,
                                                     std::span<const LabelView> labels,
                                                     int64_t now_ms, int64_t since_ms) {
  const PartitionId partition =
      storage::PlacementPartition(tenant, labels, store.resolver().partitions());
  storage::MatcherSet matchers;
  for (const LabelView& label : labels) {
    matchers.push_back(
        {storage::MatchType::kEqual, std::string(label.name), std::string(label.value)});
  }
  BASALT_TRY_ASSIGN(const auto snapshot, store.reader().TakeSnapshot());
  BASALT_TRY_ASSIGN(const auto selection,
                    snapshot->Select(tenant, partition, matchers, {.min_ms = since_ms}, SIZE_MAX));
  for (size_t i = 0; i < selection->size(); ++i) {
    std::vector<LabelView> found;
    selection->AppendLabels(i, found);
    // Matchers leave room for more labels.
    if (found.size() != labels.size()) continue;
    for (const int64_t span_ms : kSpansMs) {
      if (now_ms - span_ms <= since_ms) break;
      BASALT_TRY_ASSIGN(const auto newest, NewestOf(*selection, i, now_ms - span_ms));
      if (newest.has_value()) return newest;
    }
    return NewestOf(*selection, i, since_ms);
  }
  return std::optional<NewestSample>();
}

}  // namespace basalt::ingest
