// query/exec/fragment.h -- runs fragments over the partitions and merges what they give, in
// partition order.
#pragma once

#include <variant>

#include "engine/base/status.h"
#include "query/exec/annotations.h"
#include "query/exec/context.h"
#include "query/exec/matrix.h"
#include "query/plan/plan.h"

namespace basalt::query::exec {

// Series that one task evaluates, unless the fragment aggregates (then a task is a partition,
// because series are folded in order).
inline constexpr size_t kSeriesPerTask = 1024;

// Rows of all partitions, or of the merged aggregation. kUnimplemented for a plan of another
// version.
Result<Matrix> RunFragments(QueryContext& context, const plan::FragmentPlan& plan,
                            const plan::MergePlan& merge, const plan::FragmentInput& input,
                            Annotations& annotations);

// Raw samples of a range selector at one instant, as `up[5m]` shows them.
struct RawSeries {
  RowLabels labels;
  std::vector<int64_t> time_ms;
  std::vector<double> values;
  std::vector<int64_t> histogram_ms;
  std::vector<HistogramPtr> histograms;
};
Result<std::vector<RawSeries>> RunRawFragments(QueryContext& context,
                                               const plan::FragmentPlan& plan,
                                               const plan::FragmentInput& input);

}  // namespace basalt::query::exec
