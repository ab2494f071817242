// What stands between a binary operator and its right side: bool, on/ignoring, group_left/right,
// fill.
#include <algorithm>
#include <array>
#include <utility>

#include "engine/base/labels.h"
#include "query/promql/grammar.h"

namespace basalt::promql {
namespace {

using enum TokenType;

// Label names that are keywords elsewhere. `without` is missing upstream, and so here.
bool MayNameLabel(TokenType type) {
  if (IsAggregator(type) || IsBetween(type, kStart, kMinOf)) return true;
  if (IsBetween(type, kBool, kOn)) return true;
  constexpr std::array kNames = {kIdentifier, kMetricIdentifier, kAnd, kOr, kUnless, kAtan2};
  return std::find(kNames.begin(), kNames.end(), type) != kNames.end();
}

}  // namespace

std::optional<Grammar::BinaryModifiers> Grammar::ParseBinaryModifiers() {
  BinaryModifiers modifiers;
  VectorMatching& matching = modifiers.matching;
  if (At(kBool)) {
    Take();
    modifiers.return_bool = true;
  }
  if (At(kOn) || At(kIgnoring)) {
    matching.on = Take().type == kOn;
    std::optional<std::vector<std::string>> labels = ParseGroupingLabels();
    if (!labels) return std::nullopt;
    matching.labels = *std::move(labels);
    if (At(kGroupLeft) || At(kGroupRight)) {
      const bool left = Take().type == kGroupLeft;
      matching.card = left ? Cardinality::kManyToOne : Cardinality::kOneToMany;
      if (At(kLeftParen)) {
        std::optional<std::vector<std::string>> include = ParseGroupingLabels();
        if (!include) return std::nullopt;
        matching.include = *std::move(include);
      } else if (!MayStartExpression(Peek().type)) {
        const ContextScope context(*this, "grouping opts", "\"(\"");
        Unexpected();
        return std::nullopt;
      }
    }
  }
  if (At(kFill)) {
    Take();
    const std::optional<double> value = ParseFillValue();
    if (!value) return std::nullopt;
    matching.fill_lhs = value;
    matching.fill_rhs = value;
    return modifiers;
  }
  // Either side, or both in any order.
  while ((At(kFillLeft) && !matching.fill_lhs) || (At(kFillRight) && !matching.fill_rhs)) {
    std::optional<double>& side = Take().type == kFillLeft ? matching.fill_lhs : matching.fill_rhs;
    side = ParseFillValue();
    if (!side) return std::nullopt;
  }
  return modifiers;
}

std::optional<double> Grammar::ParseFillValue() {
  if (!Expect(kLeftParen)) return std::nullopt;
  bool minus = false;
  if (At(kAdd) || At(kSub)) minus = Take().type == kSub;
  if (!At(kNumber) && !At(kDuration)) {
    Unexpected();
    return std::nullopt;
  }
  const std::optional<double> value = ParseNumberToken(Take());
  if (!value || !Expect(kRightParen)) return std::nullopt;
  return minus ? -*value : *value;
}

std::optional<std::vector<std::string>> Grammar::ParseGroupingLabels() {
  ContextScope context(*this, "grouping opts", "\"(\"");
  if (!Expect(kLeftParen)) return std::nullopt;
  std::vector<std::string> labels;
  while (!At(kRightParen)) {
    context.Change("grouping opts", "label");
    std::optional<std::string> label = ParseGroupingLabel();
    if (!label) return std::nullopt;
    labels.push_back(*std::move(label));
    context.Change("grouping opts", "\",\" or \")\"");
    if (!At(kComma)) break;
    Take();
  }
  if (!Expect(kRightParen)) return std::nullopt;
  return labels;
}

std::optional<std::string> Grammar::ParseGroupingLabel() {
  if (!MayNameLabel(Peek().type) && !At(kString)) {
    Unexpected();
    return std::nullopt;
  }
  const Token token = Take();
  std::string name = token.type == kString ? Unquote(token.text) : std::string(token.text);
  if (!name.empty() && IsValidUtf8(name)) return name;
  Fail(token.range(), "invalid label name for grouping: " + GoQuoted(name));
  return std::nullopt;
}

}  // namespace basalt::promql
