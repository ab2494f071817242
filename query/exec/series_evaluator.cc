#include "query/exec/series_evaluator.h"

#include <algorithm>

#include "query/exec/fragment_read.h"

namespace basalt::query::exec {

using plan::FunctionId;

SeriesEvaluator::SeriesEvaluator(QueryContext& context, const plan::FragmentPlan& plan,
                                 const plan::FragmentInput& input, Annotations& annotations)
    : context_(context),
      plan_(plan),
      input_(input),
      annotations_(annotations),
      fast_(context.options().fuse ? FloatRowEvaluator::Make(context, plan, input) : std::nullopt) {
  const plan::SelectorPlan& s = plan.selector;
  looks_at_names_ = IsCounterFunction(plan.function);
  for (const storage::Matcher& m : s.matchers) {
    if (m.name == kMetricName && m.type == storage::MatchType::kEqual) only_name_ = m.value;
  }
  if (s.histogram_stats) {
    const int64_t first_ms = s.at_ms.has_value() ? *s.at_ms : input.grid.start_ms;
    stats_ = {first_ms - s.offset_ms, input.grid.step_ms,
              plan.range_ms > 0 ? plan.range_ms : input.lookback_ms, s.at_ms.has_value()};
  }
  if (plan.range_ms > 0) {
    range_spec_ = {plan.function,         s.mode,          plan.range_ms,
                   s.offset_ms,           s.at_ms,         input.lookback_ms,
                   plan.function_arg_pos, &input.arguments};
    range_.emplace(context, range_spec_, input.grid, annotations);
  } else {
    instant_ = {s.offset_ms, s.at_ms, input.lookback_ms, plan.function};
  }
}

SeriesEvaluator::~SeriesEvaluator() {
  Counters& counters = context_.counters();
  counters.samples_read.fetch_add(samples_read_, std::memory_order_relaxed);
  counters.rows_summarized.fetch_add(rows_summarized_, std::memory_order_relaxed);
  if (fast_.has_value()) counters.samples.fetch_add(fast_->samples(), std::memory_order_relaxed);
}

storage::ReadOptions SeriesEvaluator::ReadAs() const {
  storage::ReadOptions options{.range = Times(plan_, input_)};
  if (!fast_.has_value()) return options;
  options.summaries = fast_->summaries();
  // Who counts samples looks at times only.
  const bool counts_samples = plan_.function == FunctionId::kCountOverTime ||
                              plan_.function == FunctionId::kPresentOverTime;
  options.times_only = counts_samples && options.summaries == storage::SummaryUse::kNone;
  return options;
}

Result<bool> SeriesEvaluator::EvaluateFloats(const storage::SeriesColumns& columns,
                                             ColumnLook& look, const RowLabels& labels,
                                             FloatRow& row) {
  if (!reads_along_) {
    samples_read_ += columns.values.size() + columns.histograms.size();
    rows_summarized_ += columns.rows.size();
  }
  if (!fast_.has_value()) return false;
  BASALT_TRY_ASSIGN(const bool done, fast_->Evaluate(columns, look, row));
  if (!done) return false;
  if (fast_->largest() > largest_) {
    // As upstream counts them, one window of one series is in memory at a time.
    largest_ = fast_->largest();
    BASALT_TRY(context_.Hold(largest_));
    context_.Release(largest_);
  }
  if (!row.kinds.empty()) NoteName(labels);
  return true;
}

void SeriesEvaluator::NoteName(const RowLabels& labels) {
  if (!looks_at_names_) return;
  if (!only_name_.empty()) {
    looks_at_names_ = false;
    NoteNonCounter(only_name_, plan_.function_arg_pos, annotations_);
    return;
  }
  const std::string_view name = labels.metric_name();
  // Neighbours mostly are of one metric, whose name is in one place.
  if (name.data() == named_.data()) return;
  named_ = name;
  NoteNonCounter(name, plan_.function_arg_pos, annotations_);
}

Status SeriesEvaluator::Evaluate(const storage::SeriesColumns& columns, const RowLabels& labels,
                                 uint32_t partition, Matrix& out) {
  if (range_.has_value()) {
    const bool starts = input_.use_start_timestamps && UsesStartTimestamps(plan_.function);
    return range_->Evaluate(filter_.Filter(columns, starts, stats_), labels,
                            !KeepsName(plan_.function), partition, out);
  }
  const size_t rows = out.size();
  if (plan_.selector.mode == plan::RangeMode::kSmoothed && !plan_.has_function()) {
    EvaluateSmoothed(instant_, filter_.Filter(columns, false, stats_), labels, partition,
                     plan_.selector.pos, annotations_, out);
  } else {
    InstantSpec spec = instant_;
    Samples stats;
    if (stats_.has_value() && !columns.histograms.empty()) {
      stats = filter_.Filter(columns, false, stats_);
      spec.replaced = &stats;
    }
    if (plan_.function == FunctionId::kStartTimestamp && !input_.use_start_timestamps)
      return OkStatus();
    EvaluateInstant(spec, columns, labels, plan_.has_function(), partition, out);
  }
  if (out.size() > rows) {
    context_.counters().samples.fetch_add(out.CountSamples(out.rows().back()),
                                          std::memory_order_relaxed);
  }
  return OkStatus();
}

}  // namespace basalt::query::exec
