// query/plan/plan.h -- a query as work: fragments that run in each partition, and what is done with
// their results.
//
// Every selector of a query sits in a fragment, together with the range function over it and, where
// that is exact, the first half of the aggregation around it. A fragment reads one partition and
// nothing else, so the same plan runs on one core, on many, and later on many nodes; merging takes
// partitions in order, so all of those give the same bits (DESIGN decision 10;
// query/docs/0001-fragment-and-merge.md). FragmentPlan and MergePlan are plain, versioned structs:
// engine/rpc will turn them into messages and back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "query/plan/grid.h"
#include "query/promql/ast.h"
#include "query/promql/functions.h"
#include "storage/reader.h"

namespace basalt::query::plan {

using promql::AggregateOp;
using promql::FunctionId;
using promql::PosRange;
using promql::RangeMode;

// Raised when a field's meaning changes. Whoever gets a plan of a version that it does not know
// refuses it.
inline constexpr uint32_t kPlanVersion = 1;

// Labels by which rows are put into groups, sorted by name.
struct Grouping {
  bool without = false;
  std::vector<std::string> labels;
};

// The first half of an aggregation: sum, avg, count, min, max and group have states that merge.
struct PartialAggregation {
  AggregateOp op = AggregateOp::kSum;
  Grouping grouping;
  PosRange expr_pos;  // of the aggregated expression, for annotations
};

struct SelectorPlan {
  storage::MatcherSet matchers;
  int64_t offset_ms = 0;
  std::optional<int64_t> at_ms;  // with @: the time of evaluation, whatever the step
  RangeMode mode = RangeMode::kPlain;
  // Only count, sum and reset hints of native histograms matter to what is above (histogram_count
  // and its like): they come without buckets, and with hints that tell each from the one before.
  bool histogram_stats = false;
  PosRange pos;
};

// What to read and compute in one partition.
struct FragmentPlan {
  uint32_t version = kPlanVersion;
  SelectorPlan selector;
  int64_t range_ms = 0;  // 0: an instant selector with lookback
  // The function over the range, or kTimestamp / kStartTimestamp over an instant selector. kCount:
  // none.
  FunctionId function = FunctionId::kCount;
  PosRange function_arg_pos;  // of the function's first argument, for annotations
  std::optional<PartialAggregation> aggregation;

  [[nodiscard]] bool has_function() const { return function != FunctionId::kCount; }
};

// When to compute it. Together with the plan this is everything that a partition is sent.
struct FragmentInput {
  Grid grid;
  int64_t lookback_ms = 0;
  // The function's scalar arguments: a value a step each.
  std::vector<std::vector<double>> arguments;
  bool use_start_timestamps = true;
};

struct MergePlan {
  uint32_t version = kPlanVersion;
  enum class Kind : uint8_t {
    kConcatenate,  // rows of partition 0, then of 1, ...
    kFold,         // partial aggregation states, merged in partition order
  };
  Kind kind = Kind::kConcatenate;
};

struct Node;
using NodePtr = std::unique_ptr<Node>;

struct NumberNode {
  double value = 0;
};
struct StringNode {
  std::string value;
};
// A fragment and its merge. `arguments`: scalar expressions for FragmentInput::arguments.
struct FragmentNode {
  FragmentPlan fragment;
  MergePlan merge;
  std::vector<NodePtr> arguments;
  // absent_over_time turns what was found into what was not.
  bool absent = false;
};
struct SubqueryNode {
  NodePtr expr;
  int64_t range_ms = 0;
  int64_t step_ms = 0;  // 0: the engine's default
  int64_t offset_ms = 0;
  std::optional<int64_t> at_ms;
};
// A range function over a subquery.
struct SubqueryCallNode {
  FunctionId function = FunctionId::kCount;
  SubqueryNode subquery;
  std::vector<NodePtr> arguments;
  PosRange arg_pos;  // of the first argument, for annotations
};
// A function of vectors, scalars and strings.
struct CallNode {
  FunctionId function = FunctionId::kCount;
  std::vector<NodePtr> args;
  std::vector<PosRange> arg_pos;
};
struct AggregateNode {
  AggregateOp op = AggregateOp::kSum;
  NodePtr expr;
  NodePtr parameter;  // or null
  Grouping grouping;
  PosRange expr_pos;
  PosRange parameter_pos;
};
struct BinaryNode {
  promql::BinaryOp op = promql::BinaryOp::kAdd;
  NodePtr lhs;
  NodePtr rhs;
  std::optional<promql::VectorMatching> matching;
  bool return_bool = false;
};
struct NegateNode {
  NodePtr expr;
};
// The same at every step: evaluated once.
struct StepInvariantNode {
  NodePtr expr;
};

struct Node {
  std::variant<NumberNode, StringNode, FragmentNode, SubqueryNode, SubqueryCallNode, CallNode,
               AggregateNode, BinaryNode, NegateNode, StepInvariantNode>
      op;
  promql::ValueType type = promql::ValueType::kVector;
  PosRange pos;

  template <typename T>
  [[nodiscard]] const T* As() const {
    return std::get_if<T>(&op);
  }
};

}  // namespace basalt::query::plan
