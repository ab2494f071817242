// Durations in brackets and behind `offset`: a literal, or arithmetic over literals, step() and
// range().
#include <algorithm>
#include <cmath>
#include <utility>

#include "query/promql/grammar.h"

namespace basalt::promql {
namespace {

using enum TokenType;

// 2^63 ns in seconds, as upstream writes the bound.
constexpr double kMaxSeconds = 9223372036.854775808;

struct DurationOperator {
  TokenType token;
  DurationOp op;
  int precedence;
};
constexpr int kLowest = 1;
constexpr int kPowPrecedence = 3;
constexpr DurationOperator kOperators[] = {
    {kAdd, DurationOp::kAdd, kLowest}, {kSub, DurationOp::kSub, kLowest},
    {kMul, DurationOp::kMul, 2},       {kDiv, DurationOp::kDiv, 2},
    {kMod, DurationOp::kMod, 2},       {kPow, DurationOp::kPow, kPowPrecedence},
};

const DurationOperator* FindOperator(TokenType type) {
  const auto* const found =
      std::find_if(std::begin(kOperators), std::end(kOperators),
                   [&](const DurationOperator& candidate) { return candidate.token == type; });
  return found == std::end(kOperators) ? nullptr : found;
}

std::shared_ptr<DurationExpr> Node(DurationOp op, PosRange pos, DurationExprPtr lhs = nullptr,
                                   DurationExprPtr rhs = nullptr) {
  auto node = std::make_shared<DurationExpr>();
  node->op = op;
  node->pos = pos;
  node->lhs = std::move(lhs);
  node->rhs = std::move(rhs);
  return node;
}

bool IsZeroLiteral(const DurationExpr& expr) {
  return expr.op == DurationOp::kLiteral && expr.literal_seconds == 0;
}

}  // namespace

std::optional<DurationValue> Grammar::ParsePositiveDuration() {
  const std::optional<Duration> duration = ParseDurationExpr(kLowest);
  if (!duration) return std::nullopt;
  const DurationExpr& expr = *duration->expr;
  if (expr.op == DurationOp::kLiteral && expr.literal_seconds <= 0) {
    Fail(expr.pos, "duration must be greater than 0");
    return std::nullopt;
  }
  return Fold(*duration);
}

DurationValue Grammar::Fold(const Duration& duration) {
  const DurationExpr& expr = *duration.expr;
  if (expr.op != DurationOp::kLiteral) return {Nanoseconds::zero(), duration.expr};
  const double ns = std::round(expr.literal_seconds * 1e9);
  // As upstream's conversion has it, whatever the sign.
  if (std::isnan(ns)) return {-Nanoseconds::max(), nullptr};
  // The largest literal that is let in rounds up to 2^63.
  constexpr double kFirstBeyond = 9223372036854775808.0;
  if (ns >= kFirstBeyond) return {Nanoseconds::max(), nullptr};
  if (ns <= -kFirstBeyond) return {-Nanoseconds::max(), nullptr};
  return {Nanoseconds(static_cast<int64_t>(ns)), nullptr};
}

// Behind `offset` a number, step() or a sign with one of them ends the duration, so that `a offset
// 5m + b` adds b. Only what starts with a parenthesis or two signs goes on: `a offset (5m) + 3m` is
// 8 minutes.
std::optional<Grammar::Duration> Grammar::ParseOffsetDuration() {
  switch (Peek().type) {
    case kNumber:
    case kDuration:
      return ParseDurationLiteral();
    case kStep:
    case kRange:
    case kMaxOf:
    case kMinOf:
      return ParseDurationWord();
    case kAdd:
    case kSub:
      break;
    default:
      return ParseDurationExpr(kLowest);
  }
  const Token sign = Take();
  switch (Peek().type) {
    case kNumber:
    case kDuration: {
      std::optional<Duration> literal = ParseDurationLiteral();
      return literal ? Negated(sign, *std::move(literal)) : std::nullopt;
    }
    case kStep:
    case kRange:
    case kMaxOf:
    case kMinOf: {
      std::optional<Duration> word = ParseDurationWord();
      if (!word) return std::nullopt;
      const DurationOp op = sign.type == kSub ? DurationOp::kMinus : DurationOp::kPlus;
      const PosRange pos{sign.pos, word->expr->pos.end};
      return Duration{Node(op, pos, nullptr, std::move(word->expr)), word->height + 1};
    }
    case kLeftParen: {
      std::optional<Duration> paren = ParseDurationParen();
      return paren ? Negated(sign, *std::move(paren)) : std::nullopt;
    }
    default: {
      std::optional<Duration> operand = ParseDurationExpr(kPowPrecedence);
      if (operand) operand = Negated(sign, *std::move(operand));
      return operand ? ContinueDurationExpr(*std::move(operand), kLowest) : std::nullopt;
    }
  }
}

std::optional<Grammar::Duration> Grammar::ParseDurationExpr(int least_precedence) {
  const DepthScope depth(*this);
  if (!CheckDepth(depth_, kMaxNesting, Peek().range())) return std::nullopt;
  std::optional<Duration> lhs = ParseDurationOperand();
  return lhs ? ContinueDurationExpr(*std::move(lhs), least_precedence) : std::nullopt;
}

std::optional<Grammar::Duration> Grammar::ContinueDurationExpr(Duration lhs, int least_precedence) {
  for (;;) {
    const DurationOperator* const op = FindOperator(Peek().type);
    if (op == nullptr || op->precedence < least_precedence) return lhs;
    const Token token = Take();
    const bool right = op->precedence == kPowPrecedence;
    std::optional<Duration> rhs = ParseDurationExpr(right ? op->precedence : op->precedence + 1);
    if (!rhs) return std::nullopt;
    if (token.type == kDiv && IsZeroLiteral(*rhs->expr)) {
      Fail(token.range(), "division by zero");
      return std::nullopt;
    }
    if (token.type == kMod && IsZeroLiteral(*rhs->expr)) {
      Fail(token.range(), "modulo by zero");
      return std::nullopt;
    }
    const PosRange pos{lhs.expr->pos.start, rhs->expr->pos.end};
    const int height = 1 + std::max(lhs.height, rhs->height);
    if (!CheckDepth(height, kMaxDepth, pos)) return std::nullopt;
    lhs = {Node(op->op, pos, std::move(lhs.expr), std::move(rhs->expr)), height};
  }
}

std::optional<Grammar::Duration> Grammar::ParseDurationOperand() {
  switch (Peek().type) {
    case kNumber:
    case kDuration:
      return ParseDurationLiteral();
    case kStep:
    case kRange:
    case kMaxOf:
    case kMinOf:
      return ParseDurationWord();
    case kLeftParen:
      return ParseDurationParen();
    case kAdd:
    case kSub: {
      const Token sign = Take();
      std::optional<Duration> operand = ParseDurationExpr(kPowPrecedence);
      return operand ? Negated(sign, *std::move(operand)) : std::nullopt;
    }
    default:
      Unexpected();
      return std::nullopt;
  }
}

std::optional<Grammar::Duration> Grammar::ParseDurationLiteral() {
  const Token token = Take();
  const std::optional<double> seconds = ParseNumberToken(token);
  if (!seconds) return std::nullopt;
  if (*seconds > kMaxSeconds) {
    Fail(token.range(), "duration out of range");
    return std::nullopt;
  }
  auto literal = Node(DurationOp::kLiteral, token.range());
  literal->literal_seconds = *seconds;
  literal->written_as_duration = token.type == kDuration;
  return Duration{std::move(literal)};
}

// step(), range(), max_of(a, b), min_of(a, b).
std::optional<Grammar::Duration> Grammar::ParseDurationWord() {
  const Token word = Take();
  if (!Expect(kLeftParen)) return std::nullopt;
  if (word.type == kStep || word.type == kRange) {
    if (!Expect(kRightParen)) return std::nullopt;
    const DurationOp op = word.type == kStep ? DurationOp::kStep : DurationOp::kRange;
    return Duration{Node(op, {word.pos, last_closing_})};
  }
  std::optional<Duration> lhs = ParseDurationExpr(kLowest);
  if (!lhs || !Expect(kComma)) return std::nullopt;
  std::optional<Duration> rhs = ParseDurationExpr(kLowest);
  if (!rhs || !Expect(kRightParen)) return std::nullopt;
  // Upstream's position is that of the arguments, and it shows in evaluation errors.
  const PosRange pos{lhs->expr->pos.start, rhs->expr->pos.end};
  const int height = 1 + std::max(lhs->height, rhs->height);
  const DurationOp op = word.type == kMaxOf ? DurationOp::kMaxOf : DurationOp::kMinOf;
  return Duration{Node(op, pos, std::move(lhs->expr), std::move(rhs->expr)), height};
}

// A literal has no parentheses of its own, so it gets a node that does nothing but carry them.
std::optional<Grammar::Duration> Grammar::ParseDurationParen() {
  const Token open = Take();
  std::optional<Duration> inner = ParseDurationExpr(kLowest);
  if (!inner || !Expect(kRightParen)) return std::nullopt;
  if (inner->expr->op == DurationOp::kLiteral) {
    const PosRange pos{open.pos, inner->expr->pos.end};
    inner->expr = Node(DurationOp::kPlus, pos, nullptr, std::move(inner->expr));
    ++inner->height;
  }
  inner->expr->wrapped = true;
  return inner;
}

// A sign before a literal becomes part of it; plus before anything else leaves no trace.
std::optional<Grammar::Duration> Grammar::Negated(const Token& sign, Duration operand) {
  DurationExpr& expr = *operand.expr;
  if (expr.op == DurationOp::kLiteral) {
    if (sign.type == kSub) expr.literal_seconds = -expr.literal_seconds;
    expr.pos.start = sign.pos;
    return operand;
  }
  if (sign.type == kAdd) return operand;
  const PosRange pos{sign.pos, expr.pos.end};
  return Duration{Node(DurationOp::kMinus, pos, nullptr, std::move(operand.expr)),
                  operand.height + 1};
}

}  // namespace basalt::promql
