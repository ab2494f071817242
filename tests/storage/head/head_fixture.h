// tests/storage/head/head_fixture.h -- what several tests of the head put in and listen with.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/labels.h"
#include "storage/apply_observer.h"
#include "storage/ingest_batch.h"
#include "storage/resolver.h"

namespace basalt::testing {

// Samples of series `m<n>` of one target, by time in ms; the value is the time. Every series comes
// with its labels.
inline storage::IngestBatch HeadTestBatch(const std::vector<std::pair<int, int64_t>>& samples) {
  storage::IngestBatch batch;
  for (const auto& [series, t] : samples) {
    Labels labels{{"__name__", "m" + std::to_string(series)}, {"instance", "i"}, {"job", "j"}};
    std::string canonical;
    AppendCanonical(labels, canonical);
    batch.series.push_back({.ordinal = kUnknownOrdinal,
                            .id = storage::MakeSeriesId(kDefaultTenant, canonical),
                            .labels_offset = static_cast<uint32_t>(batch.labels.size()),
                            .labels_bytes = static_cast<uint32_t>(canonical.size())});
    batch.labels += canonical;
    batch.sample_series.push_back(static_cast<uint32_t>(batch.series.size() - 1));
    batch.sample_ms.push_back(t);
    batch.sample_value.push_back(static_cast<double>(t));
  }
  return batch;
}

// Writes down what it is told, in words.
class Listener final : public storage::ApplyObserver {
 public:
  storage::TapId OnSeries(PartitionId, SeriesOrdinal ordinal, TenantId,
                          const Labels& labels) override {
    if (labels.Get("__name__") == "m0") return storage::kNoTap;  // not wanted
    said.push_back("series " + std::to_string(static_cast<uint32_t>(ordinal)));
    return storage::TapId{static_cast<uint32_t>(ordinal) + 1};
  }
  void OnSeriesGone(PartitionId, storage::TapId tap) override {
    said.push_back("gone " + std::to_string(static_cast<uint32_t>(tap) - 1));
  }
  void OnSamples(const storage::TappedSamples& samples) override {
    for (size_t i = 0; i < samples.taps.size(); ++i) {
      said.push_back("sample " + std::to_string(static_cast<uint32_t>(samples.taps[i]) - 1) + " " +
                     std::to_string(samples.time_ms[i]));
    }
  }
  void OnDelete(const storage::TappedDelete&) override {}
  std::vector<std::string> said;
};

}  // namespace basalt::testing
