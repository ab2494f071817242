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

// What each of `plans` comes to, in their order. All have an aggregation; of several one must read
// the samples of all others (CanReadTogether): then they are read once for all of them.
Result<std::vector<Folded>> RunFolds(QueryContext& context,
                                     std::span<const plan::FragmentPlan* const> plans,
                                     const plan::FragmentInput& input);

// True if `all` looks at every series that `some` looks at, up to the same time, by functions over
// ranges whose values do not depend on what else is read; and if it reads as much of them by
// itself, so that `some` makes nothing dearer: either the series are the same, or function and
// range are.
bool CanReadTogether(const plan::FragmentPlan& all, const plan::FragmentPlan& some);

}  // namespace basalt::query::exec
