#include "query/promql/ast.h"

#include <array>

#include "query/promql/functions.h"

namespace basalt::promql {
namespace {

ValueType TypeOf(const Expr::Node& node) {
  return std::visit(
      Overloaded{
          [](const NumberLiteral&) { return ValueType::kScalar; },
          [](const StringLiteral&) { return ValueType::kString; },
          [](const VectorSelector&) { return ValueType::kVector; },
          [](const MatrixSelector&) { return ValueType::kMatrix; },
          [](const Subquery&) { return ValueType::kMatrix; },
          [](const Aggregate&) { return ValueType::kVector; },
          [](const Call& call) { return call.function->return_type; },
          [](const Binary& binary) {
            const bool scalar = binary.lhs->type() == ValueType::kScalar &&
                                binary.rhs->type() == ValueType::kScalar;
            return scalar ? ValueType::kScalar : ValueType::kVector;
          },
          [](const auto& wrapper) { return wrapper.expr->type(); },  // Unary, Paren, StepInvariant
      },
      node);
}

template <typename Enum, size_t kSize>
std::string_view NameIn(const std::array<std::string_view, kSize>& names, Enum value) {
  return names[static_cast<size_t>(value)];
}

}  // namespace

std::string_view ValueTypeName(ValueType type) {
  static constexpr std::array<std::string_view, 5> kNames = {"none", "scalar", "vector", "matrix",
                                                             "string"};
  return NameIn(kNames, type);
}

std::string_view DocumentedValueType(ValueType type) {
  if (type == ValueType::kVector) return "instant vector";
  if (type == ValueType::kMatrix) return "range vector";
  return ValueTypeName(type);
}

std::string_view AggregateOpName(AggregateOp op) {
  static constexpr std::array<std::string_view, 14> kNames = {
      "sum",    "avg",  "count",   "min",          "max",      "group",  "stddev",
      "stdvar", "topk", "bottomk", "count_values", "quantile", "limitk", "limit_ratio"};
  return NameIn(kNames, op);
}

bool AggregateTakesParameter(AggregateOp op) { return op >= AggregateOp::kTopk; }

std::string_view BinaryOpName(BinaryOp op) {
  static constexpr std::array<std::string_view, 18> kNames = {"+",   "-",     "*",     "/",  "%",
                                                              "^",   "atan2", "==",    "!=", ">",
                                                              "<",   ">=",    "<=",    "</", ">/",
                                                              "and", "or",    "unless"};
  return NameIn(kNames, op);
}

bool IsComparison(BinaryOp op) { return op >= BinaryOp::kEqual && op <= BinaryOp::kLessEqual; }
bool IsSetOperator(BinaryOp op) { return op >= BinaryOp::kAnd; }

std::string_view CardinalityName(Cardinality card) {
  static constexpr std::array<std::string_view, 4> kNames = {"one-to-one", "many-to-one",
                                                             "one-to-many", "many-to-many"};
  return NameIn(kNames, card);
}

const VectorSelector& MatrixSelector::vector() const { return *selector->As<VectorSelector>(); }

Expr::Expr(Node node, PosRange pos) : node_(std::move(node)), pos_(pos), type_(TypeOf(node_)) {}

std::vector<ExprPtr> Children(const Expr& expr) {
  using List = std::vector<ExprPtr>;
  return Visit(expr, Overloaded{
                         [](const NumberLiteral&) { return List(); },
                         [](const StringLiteral&) { return List(); },
                         [](const VectorSelector&) { return List(); },
                         [](const MatrixSelector& matrix) { return List{matrix.selector}; },
                         [](const Aggregate& aggregate) {
                           List children{aggregate.expr};
                           if (aggregate.parameter) children.push_back(aggregate.parameter);
                           return children;
                         },
                         [](const Call& call) { return call.args; },
                         [](const Binary& binary) { return List{binary.lhs, binary.rhs}; },
                         [](const auto& wrapper) { return List{wrapper.expr}; },
                     });
}

const Expr& Unwrap(const Expr& expr) {
  const Expr* inner = &expr;
  for (;;) {
    if (const auto* paren = inner->As<Paren>()) {
      inner = paren->expr.get();
    } else if (const auto* invariant = inner->As<StepInvariant>()) {
      inner = invariant->expr.get();
    } else {
      return *inner;
    }
  }
}

}  // namespace basalt::promql
