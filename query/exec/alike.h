// query/exec/alike.h -- finds the fragments of a plan that read the same samples, so that these are
// read once: the windows of a burn rate, both sides of a ratio (errors are among all requests), the
// average and the maximum.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <vector>

#include "query/exec/fold.h"
#include "query/plan/plan.h"

namespace basalt::query::exec {

// Fragments evaluated over the same grid that can be read together, two or more.
struct AlikeFragments {
  std::vector<const plan::FragmentNode*> members;
  std::vector<Folded> results;  // parallel to members; empty until they are evaluated
};

// One query's. One thread.
class AlikeIndex {
 public:
  AlikeIndex() = default;
  // `plan` must outlive it.
  explicit AlikeIndex(const plan::Node& plan);

  // Null if the fragment reads for itself.
  [[nodiscard]] AlikeFragments* Find(const plan::FragmentNode& node);

 private:
  std::vector<std::unique_ptr<AlikeFragments>> groups_;
  std::map<const plan::FragmentNode*, AlikeFragments*> group_of_;
};

}  // namespace basalt::query::exec
