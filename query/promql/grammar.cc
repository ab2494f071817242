#include "query/promql/grammar.h"

#include <algorithm>
#include <array>
#include <utility>

#include "query/promql/durations.h"

namespace basalt::promql {
namespace {

using enum TokenType;

constexpr int kLowestPrecedence = 1;
constexpr int kMulPrecedence = 5;
constexpr int kPowPrecedence = 6;

struct BinaryOperator {
  TokenType token;
  BinaryOp op;
  int precedence;
};
constexpr BinaryOperator kBinaryOperators[] = {
    {kOr, BinaryOp::kOr, kLowestPrecedence},
    {kAnd, BinaryOp::kAnd, 2},
    {kUnless, BinaryOp::kUnless, 2},
    {kEqual, BinaryOp::kEqual, 3},
    {kNotEqual, BinaryOp::kNotEqual, 3},
    {kGreater, BinaryOp::kGreater, 3},
    {kLess, BinaryOp::kLess, 3},
    {kGreaterEqual, BinaryOp::kGreaterEqual, 3},
    {kLessEqual, BinaryOp::kLessEqual, 3},
    {kTrimUpper, BinaryOp::kTrimUpper, 3},
    {kTrimLower, BinaryOp::kTrimLower, 3},
    {kAdd, BinaryOp::kAdd, 4},
    {kSub, BinaryOp::kSub, 4},
    {kMul, BinaryOp::kMul, kMulPrecedence},
    {kDiv, BinaryOp::kDiv, kMulPrecedence},
    {kMod, BinaryOp::kMod, kMulPrecedence},
    {kAtan2, BinaryOp::kAtan2, kMulPrecedence},
    {kPow, BinaryOp::kPow, kPowPrecedence},
};

const BinaryOperator* FindBinaryOperator(TokenType type) {
  const auto* const found =
      std::find_if(std::begin(kBinaryOperators), std::end(kBinaryOperators),
                   [&](const BinaryOperator& candidate) { return candidate.token == type; });
  return found == std::end(kBinaryOperators) ? nullptr : found;
}

// Words that are metric names where an expression starts, though they mean something elsewhere.
bool MayNameMetric(TokenType type) {
  if (IsAggregator(type) || IsBetween(type, kStart, kMinOf)) return true;
  constexpr std::array kNames = {kIdentifier, kMetricIdentifier, kAnd,     kOr,       kUnless,
                                 kBy,         kWithout,          kFill,    kFillLeft, kFillRight,
                                 kOffset,     kAnchored,         kSmoothed};
  return std::find(kNames.begin(), kNames.end(), type) != kNames.end();
}

// A selector as the second argument of info() may match everything, which the check of types has to
// know.
ExprPtr AllowMatchingAll(const ExprPtr& arg) {
  const auto* const selector = arg->As<VectorSelector>();
  if (selector == nullptr || !selector->name.empty()) return arg;
  VectorSelector copy = *selector;
  copy.may_match_all = true;
  return Expr::Make(std::move(copy), arg->pos());
}

}  // namespace

bool MayStartExpression(TokenType type) {
  constexpr std::array kStarts = {kAdd, kSub, kLeftParen, kLeftBrace, kNumber, kDuration, kString};
  return MayNameMetric(type) || std::find(kStarts.begin(), kStarts.end(), type) != kStarts.end();
}

std::optional<ExprPtr> Grammar::ParseQuery() {
  if (At(kEof)) {
    Fail({}, "no expression found in input");
    return std::nullopt;
  }
  std::optional<Sealed> expr = Seal(ParseExpression(kLowestPrecedence));
  if (!expr || !Expect(kEof)) return std::nullopt;
  return std::move(expr->expr);
}

std::optional<VectorSelector> Grammar::ParseSelectorQuery() {
  PosRange pos;
  std::optional<VectorSelector> selector;
  if (MayNameMetric(Peek().type)) {
    const Token name = Take();
    selector = ParseVectorSelector(&name, pos);
  } else {
    selector = ParseVectorSelector(nullptr, pos);
  }
  if (!selector || !Expect(kEof)) return std::nullopt;
  return selector;
}

const Token& Grammar::Peek() {
  if (!next_) {
    next_ = lexer_.Next();
    if (next_->type == kError) Fail(next_->range(), lexer_.error_message());
  }
  return *next_;
}

Token Grammar::Take() {
  const Token token = Peek();
  next_.reset();
  constexpr std::array kClosing = {kRightBrace, kRightParen, kRightBracket, kDuration, kNumber};
  if (std::find(kClosing.begin(), kClosing.end(), token.type) != kClosing.end())
    last_closing_ = token.end();
  return token;
}

bool Grammar::Expect(TokenType type) {
  if (!At(type)) return Unexpected();
  Take();
  return true;
}

bool Grammar::Fail(PosRange pos, std::string message) {
  if (!error_) error_ = ParseError{pos, std::move(message)};
  return false;
}

bool Grammar::Unexpected() {
  const Token& token = Peek();
  std::string message = "unexpected " + Describe(token);
  if (!context_.where.empty()) message += " in " + std::string(context_.where);
  if (!context_.expected.empty()) message += ", expected " + std::string(context_.expected);
  return Fail(token.range(), std::move(message));
}

bool Grammar::CheckDepth(int levels, int most, PosRange pos) {
  if (levels <= most) return true;
  return Fail(pos, "expression is nested too deeply, at most " + std::to_string(most) +
                       " levels are allowed");
}

std::optional<Grammar::Sealed> Grammar::Seal(std::optional<Operand> operand) {
  if (!operand || !CheckDepth(operand->height, kMaxDepth, operand->pos)) return std::nullopt;
  return Sealed{std::make_shared<const Expr>(std::move(operand->node), operand->pos),
                operand->height};
}

std::optional<Grammar::Operand> Grammar::ParseExpression(int least_precedence) {
  const DepthScope depth(*this);
  if (!CheckDepth(depth_, kMaxNesting, Peek().range())) return std::nullopt;
  std::optional<Operand> lhs = ParseUnary();
  while (lhs) {
    const BinaryOperator* const op = FindBinaryOperator(Peek().type);
    if (op == nullptr || op->precedence < least_precedence) break;
    lhs = ParseBinary(*std::move(lhs), Take(), op->precedence);
  }
  return lhs;
}

std::optional<Grammar::Operand> Grammar::ParseBinary(Operand lhs, const Token& op, int precedence) {
  std::optional<BinaryModifiers> modifiers = ParseBinaryModifiers();
  if (!modifiers) return std::nullopt;
  // All are left-associative but ^.
  const bool right = precedence == kPowPrecedence;
  std::optional<Sealed> left = Seal(std::move(lhs));
  if (!left) return std::nullopt;
  std::optional<Sealed> rhs = Seal(ParseExpression(right ? precedence : precedence + 1));
  if (!rhs) return std::nullopt;

  const PosRange pos{left->expr->pos().start, rhs->expr->pos().end};
  const int height = 1 + std::max(left->height, rhs->height);
  Binary binary{FindBinaryOperator(op.type)->op, std::move(left->expr), std::move(rhs->expr),
                std::nullopt, modifiers->return_bool};
  VectorMatching& matching = modifiers->matching;
  if (IsSetOperator(binary.op) && matching.card == Cardinality::kOneToOne)
    matching.card = Cardinality::kManyToMany;
  const bool vectors =
      binary.lhs->type() == ValueType::kVector && binary.rhs->type() == ValueType::kVector;
  // Between others matching means nothing. What the check will complain about is kept for it.
  const bool misplaced = !matching.labels.empty() || matching.fill_lhs || matching.fill_rhs;
  if (vectors || misplaced) binary.matching = std::move(matching);
  return Operand{std::move(binary), pos, height};
}

// A sign binds as * does, so `-a ^ b` is `-(a ^ b)`. Before a number it becomes part of it.
std::optional<Grammar::Operand> Grammar::ParseUnary() {
  if (!At(kAdd) && !At(kSub)) {
    std::optional<Operand> operand = ParsePrimary();
    if (!operand || !ParsePostfix(*operand)) return std::nullopt;
    return operand;
  }
  const Token sign = Take();
  const bool minus = sign.type == kSub;
  std::optional<Operand> operand = ParseExpression(kMulPrecedence + 1);
  if (!operand) return std::nullopt;
  if (auto* const number = std::get_if<NumberLiteral>(&operand->node)) {
    if (minus) number->value = -number->value;
    operand->pos.start = sign.pos;
    return operand;
  }
  std::optional<Sealed> inner = Seal(std::move(operand));
  if (!inner) return std::nullopt;
  const PosRange pos{sign.pos, inner->expr->pos().end};
  return Operand{Unary{minus, std::move(inner->expr)}, pos, inner->height + 1};
}

std::optional<Grammar::Operand> Grammar::ParsePrimary() {
  switch (Peek().type) {
    case kNumber:
    case kDuration:
      return ParseNumberLiteral();
    case kString: {
      const Token token = Take();
      return Operand{StringLiteral{Unquote(token.text)}, token.range()};
    }
    case kLeftParen:
      return ParseParen();
    case kLeftBrace: {
      PosRange pos;
      std::optional<VectorSelector> selector = ParseVectorSelector(nullptr, pos);
      if (!selector) return std::nullopt;
      return Operand{*std::move(selector), pos};
    }
    default:
      if (MayNameMetric(Peek().type)) return ParseWord();
      Unexpected();
      return std::nullopt;
  }
}

std::optional<Grammar::Operand> Grammar::ParseParen() {
  const Token open = Take();
  std::optional<Sealed> inner = Seal(ParseExpression(kLowestPrecedence));
  if (!inner || !Expect(kRightParen)) return std::nullopt;
  return Operand{Paren{std::move(inner->expr)}, {open.pos, last_closing_}, inner->height + 1};
}

std::optional<Grammar::Operand> Grammar::ParseNumberLiteral() {
  const Token token = Take();
  const std::optional<double> value = ParseNumberToken(token);
  if (!value) return std::nullopt;
  return Operand{NumberLiteral{*value, token.type == kDuration}, token.range()};
}

std::optional<double> Grammar::ParseNumberToken(const Token& token) {
  if (token.type == kNumber) {
    const Result<double> number = ParseNumber(token.text);
    if (number.ok()) return *number;
    Fail(token.range(), "error parsing number: " + std::string(number.status().message()));
    return std::nullopt;
  }
  const Result<basalt::Duration> duration = ParseDuration(token.text);
  if (duration.ok()) {
    const int64_t ms = duration->count();
    return static_cast<double>(ms / kMsPerSecond) + static_cast<double>(ms % kMsPerSecond) / 1e3;
  }
  Fail(token.range(), std::string(duration.status().message()));
  return std::nullopt;
}

// A word where an expression starts: a call, an aggregate, or a metric's name.
std::optional<Grammar::Operand> Grammar::ParseWord() {
  const Token word = Take();
  if (IsAggregator(word.type) && (At(kLeftParen) || At(kBy) || At(kWithout)))
    return ParseAggregate(word);
  const bool callable = word.type == kIdentifier || IsBetween(word.type, kStart, kMinOf);
  if (callable && At(kLeftParen)) return ParseCall(word);
  PosRange pos;
  std::optional<VectorSelector> selector = ParseVectorSelector(&word, pos);
  if (!selector) return std::nullopt;
  return Operand{*std::move(selector), pos};
}

std::optional<Grammar::Operand> Grammar::ParseCall(const Token& name) {
  std::optional<Arguments> args = ParseArguments();
  if (!args) return std::nullopt;
  const FunctionSpec* const function = options_.functions->Find(name.text);
  if (function == nullptr) {
    Fail(name.range(), "unknown function with name " + GoQuoted(name.text));
    return std::nullopt;
  }
  if (function->id == FunctionId::kInfo && args->exprs.size() > 1)
    args->exprs[1] = AllowMatchingAll(args->exprs[1]);
  return Operand{Call{function, std::move(args->exprs)}, {name.pos, args->end}, args->height + 1};
}

std::optional<Grammar::Arguments> Grammar::ParseArguments() {
  Arguments args;
  if (!Expect(kLeftParen)) return std::nullopt;
  while (!At(kRightParen) || !args.exprs.empty()) {
    std::optional<Sealed> arg = Seal(ParseExpression(kLowestPrecedence));
    if (!arg) return std::nullopt;
    args.height = std::max(args.height, arg->height);
    args.exprs.push_back(std::move(arg->expr));
    if (!At(kComma)) break;
    const Token comma = Take();
    if (!MayStartExpression(Peek().type)) {
      Fail(comma.range(), "trailing commas not allowed in function call args");
      return std::nullopt;
    }
  }
  if (!Expect(kRightParen)) return std::nullopt;
  args.end = last_closing_;
  return args;
}

std::optional<Grammar::Operand> Grammar::ParseAggregate(const Token& op) {
  const ContextScope context(*this, "aggregation", "");
  Aggregate aggregate;
  aggregate.op = static_cast<AggregateOp>(static_cast<int>(op.type) - static_cast<int>(kSum));
  const bool modifier_first = !At(kLeftParen);
  if (modifier_first && !ParseAggregateModifier(aggregate)) return std::nullopt;
  std::optional<Arguments> args = ParseArguments();
  if (!args) return std::nullopt;
  if (!modifier_first && (At(kBy) || At(kWithout)) && !ParseAggregateModifier(aggregate))
    return std::nullopt;

  const PosRange pos{op.pos, last_closing_};
  if (args->exprs.empty()) {
    Fail(pos, "no arguments for aggregate expression provided");
    return std::nullopt;
  }
  const size_t wanted = AggregateTakesParameter(aggregate.op) ? 2 : 1;
  if (args->exprs.size() != wanted) {
    Fail(pos, "wrong number of arguments for aggregate expression provided, expected " +
                  std::to_string(wanted) + ", got " + std::to_string(args->exprs.size()));
    return std::nullopt;
  }
  if (wanted == 2) aggregate.parameter = std::move(args->exprs[0]);
  aggregate.expr = std::move(args->exprs[wanted - 1]);
  return Operand{std::move(aggregate), pos, args->height + 1};
}

bool Grammar::ParseAggregateModifier(Aggregate& aggregate) {
  aggregate.without = Take().type == kWithout;
  std::optional<std::vector<std::string>> labels = ParseGroupingLabels();
  if (!labels) return false;
  aggregate.grouping = *std::move(labels);
  return true;
}

}  // namespace basalt::promql
