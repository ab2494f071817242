// query/plan/describe.h -- a plan as text, for explain=1.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "query/plan/plan.h"

namespace basalt::query::plan {

struct PlanLine {
  size_t depth = 0;
  const Node* node = nullptr;  // null: part of the line above
  std::string text;
};

// The tree from its root, a line a node. `more(fragment)` is put behind a fragment's line (what it
// would read); empty: nothing.
std::vector<PlanLine> Describe(const Node& plan,
                               const std::function<std::string(const FragmentPlan&)>& more = {});

}  // namespace basalt::query::plan
