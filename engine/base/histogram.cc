#include "engine/base/histogram.h"

#include <cmath>
#include <string>

namespace basalt {
namespace {

Status CheckSpans(const char* side, const std::vector<HistogramSpan>& spans, size_t buckets) {
  uint64_t total = 0;
  for (size_t i = 0; i < spans.size(); ++i) {
    if (i > 0 && spans[i].offset < 0) {
      return InvalidArgument(std::string("histogram: ") + side + "_spans[" + std::to_string(i) +
                             "].offset is negative: " + std::to_string(spans[i].offset));
    }
    total += spans[i].length;
  }
  if (total > kMaxHistogramBuckets) {
    return InvalidArgument(std::string("histogram: ") + side + "_spans: " + std::to_string(total) +
                           " buckets, the most is " + std::to_string(kMaxHistogramBuckets));
  }
  if (total != buckets) {
    return InvalidArgument(std::string("histogram: ") + side + "_spans need " +
                           std::to_string(total) + " buckets, there are " +
                           std::to_string(buckets));
  }
  return OkStatus();
}

Status CheckDeltas(const char* side, const std::vector<int64_t>& deltas, uint64_t& total) {
  int64_t count = 0;
  for (size_t i = 0; i < deltas.size(); ++i) {
    if (__builtin_add_overflow(count, deltas[i], &count) || count < 0) {
      return InvalidArgument(std::string("histogram: ") + side + "_deltas[" + std::to_string(i) +
                             "] makes a bucket count negative");
    }
    if (__builtin_add_overflow(total, static_cast<uint64_t>(count), &total)) {
      return InvalidArgument(std::string("histogram: ") + side +
                             "_deltas: the sum of the buckets overflows");
    }
  }
  return OkStatus();
}

Status CheckCounts(const char* side, const std::vector<double>& counts) {
  for (size_t i = 0; i < counts.size(); ++i) {
    if (!(counts[i] >= 0)) {
      return InvalidArgument(std::string("histogram: ") + side + "_counts[" + std::to_string(i) +
                             "] is not a count: " + std::to_string(counts[i]));
    }
  }
  return OkStatus();
}

Status CheckCustom(const NativeHistogram& h) {
  if (!h.negative_spans.empty() || !h.negative_deltas.empty() || !h.negative_counts.empty()) {
    return InvalidArgument("histogram: custom buckets have no negative side");
  }
  if (h.zero_count != 0 || h.zero_count_float != 0 || h.zero_threshold != 0) {
    return InvalidArgument("histogram: custom buckets have no zero bucket");
  }
  if (h.custom_values.size() > kMaxHistogramBuckets)
    return InvalidArgument("histogram: too many custom_values");
  for (size_t i = 0; i < h.custom_values.size(); ++i) {
    if (!std::isfinite(h.custom_values[i])) {
      return InvalidArgument("histogram: custom_values[" + std::to_string(i) + "] is not finite");
    }
    if (i > 0 && h.custom_values[i] <= h.custom_values[i - 1]) {
      return InvalidArgument("histogram: custom_values[" + std::to_string(i) +
                             "] is not above the one before");
    }
  }
  // Bucket i reaches up to custom_values[i]; one more bucket reaches +Inf.
  int64_t index = 0;
  for (const HistogramSpan& span : h.positive_spans) index += int64_t{span.offset} + span.length;
  if (!h.positive_spans.empty() && h.positive_spans.front().offset < 0) {
    return InvalidArgument("histogram: positive_spans[0].offset is negative with custom buckets");
  }
  if (index > static_cast<int64_t>(h.custom_values.size()) + 1) {
    return InvalidArgument("histogram: positive_spans reach past the last of " +
                           std::to_string(h.custom_values.size()) + " custom_values");
  }
  return OkStatus();
}

}  // namespace

Status ValidateHistogram(const NativeHistogram& h) {
  if (h.schema == kCustomBucketsSchema) {
    BASALT_TRY(CheckCustom(h));
  } else {
    if (h.schema < kMinExponentialSchema || h.schema > kMaxExponentialSchema) {
      return InvalidArgument("histogram: unknown schema " + std::to_string(h.schema));
    }
    if (!h.custom_values.empty())
      return InvalidArgument("histogram: custom_values with an exponential schema");
    if (!(h.zero_threshold >= 0))
      return InvalidArgument("histogram: zero_threshold is not a number of 0 or more");
  }
  const size_t positive = h.is_float ? h.positive_counts.size() : h.positive_deltas.size();
  const size_t negative = h.is_float ? h.negative_counts.size() : h.negative_deltas.size();
  BASALT_TRY(CheckSpans("positive", h.positive_spans, positive));
  BASALT_TRY(CheckSpans("negative", h.negative_spans, negative));
  if (h.is_float) {
    BASALT_TRY(CheckCounts("positive", h.positive_counts));
    BASALT_TRY(CheckCounts("negative", h.negative_counts));
    if (!(h.zero_count_float >= 0)) return InvalidArgument("histogram: zero_count is not a count");
    if (!(h.count_float >= 0)) return InvalidArgument("histogram: count is not a count");
    return OkStatus();
  }
  uint64_t total = h.zero_count;
  BASALT_TRY(CheckDeltas("positive", h.positive_deltas, total));
  BASALT_TRY(CheckDeltas("negative", h.negative_deltas, total));
  // NaN observations are in `count` and in no bucket; they are only possible when the sum is NaN.
  if (std::isnan(h.sum) ? total > h.count : total != h.count) {
    return InvalidArgument("histogram: count is " + std::to_string(h.count) +
                           ", the buckets hold " + std::to_string(total));
  }
  return OkStatus();
}

}  // namespace basalt
