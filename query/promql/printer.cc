#include "query/promql/printer.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "query/promql/durations.h"
#include "query/promql/functions.h"
#include "query/promql/text.h"

namespace basalt::promql {
namespace {

constexpr std::string_view kIndent = "  ";

std::string NumberText(double value, bool as_duration) {
  if (!as_duration) return FormatFixed(value);
  // The parser has bounded durations, so the product fits.
  const auto ns = static_cast<int64_t>((value < 0 ? -value : value) * 1e9);
  return (value < 0 ? "-" : "") + FormatDuration(Nanoseconds(ns));
}

std::string OffsetText(const DurationValue& offset) {
  if (offset.expr) return " offset " + ToString(*offset.expr);
  if (offset.value == Nanoseconds::zero()) return {};
  const bool negative = offset.value < Nanoseconds::zero();
  return (negative ? " offset -" : " offset ") +
         FormatDuration(negative ? -offset.value : offset.value);
}

std::string AtText(const AtModifier& at) {
  switch (at.kind) {
    case AtModifier::Kind::kNone:
      return {};
    case AtModifier::Kind::kTimestamp:
      return " @ " + FormatThreeDecimals(static_cast<double>(at.timestamp_ms) / 1000.0);
    case AtModifier::Kind::kStart:
      return " @ start()";
    case AtModifier::Kind::kEnd:
      return " @ end()";
  }
  return {};
}

std::string_view ModeText(RangeMode mode) {
  if (mode == RangeMode::kAnchored) return " anchored";
  if (mode == RangeMode::kSmoothed) return " smoothed";
  return {};
}

std::string DurationText(const DurationValue& duration) {
  return duration.expr ? ToString(*duration.expr) : FormatDuration(duration.value);
}

// Everything of a selector that stands before its modifiers.
std::string NameAndMatchers(const VectorSelector& selector) {
  std::vector<std::string> matchers;
  for (const storage::Matcher& matcher : selector.matchers) {
    const bool is_the_name = matcher.name == kMetricName &&
                             matcher.type == storage::MatchType::kEqual &&
                             matcher.value == selector.name && !matcher.value.empty();
    if (!is_the_name) matchers.push_back(ToString(matcher));
  }
  std::sort(matchers.begin(), matchers.end());
  std::string out = selector.name;
  for (size_t i = 0; i < matchers.size(); ++i) {
    out += i == 0 ? '{' : ',';
    out += matchers[i];
  }
  if (!matchers.empty()) out += '}';
  return out;
}

void AppendLabels(const std::vector<std::string>& labels, std::string& out) {
  for (size_t i = 0; i < labels.size(); ++i) {
    if (i > 0) out += ", ";
    if (IsLegacyLabelName(labels[i])) {
      out += labels[i];
    } else {
      AppendGoQuoted(labels[i], out);
    }
  }
}

// The operator of a binary expression with all that follows it: `+ bool on (a) group_left (b)`.
std::string OperatorText(const Binary& binary) {
  std::string out(BinaryOpName(binary.op));
  if (binary.return_bool) out += " bool";
  if (!binary.matching) return out;
  const VectorMatching& matching = *binary.matching;
  const bool grouped =
      matching.card == Cardinality::kManyToOne || matching.card == Cardinality::kOneToMany;
  if (!matching.labels.empty() || matching.on || grouped) {
    out += matching.on ? " on (" : " ignoring (";
    AppendLabels(matching.labels, out);
    out += ')';
  }
  if (grouped) {
    out += matching.card == Cardinality::kManyToOne ? " group_left (" : " group_right (";
    AppendLabels(matching.include, out);
    out += ')';
  }
  const auto fill = [&](std::string_view word, double value) {
    out += word;
    out += FormatGeneral(value);
    out += ')';
  };
  if (matching.fill_lhs && matching.fill_rhs && *matching.fill_lhs == *matching.fill_rhs) {
    fill(" fill (", *matching.fill_lhs);
    return out;
  }
  if (matching.fill_lhs) fill(" fill_left (", *matching.fill_lhs);
  if (matching.fill_rhs) fill(" fill_right (", *matching.fill_rhs);
  return out;
}

// `sum by (a) `, up to the parenthesis.
std::string AggregateHead(const Aggregate& aggregate) {
  std::string out(AggregateOpName(aggregate.op));
  if (!aggregate.without && aggregate.grouping.empty()) return out;
  out += aggregate.without ? " without (" : " by (";
  AppendLabels(aggregate.grouping, out);
  return out += ") ";
}

std::string SubqueryTail(const Subquery& subquery) {
  std::string out = "[" + DurationText(subquery.range) + ":";
  if (subquery.step.set()) out += DurationText(subquery.step);
  return out + "]" + AtText(subquery.at) + OffsetText(subquery.offset);
}

// Prints on one line and gives up once `limit` bytes are passed: the prettifier only asks whether a
// line is too long, at every node, and printing each subtree in full would take quadratic time.
class LinePrinter {
 public:
  explicit LinePrinter(size_t limit) : limit_(limit) {}

