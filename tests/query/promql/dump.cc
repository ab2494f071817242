#include "tests/query/promql/dump.h"

#include "query/promql/functions.h"
#include "query/promql/printer.h"
#include "query/promql/text.h"

namespace basalt::promql {
namespace {

std::string Of(const DurationValue& duration) {
  if (duration.expr) return Dump(*duration.expr);
  return std::to_string(duration.value.count()) + "ns";
}

std::string Of(const AtModifier& at) {
  switch (at.kind) {
    case AtModifier::Kind::kNone:
      return "";
    case AtModifier::Kind::kTimestamp:
      return " @" + std::to_string(at.timestamp_ms) + "ms";
    case AtModifier::Kind::kStart:
      return " @start";
    case AtModifier::Kind::kEnd:
      return " @end";
  }
  return "?";
}

std::string Offset(const DurationValue& offset) {
  return offset.set() ? " offset:" + Of(offset) : "";
}

std::string List(std::string_view open, const std::vector<std::string>& items) {
  std::string out(open);
  for (const std::string& item : items) out += " " + GoQuoted(item);
  return out + ")";
}

std::string Of(const VectorMatching& matching) {
  std::string out = " " + std::string(CardinalityName(matching.card));
  out += List(matching.on ? "(on" : "(ignoring", matching.labels);
  out += List("(include", matching.include);
  if (matching.fill_lhs) out += " left:" + FormatGeneral(*matching.fill_lhs);
  if (matching.fill_rhs) out += " right:" + FormatGeneral(*matching.fill_rhs);
  return out;
}

struct Dumper {
  std::string operator()(const NumberLiteral& n) const {
    return FormatGeneral(n.value) + (n.written_as_duration ? "s" : "");
  }
  std::string operator()(const StringLiteral& s) const { return GoQuoted(s.value); }
  std::string operator()(const VectorSelector& s) const {
    std::string out = s.name;
    if (s.matchers.size() > (s.name.empty() ? 0U : 1U)) {
      out += "{";
      for (const auto& matcher : s.matchers) out += " " + ToString(matcher);
      out += "}";
    }
    if (s.mode == RangeMode::kAnchored) out += " anchored";
    if (s.mode == RangeMode::kSmoothed) out += " smoothed";
    if (s.may_match_all) out += " any";
    return out + Of(s.at) + Offset(s.offset);
  }
  std::string operator()(const MatrixSelector& m) const {
    return "(range " + Dump(*m.selector) + " " + Of(m.range) + ")";
  }
  std::string operator()(const Subquery& s) const {
    return "(subquery " + Dump(*s.expr) + " " + Of(s.range) + " " + Of(s.step) + Of(s.at) +
           Offset(s.offset) + ")";
  }
  std::string operator()(const Aggregate& a) const {
    std::string out = "(" + std::string(AggregateOpName(a.op));
    out += List(a.without ? " (without" : " (by", a.grouping);
    if (a.parameter) out += " " + Dump(*a.parameter);
    return out + " " + Dump(*a.expr) + ")";
  }
  std::string operator()(const Call& c) const {
    std::string out = "(" + std::string(c.function->name);
    for (const ExprPtr& arg : c.args) out += " " + Dump(*arg);
    return out + ")";
  }
  std::string operator()(const Binary& b) const {
    std::string out = "(" + std::string(BinaryOpName(b.op)) + (b.return_bool ? " bool" : "");
    if (b.matching) {
      // The plain one-to-one match is left out, so that tables stay readable.
      const std::string matching = Of(*b.matching);
      if (matching != Of(VectorMatching{})) out += matching;
    }
    return out + " " + Dump(*b.lhs) + " " + Dump(*b.rhs) + ")";
  }
  std::string operator()(const Unary& u) const {
    return std::string("(") + (u.minus ? "neg " : "pos ") + Dump(*u.expr) + ")";
  }
  std::string operator()(const Paren& p) const { return "[" + Dump(*p.expr) + "]"; }
  std::string operator()(const StepInvariant& s) const {
    return "(invariant " + Dump(*s.expr) + ")";
  }
};

}  // namespace

std::string Dump(const Expr& expr) { return Visit(expr, Dumper()); }

std::string Dump(const DurationExpr& expr) {
  static constexpr std::string_view kNames[] = {"",  "step", "range", "pos", "neg",    "+",     "-",
                                                "*", "/",    "%",     "^",   "min_of", "max_of"};
  std::string out;
  if (expr.op == DurationOp::kLiteral) {
    out = FormatGeneral(expr.literal_seconds) + (expr.written_as_duration ? "s" : "");
  } else {
    out = "(" + std::string(kNames[static_cast<size_t>(expr.op)]);
    if (expr.lhs) out += " " + Dump(*expr.lhs);
    if (expr.rhs) out += " " + Dump(*expr.rhs);
    out += ")";
  }
  return expr.wrapped ? "[" + out + "]" : out;
}

}  // namespace basalt::promql
