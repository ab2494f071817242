#include "query/exec/fragment.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "query/exec/aggregate.h"
#include "query/exec/float_rows.h"
#include "query/exec/instant_eval.h"
#include "query/exec/range_eval.h"

namespace basalt::query::exec {
namespace {

using plan::FragmentInput;
using plan::FragmentPlan;
using plan::FunctionId;

// How often a task asks whether it should go on: after so many samples, a series counting for
// some by itself. Well under a millisecond of work.
constexpr size_t kSamplesBetweenChecks = 64 << 10;
constexpr size_t kSamplesPerSeriesAtLeast = 256;

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

Status TooManySeries(size_t limit) {
  return ResourceExhausted("a selector matches more than " + std::to_string(limit) +
                           " series, the limit query.max_series; add label matchers, or raise it");
}

Result<std::shared_ptr<const storage::Selection>> Select(QueryContext& context,
                                                         const FragmentPlan& plan,
                                                         const FragmentInput& input,
                                                         size_t partition) {
  Result<std::shared_ptr<const storage::Selection>> selection = context.snapshot().Select(
      context.tenant(), PartitionId{static_cast<uint16_t>(partition)}, plan.selector.matchers,
      Times(plan, input), context.options().max_series);
  if (!selection.ok()) {
    if (selection.status().code() == StatusCode::kResourceExhausted)
      return TooManySeries(context.options().max_series);
    return selection.status().WithContext("expanding series");
  }
  context.Keep(*selection);
  context.counters().series_selected.fetch_add((*selection)->size(), std::memory_order_relaxed);
  return selection;
}

// Evaluates one series after another into rows. One task's own.
class SeriesEvaluator {
 public:
  SeriesEvaluator(QueryContext& context, const FragmentPlan& plan, const FragmentInput& input,
                  Annotations& annotations)
      : context_(context),
        plan_(plan),
        input_(input),
        annotations_(annotations),
        fast_(context.options().fuse ? FloatRowEvaluator::Make(context, plan, input)
                                     : std::nullopt) {
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

  ~SeriesEvaluator() {
    Counters& counters = context_.counters();
    counters.samples_read.fetch_add(samples_read_, std::memory_order_relaxed);
    counters.rows_summarized.fetch_add(rows_summarized_, std::memory_order_relaxed);
    if (fast_.has_value()) counters.samples.fetch_add(fast_->samples(), std::memory_order_relaxed);
  }
  SeriesEvaluator(const SeriesEvaluator&) = delete;
  SeriesEvaluator& operator=(const SeriesEvaluator&) = delete;

  // What of the series is to be read.
  [[nodiscard]] storage::ReadOptions ReadAs(storage::TimeRange times) const {
    storage::ReadOptions options{.range = times};
    if (!fast_.has_value()) return options;
    options.summaries = fast_->summaries();
    // Who counts series, or samples, looks at times only.
    using promql::AggregateOp;
    const bool counts_series = plan_.aggregation.has_value() && !plan_.has_function() &&
                               plan_.range_ms == 0 &&
                               (plan_.aggregation->op == AggregateOp::kCount ||
                                plan_.aggregation->op == AggregateOp::kGroup);
    const bool counts_samples = plan_.function == FunctionId::kCountOverTime ||
                                plan_.function == FunctionId::kPresentOverTime;
    options.times_only =
        counts_series || (counts_samples && options.summaries == storage::SummaryUse::kNone);
    return options;
  }

  [[nodiscard]] bool drop_name() const {
    return plan_.range_ms > 0 ? !KeepsName(plan_.function) : plan_.has_function();
  }

  // The row of a series of floats without anything unusual; false: it takes the general Evaluate.
  // An empty row: it has no value.
  Result<bool> EvaluateFloats(const storage::SeriesColumns& columns, const RowLabels& labels,
                              FloatRow& row) {
    samples_read_ += columns.values.size() + columns.histograms.size();
    rows_summarized_ += columns.rows.size();
    if (!fast_.has_value()) return false;
    BASALT_TRY_ASSIGN(const bool done, fast_->Evaluate(columns, row));
    if (!done) return false;
    if (fast_->largest() > largest_) {
      // As upstream counts them, one window of one series is in memory at a time.
      largest_ = fast_->largest();
      BASALT_TRY(context_.Hold(largest_));
      context_.Release(largest_);
    }
    if (!row.kinds.empty() && IsCounterFunction(plan_.function)) {
      const std::string_view name = labels.metric_name();
      // Neighbours mostly are of one metric, whose name is in one place.
      if (name.data() != named_.data()) {
        named_ = name;
        NoteNonCounter(name, plan_.function_arg_pos, annotations_);
      }
    }
    return true;
  }

  // The general way, for what EvaluateFloats did not take.
  Status Evaluate(const storage::SeriesColumns& columns, const RowLabels& labels,
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
      context_.counters().samples.fetch_add(out.rows().back().count, std::memory_order_relaxed);
    }
    return OkStatus();
  }

