// query/float_histogram.h -- a native histogram as PromQL computes with it: every count is a
// double.
//
// Source of the semantics: the Prometheus native histogram specification. Arithmetic lives in
// query/exec.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/histogram.h"

namespace basalt::query {

// Buckets are absolute counts, in the order of the spans (engine/base/histogram.h explains spans
// and schemas). A value type. Thread-compatible.
struct FloatHistogram {
  ResetHint reset_hint = ResetHint::kUnknown;
  int32_t schema = 0;
  double zero_threshold = 0;
  double zero_count = 0;
  double count = 0;
  double sum = 0;
  std::vector<HistogramSpan> positive_spans;
  std::vector<HistogramSpan> negative_spans;
  std::vector<double> positive_buckets;
  std::vector<double> negative_buckets;
  std::vector<double> custom_values;  // upper bounds, ascending; only with kCustomBucketsSchema

  [[nodiscard]] bool uses_custom_buckets() const { return schema == kCustomBucketsSchema; }
};

// Histograms in results are shared and never change.
using HistogramPtr = std::shared_ptr<const FloatHistogram>;

// Integer histograms lose nothing below 2^53 per bucket.
FloatHistogram ToFloatHistogram(const NativeHistogram& histogram);

// One bucket between two bounds. An open bound is not part of the bucket.
struct HistogramBucket {
  double lower = 0;
  double upper = 0;
  bool lower_inclusive = false;
  bool upper_inclusive = false;
  double count = 0;

  // The number that the HTTP API uses: 0 (lower, upper], 1 [lower, upper), 2 (lower, upper), 3
  // [lower, upper].
  [[nodiscard]] int boundaries() const {
    return lower_inclusive ? (upper_inclusive ? 3 : 1) : (upper_inclusive ? 0 : 2);
  }
};

// Every bucket that is spelt out, the zero bucket included when it counts anything, from the lowest
// to the highest bound. Empty ones are in it: whoever shows buckets leaves those out.
std::vector<HistogramBucket> AllBuckets(const FloatHistogram& histogram);

// Upper bound of an exponential bucket: 2^(index * 2^-schema); +Inf where that leaves the doubles.
// `schema` -4..8.
double ExponentialBound(int32_t index, int32_t schema);

// "{count:3, sum:6, [-1,1]:1, (1,2]:2}", as PromQL's tools show a histogram.
std::string ToString(const FloatHistogram& histogram);

}  // namespace basalt::query
