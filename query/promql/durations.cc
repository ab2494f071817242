#include "query/promql/durations.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "query/promql/text.h"

namespace basalt::promql {
namespace {

constexpr int64_t kMsPerMinute = 60 * kMsPerSecond;
constexpr int64_t kMsPerHour = 60 * kMsPerMinute;

struct Unit {
  std::string_view name;
  int64_t ms;
  bool exact;  // printed only if nothing is left over: 90d reads better than 12w6d
};
constexpr Unit kUnits[] = {
    {"y", 365 * kMsPerDay, true},
    {"w", 7 * kMsPerDay, true},
    {"d", kMsPerDay, false},
    {"h", kMsPerHour, false},
    {"m", kMsPerMinute, false},
    {"s", kMsPerSecond, false},
    {"ms", 1, false},
};

// Durations are nanoseconds in 64 bits to the outside, so about 292 years are the most there is.
constexpr int64_t kMaxDurationNs = std::numeric_limits<int64_t>::max();
constexpr uint64_t kMaxDurationMs = static_cast<uint64_t>(kMaxDurationNs) / 1'000'000;
constexpr double kMaxDurationSeconds = 9223372036.854775807;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Digits as uint64_t; false if there are none or too many.
bool ReadNumber(std::string_view& text, uint64_t& value) {
  value = 0;
  size_t digits = 0;
  for (; digits < text.size() && IsDigit(text[digits]); ++digits) {
    const auto digit = static_cast<uint64_t>(text[digits] - '0');
    if (value > (std::numeric_limits<uint64_t>::max() - digit) / 10) return false;
    value = value * 10 + digit;
  }
  text.remove_prefix(digits);
  return digits > 0;
}

std::string FormatMs(int64_t ms) {
  if (ms == 0) return "0s";
  std::string out = ms < 0 ? "-" : "";
  uint64_t rest = ms < 0 ? 0 - static_cast<uint64_t>(ms) : static_cast<uint64_t>(ms);
  for (const Unit& unit : kUnits) {
    const auto size = static_cast<uint64_t>(unit.ms);
    if (rest < size || (unit.exact && rest % size != 0)) continue;
    out += std::to_string(rest / size);
    out += unit.name;
    rest %= size;
  }
  return out;
}

Status At(const DurationExpr& expr, std::string_view what) {
  return InvalidArgument(std::to_string(expr.pos.start) + ":" + std::to_string(expr.pos.end) +
                         ": " + std::string(what));
}

// Seconds.
Result<double> Evaluate(const DurationExpr& expr, const DurationContext& context) {
  const auto seconds = [](Duration d) {
    return static_cast<double>(d.count() / kMsPerSecond) +
           static_cast<double>(d.count() % kMsPerSecond) / 1e3;
  };
  double lhs = 0;
  double rhs = 0;
  if (expr.lhs) {
    BASALT_TRY_ASSIGN(lhs, Evaluate(*expr.lhs, context));
  }
  if (expr.rhs) {
    BASALT_TRY_ASSIGN(rhs, Evaluate(*expr.rhs, context));
  }
  switch (expr.op) {
    case DurationOp::kLiteral:
      return expr.literal_seconds;
    case DurationOp::kStep:
      return seconds(context.step);
    case DurationOp::kRange:
      return seconds(context.range);
    case DurationOp::kPlus:
      return rhs;
    case DurationOp::kMinus:
      return -rhs;
    case DurationOp::kAdd:
      return lhs + rhs;
    case DurationOp::kSub:
      return lhs - rhs;
    case DurationOp::kMul:
      return lhs * rhs;
    case DurationOp::kDiv:
      if (rhs == 0) return At(expr, "division by zero");
      return lhs / rhs;
    case DurationOp::kMod:
      if (rhs == 0) return At(expr, "modulo by zero");
      return std::fmod(lhs, rhs);
    case DurationOp::kPow:
      return std::pow(lhs, rhs);
    // NaN in either makes NaN, unlike std::min and std::fmin.
    case DurationOp::kMinOf:
      return std::isnan(lhs) || rhs > lhs ? lhs : rhs;
    case DurationOp::kMaxOf:
      return std::isnan(lhs) || rhs < lhs ? lhs : rhs;
  }
  return At(expr, "unknown duration operator");
}

// Rebuilds what contains a duration expression and shares the rest.
class Resolver {
 public:
  explicit Resolver(const DurationContext& context) : context_(context) {}

  Result<ExprPtr> Resolve(const ExprPtr& expr) const {
    return Visit(*expr, [&](const auto& node) { return ResolveNode(expr, node); });
  }

