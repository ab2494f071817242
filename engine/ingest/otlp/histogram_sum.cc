#include "engine/ingest/otlp/histogram_sum.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace basalt::ingest::otlp {
namespace {

// Empty buckets between two filled ones that are cheaper to keep than a span of their own.
constexpr int64_t kLongestGapKept = 2;

using Counts = std::map<int64_t, uint64_t>;  // by bucket index

// At a schema coarser by `shift`: bucket i ends at base^i, so those of (2^shift)*(k-1)+1 to
// (2^shift)*k merge into k.
void AddCounts(const std::vector<HistogramSpan>& spans, const std::vector<int64_t>& deltas,
               int shift, Counts& out) {
  int64_t index = 0;
  int64_t count = 0;
  size_t i = 0;
  for (const HistogramSpan& span : spans) {
    index += span.offset;
    for (uint32_t n = 0; n < span.length && i < deltas.size(); ++n, ++i, ++index) {
      count += deltas[i];
      if (count != 0)
        out[shift == 0 ? index : ((index - 1) >> shift) + 1] += static_cast<uint64_t>(count);
    }
  }
}

void WriteCounts(const Counts& counts, std::vector<HistogramSpan>& spans,
                 std::vector<int64_t>& deltas) {
  int64_t next = 0;
  int64_t previous = 0;
  for (const auto& [index, count] : counts) {
    const int64_t gap = index - next;
    if (spans.empty() || gap > kLongestGapKept) {
      spans.push_back({static_cast<int32_t>(gap), 0});
    } else {
      for (int64_t i = 0; i < gap; ++i) {
        deltas.push_back(-previous);
        previous = 0;
        ++spans.back().length;
      }
    }
    deltas.push_back(static_cast<int64_t>(count) - previous);
    previous = static_cast<int64_t>(count);
    ++spans.back().length;
    next = index + 1;
  }
}

double UpperBound(int64_t index, int32_t schema) {
  return std::exp2(std::ldexp(static_cast<double>(index), -schema));
}

// The zero bucket takes what lies inside the threshold; one that ends inside a filled bucket is
// widened to that bucket's end. True if it was.
bool WidenZero(int32_t schema, Counts& counts, NativeHistogram& out) {
  bool widened = false;
  while (!counts.empty()) {
    const auto first = counts.begin();
    if (UpperBound(first->first - 1, schema) >= out.zero_threshold) break;
    const double end = UpperBound(first->first, schema);
    if (end > out.zero_threshold) {
      out.zero_threshold = end;
      widened = true;
    }
    out.zero_count += first->second;
    counts.erase(first);
  }
  return widened;
}

}  // namespace

Result<NativeHistogram> AddHistograms(const NativeHistogram& a, const NativeHistogram& b) {
  if (a.is_float || b.is_float) return InvalidArgument("histograms of float counts are not added");
  const bool is_custom = a.schema == kCustomBucketsSchema;
  if (is_custom != (b.schema == kCustomBucketsSchema) || a.custom_values != b.custom_values)
    return InvalidArgument("the bounds of the histograms differ");
  NativeHistogram out;
  out.reset_hint = a.reset_hint;
  out.schema = std::min(a.schema, b.schema);
  out.custom_values = a.custom_values;
  out.zero_threshold = std::max(a.zero_threshold, b.zero_threshold);
  out.zero_count = a.zero_count + b.zero_count;
  out.count = a.count + b.count;
  out.sum = a.sum + b.sum;
  Counts positive;
  Counts negative;
  for (const NativeHistogram* h : {&a, &b}) {
    AddCounts(h->positive_spans, h->positive_deltas, h->schema - out.schema, positive);
    AddCounts(h->negative_spans, h->negative_deltas, h->schema - out.schema, negative);
  }
  if (!is_custom && a.zero_threshold != b.zero_threshold) {
    // A bound that one side has moved may reach into the other side's next bucket.
    while (WidenZero(out.schema, positive, out) || WidenZero(out.schema, negative, out)) {
    }
  }
  WriteCounts(positive, out.positive_spans, out.positive_deltas);
  WriteCounts(negative, out.negative_spans, out.negative_deltas);
  return out;
}

}  // namespace basalt::ingest::otlp
