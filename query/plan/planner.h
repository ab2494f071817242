// query/plan/planner.h -- an expression tree in, a plan out.
#pragma once

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "query/plan/plan.h"
#include "query/promql/ast.h"

namespace basalt::query::plan {

struct PlanOptions {
  Timestamp start;
  Timestamp end;
  Duration step{0};  // 0: an instant query
  // False keeps every aggregation above the merge: the plain plan that pushed-down ones are tested
  // against.
  bool push_down = true;
};

// Resolves what depends on the query's times (@ start(), step(), duration expressions), wraps what
// is the same at every step, drops parentheses, and splits into fragments and what merges them.
// kInvalidArgument for durations that come out as nothing one can evaluate; texts are Prometheus'.
// kFailedPrecondition for anchored and smoothed selectors under functions that cannot have them.
Result<NodePtr> MakePlan(const promql::ExprPtr& expr, const PlanOptions& options);

// True if the result of the aggregation can be folded from states of partitions.
bool HasMergeableState(AggregateOp op);

}  // namespace basalt::query::plan
