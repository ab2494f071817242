// *_over_time without sums: extremes, ends, counts, quantiles.
#include <algorithm>
#include <cmath>
#include <limits>

#include "query/exec/functions/range.h"
#include "query/exec/quantile.h"

namespace basalt::query::exec {
namespace {

using plan::FunctionId;

double Seconds(int64_t ms) { return static_cast<double>(ms) / 1000; }

// Functions of floats say so when they leave histograms out.
void NoteIgnoredHistograms(const Window& w, RangeCall& call) {
  if (!w.histograms.empty())
    call.annotations->HistogramIgnoredInMixedRange(call.metric_name(), call.pos);
}

// The index of the extreme: the first NaN is replaced by whatever comes after it.
template <typename Better>
size_t FindExtreme(std::span<const double> values, Better&& better) {
  size_t best = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (better(values[i], values[best]) || std::isnan(values[best])) best = i;
  }
  return best;
}

}  // namespace

Cell ExtremeOverTime(const Window& w, RangeCall& call) {
  if (w.values.empty()) return {};
  NoteIgnoredHistograms(w, call);
  switch (call.function) {
    case FunctionId::kMaxOverTime:
      return Cell::Float(w.values[FindExtreme(w.values, std::greater<>())]);
    case FunctionId::kMinOverTime:
      return Cell::Float(w.values[FindExtreme(w.values, std::less<>())]);
    // Of equal extremes, the last one's time.
    case FunctionId::kTsOfMaxOverTime:
      return Cell::Float(Seconds(w.time_ms[FindExtreme(w.values, std::greater_equal<>())]));
    default:
      return Cell::Float(Seconds(w.time_ms[FindExtreme(w.values, std::less_equal<>())]));
  }
}

Cell EndOverTime(const Window& w, RangeCall& call) {
  const bool has_float = !w.time_ms.empty();
  const bool has_histogram = !w.histograms.empty();
  constexpr int64_t kLate = std::numeric_limits<int64_t>::max();
  switch (call.function) {
    case FunctionId::kFirstOverTime: {
      const int64_t h = has_histogram ? w.histograms.front().time_ms : kLate;
      if (has_float && w.time_ms.front() < h) return Cell::Float(w.values.front());
      return Cell::Histogram(w.histograms.front().histogram);
    }
    case FunctionId::kLastOverTime: {
      if (has_float && (!has_histogram || w.histograms.back().time_ms < w.time_ms.back())) {
        return Cell::Float(w.values.back());
      }
      return Cell::Histogram(w.histograms.back().histogram);
    }
    case FunctionId::kTsOfFirstOverTime:
      return Cell::Float(Seconds(std::min(has_float ? w.time_ms.front() : kLate,
                                          has_histogram ? w.histograms.front().time_ms : kLate)));
    default:
      return Cell::Float(Seconds(std::max<int64_t>(
          has_float ? w.time_ms.back() : 0, has_histogram ? w.histograms.back().time_ms : 0)));
  }
}

Cell CountOverTime(const Window& w, RangeCall&) {
  return Cell::Float(static_cast<double>(w.time_ms.size() + w.histograms.size()));
}

Cell PresentOverTime(const Window&, RangeCall&) { return Cell::Float(1); }

Cell QuantileOverTime(const Window& w, RangeCall& call) {
  if (w.values.empty()) return {};
  const double q = call.arguments[0];
  if (std::isnan(q) || q < 0 || q > 1) call.annotations->InvalidQuantile(q, call.pos);
  NoteIgnoredHistograms(w, call);
  call.scratch.assign(w.values.begin(), w.values.end());
  return Cell::Float(Quantile(q, call.scratch));
}

Cell MadOverTime(const Window& w, RangeCall& call) {
  if (w.values.empty()) return {};
  NoteIgnoredHistograms(w, call);
  constexpr double kHalf = 0.5;
  // A NaN makes the median, and so the deviation from it, undefined.
  if (std::any_of(w.values.begin(), w.values.end(), [](double v) { return std::isnan(v); })) {
    return Cell::Float(std::numeric_limits<double>::quiet_NaN());
  }
  call.scratch.assign(w.values.begin(), w.values.end());
  const double median = Quantile(kHalf, call.scratch);
  for (double& v : call.scratch) v = std::fabs(v - median);
  return Cell::Float(Quantile(kHalf, call.scratch));
}

}  // namespace basalt::query::exec
