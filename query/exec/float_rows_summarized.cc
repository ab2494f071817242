// Rows of floats where some or all of the samples came as summaries of stored rows.
#include <algorithm>
#include <cmath>

#include "engine/base/stale.h"
#include "query/exec/float_rows.h"
#include "query/exec/functions/range.h"

namespace basalt::query::exec {

using plan::FunctionId;

// The one sample that a selector sees at its one time; it is inside the lookback, since it was
// read.
bool FloatRowEvaluator::ShowLatest(const storage::RowSummary& latest, FloatRow& row) {
  const size_t steps = input_->grid.size();
  samples_ += steps;
  out_.assign(steps, latest.last);
  kinds_.assign(steps, CellKind::kFloat);
  row = {0, true, kinds_, out_};
  return true;
}

// Samples and summaries in the order of time, as if all of it were samples.
bool FloatRowEvaluator::EvaluateSummarized(const storage::SeriesColumns& c, ColumnLook& look,
                                           FloatRow& row) {
  const FunctionId f = plan_->function;
  const bool maximum = f == FunctionId::kMaxOverTime;
  uint64_t count = 0;
  double first = 0;
  double last = 0;
  double extreme = 0;
  int64_t first_ms = 0;
  int64_t last_ms = 0;
  scratch_.clear();  // what each reset took away
  const auto see = [&](double v, int64_t time_ms) {
    if (count == 0) first = v, first_ms = time_ms;
    if (count > 0 && v < last) scratch_.push_back(last);
    last = v;
    last_ms = time_ms;
  };
  const auto see_extreme = [&](double v) {
    const bool better = maximum ? v > extreme : v < extreme;
    if (count == 0 || better || std::isnan(extreme)) extreme = v;
  };
  const int64_t end_ms =
      (plan_->selector.at_ms.has_value() ? *plan_->selector.at_ms : input_->grid.at(0)) -
      plan_->selector.offset_ms;
  // What was read for a longer window is not in this one. Rows lie on one side of its beginning
  // (storage::ReadOptions::cuts).
  const int64_t start_ms = end_ms - plan_->range_ms;
  const bool counter = IsCounterFunction(f);
  const bool rises = counter && look.Rises();
  const bool extremes = maximum || f == FunctionId::kMinOverTime;
  size_t at = static_cast<size_t>(std::upper_bound(c.time_ms.begin(), c.time_ms.end(), start_ms) -
                                  c.time_ms.begin());
  const auto samples_until = [&](size_t end) {
    if (at >= end) return;
    const std::span<const double> values = c.values.subspan(at, end - at);
    if (extremes || (!rises && !look.NoNan() && AnyStale(values))) {
      for (; at < end; ++at) {
        const double v = c.values[at];
        if (IsStaleMarker(v)) continue;
        see(v, c.time_ms[at]);
        see_extreme(v);
        ++count;
      }
      return;
    }
    // Nothing but the ends and what falls in between.
    see(values.front(), c.time_ms[at]);
    if (counter && !rises) {
      FindResets(values, 0, values.size(), resets_);
      for (const uint32_t reset : resets_) scratch_.push_back(values[reset - 1]);
    }
    last = values.back();
    last_ms = c.time_ms[end - 1];
    count += values.size();
    at = end;
  };
  for (const storage::SummarizedRow& summarized : c.rows) {
    samples_until(summarized.before);
    const storage::RowSummary& s = summarized.summary;
    if (s.first_ms <= start_ms) continue;
    see(s.first, s.first_ms);
    see_extreme(maximum ? s.max : s.min);
    scratch_.insert(scratch_.end(), s.before_reset.begin(), s.before_reset.begin() + s.resets);
    last = s.last;
    last_ms = s.last_ms;
    count += s.count;
  }
  samples_until(c.values.size());

  const size_t steps = input_->grid.size();
  samples_ += count * steps;
  largest_ = std::max(largest_, count);
  if (count < finder_.spec().min_samples) return true;
  double value = 0;
  switch (f) {
    case FunctionId::kMaxOverTime:
    case FunctionId::kMinOverTime:
      value = extreme;
      break;
    case FunctionId::kCountOverTime:
      value = static_cast<double>(count);
      break;
    case FunctionId::kPresentOverTime:
      value = 1;
      break;
    case FunctionId::kFirstOverTime:
      value = first;
      break;
    case FunctionId::kLastOverTime:
      value = last;
      break;
    default: {
      value = last - first;
      if (counter) {
        for (const double before : scratch_) value += before;
      }
      const Extrapolation e = ExtrapolateRate(first_ms, last_ms, count, start_ms, end_ms);
      double to_start = e.to_start;
      if (counter && value > 0 && first >= 0) {
        const double to_zero = e.sampled * (first / value);
        if (to_zero < to_start) to_start = to_zero;
      }
      double factor = (e.sampled + to_start + e.to_end) / e.sampled;
      if (f == FunctionId::kRate) factor /= static_cast<double>(plan_->range_ms) / 1000;
      value *= factor;
    }
  }
  out_.assign(steps, value);
  kinds_.assign(steps, CellKind::kFloat);
  row = {0, true, kinds_, out_};
  return true;
}

}  // namespace basalt::query::exec
