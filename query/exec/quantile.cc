#include "query/exec/quantile.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "query/exec/histogram_ops.h"

namespace basalt::query::exec {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Differences between neighbouring bucket counts below this share are rounding, not data.
// Upstream's value.
constexpr double kSmallDelta = 1e-12;

// What both kinds of histograms answer for a q that is no quantile.
std::optional<double> OutsideUnit(double q) {
  if (std::isnan(q)) return kNaN;
  if (q < 0) return -kInfinity;
  if (q > 1) return kInfinity;
  return std::nullopt;
}

bool NearlyEqual(double a, double b) {
  if (a == b || (std::isnan(a) && std::isnan(b))) return true;
  const double sum = std::fabs(a) + std::fabs(b);
  const double diff = std::fabs(a - b);
  constexpr double kMin = std::numeric_limits<double>::min();
  if (a == 0 || b == 0 || sum < kMin) return diff < kSmallDelta * kMin;
  return diff / std::min(sum, std::numeric_limits<double>::max()) < kSmallDelta;
}

// Sorts by bound and adds up buckets of the same bound.
void Coalesce(std::vector<ClassicBucket>& buckets) {
  size_t last = 0;
  for (size_t i = 1; i < buckets.size(); ++i) {
    if (buckets[i].upper_bound == buckets[last].upper_bound) {
      buckets[last].count += buckets[i].count;
    } else {
      buckets[++last] = buckets[i];
    }
  }
  buckets.resize(last + 1);
}

void SortByBound(std::vector<ClassicBucket>& buckets) {
  std::stable_sort(
      buckets.begin(), buckets.end(),
      [](const ClassicBucket& a, const ClassicBucket& b) { return a.upper_bound < b.upper_bound; });
}

// Counts may fall where scrapes or rules mixed states: lift them to what came before.
void MakeMonotonic(std::vector<ClassicBucket>& buckets, ClassicQuantile& out) {
  out.min_bucket = kInfinity;
  out.max_bucket = -kInfinity;
  double before = buckets[0].count;
  for (size_t i = 1; i < buckets.size(); ++i) {
    ClassicBucket& b = buckets[i];
    if (b.count == before) continue;
    if (NearlyEqual(before, b.count)) {
      b.count = before;
    } else if (b.count < before) {
      out.forced_monotonic = true;
      out.min_bucket = std::min(out.min_bucket, b.upper_bound);
      out.max_bucket = std::max(out.max_bucket, b.upper_bound);
      out.max_diff = std::max(out.max_diff, before - b.count);
      b.count = before;
    } else {
      before = b.count;
    }
  }
}

bool EndsAtInfinity(const std::vector<ClassicBucket>& buckets) {
  return std::isinf(buckets.back().upper_bound) && buckets.back().upper_bound > 0;
}

// Ranks of two values in a walk over buckets from the lowest: how many observations lie below each.
class RankPair {
 public:
  RankPair(double lower, double upper) : values_{lower, upper} {}

  // `begin` and `end`: the bucket's bounds. `inside(v)`: the rank of a value strictly between them.
  // False: both found.
  template <typename F>
  bool Visit(double begin, double end, double rank_before, F&& inside) {
    for (int k = 0; k < 2; ++k) {
      if (!ranks_[k].has_value() && begin >= values_[k]) ranks_[k] = rank_before;
    }
    if (done()) return false;
    for (int k = 0; k < 2; ++k) {
      if (!ranks_[k].has_value() && begin < values_[k] && end > values_[k])
        ranks_[k] = inside(values_[k]);
    }
    return !done();
  }
  // What is above all buckets, or came out above all observations, ranks last.
  [[nodiscard]] double Difference(double all) const {
    const auto rank = [all](const std::optional<double>& r) {
      return !r.has_value() || *r > all ? all : *r;
    };
    return rank(ranks_[1]) - rank(ranks_[0]);
  }

