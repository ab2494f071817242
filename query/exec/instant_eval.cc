#include "query/exec/instant_eval.h"

#include <algorithm>

#include "engine/base/stale.h"
#include "query/exec/histogram_ops.h"
#include "query/exec/range_eval.h"

namespace basalt::query::exec {
namespace {

using plan::FunctionId;

double Seconds(int64_t ms) { return static_cast<double>(ms) / 1000; }

// The sample that stands for a step, by its place in the columns.
struct Found {
  bool histogram = false;
  size_t index = 0;
};

std::optional<Cell> Describe(const InstantSpec& spec, const storage::SeriesColumns& c,
                             Found found) {
  const bool h = found.histogram;
  const size_t i = found.index;
  if (h ? IsStaleMarker(c.histograms[i].histogram.sum) : IsStaleMarker(c.values[i]))
    return std::nullopt;
  switch (spec.function) {
    case FunctionId::kTimestamp:
      return Cell::Float(Seconds(h ? c.histograms[i].time_ms : c.time_ms[i]));
    case FunctionId::kStartTimestamp: {
      const int64_t start = h                    ? c.histograms[i].start_ms
                            : c.start_ms.empty() ? storage::kNoStartMs
                                                 : c.start_ms[i];
      return Cell::Float(Seconds(start));
    }
    default:
      break;
  }
  if (!h) return Cell::Float(c.values[i]);
  if (spec.replaced == nullptr) return Cell::Histogram(ReadHistogram(c.histograms[i].histogram));
  const auto& list = spec.replaced->histograms;
  const auto it = std::partition_point(
      list.begin(), list.end(),
      [&](const HistogramSample& sample) { return sample.time_ms < c.histograms[i].time_ms; });
  return Cell::Histogram(it->histogram);
}

}  // namespace

void EvaluateInstant(const InstantSpec& spec, const storage::SeriesColumns& c,
                     const RowLabels& labels, bool drop_name, uint32_t partition, Matrix& out) {
  out.Begin(labels, drop_name, partition);
  const plan::Grid& grid = out.grid();
  const size_t steps = grid.size();
  size_t floats = 0;  // how many lie at or before the step
  size_t histograms = 0;
  std::optional<Found> previous;
  std::optional<Cell> cell;
  for (size_t step = 0; step < steps; ++step) {
    const int64_t ref = (spec.at_ms.has_value() ? *spec.at_ms : grid.at(step)) - spec.offset_ms;
    if (step == 0) {
      floats = static_cast<size_t>(std::upper_bound(c.time_ms.begin(), c.time_ms.end(), ref) -
                                   c.time_ms.begin());
    }
    while (floats < c.time_ms.size() && c.time_ms[floats] <= ref) ++floats;
    while (histograms < c.histograms.size() && c.histograms[histograms].time_ms <= ref)
      ++histograms;
    constexpr int64_t kNever = INT64_MIN;
    const int64_t float_ms = floats > 0 ? c.time_ms[floats - 1] : kNever;
    const int64_t histogram_ms = histograms > 0 ? c.histograms[histograms - 1].time_ms : kNever;
    const int64_t last_ms = std::max(float_ms, histogram_ms);
    if (last_ms == kNever || last_ms <= ref - spec.lookback_ms) continue;
    const Found found =
        float_ms == last_ms ? Found{false, floats - 1} : Found{true, histograms - 1};
    if (!found.histogram && spec.function == FunctionId::kCount) {
      // The common case, without a Cell.
      const double v = c.values[found.index];
      if (!IsStaleMarker(v)) out.Append(step, v);
      continue;
    }
    if (!previous.has_value() || previous->histogram != found.histogram ||
        previous->index != found.index) {
      previous = found;
      cell = Describe(spec, c, found);  // steps that see the same histogram share it
    }
    if (cell.has_value()) out.Append(step, *cell);
  }
  out.End();
}

void EvaluateSmoothed(const InstantSpec& spec, const Samples& s, const RowLabels& labels,
                      uint32_t partition, plan::PosRange pos, Annotations& annotations,
                      Matrix& out) {
  out.Begin(labels, false, partition);
  RangeCall call;
  call.labels = &labels;
  call.annotations = &annotations;
  call.pos = pos;
  const plan::Grid& grid = out.grid();
  for (size_t step = 0; step < grid.size(); ++step) {
    const int64_t ref = (spec.at_ms.has_value() ? *spec.at_ms : grid.at(step)) - spec.offset_ms;
    // In (ref - lookback, ref + lookback].
    const auto from = std::upper_bound(s.time_ms.begin(), s.time_ms.end(), ref - spec.lookback_ms);
    const auto to = std::upper_bound(from, s.time_ms.end(), ref + spec.lookback_ms);
    const auto h_from = std::partition_point(
        s.histograms.begin(), s.histograms.end(),
        [&](const HistogramSample& h) { return h.time_ms <= ref - spec.lookback_ms; });
    const auto h_to = std::partition_point(
        h_from, s.histograms.end(),
        [&](const HistogramSample& h) { return h.time_ms <= ref + spec.lookback_ms; });
    if (from != to && h_from != h_to) {
      annotations.MixedFloatsHistograms(labels.metric_name(), pos);
      continue;
    }
    if (from != to) {
      const auto next = std::lower_bound(from, to, ref);
      const auto i = static_cast<size_t>(next - s.time_ms.begin());
      if (next != to && *next == ref) {
        out.Append(step, s.values[i]);
      } else if (next != from && next != to) {
        out.Append(step, Interpolate(s.time_ms[i - 1], s.values[i - 1], s.time_ms[i], s.values[i],
                                     ref, false));
      } else if (next != from) {
        out.Append(step, s.values[i - 1]);
      }
      continue;
    }
    if (h_from == h_to) continue;
    const auto next = std::partition_point(
        h_from, h_to, [&](const HistogramSample& h) { return h.time_ms < ref; });
    if (next != h_to && next->time_ms == ref) {
      out.Append(step, next->histogram);
    } else if (next != h_from && next != h_to) {
      const HistogramSample& a = *(next - 1);
      if (a.histogram->uses_custom_buckets() != next->histogram->uses_custom_buckets()) {
        annotations.MixedExponentialCustom(labels.metric_name(), pos);
        continue;
      }
      const bool gauge = a.histogram->reset_hint == ResetHint::kGauge &&
                         next->histogram->reset_hint == ResetHint::kGauge;
      FloatHistogram h;
      if (InterpolateHistograms(a, *next, ref, !gauge, call, h)) {
        out.Append(step, std::make_shared<const FloatHistogram>(std::move(h)));
      }
    } else if (next != h_from) {
      // Carried forward; the hint spoke of two neighbours and says nothing about this time.
      FloatHistogram h = *(next - 1)->histogram;
      h.reset_hint = ResetHint::kUnknown;
      out.Append(step, std::make_shared<const FloatHistogram>(std::move(h)));
    }
  }
  out.End();
}

}  // namespace basalt::query::exec
