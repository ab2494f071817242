#include "query/float_histogram.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <string_view>

#include "query/number_format.h"

namespace basalt::query {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kFractions = 1 << kMaxExponentialSchema;

// Prometheus' published bounds 2^(i/256) / 2, i in 0..255, lie up to 4 ulp below the true ones.
// Results show bounds, so ours are the same doubles: the true value less the ulps spelt here,
// counted from 'c' (so "b" is one above).
constexpr std::string_view kUlpsBelow =
    "ccccccdcccdcccccccdeccddddddddddccdcccdccdddccddccddcbddccddccdd"
    "ccccccddddeedcedccdcccdccccdcccccccdcbccdceeccddcdddccdcdceedddd"
    "dcdcddeeddeddcddddddddededeeedeeccddccdcddeedceeddeedcddedeedded"
    "ddfeddedeefeeefeeeeeeeffffggfegfddeddeeeedffddeeedfeddeeeegfeeff";
static_assert(kUlpsBelow.size() == kFractions);

// The bounds in [0.5, 1) of the finest schema. Coarser schemas take every n-th, so a bound has the
// same bits in all.
std::array<double, kFractions> MakeFractions() {
  std::array<double, kFractions> out{};
  for (size_t i = 0; i < out.size(); ++i) {
    const long double exact = std::exp2(static_cast<long double>(i) / kFractions) / 2.0L;
    const auto bits = std::bit_cast<int64_t>(static_cast<double>(exact));
    out[i] = std::bit_cast<double>(bits - (kUlpsBelow[i] - 'c'));
  }
  return out;
}

// Bound number `index` of the histogram's positive side: the upper end of bucket `index`.
double Bound(const FloatHistogram& h, int32_t index) {
  if (!h.uses_custom_buckets()) return ExponentialBound(index, h.schema);
  if (index < 0) return -kInfinity;
  const auto i = static_cast<size_t>(index);
  return i < h.custom_values.size() ? h.custom_values[i] : kInfinity;
}

HistogramBucket PositiveBucket(const FloatHistogram& h, int32_t index, double count) {
  HistogramBucket b{.lower = Bound(h, index - 1), .upper = Bound(h, index), .count = count};
  if (h.uses_custom_buckets()) {
    b.lower_inclusive = index == 0;
    b.upper_inclusive = true;
  } else {
    b.lower_inclusive = b.lower < 0;
    b.upper_inclusive = b.upper > 0;
  }
  return b;
}

HistogramBucket NegativeBucket(const FloatHistogram& h, int32_t index, double count) {
  HistogramBucket b{.lower = -ExponentialBound(index, h.schema),
                    .upper = -ExponentialBound(index - 1, h.schema),
                    .count = count};
  b.lower_inclusive = b.lower < 0;
  b.upper_inclusive = b.upper > 0;
  return b;
}

template <typename F>
void ForEachBucket(const std::vector<HistogramSpan>& spans, const std::vector<double>& counts,
                   F&& f) {
  int32_t index = 0;
  size_t i = 0;
  for (const HistogramSpan& span : spans) {
    index += span.offset;
    for (uint32_t k = 0; k < span.length && i < counts.size(); ++k) f(index++, counts[i++]);
  }
}

std::vector<double> Absolute(const std::vector<int64_t>& deltas) {
  std::vector<double> out;
  out.reserve(deltas.size());
  int64_t count = 0;
  for (const int64_t delta : deltas) {
    count += delta;
    out.push_back(static_cast<double>(count));
  }
  return out;
}

void AppendBucket(const HistogramBucket& b, std::string& out) {
  out += ", ";
  out += b.lower_inclusive ? '[' : '(';
  out += FormatShort(b.lower);
  out += ',';
  out += FormatShort(b.upper);
  out += b.upper_inclusive ? ']' : ')';
  out += ':';
  out += FormatShort(b.count);
}

}  // namespace

