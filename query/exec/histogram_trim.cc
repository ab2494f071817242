// The operators </ and >/: what is left of a histogram below or above a bound.
#include <cmath>
#include <limits>

#include "query/exec/histogram_ops.h"

namespace basalt::query::exec {
namespace {

// What a bucket keeps, and the value that its observations are taken to have.
struct Kept {
  double count = 0;
  double midpoint = 0;
};

double FiniteOrZero(double v) { return std::isinf(v) ? 0 : v; }

// Where the observations between two bounds are taken to lie: in the middle, on the scale of the
// buckets.
double Midpoint(double lower, double upper, bool positive, bool linear) {
  if (std::isinf(lower)) {
    if (std::isinf(upper)) return 0;
    return upper > 0 ? upper / 2 : upper;
  }
  if (std::isinf(upper)) return lower;
  if (linear) return (lower + upper) / 2;
  const double mean = std::sqrt(std::fabs(lower * upper));
  return positive ? mean : -mean;
}

// A bucket without a lower bound: nobody knows where in it the observations lie, unless it can be
// taken to begin at 0.
Kept TrimUnboundedBelow(const HistogramBucket& b, double bound, bool upper) {
  const bool begins_at_zero = b.upper > 0 && !std::isinf(b.upper);
  if (upper) {
    if (bound >= b.upper) return {b.count, 0};
    if (bound > 0 && begins_at_zero) return {b.count * bound / b.upper, bound / 2};
    if (b.upper <= 0) return {b.count, bound};
    return {0, FiniteOrZero(b.upper)};
  }
  if (bound <= b.lower) return {b.count, 0};
  if (bound >= 0 && b.upper > bound && !std::isinf(b.upper)) {
    return {b.count * (1 - bound / b.upper), (bound + b.upper) / 2};
  }
  return {0, FiniteOrZero(b.upper)};
}

Kept TrimUnboundedAbove(const HistogramBucket& b, double bound, bool upper) {
  if (!upper && bound >= b.lower) return {b.count, bound};
  return {0, FiniteOrZero(b.lower)};
}

Kept TrimCut(const HistogramBucket& b, double bound, bool upper, bool positive, bool linear) {
  if (std::isinf(b.lower) && b.lower < 0) return TrimUnboundedBelow(b, bound, upper);
  if (std::isinf(b.upper) && b.upper > 0) return TrimUnboundedAbove(b, bound, upper);
  double below = b.count;
  if (bound <= b.lower) {
    below = 0;
  } else if (bound < b.upper) {
    below = b.count * FractionBelow(b, bound, linear);
  }
  if (upper) return {below, Midpoint(b.lower, bound, positive, linear)};
  return {b.count - below, Midpoint(bound, b.upper, positive, linear)};
}

Kept TrimBucket(const HistogramBucket& b, double bound, bool upper, bool positive, bool linear) {
  const bool whole = upper ? b.upper <= bound : b.lower >= bound;
  if (whole) return {b.count, Midpoint(b.lower, b.upper, positive, linear)};
  const bool cut = upper ? b.lower < bound : b.upper > bound;
  if (cut) return TrimCut(b, bound, upper, positive, linear);
  return {};
}

// The zero bucket is linear and, if the histogram has observations on one side only, half as wide.
Kept TrimZero(double threshold, double count, double bound, bool has_negative, bool has_positive,
              bool upper) {
  const double low = has_positive && !has_negative ? 0 : -threshold;
  const double high = has_negative && !has_positive ? 0 : threshold;
  const Kept all{count, (low + high) / 2};
  if (upper) {
    if (bound <= low) return {};
    if (bound >= high) return all;
    return {count * ((bound - low) / (high - low)), (low + bound) / 2};
  }
  if (bound <= low) return all;
  if (bound >= high) return {};
  return {count * ((high - bound) / (high - low)), (bound + high) / 2};
}

double CustomBound(const FloatHistogram& h, int32_t index) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (index < 0) return -kInfinity;
  const auto i = static_cast<size_t>(index);
  return i < h.custom_values.size() ? h.custom_values[i] : kInfinity;
}

HistogramBucket BucketAt(const FloatHistogram& h, int32_t index, double count, bool positive) {
  if (h.uses_custom_buckets())
    return {.lower = CustomBound(h, index - 1), .upper = CustomBound(h, index), .count = count};
  const double inner = ExponentialBound(index - 1, h.schema);
  const double outer = ExponentialBound(index, h.schema);
  if (positive) return {.lower = inner, .upper = outer, .count = count};
  return {.lower = -outer, .upper = -inner, .count = count};
}

}  // namespace

void TrimBuckets(FloatHistogram& h, double bound, bool upper) {
  double count = 0;
  double sum = 0;
  bool trimmed = false;
  bool populated[2] = {false, false};  // negative, positive
  const auto trim_side = [&](bool positive) {
    const auto& spans = positive ? h.positive_spans : h.negative_spans;
    auto& counts = positive ? h.positive_buckets : h.negative_buckets;
    int32_t index = 0;
    size_t i = 0;
    for (const HistogramSpan& span : spans) {
      index += span.offset;
      for (uint32_t k = 0; k < span.length && i < counts.size(); ++k, ++index, ++i) {
        if (counts[i] == 0) continue;
        populated[positive ? 1 : 0] = true;
        const Kept kept = TrimBucket(BucketAt(h, index, counts[i], positive), bound, upper,
                                     positive, h.uses_custom_buckets());
        count += kept.count;
        sum += kept.midpoint * kept.count;
        trimmed = trimmed || kept.count != counts[i];
        counts[i] = kept.count;
      }
    }
  };
  trim_side(true);
  trim_side(false);
  if (h.zero_count > 0) {
    const Kept kept =
        TrimZero(h.zero_threshold, h.zero_count, bound, populated[0], populated[1], upper);
    trimmed = trimmed || kept.count != h.zero_count;
    h.zero_count = kept.count;
    sum += kept.midpoint * kept.count;
    count += kept.count;
  }
  if (!trimmed) return;
  h.count = count;
  h.sum = sum;
  Compact(h);
}

}  // namespace basalt::query::exec
