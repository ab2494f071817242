#include "engine/slo/measure.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace basalt::slo {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Values beyond it are no amounts of events; 2^-16ths of their sum still fit.
constexpr double kLargestValue = 1099511627776.0;  // 2^40

// One side of a histogram: spans with deltas or counts.
struct Side {
  std::span<const HistogramSpan> spans;
  std::span<const int64_t> deltas;
  std::span<const double> counts;
  bool is_float;

  [[nodiscard]] bool empty() const { return is_float ? counts.empty() : deltas.empty(); }
  // visit(bucket's index, count), rising. False from it ends the walk.
  template <typename F>
  void ForEach(F&& visit) const {
    int32_t index = 0;
    size_t at = 0;
    int64_t running = 0;
    const size_t size = is_float ? counts.size() : deltas.size();
    for (const HistogramSpan& span : spans) {
      index += span.offset;
      for (uint32_t k = 0; k < span.length && at < size; ++k, ++index, ++at) {
        double count = 0;
        if (is_float) {
          count = counts[at];
        } else {
          running += deltas[at];
          count = static_cast<double>(running);
        }
        if (!visit(index, count)) return;
      }
    }
  }
  [[nodiscard]] double Total() const {
    double total = 0;
    ForEach([&](int32_t, double count) {
      total += count;
      return true;
    });
    return total;
  }
};

Side Positive(const NativeHistogram& h) {
  return {h.positive_spans, h.positive_deltas, h.positive_counts, h.is_float};
}
Side Negative(const NativeHistogram& h) {
  return {h.negative_spans, h.negative_deltas, h.negative_counts, h.is_float};
}

// Observations of one side whose magnitude is at most `value` > 0. Bucket i ends at
// 2^(i * 2^-schema), so on that scale the buckets are one wide.
double MagnitudesUpTo(const Side& side, int32_t schema, double value) {
  const double scaled = std::log2(value) * std::ldexp(1.0, schema);
  double sum = 0;
  side.ForEach([&](int32_t index, double count) {
    const double inside = scaled - (static_cast<double>(index) - 1);
    if (inside <= 0) return false;
    sum += inside >= 1 ? count : count * inside;
    return true;
  });
  return sum;
}

double CustomUpTo(const NativeHistogram& h, double value) {
  double sum = 0;
  const auto bounds = static_cast<int32_t>(h.custom_values.size());
  Positive(h).ForEach([&](int32_t index, double count) {
    double lower = index <= 0 ? -kInfinity : h.custom_values[static_cast<size_t>(index - 1)];
    const double upper = index < bounds ? h.custom_values[static_cast<size_t>(index)] : kInfinity;
    // As upstream: what is not negative begins at 0.
    if (lower == -kInfinity && upper >= 0) lower = 0;
    if (value <= lower) return false;
    if (value >= upper || lower == -kInfinity) {
      sum += count;
    } else if (upper != kInfinity) {
      sum += count * (value - lower) / (upper - lower);
    }
    return true;
  });
  return sum;
}

double ZeroCount(const NativeHistogram& h) {
  return h.is_float ? h.zero_count_float : static_cast<double>(h.zero_count);
}

// Observations up to `value`.
double CountUpTo(const NativeHistogram& h, double value) {
  if (value == kInfinity) return CountOf(h);
  if (value == -kInfinity) return 0;
  if (h.schema == kCustomBucketsSchema) return CustomUpTo(h, value);
  const Side positive = Positive(h);
  const Side negative = Negative(h);
  double zero_lower = -h.zero_threshold;
  double zero_upper = h.zero_threshold;
  if (negative.empty() && !positive.empty()) zero_lower = 0;
  if (positive.empty() && !negative.empty()) zero_upper = 0;
  double sum = negative.Total();
  if (value < 0) sum -= MagnitudesUpTo(negative, h.schema, -value);
  if (value > zero_lower) {
    const double inside =
        value >= zero_upper ? 1 : (value - zero_lower) / (zero_upper - zero_lower);
    sum += ZeroCount(h) * inside;
  }
  if (value > 0) sum += MagnitudesUpTo(positive, h.schema, value);
  return std::min(sum, CountOf(h));
}

}  // namespace

bool IsCumulative(MeasureKind kind) {
  return kind != MeasureKind::kSamples && kind != MeasureKind::kValues;
}

std::optional<double> Measured(const Measure& measure, double value) {
  switch (measure.kind) {
    case MeasureKind::kCounter:
      return value;
    case MeasureKind::kSamples:
      return 1;
    case MeasureKind::kValues:
      if (!std::isfinite(value)) return 0;
      return std::clamp(value, -kLargestValue, kLargestValue);
    case MeasureKind::kHistogramCount:
    case MeasureKind::kHistogramRange:
      break;
  }
  return std::nullopt;
}

std::optional<double> Measured(const Measure& measure, const NativeHistogram& histogram) {
  if (measure.kind == MeasureKind::kHistogramCount) return CountOf(histogram);
  if (measure.kind != MeasureKind::kHistogramRange) return std::nullopt;
  return CountBetween(histogram, measure.lower, measure.upper);
}

double CountOf(const NativeHistogram& h) {
  return h.is_float ? h.count_float : static_cast<double>(h.count);
}

double CountBetween(const NativeHistogram& h, double lower, double upper) {
  if (!(lower < upper)) return 0;
  return std::max(CountUpTo(h, upper) - CountUpTo(h, lower), 0.0);
}

}  // namespace basalt::slo
