// query/exec/evaluator.h -- walks a plan: fragments at the leaves, operators over their matrices
// above.
#pragma once

#include <vector>

#include "engine/base/status.h"
#include "query/exec/alike.h"
#include "query/exec/annotations.h"
#include "query/exec/context.h"
#include "query/exec/matrix.h"
#include "query/exec/trace.h"
#include "query/plan/plan.h"
#include "query/value.h"

namespace basalt::query::exec {

// One query, one thread (which may use others inside Parallel).
class Evaluator {
 public:
  // All must outlive it. `trace`: null if nobody wants to know what operators take.
  Evaluator(QueryContext& context, const plan::Node& plan, Annotations& annotations,
            Trace* trace = nullptr)
      : context_(context), annotations_(annotations), trace_(trace) {
    if (context.options().fuse) alike_ = AlikeIndex(plan);
  }

  // Scalars and vectors. `node` is the plan's root, or below it; each node once.
  Result<Matrix> Evaluate(const plan::Node& node, const plan::Grid& grid);
  // A range selector or subquery by itself, at one instant. Times are those of the samples. Not
  // sorted; names that are to be dropped have been.
  Result<query::Matrix> EvaluateRange(const plan::Node& node, const plan::Grid& grid);

 private:
  Result<Matrix> Dispatch(const plan::Node& node, const plan::Grid& grid);
  Result<Matrix> Fragment(const plan::FragmentNode& node, const plan::Grid& grid);
  Result<Matrix> SubqueryCall(const plan::SubqueryCallNode& node, const plan::Grid& grid);
  Result<Matrix> Call(const plan::CallNode& node, plan::PosRange pos, const plan::Grid& grid);
  Result<Matrix> Info(const plan::CallNode& node, const plan::Grid& grid);
  Result<Matrix> Aggregate(const plan::AggregateNode& node, plan::PosRange pos,
                           const plan::Grid& grid);
  Result<Matrix> Binary(const plan::BinaryNode& node, plan::PosRange pos, const plan::Grid& grid);
  Result<Matrix> Negate(const plan::NegateNode& node, const plan::Grid& grid);
  Result<Matrix> StepInvariant(const plan::StepInvariantNode& node, const plan::Grid& grid);
  // What the fragment comes to, all that are read together with it being evaluated by the first.
  Result<Matrix> TakeAlike(AlikeFragments& alike, const plan::FragmentNode& node,
                           const plan::FragmentInput& input);
  // Scalar arguments, a value a step.
  Result<std::vector<std::vector<double>>> Arguments(const std::vector<plan::NodePtr>& nodes,
                                                     const plan::Grid& grid);
  // Where a subquery is evaluated. kResourceExhausted beyond query.max_samples steps.
  [[nodiscard]] Result<plan::Grid> SubqueryGrid(const plan::SubqueryNode& node,
                                                const plan::Grid& grid) const;
  Result<query::Matrix> RawSelector(const plan::FragmentNode& node, const plan::Grid& grid);

  QueryContext& context_;
  Annotations& annotations_;
  Trace* const trace_;
  AlikeIndex alike_;
  uint64_t waiting_samples_ = 0;  // of fragments that are evaluated and were not asked for yet
};

// The labels that a row ends with.
Labels FinalLabels(const Row& row);

}  // namespace basalt::query::exec
