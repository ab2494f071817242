// What a plan looks like: where fragments end, what is pushed into them, what is evaluated once.
#include "query/plan/planner.h"

#include <gtest/gtest.h>

#include <string>

#include "query/promql/parser.h"
#include "query/promql/printer.h"

namespace basalt::query::plan {
namespace {

std::string Show(const Node& node);

std::string Join(const std::vector<NodePtr>& nodes) {
  std::string out;
  for (const NodePtr& node : nodes) out += (out.empty() ? "" : ", ") + Show(*node);
  return out;
}

std::string Show(const SubqueryNode& s) {
  return "subquery(" + Show(*s.expr) + ", " + std::to_string(s.range_ms) + ":" +
         std::to_string(s.step_ms) + ")";
}

std::string Show(const FragmentNode& n) {
  const FragmentPlan& f = n.fragment;
  std::string out = "select";
  if (f.range_ms > 0) out += "[" + std::to_string(f.range_ms) + "]";
  if (f.selector.offset_ms != 0) out += " offset " + std::to_string(f.selector.offset_ms);
  if (f.selector.at_ms.has_value()) out += " @ " + std::to_string(*f.selector.at_ms);
  if (f.selector.histogram_stats) out += " stats";
  if (f.has_function()) {
    out = std::string(promql::SpecOf(f.function).name) + "(" + out;
    if (!n.arguments.empty()) out += "; " + Join(n.arguments);
    out += ")";
  }
  if (f.aggregation.has_value()) {
    out = std::string(promql::AggregateOpName(f.aggregation->op)) + "(" + out + ")";
  }
  return (n.merge.kind == MergePlan::Kind::kFold ? "fold{" : "rows{") + out + "}";
}

std::string Show(const Node& node) {
  if (const auto* n = node.As<NumberNode>()) return std::to_string(static_cast<int64_t>(n->value));
  if (const auto* n = node.As<StringNode>()) return '"' + n->value + '"';
  if (const auto* n = node.As<FragmentNode>()) return Show(*n);
  if (const auto* n = node.As<SubqueryNode>()) return Show(*n);
  if (const auto* n = node.As<SubqueryCallNode>()) {
    return std::string(promql::SpecOf(n->function).name) + "(" + Show(n->subquery) + ")";
  }
  if (const auto* n = node.As<CallNode>()) {
    return std::string(promql::SpecOf(n->function).name) + "(" + Join(n->args) + ")";
  }
  if (const auto* n = node.As<AggregateNode>()) {
    return std::string(promql::AggregateOpName(n->op)) + "(" + Show(*n->expr) + ")";
  }
  if (const auto* n = node.As<BinaryNode>()) {
    return "(" + Show(*n->lhs) + " " + std::string(promql::BinaryOpName(n->op)) + " " +
           Show(*n->rhs) + ")";
  }
  if (const auto* n = node.As<NegateNode>()) return "-" + Show(*n->expr);
  if (const auto* n = node.As<StepInvariantNode>()) return "once{" + Show(*n->expr) + "}";
  return "?";
}

// From 100 s to 200 s in steps of 10 s.
std::string PlanOf(const char* query, bool push_down = true) {
  const auto expr = promql::ParseExpr(query);
  if (!expr.ok()) return expr.status().ToString();
  const auto plan = MakePlan(*expr, {.start = FromMs(100'000),
                                     .end = FromMs(200'000),
                                     .step = Duration(10'000),
                                     .push_down = push_down});
  return plan.ok() ? Show(**plan) : plan.status().ToString();
}

TEST(Plan, PutsSelectorsAndRangeFunctionsIntoFragments) {
  EXPECT_EQ(PlanOf("x"), "rows{select}");
  EXPECT_EQ(PlanOf("rate(x[5m] offset 1m)"), "rows{rate(select[300000] offset 60000)}");
  EXPECT_EQ(PlanOf("quantile_over_time(1, x[5m])"), "rows{quantile_over_time(select[300000]; 1)}");
  EXPECT_EQ(PlanOf("timestamp(x)"), "rows{timestamp(select)}");
  EXPECT_EQ(PlanOf("timestamp(x + 1)"), "timestamp((rows{select} + 1))");
}

TEST(Plan, PushesAggregationsWhoseStatesMerge) {
  for (const char* op : {"sum", "avg", "min", "max", "count", "group"}) {
    const std::string query = std::string(op) + " by (a) ((rate(x[1m])))";
    EXPECT_EQ(PlanOf(query.c_str()), "fold{" + std::string(op) + "(rate(select[60000]))}");
    EXPECT_EQ(PlanOf(query.c_str(), false), std::string(op) + "(rows{rate(select[60000])})");
  }
  EXPECT_EQ(PlanOf("stddev(x)"), "stddev(rows{select})");
  EXPECT_EQ(PlanOf("topk(2, x)"), "topk(rows{select})");
  // Not through what needs all partitions, and not twice.
  EXPECT_EQ(PlanOf("sum(sum by (a) (x))"), "sum(fold{sum(select)})");
  EXPECT_EQ(PlanOf("sum(x + y)"), "sum((rows{select} + rows{select}))");
  EXPECT_EQ(PlanOf("sum(absent_over_time(x[1m]))"), "sum(rows{absent_over_time(select[60000])})");
  EXPECT_EQ(PlanOf("sum(x) / count(x)"), "(fold{sum(select)} / fold{count(select)})");
}

TEST(Plan, EvaluatesOnceWhatNoStepChanges) {
  EXPECT_EQ(PlanOf("x @ 5"), "once{rows{select @ 5000}}");
  EXPECT_EQ(PlanOf("sum(x @ start()) + y"), "(once{fold{sum(select @ 100000)}} + rows{select})");
  EXPECT_EQ(PlanOf("rate(x[1m] @ end())"), "once{rows{rate(select[60000] @ 200000)}}");
  EXPECT_EQ(PlanOf("predict_linear(x[1m] @ 5, 1)"),
            "rows{predict_linear(select[60000] @ 5000; 1)}");
  EXPECT_EQ(PlanOf("timestamp(x @ 5)"), "once{rows{timestamp(select @ 5000)}}");
  EXPECT_EQ(PlanOf("1 + 2"), "once{(1 + 2)}");
  EXPECT_EQ(PlanOf("max_over_time((x @ 5)[1m:10s])"),
            "max_over_time(subquery(once{rows{select @ 5000}}, 60000:10000))");
}

TEST(Plan, KnowsTheQuerysTimes) {
  EXPECT_EQ(PlanOf("start() + end() + range() + step()"), "once{(((100 + 200) + 100) + 10)}");
  EXPECT_EQ(PlanOf("rate(x[step() * 2])"), "rows{rate(select[20000])}");
  EXPECT_EQ(PlanOf("rate(x[step() - 10])"),
            "INVALID_ARGUMENT: 7:18: duration must be greater than 0");
}

TEST(Plan, ReadsStatisticsOnlyWhereBucketsAreNotNeeded) {
  EXPECT_EQ(PlanOf("histogram_count(rate(h[1m]))"),
            "histogram_count(rows{rate(select[60000] stats)})");
  EXPECT_EQ(PlanOf("histogram_quantile(1, h)"), "histogram_quantile(1, rows{select})");
  EXPECT_EQ(PlanOf("histogram_count(increase(h[1m:10s]))"),
            "histogram_count(increase(subquery(rows{select}, 60000:10000)))");
  EXPECT_EQ(PlanOf("histogram_sum(h </ 3)"), "histogram_sum((rows{select} </ 3))");
}

TEST(Plan, RefusesModifiersThatAFunctionCannotHave) {
  EXPECT_EQ(PlanOf("irate(x[1m] anchored)"),
            "FAILED_PRECONDITION: anchored modifier can only be used with: changes, delta, "
            "increase, rate, resets - not "
            "with irate");
}

}  // namespace
}  // namespace basalt::query::plan
