// StoreCore's apply: what a log record does to a partition. The same for a record just acknowledged
// and for one replayed.
#include <algorithm>
#include <utility>
#include <vector>

#include "engine/base/log.h"
#include "storage/store_core.h"

namespace basalt::storage {

void StoreCore::ApplySection(const IngestBatch& batch, LogPosition position,
                             SectionResult& result) {
  Partition& partition = at(batch.partition);
  partition.head->Apply(batch, position, result.counts);
  for (const auto& [id, ordinal] : result.counts.created)
    resolver->Learn(batch.partition, id, ordinal);
  if (result.counts.series_refused > 0) {
    BASALT_LOG(kError,
               "a record names series that do not fit the index; their samples are left out",
               {"partition", static_cast<uint32_t>(batch.partition)}, {"seq", position.seq},
               {"series", result.counts.series_refused});
  }
  for (const ExemplarSample& e : batch.exemplars) {
    const BatchSeries& series = batch.series[e.series];
    const SeriesOrdinal ordinal =
        series.ordinal != kUnknownOrdinal ? series.ordinal : partition.index.Find(series.id);
    if (ordinal == kUnknownOrdinal) continue;  // refused above
    const Result<bool> added = exemplars->Add(
        batch.partition, ordinal, {.time_ms = e.time_ms, .value = e.value, .labels = e.labels});
    if (added.ok() && *added) ++result.exemplars;
    if (!added.ok()) {
      BASALT_LOG(kWarn, "an exemplar is left out",
                 {"partition", static_cast<uint32_t>(batch.partition)},
                 {"error", added.status().ToString()});
    }
  }
  for (const MetadataEntry& entry : batch.metadata) {
    if (const Status status = metadata->Put(batch.tenant, entry); !status.ok()) {
      BASALT_LOG(kWarn, "metadata is left out", {"metric", entry.metric},
                 {"error", status.ToString()});
    }
  }
  // Visible now, and not yet acknowledged.
  int64_t earliest_ms = INT64_MAX;
  for (const int64_t time_ms : batch.sample_ms) earliest_ms = std::min(earliest_ms, time_ms);
  for (const HistogramSample& h : batch.histograms) earliest_ms = std::min(earliest_ms, h.time_ms);
  if (earliest_ms != INT64_MAX) changes.Record(earliest_ms);
  counters.samples += result.counts.accepted;
  counters.late += result.counts.late;
  counters.identical += result.counts.identical;
  counters.overwritten += result.counts.overwritten;
  counters.histograms += result.counts.histograms;
  counters.exemplars += result.exemplars;
  counters.series_created += result.counts.created.size();
}

Status StoreCore::ApplyDelete(Partition& partition, const DeleteRecord& record,
                              LogPosition position) {
  BASALT_TRY_ASSIGN(const auto matched,
                    partition.index.Series(record.tenant, record.any_of, record.range, SIZE_MAX));
  std::vector<SeriesOrdinal> ordinals(matched->ordinals().begin(), matched->ordinals().end());
  std::sort(ordinals.begin(), ordinals.end());
  std::vector<SeriesId> ids;
  ids.reserve(ordinals.size());
  for (const SeriesOrdinal ordinal : ordinals) ids.push_back(partition.index.id(ordinal));
  receipts->Applied(record, position, partition.id, ids);
  const WriterLock lock(handover);
  if (ordinals.empty()) {
    partition.head->Skip(position);
    return OkStatus();
  }
  deletes->Add({.partition = partition.id,
                .position = position,
                .range = record.range,
                .ordinals = ordinals});
  partition.head->Delete(ordinals, record.range, position);
  changes.Record(record.range.min_ms);
  return OkStatus();
}

}  // namespace basalt::storage
