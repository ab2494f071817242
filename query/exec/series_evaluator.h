// query/exec/series_evaluator.h -- a fragment's value of one series after another: the quick way
// for plain floats (float_rows.h), the general way for the rest.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "engine/base/status.h"
#include "query/exec/annotations.h"
#include "query/exec/context.h"
#include "query/exec/float_rows.h"
#include "query/exec/instant_eval.h"
#include "query/exec/matrix.h"
#include "query/exec/range_eval.h"
#include "query/plan/plan.h"
#include "storage/reader.h"

namespace basalt::query::exec {

// One task's own. One thread.
class SeriesEvaluator {
 public:
  // All must outlive it.
  SeriesEvaluator(QueryContext& context, const plan::FragmentPlan& plan,
                  const plan::FragmentInput& input, Annotations& annotations);
  ~SeriesEvaluator();
  SeriesEvaluator(const SeriesEvaluator&) = delete;
  SeriesEvaluator& operator=(const SeriesEvaluator&) = delete;

  // Another evaluator counts what is read, for both.
  void ReadsAlong() { reads_along_ = true; }
  // What of the series is to be read.
  [[nodiscard]] storage::ReadOptions ReadAs() const;
  [[nodiscard]] bool drop_name() const {
    return plan_.range_ms > 0 ? !KeepsName(plan_.function) : plan_.has_function();
  }

  // The row of a series of floats without anything unusual; false: it takes the general Evaluate.
  // An empty row: it has no value.
  // `look`: over columns.values.
  Result<bool> EvaluateFloats(const storage::SeriesColumns& columns, ColumnLook& look,
                              const RowLabels& labels, FloatRow& row);
  // A row was made of the series: if it is a rate, of what is named like a counter?
  void NoteName(const RowLabels& labels);
  // The general way, for what EvaluateFloats did not take.
  Status Evaluate(const storage::SeriesColumns& columns, const RowLabels& labels,
                  uint32_t partition, Matrix& out);

 private:
  QueryContext& context_;
  const plan::FragmentPlan& plan_;
  const plan::FragmentInput& input_;
  Annotations& annotations_;
  std::optional<FloatRowEvaluator> fast_;
  bool reads_along_ = false;
  uint64_t samples_read_ = 0;
  uint64_t rows_summarized_ = 0;
  uint64_t largest_ = 0;
  bool looks_at_names_ = false;
  std::string_view only_name_;  // that all series have; empty: look at each
  std::string_view named_;      // looked at last
  SampleFilter filter_;
  std::optional<SampleFilter::StatsReach> stats_;
  RangeSpec range_spec_;
  std::optional<RangeEvaluator> range_;
  InstantSpec instant_;
};

}  // namespace basalt::query::exec
