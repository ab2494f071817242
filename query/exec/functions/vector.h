// query/exec/functions/vector.h -- functions of instant vectors and scalars, on whole matrices.
//
// One family a file: pointwise.cc (math, clamp, round, dates), histogram.cc, label.cc, collect.cc
// (absent, scalar, sort and the like).
#pragma once

#include <string>
#include <vector>

#include "engine/base/status.h"
#include "query/exec/annotations.h"
#include "query/exec/matrix.h"
#include "query/plan/plan.h"

namespace basalt::query::exec {

struct CallInput {
  const plan::CallNode& node;
  plan::PosRange pos;  // of the whole call
  plan::Grid grid;
  std::vector<Matrix> args;  // parallel to node.args; empty for strings
  Annotations& annotations;

  // A scalar argument's value at a step.
  [[nodiscard]] double scalar(size_t arg, size_t step) const {
    return args[arg].value(args[arg].rows().front(), step);
  }
  // A string argument.
  [[nodiscard]] const std::string& text(size_t arg) const {
    return node.args[arg]->As<plan::StringNode>()->value;
  }
};

// kUnimplemented ("... is not supported yet") for a function without a kernel. info() is not called
// through this.
Result<Matrix> CallFunction(CallInput in);

// The families. Each takes the functions that CallFunction sends it.
Result<Matrix> PointwiseFunction(CallInput& in);
Result<Matrix> DateFunction(CallInput& in);
Result<Matrix> HistogramFunction(CallInput& in);  // histogram_count, _sum, _avg, _stddev, _stdvar
Result<Matrix> BucketFunction(CallInput& in);     // histogram_quantile, _quantiles, _fraction
Result<Matrix> LabelReplace(CallInput& in);
Result<Matrix> LabelJoin(CallInput& in);
Result<Matrix> SortFunction(CallInput& in);
Result<Matrix> Absent(CallInput& in);
Result<Matrix> ScalarOf(CallInput& in);
Result<Matrix> TimestampOf(CallInput& in);

// The labels that a selector fixes: what absent() and absent_over_time() give their result.
Labels LabelsForAbsent(const storage::MatcherSet& matchers);

}  // namespace basalt::query::exec
