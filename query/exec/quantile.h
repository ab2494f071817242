// query/exec/quantile.h -- quantiles and fractions: of plain values, of classic buckets, of native
// histograms.
#pragma once

#include <string_view>
#include <vector>

#include "query/exec/annotations.h"
#include "query/float_histogram.h"

namespace basalt::query::exec {

// The q-quantile, interpolating between neighbours; sorts `values`. NaN if there are none or q is
// NaN; -Inf and +Inf for q outside [0, 1].
double Quantile(double q, std::vector<double>& values);

// A cumulative bucket of a classic histogram.
struct ClassicBucket {
  double upper_bound = 0;
  double count = 0;
};

struct ClassicQuantile {
  double value = 0;
  // Counts fell from one bucket to the next and were lifted: between which bounds, and by how much
  // at most.
  bool forced_monotonic = false;
  double min_bucket = 0;
  double max_bucket = 0;
  double max_diff = 0;
};
// Sorts and repairs `buckets`, of which there is at least one. NaN without a +Inf bucket or without
// observations.
ClassicQuantile BucketQuantile(double q, std::vector<ClassicBucket>& buckets);
// The share of observations between two values.
double BucketFraction(double lower, double upper, std::vector<ClassicBucket>& buckets);

double HistogramQuantile(double q, const FloatHistogram& h, std::string_view metric,
                         promql::PosRange pos, Annotations& annotations);
double HistogramFraction(double lower, double upper, const FloatHistogram& h,
                         std::string_view metric, promql::PosRange pos, Annotations& annotations);

}  // namespace basalt::query::exec
