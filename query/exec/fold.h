// query/exec/fold.h -- fragments with an aggregation: each partition folds its series into states,
// and states merge in partition order (../docs/0001-fragment-and-merge.md).
#pragma once

#include <span>
#include <vector>

#include "engine/base/status.h"
#include "query/exec/annotations.h"
#include "query/exec/context.h"
#include "query/exec/matrix.h"
#include "query/plan/plan.h"

namespace basalt::query::exec {

struct Folded {
  Matrix rows;
  Annotations annotations;
};

// What each of `plans` comes to, in their order. All have an aggregation; several must read the
// same (CanReadTogether): then the samples are read once for all of them.
Result<std::vector<Folded>> RunFolds(QueryContext& context,
                                     std::span<const plan::FragmentPlan* const> plans,
                                     const plan::FragmentInput& input);

// True if both look at the same series up to the same time, by functions over ranges whose values
// do not depend on what else is read.
bool CanReadTogether(const plan::FragmentPlan& a, const plan::FragmentPlan& b);

}  // namespace basalt::query::exec
