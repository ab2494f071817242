// rate, increase, delta: extrapolated to the window; irate, idelta: between the last two samples.
#include <algorithm>
#include <cmath>
#include <optional>

#include "query/exec/functions/range.h"
#include "query/exec/histogram_ops.h"

namespace basalt::query::exec {
namespace {

using plan::FunctionId;

double Seconds(int64_t ms) { return static_cast<double>(ms) / 1000; }

// last - first, plus what each reset took away, in the order of time.
double Increase(const Window& w, RangeCall& call, bool counter) {
  double result = w.values.back() - w.values.front();
  if (!counter) return result;
  const auto begin = static_cast<uint32_t>(w.first + 1);
  const auto end = static_cast<uint32_t>(w.first + w.values.size());
  const auto from = std::lower_bound(call.resets.begin(), call.resets.end(), begin);
  for (auto it = from; it != call.resets.end() && *it < end; ++it)
    result += w.values[*it - 1 - w.first];
  const auto overlap =
      std::lower_bound(call.start_overlaps.begin(), call.start_overlaps.end(), begin);
  if (overlap != call.start_overlaps.end() && *overlap < end) {
    call.annotations->StartTimeOverlap(call.metric_name(), call.pos);
  }
  return result;
}

// What a histogram operation says, as annotations. False if there is no result.
bool Report(const HistogramOutcome& outcome, const char* operation, RangeCall& call) {
  if (outcome.incompatible) {
    call.annotations->MixedExponentialCustom(call.metric_name(), call.pos);
    return false;
  }
  if (outcome.bounds_reconciled) call.annotations->MismatchedCustomBuckets(operation, call.pos);
  return true;
}

bool ResetBetween(const HistogramSample& a, const HistogramSample& b, bool starts) {
  return (starts && IsStartReset(a.start_ms, a.time_ms, b.start_ms, b.time_ms));
}

// The increase of a histogram over two or more samples; none if they do not mix.
std::optional<FloatHistogram> HistogramIncrease(std::span<const HistogramSample> points,
                                                bool counter, bool starts, RangeCall& call) {
  const FloatHistogram* previous = points.front().histogram.get();
  const FloatHistogram& last = *points.back().histogram;
  const auto mixed = [&]() -> std::optional<FloatHistogram> {
    call.annotations->MixedExponentialCustom(call.metric_name(), call.pos);
    return std::nullopt;
  };
  const auto is_gauge = [](const FloatHistogram& h) { return h.reset_hint == ResetHint::kGauge; };
  bool custom = previous->uses_custom_buckets();
  if (counter && (is_gauge(*previous) || is_gauge(last))) {
    call.annotations->NotCounterHistogram(call.metric_name(), call.pos);
  }
  // A first sample before a reset counts for nothing, its layout included.
  FloatHistogram nothing;
  if (counter) {
    const FloatHistogram& second = *points[1].histogram;
    if (ResetBetween(points[0], points[1], starts) || DetectReset(second, *previous)) {
      nothing.schema = second.schema;
      nothing.custom_values = second.custom_values;
      previous = &nothing;
      custom = second.uses_custom_buckets();
    }
  }
  if (last.uses_custom_buckets() != custom) return mixed();

  int32_t schema = std::min(last.schema, previous->schema);
  if (counter) {
    for (const HistogramSample& point : points.subspan(1, points.size() - 2)) {
      const FloatHistogram& h = *point.histogram;
      if (is_gauge(h)) call.annotations->NotCounterHistogram(call.metric_name(), call.pos);
      schema = std::min(schema, h.schema);
      if (h.uses_custom_buckets() != custom) return mixed();
    }
  }
  FloatHistogram result = WithSchema(last, schema);
  if (!Report(Subtract(result, *previous), "subtraction", call)) return std::nullopt;
  if (counter) {
    bool overlap = false;
    for (size_t i = 1; i < points.size(); ++i) {
      const HistogramSample& a = points[i - 1];
      const HistogramSample& b = points[i];
      if (starts && !overlap && b.start_ms != storage::kNoStartMs && b.start_ms < a.time_ms &&
          b.start_ms != a.start_ms) {
        call.annotations->StartTimeOverlap(call.metric_name(), call.pos);
        overlap = true;
      }
      if (ResetBetween(a, b, starts) || DetectReset(*b.histogram, *previous)) {
        if (!Report(Add(result, *previous), "addition", call)) return std::nullopt;
      }
      previous = b.histogram.get();
    }
  } else if (!is_gauge(*points.front().histogram) || !is_gauge(last)) {
    call.annotations->NotGaugeHistogram(call.metric_name(), call.pos);
  }
  result.reset_hint = ResetHint::kGauge;
  Compact(result);
  return result;
}

}  // namespace

Cell Rate(const Window& w, RangeCall& call) {
  if (!w.histograms.empty() && !w.time_ms.empty()) {
    call.annotations->MixedFloatsHistograms(call.metric_name(), call.pos);
    return {};
  }
  if (call.mode != plan::RangeMode::kPlain) return ExtendedRate(w, call);
  const bool counter = IsCounterFunction(call.function);
  const bool floats = w.histograms.empty();
  const size_t intervals = (floats ? w.time_ms.size() : w.histograms.size()) - 1;
  const int64_t first_ms = floats ? w.time_ms.front() : w.histograms.front().time_ms;
  const int64_t last_ms = floats ? w.time_ms.back() : w.histograms.back().time_ms;
  // 0: not known.
  int64_t first_start_ms = storage::kNoStartMs;
  if (counter && floats && !w.start_ms.empty()) first_start_ms = w.start_ms.front();
  if (counter && !floats && UsesStartTimestamps(call.function))
    first_start_ms = w.histograms.front().start_ms;
  // The series began inside the window: then there was a zero at that time, and nothing to
  // extrapolate on that side.
  const bool began_inside = first_start_ms != storage::kNoStartMs &&
                            first_start_ms > w.range_start_ms && first_start_ms < first_ms;
  if (intervals == 0 && !began_inside) return {};

  double value = 0;
  std::optional<FloatHistogram> histogram;
  if (floats) {
    value = Increase(w, call, counter);
  } else if (intervals > 0) {
    histogram = HistogramIncrease(w.histograms, counter, counter, call);
    if (!histogram.has_value()) return {};
  }

  double to_start = Seconds(first_ms - w.range_start_ms);
  double to_end = Seconds(w.range_end_ms - last_ms);
  double sampled = Seconds(last_ms - first_ms);
  const double average = intervals > 0 ? sampled / static_cast<double>(intervals) : 0;
  // Farther than this from a boundary, the series is taken to begin or end half an interval outside
  // its samples.
  const double threshold = average * 1.1;
  if (began_inside) {
    to_start = 0;
    sampled = Seconds(last_ms - first_start_ms);
    if (floats) {
      value += w.values.front();
    } else if (!histogram.has_value()) {
      histogram = *w.histograms.front().histogram;
    } else if (!Report(Add(*histogram, *w.histograms.front().histogram), "addition", call)) {
      return {};
    }
  } else {
    if (to_start >= threshold) to_start = average / 2;
    if (counter) {
      // A counter is never negative: do not extrapolate to before its zero.
      double to_zero = to_start;
      if (floats && value > 0 && w.values.front() >= 0) {
        to_zero = sampled * (w.values.front() / value);
      } else if (histogram.has_value() && histogram->count > 0 &&
                 w.histograms.front().histogram->count >= 0) {
        to_zero = sampled * (w.histograms.front().histogram->count / histogram->count);
      }
      if (to_zero < to_start) to_start = to_zero;
    }
  }
  if (to_end >= threshold) to_end = average / 2;

  double factor = 1;
  if (sampled != 0) factor = (sampled + to_start + to_end) / sampled;
  if (call.function == FunctionId::kRate) factor /= call.range_seconds();
  if (!histogram.has_value()) return Cell::Float(value * factor);
  Multiply(*histogram, factor);
  return Cell::Histogram(std::move(*histogram));
}

Cell InstantRate(const Window& w, RangeCall& call) {
  struct Point {
    int64_t time_ms;
    int64_t start_ms;
    double value;
    const FloatHistogram* histogram;
  };
  // The last two samples of either kind.
  const size_t floats = w.time_ms.size();
  const size_t histograms = w.histograms.size();
  if (floats + histograms < 2) return {};
  Point points[4];
  size_t n = 0;
  const bool starts = UsesStartTimestamps(call.function);
  for (size_t i = floats < 2 ? 0 : floats - 2; i < floats; ++i) {
    points[n++] = {w.time_ms[i],
                   starts && !w.start_ms.empty() ? w.start_ms[i] : storage::kNoStartMs, w.values[i],
                   nullptr};
  }
  for (size_t i = histograms < 2 ? 0 : histograms - 2; i < histograms; ++i) {
    const HistogramSample& h = w.histograms[i];
    points[n++] = {h.time_ms, starts ? h.start_ms : storage::kNoStartMs, 0, h.histogram.get()};
  }
  std::stable_sort(points, points + n,
                   [](const Point& a, const Point& b) { return a.time_ms < b.time_ms; });
  const Point& a = points[n - 2];
  const Point& b = points[n - 1];
  const int64_t interval_ms = b.time_ms - a.time_ms;
  if (interval_ms == 0) return {};
  const bool rate = call.function == FunctionId::kIrate;
  const bool start_reset = IsStartReset(a.start_ms, a.time_ms, b.start_ms, b.time_ms);

  if (a.histogram == nullptr && b.histogram == nullptr) {
    const bool reset = rate && (b.value < a.value || start_reset);
    const double difference = reset ? b.value : b.value - a.value;
    return Cell::Float(rate ? difference / Seconds(interval_ms) : difference);
  }
  if (a.histogram == nullptr || b.histogram == nullptr) {
    call.annotations->MixedFloatsHistograms(call.metric_name(), call.pos);
    return {};
  }
  const bool gauge_a = a.histogram->reset_hint == ResetHint::kGauge;
  const bool gauge_b = b.histogram->reset_hint == ResetHint::kGauge;
  if (rate && (gauge_a || gauge_b))
    call.annotations->NotCounterHistogram(call.metric_name(), call.pos);
  if (!rate && (!gauge_a || !gauge_b))
    call.annotations->NotGaugeHistogram(call.metric_name(), call.pos);
  FloatHistogram result = *b.histogram;
  if (!rate || (!start_reset && !DetectReset(*b.histogram, *a.histogram))) {
    if (!Report(Subtract(result, *a.histogram), "subtraction", call)) return {};
  }
  result.reset_hint = ResetHint::kGauge;
  Compact(result);
  if (rate) Divide(result, Seconds(interval_ms));
  return Cell::Histogram(std::move(result));
}

}  // namespace basalt::query::exec
