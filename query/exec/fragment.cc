#include "query/exec/fragment.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "query/exec/bucket_read.h"
#include "query/exec/fold.h"
#include "query/exec/fragment_read.h"
#include "query/exec/range_eval.h"
#include "query/exec/series_evaluator.h"

namespace basalt::query::exec {
namespace {

using plan::FragmentInput;
using plan::FragmentPlan;

Status CheckVersion(const FragmentPlan& plan, const plan::MergePlan& merge) {
  if (plan.version == plan::kPlanVersion && merge.version == plan::kPlanVersion) return OkStatus();
  return Unimplemented("plan version " + std::to_string(std::max(plan.version, merge.version)) +
                       ", this is version " + std::to_string(plan::kPlanVersion));
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
               const storage::Selection& selection, storage::Resolution resolution, Chunk& chunk) {
  chunk.rows = Matrix(input.grid);
  const size_t series = chunk.end - chunk.begin;
  if (input.grid.size() == 1) chunk.rows.Reserve(series, series);
  const auto partition = static_cast<uint32_t>(chunk.partition);
  SeriesEvaluator evaluator(context, plan, input, chunk.annotations);
  const auto append = [&](const RowLabels& labels, const FloatRow& row) -> Status {
    chunk.rows.AppendRow(labels, evaluator.drop_name(), partition, row.first, row.kinds,
                         row.values);
    return context.Hold(chunk.rows.CountSamples(chunk.rows.rows().back()));
  };
  const auto evaluate = [&](const storage::SeriesColumns& columns,
                            const RowLabels& labels) -> Status {
    FloatRow row;
    ColumnLook look(columns.values);
    BASALT_TRY_ASSIGN(const bool floats, evaluator.EvaluateFloats(columns, look, labels, row));
    if (floats) return row.kinds.empty() ? OkStatus() : append(labels, row);
    const size_t rows = chunk.rows.size();
    BASALT_TRY(evaluator.Evaluate(columns, labels, partition, chunk.rows));
    if (chunk.rows.size() == rows) return OkStatus();
    return context.Hold(chunk.rows.CountSamples(chunk.rows.rows().back()));
  };
  if (resolution == storage::Resolution::kRaw) {
    return ForEachSeries(context, selection, chunk.begin, chunk.end, evaluator.ReadAs(), evaluate);
  }
  BucketRowEvaluator buckets(plan, input, resolution);
  const Status read = ForEachSeriesOfBuckets(
      context, selection, chunk.begin, chunk.end, resolution, Times(plan, input), buckets,
      [&](const RowLabels& labels, const FloatRow& row) -> Status {
        evaluator.NoteName(labels);
        return append(labels, row);
      },
      evaluate);
  NoteRounded(buckets, plan, chunk.annotations);
  return read;
}

Result<Matrix> Concatenated(QueryContext& context, const FragmentPlan& plan,
                            const FragmentInput& input, Annotations& annotations) {
  BASALT_TRY_ASSIGN(const Selections selections, SelectAll(context, plan.selector.matchers,
                                                           TimesWithBuckets(context, plan, input)));
  const storage::Resolution resolution =
      ChooseResolution(context, plan, input, selections, annotations);
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
        return RunRows(context, plan, input, *selections[chunks[i].partition], resolution,
                       chunks[i]);
      }));
  Matrix out(input.grid);
  for (Chunk& chunk : chunks) {
    out.Concatenate(std::move(chunk.rows));
    annotations.Merge(chunk.annotations);
  }
  return out;
}

}  // namespace

Result<Matrix> RunFragments(QueryContext& context, const FragmentPlan& plan,
                            const plan::MergePlan& merge, const FragmentInput& input,
                            Annotations& annotations) {
  BASALT_TRY(CheckVersion(plan, merge));
  const bool fold = merge.kind == plan::MergePlan::Kind::kFold;
  BASALT_CHECK(fold == plan.aggregation.has_value(), "a fragment and its merge do not fit");
  if (!fold) return Concatenated(context, plan, input, annotations);
  const FragmentPlan* const plans[] = {&plan};
  BASALT_TRY_ASSIGN(std::vector<Folded> folded, RunFolds(context, plans, input));
  annotations.Merge(folded[0].annotations);
  return std::move(folded[0].rows);
}

Result<std::vector<RawSeries>> RunRawFragments(QueryContext& context, const FragmentPlan& plan,
                                               const FragmentInput& input) {
  std::vector<RawSeries> out;
  SampleFilter filter;
  for (size_t p = 0; p < context.snapshot().partition_count(); ++p) {
    BASALT_TRY_ASSIGN(const std::shared_ptr<const storage::Selection> selection,
                      SelectSeries(context, plan.selector.matchers, Times(plan, input), p));
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
