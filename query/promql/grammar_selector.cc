// Selectors, and what may stand behind an expression: [range], [range:step], offset, @, anchored,
// smoothed.
#include <cmath>
#include <utility>

#include "query/promql/grammar.h"
#include "query/promql/regex.h"

namespace basalt::promql {
namespace {

using enum TokenType;
using storage::MatchType;

constexpr std::string_view kRangesOnlyForSelectors = "ranges only allowed for vector selectors";

// The selector in a vector or matrix selector; null for anything else.
const VectorSelector* SelectorIn(const Expr::Node& node) {
  if (const auto* const selector = std::get_if<VectorSelector>(&node)) return selector;
  if (const auto* const matrix = std::get_if<MatrixSelector>(&node)) return &matrix->vector();
  return nullptr;
}

// Changes the selector in a vector or matrix selector.
template <typename F>
void ChangeSelector(Expr::Node& node, F&& change) {
  if (auto* const selector = std::get_if<VectorSelector>(&node)) {
    change(*selector);
    return;
  }
  auto& matrix = std::get<MatrixSelector>(node);
  VectorSelector copy = matrix.vector();
  change(copy);
  matrix.selector = Expr::Make(std::move(copy), matrix.selector->pos());
}

std::optional<MatchType> MatchTypeOf(TokenType type) {
  switch (type) {
    case kAssign:
      return MatchType::kEqual;
    case kNotEqual:
      return MatchType::kNotEqual;
    case kRegexMatch:
      return MatchType::kRegex;
    case kRegexNoMatch:
      return MatchType::kNotRegex;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<VectorSelector> Grammar::ParseVectorSelector(const Token* name, PosRange& pos) {
  VectorSelector selector;
  if (name != nullptr) {
    selector.name = name->text;
    pos = name->range();
    if (!At(kLeftBrace)) {
      selector.matchers.push_back({MatchType::kEqual, std::string(kMetricName), selector.name});
      return selector;
    }
  }
  if (!ParseMatchers(selector, pos)) return std::nullopt;
  if (name != nullptr) {
    pos.start = name->pos;
    selector.matchers.push_back({MatchType::kEqual, std::string(kMetricName), selector.name});
  }
  return selector;
}

bool Grammar::ParseMatchers(VectorSelector& selector, PosRange& pos) {
  const int32_t start = Peek().pos;
  if (!Expect(kLeftBrace)) return false;
  ContextScope context(*this, "label matching", "identifier or \"}\"");
  while (!At(kRightBrace)) {
    context.Change("label matching", "identifier or \"}\"");
    std::optional<storage::Matcher> matcher = ParseMatcher();
    if (!matcher) return false;
    selector.matchers.push_back(*std::move(matcher));
    context.Change("label matching", "\",\" or \"}\"");
    if (!At(kComma)) break;
    Take();
  }
  if (!Expect(kRightBrace)) return false;
  pos = {start, last_closing_};
  return true;
}

// `name op "value"`, or a metric's name in quotes.
std::optional<storage::Matcher> Grammar::ParseMatcher() {
  if (!At(kIdentifier) && !At(kString)) {
    Unexpected();
    return std::nullopt;
  }
  const Token name = Take();
  const bool quoted = name.type == kString;
  storage::Matcher matcher;
  matcher.name = quoted ? Unquote(name.text) : std::string(name.text);
  const std::optional<MatchType> type = MatchTypeOf(Peek().type);
  if (!type && quoted)
    return storage::Matcher{MatchType::kEqual, std::string(kMetricName), matcher.name};
  if (!type) {
    const ContextScope context(*this, "label matching", "label matching operator");
    Unexpected();
    return std::nullopt;
  }
  Take();
  if (!At(kString)) {
    const ContextScope context(*this, "label matching", "string");
    Unexpected();
    return std::nullopt;
  }
  const Token value = Take();
  matcher.type = *type;
  matcher.value = Unquote(value.text);
  if (const Status status = CheckRegex(matcher); !status.ok()) {
    Fail({name.pos, value.end()}, std::string(status.message()));
    return std::nullopt;
  }
  return matcher;
}

bool Grammar::ParsePostfix(Operand& operand) {
  for (;;) {
    switch (Peek().type) {
      case kLeftBracket:
        if (!ParseBrackets(operand)) return false;
        break;
      case kOffset:
        if (!ParseOffset(operand)) return false;
        break;
      case kAt:
        if (!ParseAt(operand)) return false;
        break;
      case kAnchored:
      case kSmoothed:
        if (!ApplyMode(operand, Take())) return false;
        break;
      default:
        return true;
    }
  }
}

bool Grammar::ParseBrackets(Operand& operand) {
  const Token open = Take();
  ContextScope context(*this, "subquery or range selector", "number, duration, step(), or range()");
  std::optional<DurationValue> range = ParsePositiveDuration();
  if (!range) return false;
  context.Change("subquery or range", "\":\" or \"]\"");
  if (At(kColon)) {
    Take();
    context.Change("subquery selector", "number, duration, step(), range(), or \"]\"");
    DurationValue step;
    if (!At(kRightBracket)) {
      std::optional<DurationValue> given = ParsePositiveDuration();
      if (!given) return false;
      step = *std::move(given);
      context.Change("subquery selector", "\"]\"");
    }
    if (!Expect(kRightBracket)) return false;
    std::optional<Sealed> inner = Seal(std::move(operand));
    if (!inner) return false;
    const PosRange pos{inner->expr->pos().start, last_closing_};
    operand = {Subquery{std::move(inner->expr), *std::move(range), std::move(step), {}, {}}, pos,
               inner->height + 1};
    return true;
  }
  if (!Expect(kRightBracket)) return false;
  const auto* const selector = std::get_if<VectorSelector>(&operand.node);
  const PosRange brackets{open.pos, last_closing_};
  if (selector == nullptr) return Fail(brackets, std::string(kRangesOnlyForSelectors));
  if (selector->offset.set()) return Fail(brackets, "no offset modifiers allowed before range");
  if (selector->at.set()) return Fail(brackets, "no @ modifiers allowed before range");
  const PosRange pos{operand.pos.start, last_closing_};
  ExprPtr inner = std::make_shared<const Expr>(std::move(operand.node), operand.pos);
  operand = {MatrixSelector{std::move(inner), *std::move(range)}, pos, operand.height + 1};
  return true;
}

bool Grammar::ParseOffset(Operand& operand) {
  Take();
  const ContextScope context(*this, "offset", "number, duration, step(), or range()");
  const std::optional<Duration> offset = ParseOffsetDuration();
  return offset && ApplyOffset(operand, Fold(*offset));
}

bool Grammar::ApplyOffset(Operand& operand, DurationValue offset) {
  auto* const subquery = std::get_if<Subquery>(&operand.node);
  const VectorSelector* const selector = SelectorIn(operand.node);
  if (subquery == nullptr && selector == nullptr) {
    return Fail(operand.pos,
                "offset modifier must be preceded by an instant vector selector or range vector "
                "selector or a subquery");
  }
  const DurationValue& before = subquery != nullptr ? subquery->offset : selector->offset;
  // An offset of 0 leaves no trace, so `offset 0s offset 1m` passes, as it does upstream.
  if (before.set()) return Fail(operand.pos, "offset may not be set multiple times");
  if (subquery != nullptr) {
    subquery->offset = std::move(offset);
  } else {
    ChangeSelector(operand.node, [&](VectorSelector& s) { s.offset = std::move(offset); });
  }
  operand.pos.end = last_closing_;
  return true;
}

bool Grammar::ParseAt(Operand& operand) {
  Take();
  const ContextScope context(*this, "@", "timestamp");
  AtModifier at;
  if (At(kStart) || At(kEnd)) {
    at.kind = Take().type == kStart ? AtModifier::Kind::kStart : AtModifier::Kind::kEnd;
    if (!Expect(kLeftParen) || !Expect(kRightParen)) return false;
    return ApplyAt(operand, at);
  }
  bool minus = false;
  if (At(kAdd) || At(kSub)) minus = Take().type == kSub;
  if (!At(kNumber) && !At(kDuration)) return Unexpected();
  const std::optional<double> number = ParseNumberToken(Take());
  if (!number) return false;
  const double seconds = minus ? -*number : *number;
  constexpr double kInt64Bound = 9223372036854775808.0;  // 2^63, as upstream compares seconds
  if (!std::isfinite(seconds) || seconds >= kInt64Bound || seconds <= -kInt64Bound) {
    const std::string shown = std::isfinite(seconds)
                                  ? FormatThreeDecimals(seconds) + "000"  // six decimals
                                  : FormatFixed(seconds);
    return Fail(operand.pos, "timestamp out of bounds for @ modifier: " + shown);
  }
  at.kind = AtModifier::Kind::kTimestamp;
  const double ms = std::round(seconds * 1000);
  // Beyond the range of 64-bit milliseconds the nearest end stands for it.
  if (ms >= kInt64Bound) {
    at.timestamp_ms = INT64_MAX;
  } else if (ms < -kInt64Bound) {
    at.timestamp_ms = INT64_MIN;
  } else {
    at.timestamp_ms = static_cast<int64_t>(ms);
  }
  return ApplyAt(operand, at);
}

bool Grammar::ApplyAt(Operand& operand, AtModifier at) {
  auto* const subquery = std::get_if<Subquery>(&operand.node);
  const VectorSelector* const selector = SelectorIn(operand.node);
  if (subquery == nullptr && selector == nullptr) {
    return Fail(operand.pos,
                "@ modifier must be preceded by an instant vector selector or range vector "
                "selector or a subquery");
  }
  const bool before = subquery != nullptr ? subquery->at.set() : selector->at.set();
  if (before) return Fail(operand.pos, "@ <timestamp> may not be set multiple times");
  if (subquery != nullptr) {
    subquery->at = at;
  } else {
    ChangeSelector(operand.node, [&](VectorSelector& s) { s.at = at; });
  }
  operand.pos.end = last_closing_;
  return true;
}

bool Grammar::ApplyMode(Operand& operand, const Token& word) {
  const bool anchored = word.type == kAnchored;
  const std::string name = anchored ? "anchored" : "smoothed";
  if (std::holds_alternative<Subquery>(operand.node))
    return Fail(operand.pos, name + " modifier is not supported for subqueries");
  const VectorSelector* const selector = SelectorIn(operand.node);
  if (selector == nullptr) return Fail(operand.pos, name + " modifier not implemented");
  const RangeMode mode = anchored ? RangeMode::kAnchored : RangeMode::kSmoothed;
  if (selector->mode != RangeMode::kPlain && selector->mode != mode)
    return Fail(operand.pos, "anchored and smoothed modifiers cannot be used together");
  // The position stays as it was: upstream does not count the word in.
  ChangeSelector(operand.node, [&](VectorSelector& s) { s.mode = mode; });
  return true;
}

}  // namespace basalt::promql
