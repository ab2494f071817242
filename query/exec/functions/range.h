// query/exec/functions/range.h -- functions of a series over a window: rate, *_over_time and their
// kin.
//
// A kernel sees one window at a time, as columns, and gives one value or none. One family a file:
// rate.cc (with rate_extended.cc for anchored and smoothed), over_time.cc, over_time_sums.cc,
// changes.cc, regression.cc.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "query/exec/annotations.h"
#include "query/exec/matrix.h"
#include "query/plan/plan.h"

namespace basalt::query::exec {

struct HistogramSample {
  int64_t time_ms = 0;
  int64_t start_ms = storage::kNoStartMs;
  HistogramPtr histogram;
};

// A series without its stale markers. Both columns rise in time. Borrowed.
struct Samples {
  std::span<const int64_t> time_ms;
  std::span<const double> values;
  std::span<const int64_t>
      start_ms;  // empty, or parallel to values; only for functions that look at it
  std::span<const HistogramSample> histograms;
};

// The samples of one step. Plain: in (range_start, range_end]. Anchored and smoothed selectors see
// up to a lookback more, before and (smoothed) after. Never without any sample.
struct Window {
  std::span<const int64_t> time_ms;
  std::span<const double> values;
  std::span<const int64_t> start_ms;
  std::span<const HistogramSample> histograms;
  size_t first = 0;  // where the window begins in the series' float columns
  int64_t range_start_ms = 0;
  int64_t range_end_ms = 0;
  int64_t eval_ms = 0;  // the step
};

// A call of a function on one series, and what all of its windows share.
struct RangeCall {
  plan::FunctionId function = plan::FunctionId::kCount;
  plan::RangeMode mode = plan::RangeMode::kPlain;
  int64_t range_ms = 0;
  plan::PosRange pos;  // of the first argument, for annotations
  const RowLabels* labels = nullptr;
  Annotations* annotations = nullptr;
  // Scalar arguments at the current step.
  std::vector<double> arguments;
  // Where the counter fell: indices into the series' columns of the samples after a reset (rising).
  // Only for functions that need them; it makes a rate cost what its resets cost, not its samples.
  std::vector<uint32_t> resets;
  std::vector<uint32_t> start_overlaps;  // samples whose start time lies before the sample before
  // Set by a kernel that cannot go on: an error of the query.
  Status error;
  // Reused between windows.
  std::vector<double> scratch;

  [[nodiscard]] std::string_view metric_name() const { return labels->metric_name(); }
  [[nodiscard]] double range_seconds() const { return static_cast<double>(range_ms) / 1000; }
};

using RangeKernel = Cell (*)(const Window&, RangeCall&);

// Null if the function takes no range. The kernel of last_over_time is kLastOverTime's, and so on.
RangeKernel FindRangeKernel(plan::FunctionId function);
// Looks at start timestamps: rate, increase, irate, resets.
bool UsesStartTimestamps(plan::FunctionId function);
// Corrects for resets and warns of gauges: rate, increase.
bool IsCounterFunction(plan::FunctionId function);
// last_over_time and first_over_time give back samples, so they keep the metric's name.
bool KeepsName(plan::FunctionId function);
// Finds `resets` and `start_overlaps` for the functions that want them.
void PrepareSeries(const Samples& samples, RangeCall& call);

// The counter restarted between two samples, as told by their start timestamps.
bool IsStartReset(int64_t previous_start_ms, int64_t previous_ms, int64_t start_ms,
                  int64_t time_ms);

// The families.
Cell Rate(const Window& w, RangeCall& call);          // rate, increase, delta
Cell ExtendedRate(const Window& w, RangeCall& call);  // the same, anchored or smoothed
Cell InstantRate(const Window& w, RangeCall& call);   // irate, idelta
Cell Changes(const Window& w, RangeCall& call);       // changes, resets
Cell Deriv(const Window& w, RangeCall& call);
Cell PredictLinear(const Window& w, RangeCall& call);
Cell DoubleExponentialSmoothing(const Window& w, RangeCall& call);
Cell SumOverTime(const Window& w, RangeCall& call);
Cell AvgOverTime(const Window& w, RangeCall& call);
Cell VarianceOverTime(const Window& w, RangeCall& call);  // stddev, stdvar
Cell ExtremeOverTime(const Window& w, RangeCall& call);   // max, min, ts_of_max, ts_of_min
Cell CountOverTime(const Window& w, RangeCall& call);
Cell PresentOverTime(const Window& w,
                     RangeCall& call);  // and absent_over_time, before it is turned round
Cell EndOverTime(const Window& w, RangeCall& call);  // first, last, ts_of_first, ts_of_last
Cell QuantileOverTime(const Window& w, RangeCall& call);
Cell MadOverTime(const Window& w, RangeCall& call);

// The mean of one or more values in the order of time: of their corrected sum, or kept step by step
// once that does not fit a double.
double AverageFloats(std::span<const double> values);

// Linear interpolation at `time_ms` between two points of an extended window.
double Interpolate(int64_t t1, double v1, int64_t t2, double v2, int64_t time_ms, bool counter);
// The same for histograms. False if their layouts do not mix; the annotation has been made then.
bool InterpolateHistograms(const HistogramSample& a, const HistogramSample& b, int64_t time_ms,
                           bool counter, RangeCall& call, FloatHistogram& out);

}  // namespace basalt::query::exec
