#include "query/exec/fragment.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "query/exec/aggregate.h"
#include "query/exec/instant_eval.h"
#include "query/exec/range_eval.h"

namespace basalt::query::exec {
namespace {

using plan::FragmentInput;
using plan::FragmentPlan;
using plan::FunctionId;

// How often a task that goes over cheap series asks whether it should go on.
constexpr size_t kSeriesBetweenChecks = 256;

Status CheckVersion(const FragmentPlan& plan, const plan::MergePlan& merge) {
  if (plan.version == plan::kPlanVersion && merge.version == plan::kPlanVersion) return OkStatus();
  return Unimplemented("plan version " + std::to_string(std::max(plan.version, merge.version)) +
                       ", this is version " + std::to_string(plan::kPlanVersion));
}

storage::TimeRange Times(const FragmentPlan& plan, const FragmentInput& input) {
  storage::TimeRange times =
      TimesNeeded(input.grid, plan.range_ms, plan.selector.offset_ms, plan.selector.at_ms,
                  plan.selector.mode, input.lookback_ms);
  // The first sample wants to be compared with the one before it, if that is not far.
  if (plan.selector.histogram_stats) times.min_ms -= input.lookback_ms;
  return times;
}

Result<std::shared_ptr<const storage::Selection>> Select(QueryContext& context,
                                                         const FragmentPlan& plan,
                                                         const FragmentInput& input,
                                                         size_t partition) {
  Result<std::shared_ptr<const storage::Selection>> selection = context.snapshot().Select(
      context.tenant(), PartitionId{static_cast<uint16_t>(partition)}, plan.selector.matchers,
      Times(plan, input), context.options().max_series);
  if (!selection.ok()) return selection.status().WithContext("expanding series");
  context.Keep(*selection);
  context.counters().series_selected.fetch_add((*selection)->size(), std::memory_order_relaxed);
  return selection;
}

// Evaluates one series after another into rows. One task's own.
class SeriesEvaluator {
 public:
  SeriesEvaluator(QueryContext& context, const FragmentPlan& plan, const FragmentInput& input,
                  Annotations& annotations)
      : context_(context), plan_(plan), input_(input), annotations_(annotations) {
    const plan::SelectorPlan& s = plan.selector;
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

  Status Evaluate(const storage::SeriesColumns& columns, const RowLabels& labels,
                  uint32_t partition, Matrix& out) {
    context_.counters().samples_read.fetch_add(columns.values.size() + columns.histograms.size(),
                                               std::memory_order_relaxed);
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
      context_.counters().samples.fetch_add(out.rows().back().count, std::memory_order_relaxed);
    }
    return OkStatus();
  }