  void Print(const Expr& expr) {
    if (out_.size() > limit_) return;
    Visit(expr, [&](const auto& node) { PrintNode(node); });
  }
  std::string& out() { return out_; }

 private:
  void PrintNode(const NumberLiteral& number) {
    out_ += NumberText(number.value, number.written_as_duration);
  }
  void PrintNode(const StringLiteral& string) { AppendGoQuoted(string.value, out_); }
  void PrintNode(const VectorSelector& selector) {
    out_ += NameAndMatchers(selector);
    out_ += AtText(selector.at);
    out_ += ModeText(selector.mode);
    out_ += OffsetText(selector.offset);
  }
  void PrintNode(const MatrixSelector& matrix) {
    const VectorSelector& selector = matrix.vector();
    out_ += NameAndMatchers(selector) + "[" + DurationText(matrix.range) + "]";
    out_ += ModeText(selector.mode);
    out_ += AtText(selector.at);
    out_ += OffsetText(selector.offset);
  }
  void PrintNode(const Subquery& subquery) {
    Print(*subquery.expr);
    out_ += SubqueryTail(subquery);
  }
  void PrintNode(const Aggregate& aggregate) {
    out_ += AggregateHead(aggregate) + "(";
    if (aggregate.parameter) {
      Print(*aggregate.parameter);
      out_ += ", ";
    }
    Print(*aggregate.expr);
    out_ += ')';
  }
  void PrintNode(const Call& call) {
    out_ += call.function->name;
    out_ += '(';
    for (size_t i = 0; i < call.args.size(); ++i) {
      if (i > 0) out_ += ", ";
      Print(*call.args[i]);
    }
    out_ += ')';
  }
  void PrintNode(const Binary& binary) {
    Print(*binary.lhs);
    out_ += " " + OperatorText(binary) + " ";
    Print(*binary.rhs);
  }
  void PrintNode(const Unary& unary) {
    out_ += unary.minus ? '-' : '+';
    Print(*unary.expr);
  }
  void PrintNode(const Paren& paren) {
    out_ += '(';
    Print(*paren.expr);
    out_ += ')';
  }
  void PrintNode(const StepInvariant& invariant) { Print(*invariant.expr); }

  size_t limit_;
  std::string out_;
};

class PrettyPrinter {
 public:
  explicit PrettyPrinter(size_t longest_line) : longest_line_(longest_line) {}

  void Print(const Expr& expr, int level) {
    Visit(expr, [&](const auto& node) { PrintNode(expr, node, level); });
  }
  std::string& out() { return out_; }

 private:
  void Indent(int level) {
    for (int i = 0; i < level; ++i) out_ += kIndent;
  }
  // Prints `expr` on one line if it fits.
  bool PrintIfShort(const Expr& expr) {
    LinePrinter line(longest_line_);
    line.Print(expr);
    if (line.out().size() > longest_line_) return false;
    out_ += line.out();
    return true;
  }

