// rate, increase and delta of anchored and smoothed selectors: values at the window's own ends,
// taken from the sample before (anchored) or interpolated between neighbours (smoothed), and no
// extrapolation.
#include <algorithm>
#include <optional>

#include "query/exec/functions/range.h"
#include "query/exec/histogram_ops.h"

namespace basalt::query::exec {
namespace {

using plan::FunctionId;
using plan::RangeMode;

bool IsCounterFunction(FunctionId f) {
  return f == FunctionId::kRate || f == FunctionId::kIncrease;
}

bool ReportOutcome(const HistogramOutcome& outcome, const char* operation, RangeCall& call) {
  if (outcome.incompatible) {
    call.annotations->MixedExponentialCustom(call.metric_name(), call.pos);
    return false;
  }
  if (outcome.bounds_reconciled) call.annotations->MismatchedCustomBuckets(operation, call.pos);
  return true;
}

// The samples that stand for the window's two ends: the last at or before its start (or the first
// after), and the last one (smoothed: the first at or after its end).
struct Ends {
  size_t first = 0;
  size_t last = 0;
};
template <typename TimeAt>
std::optional<Ends> FindEnds(size_t n, TimeAt&& time_at, const Window& w, bool smoothed) {
  Ends ends{0, n - 1};
  size_t after = 0;  // the first sample after the start, among all but the last
  while (after < n - 1 && time_at(after) <= w.range_start_ms) ++after;
  ends.first = after == 0 ? 0 : after - 1;
  if (smoothed) {
    size_t at_end = 0;
    while (at_end < n - 1 && time_at(at_end) < w.range_end_ms) ++at_end;
    ends.last = at_end;
  }
  if (time_at(ends.last) <= w.range_start_ms) return std::nullopt;
  if (smoothed && time_at(ends.first) > w.range_end_ms) return std::nullopt;
  return ends;
}

Cell ExtendedFloats(const Window& w, RangeCall& call) {
  const bool smoothed = call.mode == RangeMode::kSmoothed;
  const bool counter = IsCounterFunction(call.function);
  const auto t = [&](size_t i) { return w.time_ms[i]; };
  const auto ends = FindEnds(w.time_ms.size(), t, w, smoothed);
  if (!ends.has_value()) return {};
  const auto [first, last] = *ends;
  double left = w.values[first];
  if (smoothed && t(first) < w.range_start_ms) {
    left = Interpolate(t(first), w.values[first], t(first + 1), w.values[first + 1],
                       w.range_start_ms, counter);
  }
  double right = w.values[last];
  if (smoothed && last > 0 && t(last) > w.range_end_ms) {
    right = Interpolate(t(last - 1), w.values[last - 1], t(last), w.values[last], w.range_end_ms,
                        counter);
  }
  double result = right - left;
  if (counter) {
    // The ends have dealt with the resets next to them; only samples strictly inside are left.
    const size_t from = t(first) <= w.range_start_ms ? first + 1 : first;
    const size_t to = t(last) >= w.range_end_ms ? last : last + 1;
    double correction = 0;
    double previous = left;
    for (size_t i = from; i < to; ++i) {
      if (w.values[i] < previous) correction += previous;
      previous = w.values[i];
    }
    if (right < previous) correction += previous;
    result += correction;
  }
  if (call.function == FunctionId::kRate) result /= call.range_seconds();
  return Cell::Float(result);
}

// What resets between the two ends took away. False if the histograms do not mix.
bool ResetCorrection(const Window& w, RangeCall& call, Ends ends, const FloatHistogram& left,
                     const FloatHistogram& right, std::optional<FloatHistogram>& correction) {
  const auto& h = w.histograms;
  size_t from = ends.first + 1;
  const FloatHistogram* previous = &left;
  if (call.mode == RangeMode::kSmoothed && h[ends.first].time_ms < w.range_start_ms &&
      DetectReset(*h[ends.first + 1].histogram, *h[ends.first].histogram)) {
    // Interpolating the left end went across this reset and has dealt with it.
    previous = h[ends.first + 1].histogram.get();
    ++from;
  }
  if (from > ends.last) return true;
  const auto add = [&](const FloatHistogram& lost) {
    if (!correction.has_value()) {
      correction = lost;
      return true;
    }
    return ReportOutcome(Add(*correction, lost), "addition", call);
  };
  // The last sample is stood for by `right`, whose hint it shares.
  for (size_t i = from; i < ends.last; ++i) {
    if (DetectReset(*h[i].histogram, *previous) && !add(*previous)) return false;
    previous = h[i].histogram.get();
  }
  return !DetectReset(right, *previous) || add(*previous);
}

Cell ExtendedHistograms(const Window& w, RangeCall& call) {
  const bool smoothed = call.mode == RangeMode::kSmoothed;
  const bool counter = IsCounterFunction(call.function);
  const auto& h = w.histograms;
  const auto ends = FindEnds(h.size(), [&](size_t i) { return h[i].time_ms; }, w, smoothed);
  if (!ends.has_value()) return {};
  const auto [first, last] = *ends;
  for (size_t i = first; i <= last; ++i) {
    if (h[i].histogram->uses_custom_buckets() != h[first].histogram->uses_custom_buckets()) {
      call.annotations->MixedExponentialCustom(call.metric_name(), call.pos);
      return {};
    }
    if (counter && h[i].histogram->reset_hint == ResetHint::kGauge) {
      call.annotations->NotCounterHistogram(call.metric_name(), call.pos);
    }
  }
  FloatHistogram left = *h[first].histogram;
  if (smoothed && h[first].time_ms < w.range_start_ms &&
      !InterpolateHistograms(h[first], h[first + 1], w.range_start_ms, counter, call, left)) {
    return {};
  }
  FloatHistogram right = *h[last].histogram;
  if (smoothed && last > 0 && h[last].time_ms > w.range_end_ms &&
      !InterpolateHistograms(h[last - 1], h[last], w.range_end_ms, counter, call, right)) {
    return {};
  }
  if (!counter && (left.reset_hint != ResetHint::kGauge || right.reset_hint != ResetHint::kGauge)) {
    call.annotations->NotGaugeHistogram(call.metric_name(), call.pos);
  }
  FloatHistogram result = right;
  if (!ReportOutcome(Subtract(result, left), "subtraction", call)) return {};
  if (counter) {
    std::optional<FloatHistogram> correction;
    if (!ResetCorrection(w, call, *ends, left, right, correction)) return {};
    if (correction.has_value() && !ReportOutcome(Add(result, *correction), "addition", call))
      return {};
  }
  if (call.function == FunctionId::kRate) Divide(result, call.range_seconds());
  result.reset_hint = ResetHint::kGauge;
  Compact(result);
  return Cell::Histogram(std::move(result));
}

}  // namespace

double Interpolate(int64_t t1, double v1, int64_t t2, double v2, int64_t time_ms, bool counter) {
  if (counter && v2 < v1) v1 = 0;  // it restarted in between
  return v1 + (v2 - v1) * static_cast<double>(time_ms - t1) / static_cast<double>(t2 - t1);
}

bool InterpolateHistograms(const HistogramSample& a, const HistogramSample& b, int64_t time_ms,
                           bool counter, RangeCall& call, FloatHistogram& out) {
  if (time_ms == a.time_ms || time_ms == b.time_ms) {
    out = time_ms == a.time_ms ? *a.histogram : *b.histogram;
    return true;
  }
  const double fraction =
      static_cast<double>(time_ms - a.time_ms) / static_cast<double>(b.time_ms - a.time_ms);
  out = *b.histogram;
  if (counter && DetectReset(*b.histogram, *a.histogram)) {
    Multiply(out, fraction);
    return true;
  }
  if (!ReportOutcome(Subtract(out, *a.histogram), "subtraction", call)) return false;
  Multiply(out, fraction);
  return ReportOutcome(Add(out, *a.histogram), "addition", call);
}

Cell ExtendedRate(const Window& w, RangeCall& call) {
  return w.histograms.empty() ? ExtendedFloats(w, call) : ExtendedHistograms(w, call);
}

}  // namespace basalt::query::exec