 private:
  QueryContext& context_;
  const FragmentPlan& plan_;
  const FragmentInput& input_;
  Annotations& annotations_;
  SampleFilter filter_;
  std::optional<SampleFilter::StatsReach> stats_;
  RangeSpec range_spec_;
  std::optional<RangeEvaluator> range_;
  InstantSpec instant_;
};

// Calls f(columns, labels) for each series in [begin, end) that has samples.
template <typename F>
Status ForEachSeries(QueryContext& context, const storage::Selection& selection, size_t begin,
                     size_t end, storage::TimeRange times, F&& f) {
  const auto cursor = selection.Read(begin, end, {.range = times, .accept_summaries = false});
  storage::SeriesColumns columns;
  for (size_t n = 0;; ++n) {
    if (n % kSeriesBetweenChecks == 0) BASALT_TRY(context.CheckRunning());
    const Result<bool> more = cursor->Next(columns);
    if (!more.ok()) {
      // The storage layer tells damage in the snapshot's warnings and leaves the block out.
      if (more.status().code() == StatusCode::kDataLoss) continue;
      return more.status();
    }
    if (!*more) return OkStatus();
    BASALT_TRY(f(columns, RowLabels(&selection, columns.series)));
  }
}

// Rows of series [begin, end) of one partition.
struct Chunk {
  size_t partition = 0;
  size_t begin = 0;
  size_t end = 0;
  Matrix rows;
  Annotations annotations;
};

Status RunRows(QueryContext& context, const FragmentPlan& plan, const FragmentInput& input,
               const storage::Selection& selection, Chunk& chunk) {
  chunk.rows = Matrix(input.grid);
  const size_t series = chunk.end - chunk.begin;
  if (input.grid.size() == 1) chunk.rows.Reserve(series, series);
  SeriesEvaluator evaluator(context, plan, input, chunk.annotations);
  return ForEachSeries(
      context, selection, chunk.begin, chunk.end, Times(plan, input),
      [&](const storage::SeriesColumns& columns, const RowLabels& labels) -> Status {
        const size_t rows = chunk.rows.size();
        BASALT_TRY(evaluator.Evaluate(columns, labels, static_cast<uint32_t>(chunk.partition),
                                      chunk.rows));
        if (chunk.rows.size() == rows) return OkStatus();
        return context.Hold(chunk.rows.CountSamples(chunk.rows.rows().back()));
      });
}

Result<Matrix> Concatenated(QueryContext& context, const FragmentPlan& plan,
                            const FragmentInput& input, Annotations& annotations) {
  const size_t partitions = context.snapshot().partition_count();
  std::vector<std::shared_ptr<const storage::Selection>> selections(partitions);
  BASALT_TRY(context.Parallel(partitions, [&](size_t p) -> Status {
    BASALT_TRY_ASSIGN(selections[p], Select(context, plan, input, p));
    return OkStatus();
  }));
  std::vector<Chunk> chunks;
  for (size_t p = 0; p < partitions; ++p) {
    for (size_t begin = 0; begin < selections[p]->size(); begin += kSeriesPerTask) {
      Chunk& chunk = chunks.emplace_back();
      chunk.partition = p;
      chunk.begin = begin;
      chunk.end = std::min(begin + kSeriesPerTask, selections[p]->size());
    }
  }
  BASALT_TRY(context.Parallel(chunks.size(), [&](size_t i) {
    return RunRows(context, plan, input, *selections[chunks[i].partition], chunks[i]);
  }));
  Matrix out(input.grid);
  for (Chunk& chunk : chunks) {
    out.Concatenate(std::move(chunk.rows));
    annotations.Merge(chunk.annotations);
  }
  return out;
}

// One partition's states: its series folded in their order, none of their rows kept.
struct Partial {
  std::optional<Aggregation> states;
  Annotations annotations;
};

Status RunPartial(QueryContext& context, const FragmentPlan& plan, const FragmentInput& input,
                  size_t partition, Partial& out) {
  BASALT_TRY_ASSIGN(const std::shared_ptr<const storage::Selection> selection,
                    Select(context, plan, input, partition));
  out.states.emplace(*plan.aggregation, input.grid);
  SeriesEvaluator evaluator(context, plan, input, out.annotations);
  Matrix row(input.grid);
  size_t held = 0;
  return ForEachSeries(
      context, *selection, 0, selection->size(), Times(plan, input),
      [&](const storage::SeriesColumns& columns, const RowLabels& labels) -> Status {
        row.Clear();
        BASALT_TRY(evaluator.Evaluate(columns, labels, static_cast<uint32_t>(partition), row));
        if (row.empty()) return OkStatus();
        out.states->Add(row, row.rows().front(), out.annotations);
        const size_t grown = out.states->cells() - held;
        held += grown;
        return grown == 0 ? OkStatus() : context.Hold(grown);
      });
}

Result<Matrix> Folded(QueryContext& context, const FragmentPlan& plan, const FragmentInput& input,
                      Annotations& annotations) {
  const size_t partitions = context.snapshot().partition_count();
  std::vector<Partial> partials(partitions);
  BASALT_TRY(context.Parallel(
      partitions, [&](size_t p) { return RunPartial(context, plan, input, p, partials[p]); }));
  for (const Partial& partial : partials) annotations.Merge(partial.annotations);
  Aggregation& all = *partials[0].states;
  for (size_t p = 1; p < partitions; ++p) {
    all.Merge(*partials[p].states, annotations);
    partials[p].states.reset();
  }
  return all.Finish(annotations);
}

}  // namespace

Result<Matrix> RunFragments(QueryContext& context, const FragmentPlan& plan,
                            const plan::MergePlan& merge, const FragmentInput& input,
                            Annotations& annotations) {
  BASALT_TRY(CheckVersion(plan, merge));
  const bool fold = merge.kind == plan::MergePlan::Kind::kFold;
  BASALT_CHECK(fold == plan.aggregation.has_value(), "a fragment and its merge do not fit");
  return fold ? Folded(context, plan, input, annotations)
              : Concatenated(context, plan, input, annotations);
}

Result<std::vector<RawSeries>> RunRawFragments(QueryContext& context, const FragmentPlan& plan,
                                               const FragmentInput& input) {
  std::vector<RawSeries> out;
  SampleFilter filter;
  for (size_t p = 0; p < context.snapshot().partition_count(); ++p) {
    BASALT_TRY_ASSIGN(const std::shared_ptr<const storage::Selection> selection,
                      Select(context, plan, input, p));
    BASALT_TRY(ForEachSeries(
        context, *selection, 0, selection->size(), Times(plan, input),
        [&](const storage::SeriesColumns& columns, const RowLabels& labels) -> Status {
          const Samples s = filter.Filter(columns, false);
          if (s.time_ms.empty() && s.histograms.empty()) return OkStatus();
          RawSeries& series = out.emplace_back();
          series.labels = labels;
          series.time_ms.assign(s.time_ms.begin(), s.time_ms.end());
          series.values.assign(s.values.begin(), s.values.end());
          uint64_t weight = s.time_ms.size();
          for (const HistogramSample& h : s.histograms) {
            series.histogram_ms.push_back(h.time_ms);
            series.histograms.push_back(h.histogram);
            weight += HistogramWeight(*h.histogram);
          }
          context.counters().samples.fetch_add(weight, std::memory_order_relaxed);
          context.counters().samples_read.fetch_add(weight, std::memory_order_relaxed);
          return context.Hold(weight);
        }));
  }
  return out;
}

}  // namespace basalt::query::exec
