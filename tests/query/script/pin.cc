#include "tests/query/script/pin.h"

#include <algorithm>
#include <array>
#include <utility>

#include "query/promql/functions.h"
#include "query/promql/printer.h"

namespace basalt::query::script {
namespace {

using promql::AtModifier;
using promql::Expr;
using promql::ExprPtr;
using promql::FunctionId;

// Their results depend on the time of evaluation even if their arguments do not.
bool LooksAtTheClock(FunctionId id) {
  constexpr std::array kFunctions = {
      FunctionId::kDaysInMonth, FunctionId::kDayOfMonth, FunctionId::kDayOfWeek,
      FunctionId::kDayOfYear,   FunctionId::kHour,       FunctionId::kMinute,
      FunctionId::kMonth,       FunctionId::kYear,       FunctionId::kPredictLinear,
      FunctionId::kTime,        FunctionId::kTimestamp,  FunctionId::kStart,
      FunctionId::kEnd,         FunctionId::kStep,       FunctionId::kRange};
  return std::find(kFunctions.begin(), kFunctions.end(), id) != kFunctions.end();
}

class Pinner {
 public:
  explicit Pinner(Timestamp time) : at_{AtModifier::Kind::kTimestamp, ToMs(time)} {}

  ExprPtr Pin(const ExprPtr& expr) {
    return promql::Visit(*expr, [&](auto node) {
      PinNode(node);
      return Expr::Make(std::move(node), expr->pos());
    });
  }
  [[nodiscard]] bool looks_at_the_clock() const { return looks_at_the_clock_; }

 private:
  // start() and end() are the time of evaluation in an instant query, so they are pinned as well.
  void PinTime(AtModifier& at) const {
    if (at.kind != AtModifier::Kind::kTimestamp) at = at_;
  }
  void PinNode(promql::NumberLiteral& /*number*/) {}
  void PinNode(promql::StringLiteral& /*string*/) {}
  void PinNode(promql::VectorSelector& selector) { PinTime(selector.at); }
  void PinNode(promql::MatrixSelector& matrix) { matrix.selector = Pin(matrix.selector); }
  // What is inside moves with the subquery, so it stays; but its calls are looked at.
  void PinNode(promql::Subquery& subquery) {
    PinTime(subquery.at);
    Pin(subquery.expr);
  }
  void PinNode(promql::Aggregate& aggregate) {
    aggregate.expr = Pin(aggregate.expr);
    if (aggregate.parameter) aggregate.parameter = Pin(aggregate.parameter);
  }
  void PinNode(promql::Call& call) {
    looks_at_the_clock_ = looks_at_the_clock_ || LooksAtTheClock(call.function->id);
    for (ExprPtr& arg : call.args) arg = Pin(arg);
  }
  void PinNode(promql::Binary& binary) {
    binary.lhs = Pin(binary.lhs);
    binary.rhs = Pin(binary.rhs);
  }
  template <typename Wrapper>
  void PinNode(Wrapper& wrapper) {
    wrapper.expr = Pin(wrapper.expr);
  }

  AtModifier at_;
  bool looks_at_the_clock_ = false;
};

}  // namespace

std::optional<std::string> PinSelectors(const ExprPtr& expr, Timestamp time) {
  Pinner pinner(time);
  const ExprPtr pinned = pinner.Pin(expr);
  if (pinner.looks_at_the_clock()) return std::nullopt;
  return promql::ToString(*pinned);
}

}  // namespace basalt::query::script
