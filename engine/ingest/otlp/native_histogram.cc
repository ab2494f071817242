#include "engine/ingest/otlp/native_histogram.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>

#include "engine/base/stale.h"

namespace basalt::ingest::otlp {
namespace {

// What Prometheus' receiver takes when the sender says none.
constexpr double kDefaultZeroThreshold = 1e-128;
// Empty buckets between two filled ones that are cheaper to keep than a span of their own.
constexpr int64_t kLongestGapKept = 2;

// Bucket indexes beyond this reach past every double; the bound keeps sums of them inside 32 bits.
constexpr int64_t kMaxOffset = int64_t{1} << 30;

// Collects buckets by rising index into spans and deltas.
class SpanBuilder {
 public:
  SpanBuilder(std::vector<HistogramSpan>& spans, std::vector<int64_t>& deltas)
      : spans_(spans), deltas_(deltas) {}

  void Add(int64_t index, uint64_t count) {
    if (spans_.empty()) {
      spans_.push_back({static_cast<int32_t>(index), 0});
    } else if (const int64_t gap = index - next_; gap > kLongestGapKept) {
      spans_.push_back({static_cast<int32_t>(gap), 0});
    } else {
      for (int64_t i = 0; i < gap; ++i) Append(0);
    }
    Append(count);
    next_ = index + 1;
  }

 private:
  void Append(uint64_t count) {
    ++spans_.back().length;
    deltas_.push_back(static_cast<int64_t>(count - previous_));
    previous_ = count;
  }

  std::vector<HistogramSpan>& spans_;
  std::vector<int64_t>& deltas_;
  uint64_t previous_ = 0;
  int64_t next_ = 0;
};

// `shift`: how often neighbours are merged. OpenTelemetry's bucket i begins where Prometheus'
// bucket i ends, hence `first_index`. Empty buckets are left out; what is empty has no span.
void AddBuckets(const std::vector<uint64_t>& counts, int64_t offset, int shift, int64_t first_index,
                std::vector<HistogramSpan>& spans, std::vector<int64_t>& deltas) {
  SpanBuilder builder(spans, deltas);
  uint64_t merged = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const int64_t index = (offset + static_cast<int64_t>(i)) >> shift;
    merged += counts[i];
    const bool is_last_of_bucket =
        i + 1 == counts.size() || (offset + static_cast<int64_t>(i) + 1) >> shift != index;
    if (!is_last_of_bucket) continue;
    if (merged != 0) builder.Add(index + first_index, merged);
    merged = 0;
  }
}

void AddTotals(const Point& point, Temporality temporality, NativeHistogram& out) {
  // Whether a counter was reset is not told by this protocol; unknown is always safe. Deltas are
  // summed like gauges, as Prometheus stores them.
  out.reset_hint = temporality == Temporality::kDelta ? ResetHint::kGauge : ResetHint::kUnknown;
  out.count = point.count;
  out.sum = point.has_no_recorded_value() ? kStaleMarker : point.sum.value_or(0);
}

Status TooManyBuckets(size_t buckets) {
  return InvalidArgument(std::to_string(buckets) + " buckets, the limit is " +
                         std::to_string(kMaxHistogramBuckets));
}

}  // namespace

Result<NativeHistogram> FromExponential(const Point& point, Temporality temporality) {
  if (point.scale < kMinExponentialSchema) {
    return InvalidArgument("scale " + std::to_string(point.scale) + " is below " +
                           std::to_string(kMinExponentialSchema) +
                           ", the coarsest schema of native histograms");
  }
  const int shift = std::max(0, point.scale - kMaxExponentialSchema);
  if (shift > 31) return InvalidArgument("scale " + std::to_string(point.scale) + " is absurd");
  const size_t buckets = point.positive.counts.size() + point.negative.counts.size();
  if (buckets > kMaxHistogramBuckets) return TooManyBuckets(buckets);
  NativeHistogram out;
  out.schema = point.scale - shift;
  // Unlike Prometheus' receiver, which always takes the default.
  out.zero_threshold = point.zero_threshold > 0 ? point.zero_threshold : kDefaultZeroThreshold;
  AddTotals(point, temporality, out);
  if (point.has_no_recorded_value()) return out;
  for (const Buckets* side : {&point.positive, &point.negative}) {
    if (std::abs(int64_t{side->offset}) > kMaxOffset)
      return InvalidArgument("bucket offset " + std::to_string(side->offset) + " is absurd");
  }
  out.zero_count = point.zero_count;
  AddBuckets(point.positive.counts, point.positive.offset, shift, 1, out.positive_spans,
             out.positive_deltas);
  AddBuckets(point.negative.counts, point.negative.offset, shift, 1, out.negative_spans,
             out.negative_deltas);
  return out;
}

Result<NativeHistogram> FromExplicitBounds(const Point& point, Temporality temporality) {
  BASALT_TRY(CheckBounds(point));
  NativeHistogram out;
  out.schema = kCustomBucketsSchema;
  out.custom_values = point.explicit_bounds;
  AddTotals(point, temporality, out);
  if (point.has_no_recorded_value()) return out;
  AddBuckets(point.bucket_counts, 0, 0, 0, out.positive_spans, out.positive_deltas);
  return out;
}

Status CheckBounds(const Point& point) {
  const size_t buckets = point.bucket_counts.size();
  if (buckets > kMaxHistogramBuckets) return TooManyBuckets(buckets);
  if (buckets == 0 && point.explicit_bounds.empty()) return OkStatus();
  if (buckets != point.explicit_bounds.size() + 1) {
    return InvalidArgument("bucket_counts has " + std::to_string(buckets) + " entries for " +
                           std::to_string(point.explicit_bounds.size()) + " explicit_bounds");
  }
  for (size_t i = 0; i < point.explicit_bounds.size(); ++i) {
    const bool ascends = i == 0 || point.explicit_bounds[i - 1] < point.explicit_bounds[i];
    if (!ascends || std::isnan(point.explicit_bounds[i]))
      return InvalidArgument("explicit_bounds[" + std::to_string(i) + "] does not ascend");
  }
  return OkStatus();
}

}  // namespace basalt::ingest::otlp
