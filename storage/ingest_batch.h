// storage/ingest_batch.h -- what a decoder hands to the store: one partition's share of one
// request, in columns.
//
// Self-contained: together with the registry it names, it can be applied on any machine. It becomes
// a section of a log record byte for byte (storage/log/record.h), so applying it again after a
// crash changes nothing. Made by storage/resolver.h's BatchBuilder; nothing forbids making one by
// hand, as tests do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/histogram.h"
#include "engine/base/ids.h"

namespace basalt::storage {

// A series of a batch. With a known ordinal, `id` guards against a mix-up; otherwise the canonical
// labels define it.
struct BatchSeries {
  SeriesOrdinal ordinal = kUnknownOrdinal;
  SeriesId id;
  uint32_t labels_offset = 0;  // into IngestBatch::labels
  uint32_t labels_bytes = 0;   // 0 with a known ordinal
};

// "No start timestamp was sent."
inline constexpr int64_t kNoStartMs = 0;

struct HistogramSample {
  uint32_t series = 0;  // index into IngestBatch::series
  int64_t time_ms = 0;
  int64_t start_ms = kNoStartMs;
  NativeHistogram histogram;
};

struct ExemplarSample {
  uint32_t series = 0;
  int64_t time_ms = 0;
  double value = 0;
  std::string labels;  // canonical bytes (engine/base/labels.h)
};

// Prometheus' metric types, by remote write 1.0's numbers.
enum class MetricType : uint8_t {
  kUnknown = 0,
  kCounter = 1,
  kGauge = 2,
  kHistogram = 3,
  kGaugeHistogram = 4,
  kSummary = 5,
  kInfo = 6,
  kStateset = 7,
};

struct MetadataEntry {
  std::string metric;  // family name
  MetricType type = MetricType::kUnknown;
  std::string unit;
  std::string help;
};

// Lets a stream resume without doubling side effects: a batch at or below the writer's last applied
// sequence is acknowledged and dropped. Zero writer: none.
struct WriterSequence {
  Hash128 writer;
  uint64_t seq = 0;
};

// The same time twice for a series in a batch: the later entry wins, as across batches (DESIGN
// decision 7).
struct IngestBatch {
  TenantId tenant = kDefaultTenant;
  PartitionId partition{0};
  WriterSequence writer;

  std::vector<BatchSeries> series;  // one may stand here several times
  // The ordinals were told by the index that is to apply them (SeriesFinder), so that series with
  // one carry no id: it is asked of the index where one is needed, which is once a log segment.
  bool ids_from_index = false;
  std::string labels;  // canonical label bytes of the series without an ordinal, end to end

  // Float samples: parallel columns in arrival order.
  std::vector<uint32_t> sample_series;  // index into `series`
  std::vector<int64_t> sample_ms;
  std::vector<double> sample_value;      // every bit pattern is kept
  std::vector<int64_t> sample_start_ms;  // empty, or parallel to the others

  std::vector<HistogramSample> histograms;
  std::vector<ExemplarSample> exemplars;
  std::vector<MetadataEntry> metadata;

  [[nodiscard]] bool empty() const {
    return sample_ms.empty() && histograms.empty() && exemplars.empty() && metadata.empty();
  }
};

}  // namespace basalt::storage
