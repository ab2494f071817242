// tests/engine/ingest/decoder_world.h -- a resolver whose registry is a map, to decode into and
// look at.
#pragma once

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/base/labels.h"
#include "storage/resolver.h"

namespace basalt::ingest {

// What a test compares: the series in PromQL's notation, time, value.
using SampleRow = std::tuple<std::string, int64_t, double>;

// Plays the store: Apply learns new series as the real one would.
class DecoderWorld final : public storage::SeriesFinder {
 public:
  DecoderWorld() : resolver(storage::ResolverOptions{.partitions = 4}, *this) {}

  [[nodiscard]] SeriesOrdinal FindSeries(PartitionId partition, const SeriesId& id) const override {
    const auto it = series_.find({partition, id});
    return it == series_.end() ? kUnknownOrdinal : it->second.ordinal;
  }

  void FillIds(PartitionId partition, std::span<storage::BatchSeries> series) const override {
    for (storage::BatchSeries& one : series) {
      for (const auto& [key, known] : series_) {
        if (one.ordinal != kUnknownOrdinal && key.first == partition &&
            known.ordinal == one.ordinal) {
          one.id = key.second;
        }
      }
    }
  }

  // Sorted rows of all batches; new series get ordinals.
  std::vector<SampleRow> Apply(const std::vector<storage::IngestBatch>& batches) {
    std::vector<SampleRow> rows;
    for (const storage::IngestBatch& batch : batches) {
      std::vector<std::string> names;
      std::vector<storage::BatchSeries> series = batch.series;
      FillIds(batch.partition, series);
      for (const storage::BatchSeries& s : series) {
        auto& known = series_[{batch.partition, s.id}];
        if (s.ordinal == kUnknownOrdinal) {
          known.name = LabelsFromCanonical(
                           std::string_view(batch.labels).substr(s.labels_offset, s.labels_bytes))
                           .value()
                           .ToString();
          if (known.ordinal == kUnknownOrdinal) known.ordinal = SeriesOrdinal{next_ordinal_++};
          resolver.Learn(batch.partition, s.id, known.ordinal);
          ++defined;
        }
        names.push_back(known.name);
      }
      for (size_t i = 0; i < batch.sample_ms.size(); ++i) {
        rows.emplace_back(names[batch.sample_series[i]], batch.sample_ms[i], batch.sample_value[i]);
      }
    }
    std::sort(rows.begin(), rows.end());
    return rows;
  }

  storage::Resolver resolver;
  int defined = 0;  // series that came with labels

 private:
  struct Known {
    SeriesOrdinal ordinal = kUnknownOrdinal;
    std::string name;
  };
  std::map<std::pair<PartitionId, SeriesId>, Known> series_;
  uint32_t next_ordinal_ = 0;
};

}  // namespace basalt::ingest
