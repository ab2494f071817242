// engine/base/histogram.h -- a native histogram sample as it was sent: nothing is converted on the
// way in.
//
// Source of the semantics: the Prometheus native histogram specification; field names as in its
// remote write message.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/status.h"

namespace basalt {

// -4..8: bucket i ends at 2^(i * 2^-schema). kCustomBucketsSchema: bounds are listed in
// `custom_values`.
inline constexpr int32_t kMinExponentialSchema = -4;
inline constexpr int32_t kMaxExponentialSchema = 8;
inline constexpr int32_t kCustomBucketsSchema = -53;

// Remote write's numbers.
enum class ResetHint : uint8_t { kUnknown = 0, kYes = 1, kNo = 2, kGauge = 3 };

// `length` buckets in a row, `offset` after the end of the span before (for the first one: from
// index 0).
struct HistogramSpan {
  int32_t offset = 0;
  uint32_t length = 0;
  friend bool operator==(const HistogramSpan&, const HistogramSpan&) = default;
};

// Integer histograms carry deltas between neighbouring buckets, float ones absolute counts;
// `is_float` tells which of the pairs of fields below is meant. A histogram whose `sum` is the
// stale marker is a stale marker.
struct NativeHistogram {
  bool is_float = false;
  ResetHint reset_hint = ResetHint::kUnknown;
  int32_t schema = 0;
  double zero_threshold = 0;
  double sum = 0;
  uint64_t count = 0;       // integer
  uint64_t zero_count = 0;  // integer
  double count_float = 0;
  double zero_count_float = 0;
  std::vector<HistogramSpan> positive_spans;
  std::vector<HistogramSpan> negative_spans;
  std::vector<int64_t> positive_deltas;  // integer
  std::vector<int64_t> negative_deltas;  // integer
  std::vector<double> positive_counts;   // float
  std::vector<double> negative_counts;   // float
  std::vector<double> custom_values;     // ascending, finite; only with kCustomBucketsSchema
};

// Most buckets that one histogram may have, so that a hostile span cannot make us allocate.
// Prometheus keeps 160 by default; 64 Ki is far above any real one.
inline constexpr uint32_t kMaxHistogramBuckets = 65'536;

// kInvalidArgument naming the field that is inconsistent: bucket numbers against spans, counts
// against their sum, unknown schema, unsorted bounds. What Prometheus rejects is rejected, with the
// same conditions.
Status ValidateHistogram(const NativeHistogram& histogram);

}  // namespace basalt
