// query/promql/ast.h -- a PromQL expression as a tree. The parser makes it, everybody else reads
// it.
//
// A tree is immutable once parsed and its nodes are shared, so a rewrite (resolving durations,
// wrapping what does not depend on the step) builds new nodes along one path and keeps the rest.
// Nodes are values in a variant: a walk is `Visit(expr, Overloaded{...})`, which the compiler
// checks for completeness, or `expr.As<Call>()` for a single kind. Depth is bounded by the parser
// (kMaxDepth in parser.h), so recursion over a tree is safe. Thread-safe to read, as all that is
// const.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "storage/reader.h"

namespace basalt::promql {

struct FunctionSpec;  // functions.h

// Byte offsets in the query text, half-open. Annotations and errors turn `start` into line:column
// (parser.h).
struct PosRange {
  int32_t start = 0;
  int32_t end = 0;
  friend bool operator==(const PosRange&, const PosRange&) = default;
};

// What an expression evaluates to. kNone never leaves the parser.
enum class ValueType : uint8_t { kNone, kScalar, kVector, kMatrix, kString };
// "none", "scalar", "vector", "matrix", "string": as in the HTTP API's resultType.
std::string_view ValueTypeName(ValueType type);
// "scalar", "instant vector", "range vector", "string": as in error messages and the documentation.
std::string_view DocumentedValueType(ValueType type);

class Expr;
using ExprPtr = std::shared_ptr<const Expr>;

// Durations keep nanoseconds although the engine works in whole milliseconds (`foo[0.0005]` is
// legal): the cut to milliseconds goes toward zero and belongs to the evaluation.
using Nanoseconds = std::chrono::nanoseconds;

enum class DurationOp : uint8_t {
  kLiteral,  // `literal_seconds`
  kStep,     // step(): the query's step, 0 in an instant query
  kRange,    // range(): end - start of the query
  kPlus,     // unary, `rhs` only; printed without its sign
  kMinus,    // unary, `rhs` only
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMod,
  kPow,
  kMinOf,
  kMaxOf,
};

// Arithmetic where a duration stands: `[2 * step()]`, `offset (1h / 3)`, `[1h:max_of(step(),
// 15s)]`. Values are seconds. Resolved at plan time by ResolveDuration (durations.h), because
// step() and range() are known only there.
struct DurationExpr {
  DurationOp op = DurationOp::kLiteral;
  bool wrapped = false;              // stands in parentheses of its own
  bool written_as_duration = false;  // kLiteral: `5m` and not `300`
  double literal_seconds = 0;        // kLiteral
  std::shared_ptr<const DurationExpr> lhs;
  std::shared_ptr<const DurationExpr> rhs;
  PosRange pos;
};
using DurationExprPtr = std::shared_ptr<const DurationExpr>;

// A range, step or offset. A lone number is folded into `value` by the parser; anything more is
// kept in `expr`, and `value` is 0 until the planner resolves it.
struct DurationValue {
  Nanoseconds value{0};
  DurationExprPtr expr;
  [[nodiscard]] bool set() const { return value != Nanoseconds::zero() || expr != nullptr; }
};

// The @ modifier.
struct AtModifier {
  enum class Kind : uint8_t { kNone, kTimestamp, kStart, kEnd };
  Kind kind = Kind::kNone;
  int64_t timestamp_ms = 0;  // kTimestamp; may be negative
  [[nodiscard]] bool set() const { return kind != Kind::kNone; }
};

// `smoothed` and `anchored` exclude each other.
enum class RangeMode : uint8_t { kPlain, kAnchored, kSmoothed };

struct NumberLiteral {
  double value = 0;                  // seconds if written as a duration
  bool written_as_duration = false;  // `5m`: prints as a duration again
};

struct StringLiteral {
  std::string value;  // unquoted; any bytes
};

// `up{job="a"} @ 5 offset 1m`, and the selector inside a MatrixSelector.
struct VectorSelector {
  std::string name;  // set outside the braces; empty for `{__name__="x"}` and `{"x"}`
  // In the order written; then __name__ = name, if `name` is set. Regular expressions have been
  // compiled once.
  std::vector<storage::Matcher> matchers;
  DurationValue offset;
  AtModifier at;
  RangeMode mode = RangeMode::kPlain;
  // The second argument of info(): may match everything.
  bool may_match_all = false;
};

// `selector[range]`. Offset, @ and mode stand in the selector.
struct MatrixSelector {
  ExprPtr selector;  // always a VectorSelector
  DurationValue range;
  [[nodiscard]] const VectorSelector& vector() const;
};

// `expr[range:step]`.
struct Subquery {
  ExprPtr expr;
  DurationValue range;
  DurationValue step;  // not set: the global evaluation interval
  DurationValue offset;
  AtModifier at;
};

enum class AggregateOp : uint8_t {
  kSum,
  kAvg,
  kCount,
  kMin,
  kMax,
  kGroup,
  kStddev,
  kStdvar,
  kTopk,
  kBottomk,
  kCountValues,
  kQuantile,
  kLimitk,
  kLimitRatio,
};
std::string_view AggregateOpName(AggregateOp op);  // "sum", "count_values", ...
// topk, bottomk, count_values, quantile, limitk and limit_ratio take a parameter.
bool AggregateTakesParameter(AggregateOp op);

// `op by/without (grouping) (parameter, expr)`.
struct Aggregate {
  AggregateOp op = AggregateOp::kSum;
  ExprPtr expr;
  ExprPtr parameter;                  // null if the operator takes none
  std::vector<std::string> grouping;  // in the order written, not deduplicated
  bool without = false;               // `grouping` names what is dropped
};

// `function(args...)`.
struct Call {
  const FunctionSpec* function = nullptr;  // never null after parsing; lives as long as the process
  std::vector<ExprPtr> args;
};

enum class BinaryOp : uint8_t {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMod,
  kPow,
  kAtan2,
  kEqual,
  kNotEqual,
  kGreater,
  kLess,
  kGreaterEqual,
  kLessEqual,
  kTrimUpper,  // `</`
  kTrimLower,  // `>/`
  kAnd,
  kOr,
  kUnless,
};
std::string_view BinaryOpName(BinaryOp op);  // "+", "==", "</", "and", ...
bool IsComparison(BinaryOp op);              // the six that filter or, with `bool`, give 0 and 1
bool IsSetOperator(BinaryOp op);             // and, or, unless

enum class Cardinality : uint8_t { kOneToOne, kManyToOne, kOneToMany, kManyToMany };
std::string_view CardinalityName(Cardinality card);  // "one-to-one", ...

// How elements of two vectors find each other.
struct VectorMatching {
  Cardinality card =
      Cardinality::kOneToOne;        // kManyToMany for set operators; kManyToOne is group_left
  std::vector<std::string> labels;   // of on() or ignoring(), in the order written
  bool on = false;                   // `labels` must agree; otherwise all others must
  std::vector<std::string> include;  // labels copied from the "one" side
  // What stands in for a missing partner on that side; none: no output.
  std::optional<double> fill_lhs;
  std::optional<double> fill_rhs;
};

struct Binary {
  BinaryOp op = BinaryOp::kAdd;
  ExprPtr lhs;
  ExprPtr rhs;
  std::optional<VectorMatching> matching;  // set if and only if both sides are vectors
  bool return_bool = false;
};

// `-expr`, `+expr`. A sign before a number has been folded into the number.
struct Unary {
  bool minus = false;
  ExprPtr expr;
};

struct Paren {
  ExprPtr expr;
};

// Says that `expr` has the same value at every step. The parser never makes one; the planner may.
struct StepInvariant {
  ExprPtr expr;
};

class Expr {
 public:
  using Node = std::variant<NumberLiteral, StringLiteral, VectorSelector, MatrixSelector, Subquery,
                            Aggregate, Call, Binary, Unary, Paren, StepInvariant>;

  Expr(Node node, PosRange pos);
  template <typename T>
  static ExprPtr Make(T node, PosRange pos) {
    return std::make_shared<const Expr>(Node(std::move(node)), pos);
  }

  [[nodiscard]] const Node& node() const { return node_; }
  [[nodiscard]] ValueType type() const { return type_; }  // computed once, when made
  [[nodiscard]] PosRange pos() const { return pos_; }

  // The node if it is a T, otherwise null.
  template <typename T>
  [[nodiscard]] const T* As() const {
    return std::get_if<T>(&node_);
  }
  template <typename T>
  [[nodiscard]] bool Is() const {
    return std::holds_alternative<T>(node_);
  }

 private:
  Node node_;
  PosRange pos_;
  ValueType type_;
};

template <typename... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <typename... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

// Calls the overload for the node's kind.
template <typename F>
decltype(auto) Visit(const Expr& expr, F&& f) {
  return std::visit(std::forward<F>(f), expr.node());
}

// The direct children, in upstream's order of walking (an aggregate's expression before its
// parameter).
std::vector<ExprPtr> Children(const Expr& expr);

// `expr` without the Paren and StepInvariant nodes around it.
const Expr& Unwrap(const Expr& expr);

}  // namespace basalt::promql
