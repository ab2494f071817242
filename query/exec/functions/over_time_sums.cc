// sum, avg, stddev and stdvar over time: in the order of time, with Kahan's correction.
#include <cmath>
#include <optional>

#include "engine/base/kahan.h"
#include "query/exec/functions/range.h"
#include "query/exec/histogram_ops.h"

namespace basalt::query::exec {
namespace {

using plan::FunctionId;

// Floats and histograms in one window have no sum.
bool RejectMixed(const Window& w, RangeCall& call) {
  if (w.values.empty() || w.histograms.empty()) return false;
  call.annotations->MixedFloatsHistograms(call.metric_name(), call.pos);
  return true;
}

// Collects what the additions of one window have to say, and says it once.
class SumNotes {
 public:
  explicit SumNotes(RangeCall& call) : call_(call) {}

  void See(const FloatHistogram& h) {
    reset_ = reset_ || h.reset_hint == ResetHint::kYes;
    no_reset_ = no_reset_ || h.reset_hint == ResetHint::kNo;
  }
  // False if the histograms do not mix; that is then all there is to say.
  bool Ok(const HistogramOutcome& outcome) {
    reconciled_ = reconciled_ || outcome.bounds_reconciled;
    if (!outcome.incompatible) return true;
    call_.annotations->MixedExponentialCustom(call_.metric_name(), call_.pos);
    return false;
  }
  void Say() {
    if (reset_ && no_reset_) call_.annotations->CounterResetCollision("aggregation", call_.pos);
    if (reconciled_) call_.annotations->MismatchedCustomBuckets("aggregation", call_.pos);
  }

 private:
  RangeCall& call_;
  bool reset_ = false;
  bool no_reset_ = false;
  bool reconciled_ = false;
};

Cell SumHistograms(std::span<const HistogramSample> points, RangeCall& call) {
  SumNotes notes(call);
  FloatHistogram sum = *points.front().histogram;
  notes.See(sum);
  std::optional<FloatHistogram> correction;
  for (const HistogramSample& point : points.subspan(1)) {
    notes.See(*point.histogram);
    if (!notes.Ok(KahanAdd(sum, *point.histogram, correction))) return {};
  }
  if (correction.has_value() && !notes.Ok(Add(sum, *correction))) return {};
  notes.Say();
  return Cell::Histogram(std::move(sum));
}

Cell AverageHistograms(std::span<const HistogramSample> points, RangeCall& call) {
  SumNotes notes(call);
  FloatHistogram sum = *points.front().histogram;  // or, once that would overflow, the mean so far
  notes.See(sum);
  std::optional<FloatHistogram> correction;
  bool incremental = false;
  double count = 1;
  for (const HistogramSample& point : points.subspan(1)) {
    const FloatHistogram& h = *point.histogram;
    notes.See(h);
    ++count;
    if (!incremental) {
      FloatHistogram next = sum;
      std::optional<FloatHistogram> next_correction = correction;
      if (!notes.Ok(KahanAdd(next, h, next_correction))) return {};
      if (!HasOverflow(next)) {
        sum = std::move(next);
        correction = std::move(next_correction);
        continue;
      }
      incremental = true;
      Divide(sum, count - 1);
      if (correction.has_value()) Divide(*correction, count - 1);
    }
    const double q = (count - 1) / count;
    if (correction.has_value()) Multiply(*correction, q);
    Multiply(sum, q);
    FloatHistogram share = h;
    Divide(share, count);
    if (!notes.Ok(KahanAdd(sum, share, correction))) return {};
  }
  if (!incremental) {
    Divide(sum, count);
    if (correction.has_value()) Divide(*correction, count);
  }
  if (correction.has_value() && !notes.Ok(Add(sum, *correction))) return {};
  notes.Say();
  return Cell::Histogram(std::move(sum));
}

}  // namespace

double AverageFloats(std::span<const double> values) {
  double sum = values[0];  // or, once that would overflow, the mean so far
  double correction = 0;
  bool incremental = false;
  double count = 1;
  for (const double v : values.subspan(1)) {
    ++count;
    if (!incremental) {
      double next = sum;
      double next_correction = correction;
      KahanAdd(v, next, next_correction);
      if (!std::isinf(next)) {
        sum = next;
        correction = next_correction;
        continue;
      }
      incremental = true;
      sum /= count - 1;
      correction /= count - 1;
    }
    const double q = (count - 1) / count;
    sum *= q;
    correction *= q;
    KahanAdd(v / count, sum, correction);
  }
  return incremental ? sum + correction : sum / count + correction / count;
}

Cell SumOverTime(const Window& w, RangeCall& call) {
  if (RejectMixed(w, call)) return {};
  if (w.values.empty()) return SumHistograms(w.histograms, call);
  double sum = 0;
  double correction = 0;
  for (const double v : w.values) KahanAdd(v, sum, correction);
  return Cell::Float(std::isinf(sum) ? sum : sum + correction);
}

Cell AvgOverTime(const Window& w, RangeCall& call) {
  if (RejectMixed(w, call)) return {};
  if (w.values.empty()) return AverageHistograms(w.histograms, call);
  return Cell::Float(AverageFloats(w.values));
}

Cell VarianceOverTime(const Window& w, RangeCall& call) {
  if (w.values.empty()) return {};
  if (!w.histograms.empty())
    call.annotations->HistogramIgnoredInMixedRange(call.metric_name(), call.pos);
  // Welford's method, both of its sums corrected.
  double count = 0;
  double mean = 0;
  double mean_correction = 0;
  double squares = 0;
  double squares_correction = 0;
  for (const double v : w.values) {
    ++count;
    const double delta = v - (mean + mean_correction);
    KahanAdd(delta / count, mean, mean_correction);
    KahanAdd(delta * (v - (mean + mean_correction)), squares, squares_correction);
  }
  const double variance = (squares + squares_correction) / count;
  return Cell::Float(call.function == FunctionId::kStddevOverTime ? std::sqrt(variance) : variance);
}

}  // namespace basalt::query::exec
