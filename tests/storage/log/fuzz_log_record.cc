// Any bytes as a log record: no crash, and what decodes as a batch encodes and decodes to the same
// batch.
#include <cstdint>
#include <map>
#include <vector>

#include "storage/log/record.h"
#include "tests/storage/log/batch_generator.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace basalt;           // NOLINT(google-build-using-namespace): a fuzz target
  using namespace basalt::storage;  // NOLINT(google-build-using-namespace): a fuzz target
  const std::string_view record(reinterpret_cast<const char*>(data), size);
  (void)DecodeDelete(record);
  (void)DecodeOpaque(record);
  const auto view = ViewAppend(record);
  if (!view.ok()) return 0;
  std::vector<IngestBatch> batches(view->sections.size());
  std::map<PartitionId, SegmentValues> values;
  const auto decode = [&values](const RecordSection& section, IngestBatch& batch) {
    values[section.partition].Begin(1, 1u << 20);
    return DecodeSection(section, batch, &values[section.partition]);
  };
  for (size_t i = 0; i < batches.size(); ++i) {
    if (!decode(view->sections[i], batches[i]).ok()) return 0;
  }
  values.clear();
  AppendRecord again;
  const Status prepared = again.Prepare(batches);
  BASALT_CHECK(prepared.ok(), prepared.message());
  SegmentSeries seen;
  std::string bytes;
  again.Finish(1, seen, bytes);
  const auto second = ViewAppend(bytes);
  BASALT_CHECK(second.ok() && second->sections.size() == batches.size());
  SegmentSeries expected;
  for (size_t i = 0; i < batches.size(); ++i) {
    IngestBatch batch;
    BASALT_CHECK(decode(second->sections[i], batch).ok());
    for (BatchSeries& series : batches[i].series) {
      if (series.ordinal == kUnknownOrdinal) continue;
      if (!expected.FirstUse(1, batches[i].partition, series.ordinal)) series.id = {};
    }
    const std::string difference = testing::Difference(batches[i], batch);
    BASALT_CHECK(difference.empty(), difference);
  }
  return 0;
}
