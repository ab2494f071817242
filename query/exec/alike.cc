#include "query/exec/alike.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace basalt::query::exec {
namespace {

// Collects the fragments that can be read together with others, by the node that decides over
// which grid they are evaluated: the root, a subquery, or what is evaluated once for all steps.
class Collector {
 public:
  using Scope = const void*;
  void Visit(const plan::Node& node, Scope scope) {
    std::visit([&](const auto& op) { Add(op, scope); }, node.op);
  }
  std::vector<std::pair<Scope, const plan::FragmentNode*>> found;

 private:
  void VisitAll(const std::vector<plan::NodePtr>& nodes, Scope scope) {
    for (const plan::NodePtr& node : nodes) Visit(*node, scope);
  }
  void Add(const plan::NumberNode&, Scope) {}
  void Add(const plan::StringNode&, Scope) {}
  void Add(const plan::FragmentNode& n, Scope scope) {
    VisitAll(n.arguments, scope);
    if (!n.absent && n.arguments.empty() && CanReadTogether(n.fragment, n.fragment))
      found.emplace_back(scope, &n);
  }
  void Add(const plan::SubqueryNode& n, Scope) { Visit(*n.expr, &n); }
  void Add(const plan::SubqueryCallNode& n, Scope scope) {
    VisitAll(n.arguments, scope);
    Add(n.subquery, scope);
  }
  void Add(const plan::CallNode& n, Scope scope) { VisitAll(n.args, scope); }
  void Add(const plan::AggregateNode& n, Scope scope) {
    if (n.parameter != nullptr) Visit(*n.parameter, scope);
    Visit(*n.expr, scope);
  }
  void Add(const plan::BinaryNode& n, Scope scope) {
    Visit(*n.lhs, scope);
    Visit(*n.rhs, scope);
  }
  void Add(const plan::NegateNode& n, Scope scope) { Visit(*n.expr, scope); }
  void Add(const plan::StepInvariantNode& n, Scope) { Visit(*n.expr, &n); }
};

const storage::MatcherSet& MatchersOf(const plan::FragmentNode& node) {
  return node.fragment.selector.matchers;
}

}  // namespace

AlikeIndex::AlikeIndex(const plan::Node& plan) {
  Collector collector;
  collector.Visit(plan, nullptr);
  const auto& found = collector.found;
  for (size_t i = 0; i < found.size(); ++i) {
    const auto& [scope, node] = found[i];
    if (group_of_.contains(node)) continue;
    // Those that look at what the widest one looks at, or at a part of what one of them reads.
    const auto reads = [](const plan::FragmentNode* all, const plan::FragmentNode* some) {
      return CanReadTogether(all->fragment, some->fragment);
    };
    std::vector<const plan::FragmentNode*> free;
    for (const auto& [other_scope, other] : found) {
      if (other_scope == scope && !group_of_.contains(other)) free.push_back(other);
    }
    const plan::FragmentNode* widest = node;
    for (const plan::FragmentNode* other : free) {
      if (reads(other, node) && MatchersOf(*other).size() < MatchersOf(*widest).size())
        widest = other;
    }
    std::vector<const plan::FragmentNode*> wide = free;
    std::erase_if(wide, [&](const auto* other) {
      return !reads(widest, other) || MatchersOf(*other) != MatchersOf(*widest);
    });
    auto group = std::make_unique<AlikeFragments>();
    group->members = free;
    std::erase_if(group->members, [&](const auto* other) {
      return std::none_of(wide.begin(), wide.end(),
                          [&](const auto* all) { return reads(all, other); });
    });
    if (group->members.size() < 2) continue;
    for (const plan::FragmentNode* member : group->members) group_of_[member] = group.get();
    groups_.push_back(std::move(group));
  }
}

AlikeFragments* AlikeIndex::Find(const plan::FragmentNode& node) {
  const auto it = group_of_.find(&node);
  return it == group_of_.end() ? nullptr : it->second;
}

}  // namespace basalt::query::exec