 private:
  QueryContext& context_;
  const FragmentPlan& plan_;
  const FragmentInput& input_;
  Annotations& annotations_;
  std::optional<FloatRowEvaluator> fast_;
  uint64_t samples_read_ = 0;
  uint64_t rows_summarized_ = 0;
  uint64_t largest_ = 0;
  std::string_view named_;
  SampleFilter filter_;
  std::optional<SampleFilter::StatsReach> stats_;
  RangeSpec range_spec_;
  std::optional<RangeEvaluator> range_;
  InstantSpec instant_;
};

// Calls f(columns, labels) for each series in [begin, end) that has samples.
template <typename F>
Status ForEachSeries(QueryContext& context, const storage::Selection& selection, size_t begin,
                     size_t end, const storage::ReadOptions& options, F&& f) {
  const auto cursor = selection.Read(begin, end, options);
  storage::SeriesColumns columns;
  size_t work = kSamplesBetweenChecks;
  while (true) {
    if (work >= kSamplesBetweenChecks) {
      BASALT_TRY(context.CheckRunning());
      work = 0;
    }
    const Result<bool> more = cursor->Next(columns);
    if (!more.ok()) {
      // The storage layer tells damage in the snapshot's warnings and leaves the block out.
      if (more.status().code() == StatusCode::kDataLoss) continue;
      return more.status();
    }
    if (!*more) return OkStatus();
    work += std::max(columns.values.size(), kSamplesPerSeriesAtLeast);
    BASALT_TRY(f(columns, RowLabels(&selection, columns.series)));
  }
}

// Samples that one thread reads in about the time that it takes to wake another one.
constexpr uint64_t kWorthAThread = 64 << 10;
// What a series is taken to hold a second, for such guesses: a scrape every 15 s.
constexpr int64_t kGuessedIntervalMs = 15'000;

// Runs task(0) .. task(n - 1): together with other threads if there is work for them.
Status RunTasks(QueryContext& context, size_t series, storage::TimeRange times, size_t n,
                const std::function<Status(size_t)>& task) {
  const uint64_t each = static_cast<uint64_t>((times.max_ms - times.min_ms) / kGuessedIntervalMs);
  // Opening superblocks costs about as much as a hundred samples.
  if (series * (each + 100) >= kWorthAThread) return context.Parallel(n, task);
  for (size_t i = 0; i < n; ++i) BASALT_TRY(task(i));
  return OkStatus();
}

using Selections = std::vector<std::shared_ptr<const storage::Selection>>;

size_t CountSeries(const Selections& selections) {
  size_t series = 0;
  for (const auto& selection : selections) series += selection->size();
  return series;
}

Result<Selections> SelectAll(QueryContext& context, const FragmentPlan& plan,
                             const FragmentInput& input) {
  const size_t partitions = context.snapshot().partition_count();
  Selections selections(partitions);
  const auto select = [&](size_t p) -> Status {
    BASALT_TRY_ASSIGN(selections[p], Select(context, plan, input, p));
    return OkStatus();
  };
  // Looking labels up is a matter of microseconds; expressions run over all values of a label.
  const bool expressions =
      std::any_of(plan.selector.matchers.begin(), plan.selector.matchers.end(), [](const auto& m) {
        return m.type == storage::MatchType::kRegex || m.type == storage::MatchType::kNotRegex;
      });
  if (expressions) {
    BASALT_TRY(context.Parallel(partitions, select));
  } else {
    for (size_t p = 0; p < partitions; ++p) BASALT_TRY(select(p));
  }
  if (CountSeries(selections) > context.options().max_series)
    return TooManySeries(context.options().max_series);
  return selections;
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
      context, selection, chunk.begin, chunk.end, evaluator.ReadAs(Times(plan, input)),
      [&](const storage::SeriesColumns& columns, const RowLabels& labels) -> Status {
        const size_t rows = chunk.rows.size();
        const auto partition = static_cast<uint32_t>(chunk.partition);
        FloatRow row;
        BASALT_TRY_ASSIGN(const bool floats, evaluator.EvaluateFloats(columns, labels, row));
        if (floats) {
          if (row.kinds.empty()) return OkStatus();
          chunk.rows.AppendRow(labels, evaluator.drop_name(), partition, row.first, row.kinds,
                               row.values);
        } else {
          BASALT_TRY(evaluator.Evaluate(columns, labels, partition, chunk.rows));
        }
        if (chunk.rows.size() == rows) return OkStatus();
        return context.Hold(chunk.rows.CountSamples(chunk.rows.rows().back()));
      });
}

Result<Matrix> Concatenated(QueryContext& context, const FragmentPlan& plan,
                            const FragmentInput& input, Annotations& annotations) {
  BASALT_TRY_ASSIGN(const Selections selections, SelectAll(context, plan, input));
  std::vector<Chunk> chunks;
  for (size_t p = 0; p < selections.size(); ++p) {
    for (size_t begin = 0; begin < selections[p]->size(); begin += kSeriesPerTask) {
      Chunk& chunk = chunks.emplace_back();
      chunk.partition = p;
      chunk.begin = begin;
      chunk.end = std::min(begin + kSeriesPerTask, selections[p]->size());
    }
  }
  BASALT_TRY(
      RunTasks(context, CountSeries(selections), Times(plan, input), chunks.size(), [&](size_t i) {
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
                  const storage::Selection& selection, size_t partition, Partial& out) {
  out.states.emplace(*plan.aggregation, input.grid);
  SeriesEvaluator evaluator(context, plan, input, out.annotations);
  Matrix row(input.grid);
  size_t held = 0;
  return ForEachSeries(
      context, selection, 0, selection.size(), evaluator.ReadAs(Times(plan, input)),
      [&](const storage::SeriesColumns& columns, const RowLabels& labels) -> Status {
        FloatRow float_row;
        BASALT_TRY_ASSIGN(const bool floats, evaluator.EvaluateFloats(columns, labels, float_row));
        if (floats) {
          if (float_row.kinds.empty()) return OkStatus();
          out.states->AddFloats(labels, evaluator.drop_name(), float_row.first, float_row.gapless,
                                float_row.kinds, float_row.values);
        } else {
          row.Clear();
          BASALT_TRY(evaluator.Evaluate(columns, labels, static_cast<uint32_t>(partition), row));
          if (row.empty()) return OkStatus();
          out.states->Add(row, row.rows().front(), out.annotations);
        }
        const size_t grown = out.states->cells() - held;
        held += grown;
        return grown == 0 ? OkStatus() : context.Hold(grown);
      });
}

Result<Matrix> Folded(QueryContext& context, const FragmentPlan& plan, const FragmentInput& input,
                      Annotations& annotations) {
  BASALT_TRY_ASSIGN(const Selections selections, SelectAll(context, plan, input));
  const size_t partitions = selections.size();
  std::vector<Partial> partials(partitions);
  BASALT_TRY(RunTasks(
      context, CountSeries(selections), Times(plan, input), partitions,
      [&](size_t p) { return RunPartial(context, plan, input, *selections[p], p, partials[p]); }));
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
        context, *selection, 0, selection->size(), {.range = Times(plan, input)},
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
