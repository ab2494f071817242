// Whatever is parsed prints as something that parses to the same tree. The queries come from a
// grammar of our own that knows the types, so that all of them are valid.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "query/promql/functions.h"
#include "query/promql/parser.h"
#include "query/promql/printer.h"
#include "tests/query/promql/dump.h"

namespace basalt::promql {
namespace {

// Draws from a stream of bytes, so that rapidcheck can shrink; an exhausted stream draws the
// simplest choice.
class QueryWriter {
 public:
  explicit QueryWriter(std::vector<uint8_t> choices) : choices_(std::move(choices)) {}

  std::string Any() {
    switch (Pick(4)) {
      case 0:
        return Vector();
      case 1:
        return Scalar();
      case 2:
        return Matrix();
      default:
        return String();
    }
  }

 private:
  size_t Pick(size_t n) { return next_ < choices_.size() ? choices_[next_++] % n : 0; }
  std::string OneOf(std::initializer_list<const char*> options) {
    return *(options.begin() + Pick(options.size()));
  }
  // Nests no deeper than there are choices left, and not too deeply.
  bool Leaf() { return ++depth_ > 40 || next_ >= choices_.size() || Pick(4) == 0; }

  std::string String() { return OneOf({"'x'", "\"a\\nb\"", "`c\\d`", "'\\xff\\u00e4'", "''"}); }
  // A bare Inf prints as upstream does, +Inf, whose sign would bind less than a power that follows.
  std::string Number() {
    return OneOf(
        {"1", "0.25", "1e30", "0x1f", "5m", "-2", "(Inf)", "1_000", "1w2d", "-3ms", "+7", "017"});
  }
  std::string Scalar() {
    if (Leaf()) return Number();
    switch (Pick(6)) {
      case 0:
        return "scalar(" + Vector() + ")";
      case 1:
        return "(" + Scalar() + ")";
      case 2:
        return OneOf({"-", "+"}) + "(" + Scalar() + ")";
      case 3:
        return Scalar() + OneOf({"+", " - ", "*", "/", "%", "^", " atan2 "}) + Scalar();
      case 4:
        return Scalar() + OneOf({"== bool ", "<bool ", " >= bool "}) + Scalar();
      default:
        return OneOf({"time()", "pi()", "step()", "start()", "max_of(1, 2)"});
    }
  }

  std::string Label() { return OneOf({"job", "le", "'a b'", "by", "on", "\"\\u00e4\""}); }
  std::string Labels() {
    std::string out = "(";
    for (size_t i = Pick(3); i > 0; --i) out += Label() + (Pick(2) == 0 ? "," : " ,");
    return out + ")";
  }

  std::string Duration() {
    if (Leaf()) return OneOf({"5m", "90", "1.5", "step()", "range()", "0x10", "1h30m"});
    switch (Pick(5)) {
      case 0:
        return "(" + Duration() + ")";
      case 1:
        return OneOf({"-(", "+("}) + Duration() + ")";
      case 2:
        return OneOf({"min_of(", "max_of("}) + Duration() + "," + Duration() + ")";
      default:
        return Duration() + OneOf({"+", "-", "*", " ^ "}) + Duration();
    }
  }
  std::string Offset() {
    switch (Pick(6)) {
      case 0:
        return " offset -(" + Duration() + ")";
      case 1:
        open_offset_ = true;
        return " offset (" + Duration() + ")";
      case 2:
        return OneOf({" offset step()", " offset -range()", " offset +min_of(1,2)"});
      case 3:
        return OneOf({" offset 5m", " offset -90", " offset 0.5"});
      default:
        return "";
    }
  }
  std::string At() { return OneOf({"", "", "", " @ 5", " @ -1.5", " @ start()", " @end()"}); }
  std::string Modifiers() { return Pick(2) == 0 ? At() + Offset() : Offset() + At(); }