  // Literals and selectors are never split.
  template <typename Leaf>
  void PrintNode(const Expr& expr, const Leaf& /*leaf*/, int level) {
    Indent(level);
    out_ += ToString(expr);
  }
  void PrintNode(const Expr& expr, const Aggregate& aggregate, int level) {
    Indent(level);
    if (PrintIfShort(expr)) return;
    out_ += AggregateHead(aggregate) + "(\n";
    if (aggregate.parameter) {
      Print(*aggregate.parameter, level + 1);
      out_ += ",\n";
    }
    Print(*aggregate.expr, level + 1);
    CloseOnNewLine(level);
  }
  void PrintNode(const Expr& expr, const Binary& binary, int level) {
    const size_t before = out_.size();
    Indent(level);
    if (PrintIfShort(expr)) return;
    out_.resize(before);  // the left side indents itself
    Print(*binary.lhs, level + 1);
    out_ += '\n';
    Indent(level);
    out_ += OperatorText(binary) + "\n";
    Print(*binary.rhs, level + 1);
  }
  void PrintNode(const Expr& expr, const Call& call, int level) {
    Indent(level);
    if (PrintIfShort(expr)) return;
    out_ += call.function->name;
    out_ += "(\n";
    for (size_t i = 0; i < call.args.size(); ++i) {
      if (i > 0) out_ += ",\n";
      Print(*call.args[i], level + 1);
    }
    CloseOnNewLine(level);
  }
  void PrintNode(const Expr& expr, const Paren& paren, int level) {
    Indent(level);
    if (PrintIfShort(expr)) return;
    out_ += "(\n";
    Print(*paren.expr, level + 1);
    CloseOnNewLine(level);
  }
  // A short subquery is not indented; that is how upstream prints it.
  void PrintNode(const Expr& expr, const Subquery& subquery, int level) {
    if (PrintIfShort(expr)) return;
    Print(*subquery.expr, level);
    out_ += SubqueryTail(subquery);
  }
  void PrintNode(const Expr& /*expr*/, const StepInvariant& invariant, int level) {
    Print(*invariant.expr, level);
  }
  void PrintNode(const Expr& /*expr*/, const Unary& unary, int level) {
    Indent(level);
    out_ += unary.minus ? '-' : '+';
    // The operand indents itself; the sign has taken its place.
    const size_t operand = out_.size();
    Print(*unary.expr, level);
    const size_t text = out_.find_first_not_of(' ', operand);
    if (text != std::string::npos) out_.erase(operand, text - operand);
  }
  void CloseOnNewLine(int level) {
    out_ += '\n';
    Indent(level);
    out_ += ')';
  }

  size_t longest_line_;
  std::string out_;
};

}  // namespace

std::string ToString(const Expr& expr) {
  LinePrinter printer(std::numeric_limits<size_t>::max());
  printer.Print(expr);
  return std::move(printer.out());
}

std::string ToString(const DurationExpr& expr) {
  const auto infix = [&](std::string_view op) {
    return ToString(*expr.lhs) + std::string(op) + ToString(*expr.rhs);
  };
  std::string out;
  switch (expr.op) {
    case DurationOp::kLiteral:
      out = NumberText(expr.literal_seconds, expr.written_as_duration);
      break;
    case DurationOp::kStep:
      out = "step()";
      break;
    case DurationOp::kRange:
      out = "range()";
      break;
    case DurationOp::kPlus:
      out = ToString(*expr.rhs);
      break;
    case DurationOp::kMinus:
      out = "-" + ToString(*expr.rhs);
      break;
    case DurationOp::kAdd:
      out = infix(" + ");
      break;
    case DurationOp::kSub:
      out = infix(" - ");
      break;
    case DurationOp::kMul:
      out = infix(" * ");
      break;
    case DurationOp::kDiv:
      out = infix(" / ");
      break;
    case DurationOp::kMod:
      out = infix(" % ");
      break;
    case DurationOp::kPow:
      out = infix(" ^ ");
      break;
    case DurationOp::kMinOf:
      out = "min_of(" + infix(", ") + ")";
      break;
    case DurationOp::kMaxOf:
      out = "max_of(" + infix(", ") + ")";
      break;
  }
  return expr.wrapped ? "(" + out + ")" : out;
}

std::string ToString(const storage::Matcher& matcher) {
  static constexpr std::string_view kOperators[] = {"=", "!=", "=~", "!~"};
  std::string out;
  if (IsLegacyLabelName(matcher.name)) {
    out = matcher.name;
  } else {
    AppendGoQuoted(matcher.name, out);
  }
  out += kOperators[static_cast<size_t>(matcher.type)];
  AppendGoQuoted(matcher.value, out);
  return out;
}

std::string Pretty(const Expr& expr, size_t longest_line) {
  PrettyPrinter printer(longest_line);
  printer.Print(expr, 0);
  return std::move(printer.out());
}

}  // namespace basalt::promql
