#include "query/promql/check.h"

#include <algorithm>
#include <string>
#include <utility>

#include "query/promql/regex.h"
#include "query/promql/text.h"

namespace basalt::promql {
namespace {

std::string Documented(ValueType type) { return std::string(DocumentedValueType(type)); }

bool IsScalarOrVector(ValueType type) {
  return type == ValueType::kScalar || type == ValueType::kVector;
}

// Every Check returns false as soon as an error is found.
class Checker {
 public:
  explicit Checker(std::string_view query) : query_(query) {}

  bool Check(const Expr& expr) {
    return Visit(expr, [&](const auto& node) { return CheckNode(expr, node); });
  }
  std::optional<ParseError> TakeError() { return std::move(error_); }

 private:
  bool CheckNode(const Expr& /*expr*/, const NumberLiteral& /*number*/) { return true; }
  bool CheckNode(const Expr& /*expr*/, const StringLiteral& /*string*/) { return true; }
  bool CheckNode(const Expr& /*expr*/, const Paren& paren) { return Check(*paren.expr); }
  bool CheckNode(const Expr& /*expr*/, const StepInvariant& node) { return Check(*node.expr); }
  bool CheckNode(const Expr& /*expr*/, const MatrixSelector& matrix) {
    return Check(*matrix.selector);
  }
  bool CheckNode(const Expr& expr, const VectorSelector& selector);
  bool CheckNode(const Expr& expr, const Subquery& subquery);
  bool CheckNode(const Expr& expr, const Aggregate& aggregate);
  bool CheckNode(const Expr& expr, const Call& call);
  bool CheckNode(const Expr& expr, const Binary& binary);
  bool CheckNode(const Expr& expr, const Unary& unary);

  bool CheckCount(const Expr& expr, const Call& call);
  bool CheckInfo(const Expr& expr, const Call& call);
  bool CheckModifiers(const Binary& binary);
  bool CheckMatching(const Expr& expr, const Binary& binary);
  bool Expect(const Expr& expr, ValueType wanted, std::string_view context);

  bool Fail(PosRange pos, std::string message) {
    error_ = ParseError{pos, std::move(message)};
    return false;
  }
  // Where the operator of a binary expression stands.
  [[nodiscard]] PosRange OperatorPos(const Binary& binary) const;

