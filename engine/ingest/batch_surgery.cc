#include "engine/ingest/batch_surgery.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace basalt::ingest {
namespace {

constexpr uint32_t kGone = ~0u;

// Keeps those elements whose series is kept, and renumbers them.
template <typename T>
uint64_t KeepOf(std::vector<T>& items, const std::vector<uint32_t>& kept) {
  const size_t before = items.size();
  std::erase_if(items, [&](const T& item) { return kept[item.series] == kGone; });
  for (T& item : items) item.series = kept[item.series];
  return before - items.size();
}

// Takes the series whose `kept` is kGone out of a batch.
LeftOut Compact(const std::vector<uint32_t>& kept, storage::IngestBatch& batch) {
  size_t series = 0;
  for (size_t i = 0; i < kept.size(); ++i) {
    if (kept[i] != kGone) batch.series[series++] = batch.series[i];
  }
  batch.series.resize(series);
  size_t n = 0;
  for (size_t i = 0; i < batch.sample_ms.size(); ++i) {
    const uint32_t to = kept[batch.sample_series[i]];
    if (to == kGone) continue;
    batch.sample_series[n] = to;
    batch.sample_ms[n] = batch.sample_ms[i];
    batch.sample_value[n] = batch.sample_value[i];
    if (!batch.sample_start_ms.empty()) batch.sample_start_ms[n] = batch.sample_start_ms[i];
    ++n;
  }
  LeftOut gone{.samples = batch.sample_ms.size() - n};
  batch.sample_series.resize(n);
  batch.sample_ms.resize(n);
  batch.sample_value.resize(n);
  if (!batch.sample_start_ms.empty()) batch.sample_start_ms.resize(n);
  gone.histograms = KeepOf(batch.histograms, kept);
  gone.exemplars = KeepOf(batch.exemplars, kept);
  return gone;
}

template <typename T>
void AppendMoved(std::vector<T>& from, uint32_t first_series, std::vector<T>& into) {
  for (T& item : from) {
    item.series += first_series;
    into.push_back(std::move(item));
  }
}

void MergeInto(storage::IngestBatch from, storage::IngestBatch& into) {
  const auto first_series = static_cast<uint32_t>(into.series.size());
  const auto first_label = static_cast<uint32_t>(into.labels.size());
  into.ids_from_index = into.ids_from_index && from.ids_from_index;
  for (storage::BatchSeries& series : from.series) {
    if (series.labels_bytes > 0) series.labels_offset += first_label;
    into.series.push_back(series);
  }
  into.labels += from.labels;
  if (!from.sample_start_ms.empty() || !into.sample_start_ms.empty()) {
    into.sample_start_ms.resize(into.sample_ms.size(), storage::kNoStartMs);
    from.sample_start_ms.resize(from.sample_ms.size(), storage::kNoStartMs);
    into.sample_start_ms.insert(into.sample_start_ms.end(), from.sample_start_ms.begin(),
                                from.sample_start_ms.end());
  }
  for (const uint32_t series : from.sample_series)
    into.sample_series.push_back(series + first_series);
  into.sample_ms.insert(into.sample_ms.end(), from.sample_ms.begin(), from.sample_ms.end());
  into.sample_value.insert(into.sample_value.end(), from.sample_value.begin(),
                           from.sample_value.end());
  AppendMoved(from.histograms, first_series, into.histograms);
  AppendMoved(from.exemplars, first_series, into.exemplars);
  std::move(from.metadata.begin(), from.metadata.end(), std::back_inserter(into.metadata));
}

}  // namespace

LeftOut TakeNewSeries(const SeriesStays& stays, std::vector<storage::IngestBatch>& batches) {
  LeftOut gone;
  for (storage::IngestBatch& batch : batches) {
    std::vector<uint32_t> kept(batch.series.size());
    uint32_t next = 0;
    for (uint32_t i = 0; i < kept.size(); ++i) {
      const bool is_new = batch.series[i].ordinal == kUnknownOrdinal;
      kept[i] = is_new && !stays(batch, i) ? kGone : next++;
    }
    if (next != kept.size()) gone += Compact(kept, batch);
  }
  std::erase_if(batches, [](const storage::IngestBatch& batch) { return batch.empty(); });
  return gone;
}

void MergeBatches(std::vector<storage::IngestBatch> from, std::vector<storage::IngestBatch>& into) {
  for (storage::IngestBatch& batch : from) {
    const auto at = std::lower_bound(
        into.begin(), into.end(), batch.partition,
        [](const storage::IngestBatch& b, PartitionId p) { return b.partition < p; });
    if (at != into.end() && at->partition == batch.partition) {
      MergeInto(std::move(batch), *at);
    } else {
      into.insert(at, std::move(batch));
    }
  }
}

size_t CountNewSeries(const std::vector<storage::IngestBatch>& batches) {
  size_t n = 0;
  for (const storage::IngestBatch& batch : batches) {
    n += static_cast<size_t>(
        std::count_if(batch.series.begin(), batch.series.end(),
                      [](const auto& series) { return series.ordinal == kUnknownOrdinal; }));
  }
  return n;
}

}  // namespace basalt::ingest
