// engine/ingest/batch_surgery.h -- taking series out of batches that are ready, and putting batches
// together.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "storage/ingest_batch.h"

namespace basalt::ingest {

// What was taken out.
struct LeftOut {
  uint64_t samples = 0;
  uint64_t histograms = 0;
  uint64_t exemplars = 0;
  LeftOut& operator+=(const LeftOut& other) {
    samples += other.samples;
    histograms += other.histograms;
    exemplars += other.exemplars;
    return *this;
  }
};

// Takes series without an ordinal, with all that is theirs, out of `batches`: those for which
// `stays(batch, index)` is false; it is asked once for each. Batches that become empty go.
using SeriesStays = std::function<bool(const storage::IngestBatch& batch, uint32_t series)>;
LeftOut TakeNewSeries(const SeriesStays& stays, std::vector<storage::IngestBatch>& batches);

// Adds `from` to `into`, which may hold a batch of the same partition already.
void MergeBatches(std::vector<storage::IngestBatch> from, std::vector<storage::IngestBatch>& into);

// Of series without an ordinal.
size_t CountNewSeries(const std::vector<storage::IngestBatch>& batches);

inline std::string_view LabelsOf(const storage::IngestBatch& batch, uint32_t series) {
  const storage::BatchSeries& one = batch.series[series];
  return std::string_view(batch.labels).substr(one.labels_offset, one.labels_bytes);
}

}  // namespace basalt::ingest
