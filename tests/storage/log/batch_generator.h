// tests/storage/log/batch_generator.h -- arbitrary batches from a seed, and equality bit for bit.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "storage/ingest_batch.h"
#include "tests/support/same_bits.h"

namespace basalt::testing {

class BatchGenerator {
 public:
  explicit BatchGenerator(uint64_t seed) : random_(seed) {}

  uint64_t Below(uint64_t n) { return random_() % n; }
  bool Coin() { return Below(2) == 0; }

  // Every kind of double that the coder tells apart, and any bits at all.
  double Value() {
    switch (Below(12)) {
      case 0:
        return 0.0;
      case 1:
        return -0.0;
      case 2:
        return static_cast<double>(Below(300));
      case 3:
        return -static_cast<double>(random_() >> Below(64));
      case 4:
        return static_cast<double>(random_() >> Below(64));
      case 5:
        return static_cast<double>(Below(1'000'000)) / 1000.0;
      case 6:
        return -static_cast<double>(random_() >> 16) / 1e9;
      case 7:
        return std::bit_cast<double>(uint64_t{0x7FF0'0000'0000'0002});  // the stale marker
      case 8:
        return std::bit_cast<double>(random_() & 0xFFFF'FF00'0000'0000U);
      case 9:
        return std::ldexp(1.0, static_cast<int>(Below(60))) - static_cast<double>(Below(2));
      case 10:
        return last_;
      default:
        return std::bit_cast<double>(random_());
    }
  }

  storage::IngestBatch Batch() {
    storage::IngestBatch batch;
    batch.tenant = TenantId{static_cast<uint32_t>(Coin() ? 0 : random_())};
    batch.partition = PartitionId{static_cast<uint16_t>(Below(8))};
    if (Coin()) batch.writer = {{random_(), random_()}, random_() >> Below(64)};
    const uint64_t series = Below(40);
    uint32_t ordinal = static_cast<uint32_t>(Below(1000));
    for (uint64_t i = 0; i < series; ++i) batch.series.push_back(Series(batch, ordinal));
    if (series != 0) AddSamples(batch, series);
    if (series != 0 && Coin()) {
      for (uint64_t i = Below(4); i > 0; --i) batch.histograms.push_back(Histogram(series));
      for (uint64_t i = Below(4); i > 0; --i) {
        batch.exemplars.push_back(
            {static_cast<uint32_t>(Below(series)), Time(), Value(), Text(30)});
      }
    }
    for (uint64_t i = Coin() ? 0 : Below(4); i > 0; --i) {
      batch.metadata.push_back(
          {Text(20), storage::MetricType{static_cast<uint8_t>(Below(8))}, Text(5), Text(50)});
    }
    return batch;
  }

 private:
  std::string Text(uint64_t max) {
    std::string text(Below(max + 1), ' ');
    for (char& c : text) c = static_cast<char>(random_());
    return text;
  }
  int64_t Time() {
    return Coin() ? 1'700'000'000'000 + static_cast<int64_t>(Below(5))
                  : static_cast<int64_t>(random_());
  }

  storage::BatchSeries Series(storage::IngestBatch& batch, uint32_t& ordinal) {
    storage::BatchSeries series;
    series.id = {{random_(), random_()}};
    if (Below(4) != 0) {
      ordinal = Below(5) != 0 ? ordinal + 1 : static_cast<uint32_t>(Below(3000));
      series.ordinal = SeriesOrdinal{ordinal};
      return series;
    }
    // Neighbours share both ends, sometimes all.
    const std::string labels = "shared start" + Text(Below(3)) + "shared end";
    series.labels_offset = static_cast<uint32_t>(batch.labels.size());
    series.labels_bytes = static_cast<uint32_t>(labels.size());
    batch.labels += labels;
    return series;
  }

  void AddSamples(storage::IngestBatch& batch, uint64_t series) {
    const bool in_order = Coin();
    const bool one_time = Coin();
    const bool starts = Coin();
    const uint64_t count = in_order ? series : Below(200);
    for (uint64_t i = 0; i < count; ++i) {
      batch.sample_series.push_back(static_cast<uint32_t>(in_order ? i : Below(series)));
      batch.sample_ms.push_back(one_time ? 1'700'000'000'000 : Time());
      batch.sample_value.push_back(last_ = Value());
      if (starts) batch.sample_start_ms.push_back(Coin() ? storage::kNoStartMs : Time());
    }
  }

  std::vector<double> Values(uint64_t max) {
    std::vector<double> values(Below(max + 1));
    for (double& v : values) v = Value();
    return values;
  }
  std::vector<int64_t> Deltas() {
    std::vector<int64_t> deltas(Below(6));
    for (int64_t& v : deltas) v = static_cast<int64_t>(random_());
    return deltas;
  }
  std::vector<HistogramSpan> Spans() {
    std::vector<HistogramSpan> spans(Below(4));
    for (HistogramSpan& span : spans)
      span = {static_cast<int32_t>(random_()), static_cast<uint32_t>(random_())};
    return spans;
  }
  storage::HistogramSample Histogram(uint64_t series) {
    storage::HistogramSample sample;
    sample.series = static_cast<uint32_t>(Below(series));
    sample.time_ms = Time();
    if (Coin()) sample.start_ms = Time();
    NativeHistogram& h = sample.histogram;
    h.is_float = Coin();
    h.reset_hint = static_cast<ResetHint>(Below(4));
    h.schema = static_cast<int32_t>(random_());
    h.zero_threshold = Value();
    h.sum = Value();
    h.count = random_() >> Below(64);
    h.zero_count = random_() >> Below(64);
    h.count_float = Value();
    h.zero_count_float = Value();
    h.positive_spans = Spans();
    h.negative_spans = Spans();
    h.positive_deltas = Deltas();
    h.negative_deltas = Deltas();
    h.positive_counts = Values(5);
    h.negative_counts = Values(5);
    h.custom_values = Values(5);
    return sample;
  }

  std::mt19937_64 random_;
  double last_ = 1;
};

// What differs first; empty if nothing does. Labels are compared by what the series' bytes are, not
// by where they lie.
inline std::string Difference(const storage::IngestBatch& a, const storage::IngestBatch& b) {
  if (a.tenant != b.tenant || a.partition != b.partition) return "tenant or partition";
  if (a.writer.writer != b.writer.writer || a.writer.seq != b.writer.seq) return "writer";
  if (a.series.size() != b.series.size()) return "series count";
  for (size_t i = 0; i < a.series.size(); ++i) {
    const auto& x = a.series[i];
    const auto& y = b.series[i];
    if (x.ordinal != y.ordinal || x.id != y.id || x.labels_bytes != y.labels_bytes) return "series";
    if (a.labels.substr(x.labels_offset, x.labels_bytes) !=
        b.labels.substr(y.labels_offset, y.labels_bytes)) {
      return "labels";
    }
  }
  if (a.sample_series != b.sample_series) return "sample_series";
  if (a.sample_ms != b.sample_ms) return "sample_ms";
  if (a.sample_start_ms != b.sample_start_ms) return "sample_start_ms";
  if (!SameBits(a.sample_value, b.sample_value)) return "sample_value";
  if (a.histograms.size() != b.histograms.size()) return "histogram count";
  for (size_t i = 0; i < a.histograms.size(); ++i) {
    const auto& x = a.histograms[i];
    const auto& y = b.histograms[i];
    const NativeHistogram& g = x.histogram;
    const NativeHistogram& h = y.histogram;
    if (x.series != y.series || x.time_ms != y.time_ms || x.start_ms != y.start_ms)
      return "histogram sample";
    if (g.is_float != h.is_float || g.reset_hint != h.reset_hint || g.schema != h.schema)
      return "histogram kind";
    if (!SameBits(g.zero_threshold, h.zero_threshold) || !SameBits(g.sum, h.sum) ||
        g.count != h.count || g.zero_count != h.zero_count ||
        !SameBits(g.count_float, h.count_float) ||
        !SameBits(g.zero_count_float, h.zero_count_float)) {
      return "histogram scalars";
    }
    if (g.positive_spans != h.positive_spans || g.negative_spans != h.negative_spans ||
        g.positive_deltas != h.positive_deltas || g.negative_deltas != h.negative_deltas ||
        !SameBits(g.positive_counts, h.positive_counts) ||
        !SameBits(g.negative_counts, h.negative_counts) ||
        !SameBits(g.custom_values, h.custom_values)) {
      return "histogram buckets";
    }
  }
  if (a.exemplars.size() != b.exemplars.size()) return "exemplar count";
  for (size_t i = 0; i < a.exemplars.size(); ++i) {
    const auto& x = a.exemplars[i];
    const auto& y = b.exemplars[i];
    if (x.series != y.series || x.time_ms != y.time_ms || !SameBits(x.value, y.value) ||
        x.labels != y.labels) {
      return "exemplar";
    }
  }
  if (a.metadata.size() != b.metadata.size()) return "metadata count";
  for (size_t i = 0; i < a.metadata.size(); ++i) {
    const auto& x = a.metadata[i];
    const auto& y = b.metadata[i];
    if (x.metric != y.metric || x.type != y.type || x.unit != y.unit || x.help != y.help)
      return "metadata";
  }
  return "";
}

}  // namespace basalt::testing
