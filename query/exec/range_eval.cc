#include "query/exec/range_eval.h"

#include <algorithm>
#include <utility>

#include "engine/base/stale.h"
#include "query/exec/histogram_ops.h"

namespace basalt::query::exec {
namespace {

// Samples between two looks at the cancel token: well under a millisecond of work.
constexpr uint64_t kWorkBetweenChecks = 1 << 16;

bool HasAnySuffix(std::string_view name) {
  for (const std::string_view suffix : {"_total", "_sum", "_count", "_bucket"}) {
    if (name.size() >= suffix.size() && name.substr(name.size() - suffix.size()) == suffix)
      return true;
  }
  return false;
}

// Times at the ends of what an int64_t holds stay there.
int64_t Earlier(int64_t ms, int64_t by) {
  int64_t out = 0;
  if (!__builtin_sub_overflow(ms, by, &out)) return out;
  return by > 0 ? INT64_MIN : INT64_MAX;
}

}  // namespace

void NoteNonCounter(std::string_view name, plan::PosRange pos, Annotations& annotations) {
  if (!name.empty() && !HasAnySuffix(name)) annotations.PossibleNonCounter(name, pos);
}

storage::TimeRange TimesNeeded(const plan::Grid& grid, int64_t range_ms, int64_t offset_ms,
                               std::optional<int64_t> at_ms, plan::RangeMode mode,
                               int64_t lookback_ms) {
  int64_t from = Earlier(Earlier(at_ms.value_or(grid.start_ms), offset_ms), range_ms);
  int64_t to = Earlier(at_ms.value_or(grid.last_ms()), offset_ms);
  if (range_ms == 0 || mode != plan::RangeMode::kPlain) from = Earlier(from, lookback_ms);
  if (mode == plan::RangeMode::kSmoothed) to = Earlier(to, -lookback_ms);
  // Windows are open on the left.
  return {Earlier(from, -1), to};
}

FloatHistogram ReadHistogram(const NativeHistogram& histogram) {
  FloatHistogram out = ToFloatHistogram(histogram);
  // A hint of "reset" or "no reset" speaks of the sample that was sent before, which may not be the
  // one that is stored before. Like upstream's storage, trust only what makes it a gauge.
  if (out.reset_hint != ResetHint::kGauge) out.reset_hint = ResetHint::kUnknown;
  return out;
}

void SampleFilter::KeepStats(const StatsReach& reach) {
  HistogramPtr previous;
  int64_t previous_ms = 0;
  for (HistogramSample& sample : histograms_) {
    const FloatHistogram& full = *sample.histogram;
    FloatHistogram stats;
    stats.reset_hint = full.reset_hint;
    stats.schema = full.schema;
    stats.count = full.count;
    stats.sum = full.sum;
    // Nothing fell: that holds whoever reads. A reset is only known to a reader that comes from the
    // sample before, and where windows leave gaps it comes from the window's own first sample.
    if (stats.reset_hint == ResetHint::kUnknown && previous != nullptr) {
      bool met = previous_ms > reach.first_ms - reach.reach_ms;
      if (met && !reach.one_window && reach.step_ms > reach.reach_ms) {
        const int64_t past = std::max<int64_t>(0, sample.time_ms - reach.first_ms);
        const int64_t end_ms =
            reach.first_ms + (past + reach.step_ms - 1) / reach.step_ms * reach.step_ms;
        met = previous_ms >= end_ms - reach.reach_ms;
      }
      if (!DetectReset(full, *previous)) {
        stats.reset_hint = ResetHint::kNo;
      } else if (met) {
        stats.reset_hint = ResetHint::kYes;
      }
    }
    previous = std::move(sample.histogram);
    previous_ms = sample.time_ms;
    sample.histogram = std::make_shared<const FloatHistogram>(std::move(stats));
  }
}

Samples SampleFilter::Filter(const storage::SeriesColumns& c, bool with_start_times,
                             const std::optional<StatsReach>& stats) {
  Samples out{c.time_ms, c.values, with_start_times ? c.start_ms : std::span<const int64_t>(), {}};
  const auto first_stale = std::find_if(c.values.begin(), c.values.end(), IsStaleMarker);
  if (first_stale != c.values.end()) {
    time_ms_.clear();
    values_.clear();
    start_ms_.clear();
    for (size_t i = 0; i < c.values.size(); ++i) {
      if (IsStaleMarker(c.values[i])) continue;
      time_ms_.push_back(c.time_ms[i]);
      values_.push_back(c.values[i]);
      if (!out.start_ms.empty()) start_ms_.push_back(c.start_ms[i]);
    }
    out = {time_ms_, values_, start_ms_, {}};
  }
  histograms_.clear();
  for (const storage::HistogramPoint& point : c.histograms) {
    if (IsStaleMarker(point.histogram.sum)) continue;
    histograms_.push_back({point.time_ms, with_start_times ? point.start_ms : storage::kNoStartMs,
                           std::make_shared<const FloatHistogram>(ReadHistogram(point.histogram))});
  }
  if (stats.has_value()) KeepStats(*stats);
  out.histograms = histograms_;
  return out;
}

RangeEvaluator::RangeEvaluator(QueryContext& context, const RangeSpec& spec, const plan::Grid& grid,
                               Annotations& annotations)
    : context_(context), spec_(spec), grid_(grid), kernel_(FindRangeKernel(spec.function)) {
  BASALT_CHECK(kernel_ != nullptr, "the planner made a range call of a function that is none");
  call_.function = spec.function;
  call_.mode = spec.mode;
  call_.range_ms = spec.range_ms;
  call_.pos = spec.pos;
  call_.annotations = &annotations;
  call_.arguments.resize(spec.arguments->size());
}

Status RangeEvaluator::Evaluate(const Samples& s, const RowLabels& labels, bool drop_name,
                                uint32_t partition, Matrix& out) {
  call_.labels = &labels;
  PrepareSeries(s, call_);
  const int64_t before_ms = spec_.mode == plan::RangeMode::kPlain ? 0 : spec_.lookback_ms;
  const int64_t after_ms = spec_.mode == plan::RangeMode::kSmoothed ? spec_.lookback_ms : 0;
  size_t float_from = 0, float_to = 0, histogram_from = 0, histogram_to = 0;
  uint64_t largest = 0;
  uint64_t counted = 0;
  bool any_float = false;
  Window w;
  out.Begin(labels, drop_name, partition);
  const size_t steps = grid_.size();
  for (size_t step = 0; step < steps; ++step) {
    w.eval_ms = grid_.at(step);
    if (step == 0 || !spec_.at_ms.has_value()) {
      w.range_end_ms = (spec_.at_ms.has_value() ? *spec_.at_ms : w.eval_ms) - spec_.offset_ms;
      w.range_start_ms = w.range_end_ms - spec_.range_ms;
      const int64_t from_ms = w.range_start_ms - before_ms;  // exclusive
      const int64_t to_ms = w.range_end_ms + after_ms;       // inclusive
      while (float_to < s.time_ms.size() && s.time_ms[float_to] <= to_ms) ++float_to;
      while (float_from < float_to && s.time_ms[float_from] <= from_ms) ++float_from;
      while (histogram_to < s.histograms.size() && s.histograms[histogram_to].time_ms <= to_ms)
        ++histogram_to;
      while (histogram_from < histogram_to && s.histograms[histogram_from].time_ms <= from_ms)
        ++histogram_from;
    }
    const size_t floats = float_to - float_from;
    const size_t histograms = histogram_to - histogram_from;
    if (floats + histograms == 0) continue;
    w.first = float_from;
    w.time_ms = s.time_ms.subspan(float_from, floats);
    w.values = s.values.subspan(float_from, floats);
    if (!s.start_ms.empty()) w.start_ms = s.start_ms.subspan(float_from, floats);
    w.histograms = s.histograms.subspan(histogram_from, histograms);
    for (size_t i = 0; i < call_.arguments.size(); ++i)
      call_.arguments[i] = (*spec_.arguments)[i][step];

    uint64_t weight = floats;
    for (const HistogramSample& h : w.histograms) weight += HistogramWeight(*h.histogram);
    largest = std::max(largest, weight);
    counted += weight;
    work_ += floats + histograms;
    if (work_ >= kWorkBetweenChecks) {
      work_ = 0;
      BASALT_TRY(context_.CheckRunning());
    }
    Cell cell = kernel_(w, call_);
    if (!call_.error.ok()) return call_.error;
    any_float = any_float || cell.kind == CellKind::kFloat;
    out.Append(step, std::move(cell));
  }
  context_.counters().samples.fetch_add(counted, std::memory_order_relaxed);
  // As upstream counts them, one window of one series is in memory at a time.
  BASALT_TRY(context_.Hold(largest));
  context_.Release(largest);
  if (any_float && IsCounterFunction(spec_.function))
    NoteNonCounter(labels.metric_name(), spec_.pos, *call_.annotations);
  out.End();
  return OkStatus();
}

}  // namespace basalt::query::exec