double ExponentialBound(int32_t index, int32_t schema) {
  // The last bucket for finite numbers ends at the largest double instead of at 2^1024; the next
  // one holds infinities.
  constexpr double kLargest = std::numeric_limits<double>::max();
  if (schema < 0) {
    const int64_t exponent = static_cast<int64_t>(index) << -schema;
    if (exponent == 1024) return kLargest;
    return std::ldexp(1.0, static_cast<int>(std::clamp<int64_t>(exponent, -5000, 5000)));
  }
  static const std::array<double, kFractions> kFractionTable = MakeFractions();
  const int32_t per_octave = int32_t{1} << schema;
  const auto fraction_index = static_cast<size_t>(index & (per_octave - 1))
                              << (kMaxExponentialSchema - schema);
  const double fraction = kFractionTable[fraction_index];
  const int exponent = (index >> schema) + 1;
  if (fraction == 0.5 && exponent == 1025) return kLargest;
  return std::ldexp(fraction, exponent);
}

FloatHistogram ToFloatHistogram(const NativeHistogram& n) {
  FloatHistogram out;
  out.reset_hint = n.reset_hint;
  out.schema = n.schema;
  out.sum = n.sum;
  out.count = n.is_float ? n.count_float : static_cast<double>(n.count);
  out.positive_spans = n.positive_spans;
  out.positive_buckets = n.is_float ? n.positive_counts : Absolute(n.positive_deltas);
  if (out.uses_custom_buckets()) {
    out.custom_values = n.custom_values;
    return out;
  }
  out.zero_threshold = n.zero_threshold;
  out.zero_count = n.is_float ? n.zero_count_float : static_cast<double>(n.zero_count);
  out.negative_spans = n.negative_spans;
  out.negative_buckets = n.is_float ? n.negative_counts : Absolute(n.negative_deltas);
  return out;
}

std::vector<HistogramBucket> AllBuckets(const FloatHistogram& h) {
  std::vector<HistogramBucket> out;
  out.reserve(h.positive_buckets.size() + h.negative_buckets.size() + 1);
  // A bucket that reaches into the zero bucket is shown as ending where that begins.
  const auto cut = [&h](HistogramBucket b) {
    if (b.upper < 0 && b.upper > -h.zero_threshold) b.upper = -h.zero_threshold;
    if (b.lower > 0 && b.lower < h.zero_threshold) b.lower = h.zero_threshold;
    return b;
  };
  ForEachBucket(h.negative_spans, h.negative_buckets, [&](int32_t index, double count) {
    out.push_back(cut(NegativeBucket(h, index, count)));
  });
  std::reverse(out.begin(), out.end());
  if (h.zero_count > 0) {
    out.push_back({-h.zero_threshold, h.zero_threshold, true, true, h.zero_count});
  }
  ForEachBucket(h.positive_spans, h.positive_buckets, [&](int32_t index, double count) {
    out.push_back(cut(PositiveBucket(h, index, count)));
  });
  return out;
}

std::string ToString(const FloatHistogram& h) {
  std::string out = "{count:" + FormatShort(h.count) + ", sum:" + FormatShort(h.sum);
  std::vector<HistogramBucket> negative;
  ForEachBucket(h.negative_spans, h.negative_buckets, [&](int32_t index, double count) {
    if (count != 0) negative.push_back(NegativeBucket(h, index, count));
  });
  for (auto it = negative.rbegin(); it != negative.rend(); ++it) AppendBucket(*it, out);
  if (h.zero_count != 0 && !h.uses_custom_buckets()) {
    AppendBucket({-h.zero_threshold, h.zero_threshold, true, true, h.zero_count}, out);
  }
  ForEachBucket(h.positive_spans, h.positive_buckets, [&](int32_t index, double count) {
    if (count != 0) AppendBucket(PositiveBucket(h, index, count), out);
  });
  out += '}';
  return out;
}

}  // namespace basalt::query