  std::string Selector() {
    return OneOf({"up", "a:b", "{job='x'}", "up{le=~'1|2',job!='y'}", "{'a.b'}",
                  "{'a b'!='', __name__!~'c'}", "sum{}", "offset", "start", "{__name__=~'z.+'}"});
  }
  std::string Mode() { return OneOf({"", "", "", " anchored", " smoothed"}); }

  std::string Matrix() {
    if (Leaf() || Pick(2) == 0) return Selector() + "[" + Duration() + "]" + Mode() + Modifiers();
    const std::string step = Pick(2) == 0 ? "" : Duration();
    // A colon needs a number somewhere before it, or the lexer refuses it.
    return "(" + Vector() + ")[1+" + Duration() + ":" + step + "]" + Modifiers();
  }

  std::string Matching() {
    std::string out;
    if (Pick(2) == 0) {
      out += OneOf({" on", " ignoring"}) + Labels();
      if (Pick(2) == 0) out += Pick(2) == 0 ? " group_left('z')" : " group_right()";
    }
    return out + OneOf({"", "", " fill(1)", " fill_left(-2)", " fill_right(5m)fill_left(nan)"}) +
           " ";
  }

  // Operands go into parentheses where the neighbours would take a part of them: `a offset (5m) +
  // b` is an offset of 5m + b, and `a * on() 1 * b` matches a with a scalar.
  std::string Binary(const std::string& op) {
    open_offset_ = false;
    const std::string left = Vector();
    const bool open_offset = std::exchange(open_offset_, false);
    const std::string matching = Matching();
    const std::string right = Vector();
    const bool matches = matching != " ";
    return (matches || open_offset ? "(" + left + ")" : left) + op + matching +
           (matches ? "(" + right + ")" : right);
  }

  std::string Vector() {
    if (Leaf()) return Selector() + Mode() + Modifiers();
    switch (Pick(9)) {
      case 0:
        return "(" + Vector() + ")";
      case 1:
        return OneOf({"-", "+"}) + Vector();
      case 2:
        return OneOf({"rate(", "last_over_time(", "ts_of_max_over_time("}) + Matrix() + ")";
      case 3:
        return OneOf({"sum", "avg", "group", "stdvar"}) + OneOf({"", " by ()", " without (job)"}) +
               "(" + Vector() + ")";
      case 4:
        return OneOf({"topk", "quantile", "limit_ratio"}) + "(" + Scalar() + "," + Vector() +
               ") by " + Labels();
      case 5:
        return Binary(OneOf({"+", " - ", "*", "/", "^", " atan2 ", "</", " >/ "}));
      case 6:
        return Binary(OneOf({"==", ">= bool", " < "}));
      case 7:
        return Vector() + OneOf({" and ", " or ", " unless "}) +
               OneOf({"", "on(job)", "ignoring()"}) + " " + Vector();
      default:
        return Scalar() + OneOf({"*", ">", "^"}) + "(" + Vector() + ")";
    }
  }

  std::vector<uint8_t> choices_;
  size_t next_ = 0;
  int depth_ = 0;
  bool open_offset_ = false;  // an offset in bare parentheses was written; what follows may join it
};

RC_GTEST_PROP(RoundTrip, PrintingAndParsingGivesTheSameTree, (std::vector<uint8_t> choices)) {
  const std::string query = QueryWriter(std::move(choices)).Any();
  RC_LOG() << query << '\n';
  const Result<ExprPtr> expr = ParseExpr(query);
  if (!expr.ok()) RC_LOG() << expr.status().ToString() << '\n';
  RC_ASSERT(expr.ok());
  const std::string printed = ToString(**expr);
  RC_LOG() << printed << '\n';
  const Result<ExprPtr> again = ParseExpr(printed);
  if (!again.ok()) RC_LOG() << again.status().ToString() << '\n';
  RC_ASSERT(again.ok());
  RC_ASSERT(ToString(**again) == printed);
  const Result<ExprPtr> pretty = ParseExpr(Pretty(**expr, 20));
  RC_ASSERT(pretty.ok());
  RC_ASSERT(Dump(**pretty) == Dump(**again));
}

}  // namespace
}  // namespace basalt::promql
