#include "query/plan/describe.h"

#include <utility>

#include "query/promql/durations.h"
#include "query/promql/printer.h"
#include "query/promql/text.h"

namespace basalt::query::plan {
namespace {

std::string DurationText(int64_t ms) { return promql::FormatDuration(Duration(ms)); }

std::string GroupingText(const Grouping& grouping) {
  if (!grouping.without && grouping.labels.empty()) return "";
  std::string out = grouping.without ? " without (" : " by (";
  for (size_t i = 0; i < grouping.labels.size(); ++i) {
    if (i > 0) out += ", ";
    out += grouping.labels[i];
  }
  return out + ")";
}

std::string SelectorText(const FragmentPlan& fragment) {
  const SelectorPlan& s = fragment.selector;
  std::string out = "{";
  for (size_t i = 0; i < s.matchers.size(); ++i) {
    if (i > 0) out += ",";
    out += promql::ToString(s.matchers[i]);
  }
  out += "}";
  if (fragment.range_ms > 0) out += "[" + DurationText(fragment.range_ms) + "]";
  if (s.at_ms.has_value()) out += " @ " + std::to_string(*s.at_ms) + "ms";
  if (s.offset_ms != 0) out += " offset " + DurationText(s.offset_ms);
  if (s.mode == RangeMode::kAnchored) out += " anchored";
  if (s.mode == RangeMode::kSmoothed) out += " smoothed";
  return out;
}

class Describer {
 public:
  explicit Describer(const std::function<std::string(const FragmentPlan&)>& more) : more_(more) {}

  void Add(size_t depth, const Node& node) {
    const size_t line = lines_.size();
    std::visit([&](const auto& op) { Line(depth, op); }, node.op);
    lines_[line].node = &node;
  }
  std::vector<PlanLine> Finish() && { return std::move(lines_); }

 private:
  void Put(size_t depth, std::string text) {
    lines_.push_back({.depth = depth, .node = nullptr, .text = std::move(text)});
  }
  void AddAll(size_t depth, const std::vector<NodePtr>& nodes) {
    for (const NodePtr& node : nodes) Add(depth, *node);
  }

  void Line(size_t depth, const NumberNode& n) {
    Put(depth, "number " + promql::FormatGeneral(n.value));
  }
  void Line(size_t depth, const StringNode& n) {
    Put(depth, "string " + promql::GoQuoted(n.value));
  }
  void Line(size_t depth, const FragmentNode& n) {
    const FragmentPlan& f = n.fragment;
    const bool fold = n.merge.kind == MergePlan::Kind::kFold;
    std::string text = fold ? "fold partitions: " : "read partitions: ";
    if (f.aggregation.has_value()) {
      text += std::string(promql::AggregateOpName(f.aggregation->op)) +
              GroupingText(f.aggregation->grouping) + " of ";
    }
    if (f.has_function()) text += std::string(promql::SpecOf(f.function).name) + " over ";
    text += SelectorText(f);
    const std::string more = more_ == nullptr ? "" : more_(f);
    if (!more.empty()) text += " -- " + more;
    Put(depth, std::move(text));
    AddAll(depth + 1, n.arguments);
  }
  void Line(size_t depth, const SubqueryNode& n) {
    Put(depth, "subquery [" + DurationText(n.range_ms) + ":" +
                   (n.step_ms == 0 ? "" : DurationText(n.step_ms)) + "]");
    Add(depth + 1, *n.expr);
  }
  void Line(size_t depth, const SubqueryCallNode& n) {
    Put(depth, std::string(promql::SpecOf(n.function).name) + " over a subquery");
    AddAll(depth + 1, n.arguments);
    Line(depth + 1, n.subquery);
  }
  void Line(size_t depth, const CallNode& n) {
    Put(depth, std::string(promql::SpecOf(n.function).name));
    AddAll(depth + 1, n.args);
  }
  void Line(size_t depth, const AggregateNode& n) {
    Put(depth,
        std::string(promql::AggregateOpName(n.op)) + GroupingText(n.grouping) + " of all rows");
    if (n.parameter != nullptr) Add(depth + 1, *n.parameter);
    Add(depth + 1, *n.expr);
  }
  void Line(size_t depth, const BinaryNode& n) {
    Put(depth,
        "operator " + std::string(promql::BinaryOpName(n.op)) + (n.return_bool ? " bool" : ""));
    Add(depth + 1, *n.lhs);
    Add(depth + 1, *n.rhs);
  }
  void Line(size_t depth, const NegateNode& n) {
    Put(depth, "negate");
    Add(depth + 1, *n.expr);
  }
  void Line(size_t depth, const StepInvariantNode& n) {
    Put(depth, "once for all steps");
    Add(depth + 1, *n.expr);
  }

  const std::function<std::string(const FragmentPlan&)>& more_;
  std::vector<PlanLine> lines_;
};

}  // namespace

std::vector<PlanLine> Describe(const Node& plan,
                               const std::function<std::string(const FragmentPlan&)>& more) {
  Describer describer(more);
  describer.Add(0, plan);
  return std::move(describer).Finish();
}

}  // namespace basalt::query::plan
