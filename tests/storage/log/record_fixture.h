// tests/storage/log/record_fixture.h -- records of batches, written and read back, for the tests of
// their format.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/log/record.h"

namespace basalt::testing {

// The record of `batches` as the writer of `segment` makes it.
inline std::string Encode(std::span<const storage::IngestBatch> batches, uint64_t segment,
                          storage::SegmentSeries& seen) {
  storage::AppendRecord record;
  const Status status = record.Prepare(batches);
  EXPECT_TRUE(status.ok()) << status.ToString();
  std::string out;
  if (status.ok()) record.Finish(segment, seen, out);
  EXPECT_LE(out.size(), record.max_bytes());
  return out;
}
inline std::string Encode(const storage::IngestBatch& batch) {
  storage::SegmentSeries seen;
  return Encode({&batch, 1}, 1, seen);
}

inline constexpr uint32_t kSeriesLimit = 1u << 20;

inline storage::IngestBatch OneSample() {
  storage::IngestBatch batch;
  batch.series = {{.ordinal = SeriesOrdinal{7}, .id = {{1, 2}}}};
  batch.sample_series = {0};
  batch.sample_ms = {1'700'000'000'000};
  batch.sample_value = {3.5};
  return batch;
}

// Reads a record back as the first of its segment: every series comes with its id.
inline Status DecodeAll(std::string_view record, std::vector<storage::IngestBatch>& batches) {
  BASALT_TRY_ASSIGN(const storage::AppendView view, storage::ViewAppend(record));
  batches.resize(view.sections.size());
  std::map<PartitionId, storage::SegmentValues> values;
  for (size_t i = 0; i < batches.size(); ++i) {
    storage::SegmentValues& of_partition = values[view.sections[i].partition];
    of_partition.Begin(1, kSeriesLimit);
    BASALT_TRY(DecodeSection(view.sections[i], batches[i], &of_partition));
  }
  return OkStatus();
}

}  // namespace basalt::testing