 private:
  // The literals.
  template <typename Leaf>
  Result<ExprPtr> ResolveNode(const ExprPtr& expr, const Leaf& /*leaf*/) const
    requires std::is_same_v<Leaf, NumberLiteral> || std::is_same_v<Leaf, StringLiteral>
  {
    return expr;
  }
  Result<ExprPtr> ResolveNode(const ExprPtr& expr, const VectorSelector& selector) const {
    if (!selector.offset.expr) return expr;
    VectorSelector copy = selector;
    BASALT_TRY(Settle(copy.offset, DurationUse::kOffset));
    return Expr::Make(std::move(copy), expr->pos());
  }
  Result<ExprPtr> ResolveNode(const ExprPtr& expr, const MatrixSelector& matrix) const {
    MatrixSelector copy = matrix;
    BASALT_TRY(Settle(copy.range, DurationUse::kRangeOrStep));
    BASALT_TRY_ASSIGN(copy.selector, Resolve(matrix.selector));
    if (!matrix.range.expr && copy.selector == matrix.selector) return expr;
    return Expr::Make(std::move(copy), expr->pos());
  }
  Result<ExprPtr> ResolveNode(const ExprPtr& expr, const Subquery& subquery) const {
    Subquery copy = subquery;
    BASALT_TRY(Settle(copy.offset, DurationUse::kOffset));
    BASALT_TRY(Settle(copy.step, DurationUse::kRangeOrStep));
    BASALT_TRY(Settle(copy.range, DurationUse::kRangeOrStep));
    BASALT_TRY_ASSIGN(copy.expr, Resolve(subquery.expr));
    const bool same = copy.expr == subquery.expr && !subquery.offset.expr && !subquery.step.expr &&
                      !subquery.range.expr;
    return same ? expr : Expr::Make(std::move(copy), expr->pos());
  }
  Result<ExprPtr> ResolveNode(const ExprPtr& expr, const Aggregate& aggregate) const {
    Aggregate copy = aggregate;
    BASALT_TRY_ASSIGN(copy.expr, Resolve(aggregate.expr));
    if (aggregate.parameter) {
      BASALT_TRY_ASSIGN(copy.parameter, Resolve(aggregate.parameter));
    }
    const bool same = copy.expr == aggregate.expr && copy.parameter == aggregate.parameter;
    return same ? expr : Expr::Make(std::move(copy), expr->pos());
  }
  Result<ExprPtr> ResolveNode(const ExprPtr& expr, const Call& call) const {
    Call copy = call;
    for (ExprPtr& arg : copy.args) {
      BASALT_TRY_ASSIGN(arg, Resolve(arg));
    }
    return copy.args == call.args ? expr : Expr::Make(std::move(copy), expr->pos());
  }
  Result<ExprPtr> ResolveNode(const ExprPtr& expr, const Binary& binary) const {
    Binary copy = binary;
    BASALT_TRY_ASSIGN(copy.lhs, Resolve(binary.lhs));
    BASALT_TRY_ASSIGN(copy.rhs, Resolve(binary.rhs));
    const bool same = copy.lhs == binary.lhs && copy.rhs == binary.rhs;
    return same ? expr : Expr::Make(std::move(copy), expr->pos());
  }
  template <typename Wrapper>
  Result<ExprPtr> ResolveNode(const ExprPtr& expr, const Wrapper& wrapper) const
    requires std::is_same_v<Wrapper, Unary> || std::is_same_v<Wrapper, Paren> ||
             std::is_same_v<Wrapper, StepInvariant>
  {
    Wrapper copy = wrapper;
    BASALT_TRY_ASSIGN(copy.expr, Resolve(wrapper.expr));
    return copy.expr == wrapper.expr ? expr : Expr::Make(std::move(copy), expr->pos());
  }

  Status Settle(DurationValue& duration, DurationUse use) const {
    BASALT_TRY_ASSIGN(duration.value, ResolveDuration(duration, context_, use));
    duration.expr = nullptr;
    return OkStatus();
  }

  const DurationContext& context_;
};

}  // namespace

Result<Duration> ParseDuration(std::string_view text) {
  if (text == "0") return Duration(0);
  if (text.empty()) return InvalidArgument("empty duration string");
  const auto invalid = [&] {
    return InvalidArgument("not a valid duration string: " + GoQuoted(text));
  };
  uint64_t total_ms = 0;
  const Unit* next_unit =
      std::begin(kUnits);  // from the largest to the smallest, each at most once
  for (std::string_view rest = text; !rest.empty();) {
    uint64_t count = 0;
    if (!ReadNumber(rest, count)) return invalid();
    const size_t length =
        static_cast<size_t>(std::find_if(rest.begin(), rest.end(), IsDigit) - rest.begin());
    if (length == 0) return invalid();
    const std::string_view name = rest.substr(0, length);
    rest.remove_prefix(length);
    const auto named = [&](const Unit& unit) { return unit.name == name; };
    const Unit* const unit = std::find_if(std::begin(kUnits), std::end(kUnits), named);
    if (unit == std::end(kUnits))
      return InvalidArgument("unknown unit " + GoQuoted(name) + " in duration " + GoQuoted(text));
    if (unit < next_unit) return invalid();
    next_unit = unit + 1;
    const auto unit_ms = static_cast<uint64_t>(unit->ms);
    if (count > kMaxDurationMs / unit_ms) return InvalidArgument("duration out of range");
    total_ms += count * unit_ms;
    if (total_ms > kMaxDurationMs) return InvalidArgument("duration out of range");
  }
  return Duration(static_cast<int64_t>(total_ms));
}

std::string FormatDuration(Duration duration) { return FormatMs(duration.count()); }
std::string FormatDuration(Nanoseconds duration) { return FormatMs(duration.count() / 1'000'000); }

Result<Nanoseconds> ResolveDuration(const DurationValue& duration, const DurationContext& context,
                                    DurationUse use) {
  if (!duration.expr) return duration.value;
  const DurationExpr& expr = *duration.expr;
  BASALT_TRY_ASSIGN(const double seconds, Evaluate(expr, context));
  if (!std::isfinite(seconds)) return At(expr, "duration is NaN or infinite");
  if (use == DurationUse::kRangeOrStep && seconds <= 0)
    return At(expr, "duration must be greater than 0");
  if (std::fabs(seconds) > kMaxDurationSeconds) return At(expr, "duration is out of range");
  const auto ms = std::min(static_cast<int64_t>(seconds * 1000), kMaxDurationNs / 1'000'000);
  return Nanoseconds(ms * 1'000'000);
}

Result<ExprPtr> ResolveDurations(const ExprPtr& expr, const DurationContext& context) {
  return Resolver(context).Resolve(expr);
}

}  // namespace basalt::promql
