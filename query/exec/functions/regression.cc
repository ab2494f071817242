// deriv, predict_linear: least squares; double_exponential_smoothing.
#include <cmath>
#include <cstdio>
#include <limits>

#include "engine/base/kahan.h"
#include "query/exec/functions/range.h"

namespace basalt::query::exec {
namespace {

struct Line {
  double slope = 0;
  double intercept = 0;  // at the time that was asked for
};

Line FitLine(const Window& w, int64_t intercept_ms) {
  double n = 0;
  double x_sum = 0, x_c = 0, y_sum = 0, y_c = 0, xy_sum = 0, xy_c = 0, x2_sum = 0, x2_c = 0;
  const double first = w.values[0];
  bool constant = true;
  for (size_t i = 0; i < w.values.size(); ++i) {
    const double y = w.values[i];
    if (i > 0 && y != first) constant = false;
    ++n;
    const double x = static_cast<double>(w.time_ms[i] - intercept_ms) / 1e3;
    KahanAdd(x, x_sum, x_c);
    KahanAdd(y, y_sum, y_c);
    KahanAdd(x * y, xy_sum, xy_c);
    KahanAdd(x * x, x2_sum, x2_c);
  }
  if (constant) {
    constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
    return std::isinf(first) ? Line{kNaN, kNaN} : Line{0, first};
  }
  x_sum += x_c;
  y_sum += y_c;
  xy_sum += xy_c;
  x2_sum += x2_c;
  const double covariance = xy_sum - x_sum * y_sum / n;
  const double variance = x2_sum - x_sum * x_sum / n;
  Line line;
  line.slope = covariance / variance;
  line.intercept = y_sum / n - line.slope * x_sum / n;
  return line;
}

// False if there are too few floats. Histograms are left out, and that is said where any float was
// there.
bool HasTwoFloats(const Window& w, RangeCall& call) {
  if (!w.values.empty() && !w.histograms.empty()) {
    call.annotations->HistogramIgnoredInMixedRange(call.metric_name(), call.pos);
  }
  return w.values.size() >= 2;
}

Status BadFactor(const char* which, const char* symbol, double value) {
  char text[120];
  std::snprintf(text, sizeof text, "invalid %s factor. Expected: 0 < %s < 1, got: %f", which,
                symbol, value);
  return FailedPrecondition(text);
}

}  // namespace

Cell Deriv(const Window& w, RangeCall& call) {
  if (!HasTwoFloats(w, call)) return {};
  // Times relative to a sample keep precision.
  return Cell::Float(FitLine(w, w.time_ms[0]).slope);
}

Cell PredictLinear(const Window& w, RangeCall& call) {
  if (!HasTwoFloats(w, call)) return {};
  const Line line = FitLine(w, w.eval_ms);
  return Cell::Float(line.slope * call.arguments[0] + line.intercept);
}

Cell DoubleExponentialSmoothing(const Window& w, RangeCall& call) {
  const double smoothing = call.arguments[0];
  const double trend_factor = call.arguments[1];
  if (smoothing <= 0 || smoothing >= 1) {
    call.error = BadFactor("smoothing", "sf", smoothing);
    return {};
  }
  if (trend_factor <= 0 || trend_factor >= 1) {
    call.error = BadFactor("trend", "tf", trend_factor);
    return {};
  }
  if (!HasTwoFloats(w, call)) return {};
  double before = 0;
  double smoothed = w.values[0];
  double trend = w.values[1] - w.values[0];
  for (size_t i = 1; i < w.values.size(); ++i) {
    const double x = smoothing * w.values[i];
    if (i > 1) trend = trend_factor * (smoothed - before) + (1 - trend_factor) * trend;
    const double y = (1 - smoothing) * (smoothed + trend);
    before = smoothed;
    smoothed = x + y;
  }
  return Cell::Float(smoothed);
}

}  // namespace basalt::query::exec
