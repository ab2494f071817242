// engine/slo/measure.h -- what of a series' samples an SLO counts. A leaf is a series by one
// measure; a series may be several leaves.
//
// Cumulative measures are counters: what counts is the difference of two samples (leaf_counter.h).
// Of the others each sample is an event, or as many as its value says: a bool gauge, `up`.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

#include "engine/base/histogram.h"

namespace basalt::slo {

enum class MeasureKind : uint8_t {
  kCounter,         // increase() of floats
  kSamples,         // count_over_time() of floats
  kValues,          // sum_over_time() of floats; one that is not finite adds nothing
  kHistogramCount,  // increase() of a native histogram's count
  kHistogramRange,  // increase() of its observations in (lower, upper]
};

struct Measure {
  MeasureKind kind = MeasureKind::kCounter;
  double lower = 0;
  double upper = 0;
  friend bool operator==(const Measure&, const Measure&) = default;
};
// Among TapIndex::measures(). 0 is kCounter, whether anybody asks for it or not.
using MeasureIndex = uint16_t;
// Of all definitions together: each threshold of a histogram is one. SLO files with more are
// refused (slo_files.h).
inline constexpr size_t kMaxMeasures = 4096;

bool IsCumulative(MeasureKind kind);

// What a sample comes to; none: it is none of this kind. Stale markers are the caller's.
std::optional<double> Measured(const Measure& measure, double value);
std::optional<double> Measured(const Measure& measure, const NativeHistogram& histogram);

// All observations; NaN ones included, which are in no range.
double CountOf(const NativeHistogram& histogram);
// Observations in (lower, upper], as histogram_fraction() tells their share: inside a bucket evenly
// on a logarithmic scale, in the zero bucket and in custom ones evenly. Allocates nothing.
double CountBetween(const NativeHistogram& histogram, double lower, double upper);

}  // namespace basalt::slo