 private:
  [[nodiscard]] bool done() const { return ranks_[0].has_value() && ranks_[1].has_value(); }
  double values_[2];
  std::optional<double> ranks_[2];
};

// A histogram with observations on one side of zero only: its zero bucket ends at zero.
void NarrowZeroBucket(const FloatHistogram& h, HistogramBucket& b) {
  if (h.negative_buckets.empty() && !h.positive_buckets.empty()) {
    b.lower = 0;
  } else if (h.positive_buckets.empty() && !h.negative_buckets.empty()) {
    b.upper = 0;
  }
}

}  // namespace

double Quantile(double q, std::vector<double>& values) {
  if (values.empty()) return kNaN;
  if (const auto outside = OutsideUnit(q)) return *outside;
  // NaN is before everything, whatever is wanted of the others.
  const auto numbers =
      std::partition(values.begin(), values.end(), [](double v) { return std::isnan(v); });
  const auto n = static_cast<double>(values.size());
  const double rank = q * (n - 1);
  const double lower = std::max(0.0, std::floor(rank));
  const double upper = std::min(n - 1, lower + 1);
  const double weight = rank - std::floor(rank);
  // Two neighbours of the sorted values are wanted, not all of them.
  const auto at_lower = values.begin() + static_cast<ptrdiff_t>(lower);
  if (at_lower < numbers) return kNaN;
  std::nth_element(numbers, at_lower, values.end());
  const double above = upper > lower ? *std::min_element(at_lower + 1, values.end()) : *at_lower;
  return *at_lower * (1 - weight) + above * weight;
}

ClassicQuantile BucketQuantile(double q, std::vector<ClassicBucket>& buckets) {
  ClassicQuantile out;
  if (const auto outside = OutsideUnit(q)) {
    out.value = *outside;
    return out;
  }
  out.value = kNaN;
  SortByBound(buckets);
  if (!EndsAtInfinity(buckets)) return out;
  Coalesce(buckets);
  MakeMonotonic(buckets, out);
  if (buckets.size() < 2) return out;
  const double observations = buckets.back().count;
  if (observations == 0) return out;

  double rank = q * observations;
  const size_t last = buckets.size() - 1;
  const size_t b = static_cast<size_t>(
      std::partition_point(buckets.begin(), buckets.begin() + static_cast<ptrdiff_t>(last),
                           [rank](const ClassicBucket& c) { return !(c.count >= rank); }) -
      buckets.begin());
  if (b == last) {
    out.value = buckets[last - 1].upper_bound;  // nothing is known of where in the last one
  } else if (b == 0 && buckets[0].upper_bound <= 0) {
    out.value = buckets[0].upper_bound;
  } else {
    double start = 0;
    double count = buckets[b].count;
    if (b > 0) {
      start = buckets[b - 1].upper_bound;
      count -= buckets[b - 1].count;
      rank -= buckets[b - 1].count;
    }
    out.value = start + (buckets[b].upper_bound - start) * (rank / count);
  }
  return out;
}

double BucketFraction(double lower, double upper, std::vector<ClassicBucket>& buckets) {
  SortByBound(buckets);
  if (!EndsAtInfinity(buckets)) return kNaN;
  Coalesce(buckets);
  const double all = buckets.back().count;
  if (all == 0 || std::isnan(lower) || std::isnan(upper)) return kNaN;
  if (lower >= upper) return 0;

  RankPair ranks(lower, upper);
  double rank = 0;
  // Without a bucket that ends at or below zero, observations are taken to be positive.
  double begin = buckets[0].upper_bound <= 0 ? -kInfinity : 0;
  for (const ClassicBucket& b : buckets) {
    const auto inside = [&](double v) {
      if (std::isinf(begin)) return b.count;
      return rank + (b.count - rank) * (v - begin) / (b.upper_bound - begin);
    };
    if (!ranks.Visit(begin, b.upper_bound, rank, inside)) break;
    rank = b.count;
    begin = b.upper_bound;
  }
  return ranks.Difference(all) / all;
}