  std::string_view query_;
  std::optional<ParseError> error_;
};

bool Checker::Expect(const Expr& expr, ValueType wanted, std::string_view context) {
  if (!Check(expr)) return false;
  if (expr.type() == wanted) return true;
  return Fail(expr.pos(), "expected type " + Documented(wanted) + " in " + std::string(context) +
                              ", got " + Documented(expr.type()));
}

bool Checker::CheckNode(const Expr& expr, const VectorSelector& selector) {
  const auto& matchers = selector.matchers;
  if (!selector.name.empty()) {
    // The last matcher is the name outside the braces; there must be none inside.
    const auto twice =
        std::find_if(matchers.begin(), matchers.end() - 1,
                     [](const storage::Matcher& m) { return m.name == kMetricName; });
    if (twice == matchers.end() - 1) return true;
    return Fail(expr.pos(), "metric name must not be set twice: " + GoQuoted(selector.name) +
                                " or " + GoQuoted(twice->value));
  }
  if (selector.may_match_all || !std::all_of(matchers.begin(), matchers.end(), MatchesEmpty))
    return true;
  return Fail(expr.pos(), "vector selector must contain at least one non-empty matcher");
}

bool Checker::CheckNode(const Expr& expr, const Subquery& subquery) {
  if (!Check(*subquery.expr)) return false;
  const ValueType type = subquery.expr->type();
  if (type == ValueType::kVector) return true;
  return Fail(expr.pos(), "subquery is only allowed on instant vector, got " +
                              std::string(ValueTypeName(type)) + " instead");
}

bool Checker::CheckNode(const Expr& /*expr*/, const Aggregate& aggregate) {
  if (!Expect(*aggregate.expr, ValueType::kVector, "aggregation expression")) return false;
  if (!aggregate.parameter) return true;
  const bool string = aggregate.op == AggregateOp::kCountValues;
  return Expect(*aggregate.parameter, string ? ValueType::kString : ValueType::kScalar,
                "aggregation parameter");
}

bool Checker::CheckNode(const Expr& expr, const Call& call) {
  const FunctionSpec& function = *call.function;
  if (!CheckCount(expr, call)) return false;
  if (function.id == FunctionId::kInfo && call.args.size() > 1 && !CheckInfo(expr, call))
    return false;
  for (size_t i = 0; i < call.args.size(); ++i) {
    // The last type stands for all that follow in a variadic call.
    const ValueType wanted = function.arg_types[std::min(i, function.arg_types.size() - 1)];
    if (!Expect(*call.args[i], wanted, "call to function " + GoQuoted(function.name))) return false;
  }
  return true;
}

bool Checker::CheckCount(const Expr& expr, const Call& call) {
  const FunctionSpec& function = *call.function;
  const size_t count = call.args.size();
  const size_t declared = function.arg_types.size();
  const auto fail = [&](std::string_view bound, size_t wanted) {
    return Fail(expr.pos(), "expected " + std::string(bound) + std::to_string(wanted) +
                                " argument(s) in call to " + GoQuoted(function.name) + ", got " +
                                std::to_string(count));
  };
  if (function.variadic == 0) return count == declared || fail("", declared);
  const size_t least = declared - 1;
  if (count < least) return fail("at least ", least);
  if (function.variadic < 0) return true;
  const size_t most = least + static_cast<size_t>(function.variadic);
  return count <= most || fail("at most ", most);
}

bool Checker::CheckInfo(const Expr& expr, const Call& call) {
  const Expr& labels = *call.args[1];
  if (labels.type() != ValueType::kVector) {
    return Fail(expr.pos(), "expected type instant vector in call to function \"info\", got " +
                                Documented(labels.type()));
  }
  const auto* const selector = labels.As<VectorSelector>();
  if (selector == nullptr) return Fail(labels.pos(), "expected label selectors only");
  if (selector->name.empty()) return true;
  return Fail(labels.pos(), "expected label selectors only, got vector selector instead");
}

bool Checker::CheckNode(const Expr& expr, const Binary& binary) {
  if (!Check(*binary.lhs) || !Check(*binary.rhs) || !CheckModifiers(binary)) return false;
  constexpr std::string_view kOperands =
      "binary expression must contain only scalar and instant vector types";
  for (const Expr* side : {binary.lhs.get(), binary.rhs.get()})
    if (!IsScalarOrVector(side->type())) return Fail(side->pos(), std::string(kOperands));
  return CheckMatching(expr, binary);
}

bool Checker::CheckModifiers(const Binary& binary) {
  const bool scalars =
      binary.lhs->type() == ValueType::kScalar && binary.rhs->type() == ValueType::kScalar;
  if (binary.return_bool && !IsComparison(binary.op))
    return Fail(OperatorPos(binary), "bool modifier can only be used on comparison operators");
  if (scalars && IsComparison(binary.op) && !binary.return_bool)
    return Fail(OperatorPos(binary), "comparisons between scalars must use BOOL modifier");
  if (!binary.matching || !binary.matching->on) return true;
  for (const std::string& label : binary.matching->labels) {
    const auto& include = binary.matching->include;
    if (std::find(include.begin(), include.end(), label) != include.end()) {
      return Fail(OperatorPos(binary),
                  "label " + GoQuoted(label) + " must not occur in ON and GROUP clause at once");
    }
  }
  return true;
}

bool Checker::CheckMatching(const Expr& expr, const Binary& binary) {
  const bool vectors =
      binary.lhs->type() == ValueType::kVector && binary.rhs->type() == ValueType::kVector;
  const std::string op = GoQuoted(BinaryOpName(binary.op));
  const bool filled = binary.matching && (binary.matching->fill_lhs || binary.matching->fill_rhs);
  if (!vectors) {
    if (binary.matching && !binary.matching->labels.empty())
      return Fail(expr.pos(), "vector matching only allowed between instant vectors");
    if (filled)
      return Fail(expr.pos(), "filling in missing series only allowed between instant vectors");
    if (!IsSetOperator(binary.op)) return true;
    return Fail(expr.pos(), "set operator " + op + " not allowed in binary scalar expression");
  }
  if (!IsSetOperator(binary.op)) return true;
  if (binary.matching->card != Cardinality::kManyToMany)
    return Fail(expr.pos(), "no grouping allowed for " + op + " operation");
  if (filled) return Fail(expr.pos(), "filling in missing series not allowed for set operators");
  return true;
}

PosRange Checker::OperatorPos(const Binary& binary) const {
  const auto is_space = [&](int32_t at) {
    return std::string_view(" \t\r\n").find(query_[static_cast<size_t>(at)]) !=
           std::string_view::npos;
  };
  PosRange pos{binary.lhs->pos().end, binary.rhs->pos().start};
  while (pos.start < pos.end && is_space(pos.start)) ++pos.start;
  while (pos.end > pos.start && is_space(pos.end - 1)) --pos.end;
  return pos;
}

bool Checker::CheckNode(const Expr& expr, const Unary& unary) {
  if (!Check(*unary.expr)) return false;
  const ValueType type = unary.expr->type();
  if (IsScalarOrVector(type)) return true;
  return Fail(
      expr.pos(),
      "unary expression only allowed on expressions of type scalar or instant vector, got " +
          GoQuoted(DocumentedValueType(type)));
}

}  // namespace

std::optional<ParseError> CheckTypes(const Expr& expr, std::string_view query) {
  Checker checker(query);
  checker.Check(expr);
  return checker.TakeError();
}

}  // namespace basalt::promql