double HistogramQuantile(double q, const FloatHistogram& h, std::string_view metric,
                         promql::PosRange pos, Annotations& annotations) {
  if (q < 0) return -kInfinity;
  if (q > 1) return kInfinity;
  if (h.count == 0 || std::isnan(q)) return kNaN;

  // Observations of NaN are in the count and in no bucket, as if above all of them: then only ranks
  // from below are known. Otherwise the nearer end is taken, for precision.
  const bool has_nan = std::isnan(h.sum);
  const bool from_below = has_nan || q < 0.5;
  std::vector<HistogramBucket> buckets = AllBuckets(h);
  if (!from_below) std::reverse(buckets.begin(), buckets.end());
  double rank = (from_below ? q : 1 - q) * h.count;

  HistogramBucket bucket;
  double count = 0;
  size_t i = 0;
  while (i < buckets.size()) {
    bucket = buckets[i++];
    if (bucket.count == 0) continue;
    count += bucket.count;
    if (count >= rank) break;
  }
  if (!h.uses_custom_buckets()) {
    if (bucket.lower < 0 && bucket.upper > 0) NarrowZeroBucket(h, bucket);
  } else if (bucket.lower == -kInfinity) {
    if (bucket.upper <= 0) return bucket.upper;
    bucket.lower = 0;
  } else if (bucket.upper == kInfinity) {
    return bucket.lower;
  }
  count = std::min(count, h.count);
  if (count < rank) {
    if (!has_nan) return bucket.upper;  // rounding in the counts
    annotations.QuantileNaNResult(metric, pos);
    return kNaN;
  }
  rank = from_below ? rank - (count - bucket.count) : count - rank;
  if (has_nan) {
    // Infinities of both signs also make the sum NaN; only a count above the buckets' means NaN was
    // observed. As upstream, the last bucket walked over is the one that is interpolated in.
    for (; i < buckets.size(); ++i) {
      bucket = buckets[i];
      count += bucket.count;
    }
    if (count < h.count) annotations.QuantileNaNSkew(metric, pos);
  }

  const double fraction = rank / bucket.count;
  if (h.uses_custom_buckets() || (bucket.lower <= 0 && bucket.upper >= 0)) {
    return bucket.lower + (bucket.upper - bucket.lower) * fraction;
  }
  const double log_lower = std::log2(std::fabs(bucket.lower));
  const double log_upper = std::log2(std::fabs(bucket.upper));
  if (bucket.lower > 0) return std::exp2(log_lower + (log_upper - log_lower) * fraction);
  return -std::exp2(log_upper + (log_lower - log_upper) * (1 - fraction));
}

double HistogramFraction(double lower, double upper, const FloatHistogram& h,
                         std::string_view metric, promql::PosRange pos, Annotations& annotations) {
  if (h.count == 0 || std::isnan(lower) || std::isnan(upper)) return kNaN;
  if (lower >= upper) return 0;

  const std::vector<HistogramBucket> buckets = AllBuckets(h);
  RankPair ranks(lower, upper);
  double rank = 0;
  double in_buckets = 0;
  for (HistogramBucket b : buckets) in_buckets += b.count;
  for (HistogramBucket b : buckets) {
    bool linear = h.uses_custom_buckets();
    if (b.lower <= 0 && b.upper >= 0) {
      linear = true;
      NarrowZeroBucket(h, b);
    }
    const auto inside = [&](double v) {
      if (linear && b.lower == -kInfinity) return b.count;
      return rank + b.count * FractionBelow(b, v, linear);
    };
    if (!ranks.Visit(b.lower, b.upper, rank, inside)) break;
    rank += b.count;
  }
  double all = h.count;
  if (std::isnan(h.sum)) {
    all = in_buckets;
    if (in_buckets < h.count) annotations.FractionNaNs(metric, pos);
  }
  return ranks.Difference(all) / h.count;
}

}  // namespace basalt::query::exec
