// Every complaint of the parser with its position, as upstream words it.
#include <gtest/gtest.h>

#include <string>

#include "query/promql/parser.h"

namespace basalt::promql {
namespace {

struct Case {
  std::string_view query;
  std::string_view error;
};

void ExpectErrors(std::initializer_list<Case> cases) {
  for (const Case& c : cases) {
    const Result<ExprPtr> expr = ParseExpr(c.query);
    ASSERT_FALSE(expr.ok()) << c.query;
    EXPECT_EQ(expr.status().code(), StatusCode::kInvalidArgument);
    std::string message(expr.status().message());
    const size_t at = message.find(": parse error: ");
    ASSERT_NE(at, std::string::npos) << message;
    EXPECT_EQ(message.erase(at + 2, std::string_view("parse error: ").size()), c.error) << c.query;
  }
}

TEST(ParserErrors, CountLinesAndBytesFromOne) {
  EXPECT_EQ(ParseExpr("a +\n  b c").status().message(),
            "2:5: parse error: unexpected identifier \"c\"");
  EXPECT_EQ(ParseExpr("'\xC3\xA4' b").status().message(),
            "1:6: parse error: unexpected identifier \"b\"");
  EXPECT_EQ(LineAndColumn(3, "a\nbc"), "2:2");
  EXPECT_EQ(LineAndColumn(4, "a\nbc"), "2:3");
  EXPECT_EQ(LineAndColumn(5, "a\nbc"), "invalid position");
  EXPECT_EQ(LineAndColumn(-1, "a"), "invalid position");
  EXPECT_EQ(LineAndColumn(0, ""), "unknown position");
}

TEST(ParserErrors, OfWhatIsNoExpression) {
  ExpectErrors({
      {"", "unknown position: no expression found in input"},
      {" # nothing\n", "1:1: no expression found in input"},
      {"a b", "1:3: unexpected identifier \"b\""},
      {"1 +", "1:4: unexpected end of input"},
      {"*1", "1:1: unexpected <op:*>"},
      {"(1 + 2", "1:7: unclosed left parenthesis"},
      {"1)", "1:3: unexpected right parenthesis ')'"},
      {"()", "1:2: unexpected \")\""},
      {"a ==", "1:5: unexpected end of input"},
      {"a = b", "1:3: unexpected \"=\""},
      {"on", "1:1: unexpected <on>"},
      {"a group_left b", "1:3: unexpected <group_left>"},
      {"a(b", "1:4: unclosed left parenthesis"},
      {"abs(a b)", "1:7: unexpected identifier \"b\""},
      {"a:b(c)", "1:4: unexpected \"(\""},
      {"5m5", "1:1: bad number or duration syntax: \"5m5\""},
      {"a 'x", "1:3: unterminated quoted string"},
  });
}

TEST(ParserErrors, OfNumbers) {
  ExpectErrors({
      {"0x", "1:1: error parsing number: strconv.ParseFloat: parsing \"0x\": invalid syntax"},
      {"1 + 5_ ", "1:5: error parsing number: strconv.ParseFloat: parsing \"5_\": invalid syntax"},
      {"1e999",
       "1:1: error parsing number: strconv.ParseFloat: parsing \"1e999\": value out of range"},
      {"1_0e999",
       "1:1: error parsing number: strconv.ParseFloat: parsing \"1_0e999\": value out of range"},
      {"0xFFFFFFFFFFFFFFFFF",
       "1:1: error parsing number: strconv.ParseFloat: parsing \"0xFFFFFFFFFFFFFFFFF\": invalid "
       "syntax"},
      {"1h1d", "1:1: not a valid duration string: \"1h1d\""},
      {"5hs", "1:1: unknown unit \"hs\" in duration \"5hs\""},
      {"300y", "1:1: duration out of range"},
      {"0b1", "1:1: bad number or duration syntax: \"0\""},
  });
}

TEST(ParserErrors, OfSelectors) {
  ExpectErrors({
      {"{}", "1:1: vector selector must contain at least one non-empty matcher"},
      {"{a='',b=~'x*',c!~'.+',d!='e'}",
       "1:1: vector selector must contain at least one non-empty matcher"},
      {"a{b}", "1:4: unexpected \"}\" in label matching, expected label matching operator"},
      {"a{b=}", "1:5: unexpected \"}\" in label matching, expected string"},
      {"a{b=c}", "1:5: unexpected identifier \"c\" in label matching, expected string"},
      {"a{'b'=~}", "1:8: unexpected \"}\" in label matching, expected string"},
      {"a{b='c' d='e'}",
       "1:9: unexpected identifier \"d\" in label matching, expected \",\" or \"}\""},
      {"a{'b' 'c'}", "1:7: unexpected string \"'c'\" in label matching, expected \",\" or \"}\""},
      {"a{,}", "1:3: unexpected \",\" in label matching, expected identifier or \"}\""},
      {"a{b='c',,}", "1:9: unexpected \",\" in label matching, expected identifier or \"}\""},
      {"a{b", "1:4: unexpected end of input inside braces"},
      {"a{b=='c'}", "1:5: unexpected \"=\" in label matching, expected string"},
      {"a{b=~'c)'}", "1:3: error parsing regexp: unexpected ): `c)`"},
      {"a{b=~'['}", "1:3: error parsing regexp: missing closing ]: `[`"},
      {"a{b!~'*'}", "1:3: error parsing regexp: missing argument to repetition operator: `*`"},
      {"a{b=~'c**'}", "1:3: error parsing regexp: invalid nested repetition operator: `**`"},
      {"a{b=~'c{1001}'}", "1:3: error parsing regexp: invalid repeat count: `{1001}`"},
      {R"(a{b=~'\\'})", "1:3: error parsing regexp: trailing backslash at end of expression: ``"},
      {R"(a{b=~'\\8'})", R"(1:3: error parsing regexp: invalid escape sequence: `\8`)"},
      {"a{b=~'[z-a]'}", "1:3: error parsing regexp: invalid character class range: `z-a`"},
      {R"(a{b=~'\\C'})", R"(1:3: error parsing regexp: invalid escape sequence: `\C`)"},
      {R"(a{b=~'c\\x{'})", R"(1:3: error parsing regexp: invalid escape sequence: `\x{`)"},
      {R"(a{b=~'\xff'})", "1:3: error parsing regexp: invalid UTF-8: `\xFF`"},
      {"a{b=~'(?z)'}", "1:3: error parsing regexp: invalid or unsupported Perl syntax: `(?z`"},
      {"a{__name__='b'}", "1:1: metric name must not be set twice: \"a\" or \"b\""},
      {"sum(a{'b'})", "1:5: metric name must not be set twice: \"a\" or \"b\""},
  });
}

TEST(ParserErrors, OfRangesAndSubqueries) {
  ExpectErrors({
      {"a[]",
       "1:3: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or "
       "range()"},
      {"a[5m", "1:5: unclosed left bracket"},
      {"a[5m,]", "1:5: unexpected \",\" in subquery or range, expected \":\" or \"]\""},
      {"a[5m:,]",
       "1:6: unexpected \",\" in subquery selector, expected number, duration, step(), range(), or "
       "\"]\""},
      {"a[5m:1m,]", "1:8: unexpected \",\" in subquery selector, expected \"]\""},
      {"a[0]", "1:3: duration must be greater than 0"},
      {"a[-5m]", "1:3: duration must be greater than 0"},
      {"a[5m:0s]", "1:6: duration must be greater than 0"},
      {"a[1]offset 1m[1m]", "1:14: ranges only allowed for vector selectors"},
      {"a offset 1m[1m]", "1:12: no offset modifiers allowed before range"},
      {"a @ 5[1m]", "1:6: no @ modifiers allowed before range"},
      {"(a)[5m]", "1:4: ranges only allowed for vector selectors"},
      {"1[5m]", "1:2: ranges only allowed for vector selectors"},
      {"a[5m][5m]", "1:6: ranges only allowed for vector selectors"},
      {"1[5m:]", "1:1: subquery is only allowed on instant vector, got scalar instead"},
      {"a[5m][5m:]", "1:1: subquery is only allowed on instant vector, got matrix instead"},
      {"a[9223372037]", "1:3: duration out of range"},
      {"a[1/0]", "1:4: division by zero"},
      {"a[1%0]", "1:4: modulo by zero"},
      {"a[step]",
       "1:7: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or "
       "range()"},
      {"a[max_of(1)]",
       "1:11: unexpected \")\" in subquery or range selector, expected number, duration, step(), "
       "or range()"},
  });
}

TEST(ParserErrors, OfModifiers) {
  constexpr std::string_view kOffset =
      "1:1: offset modifier must be preceded by an instant vector selector or range vector "
      "selector or a subquery";
  constexpr std::string_view kAt =
      "1:1: @ modifier must be preceded by an instant vector selector or range vector selector or "
      "a subquery";
  ExpectErrors({
      {"a offset",
       "1:9: unexpected end of input in offset, expected number, duration, step(), or range()"},
      {"a offset b",
       "1:10: unexpected identifier \"b\" in offset, expected number, duration, step(), or "
       "range()"},
      {"a offset (5m + b)",
       "1:16: unexpected identifier \"b\" in offset, expected number, duration, step(), or "
       "range()"},
      {"a offset 1m offset 2m", "1:1: offset may not be set multiple times"},
      {"a[1m] offset 1m offset (2m)", "1:1: offset may not be set multiple times"},
      {"a offset inf", "1:10: duration out of range"},
      {"a offset -9223372037", "1:11: duration out of range"},
      {"(a) offset 5m", kOffset},
      {"1 offset 5m", kOffset},
      {"sum(a) offset (5m) b", kOffset},
      {"a @", "1:4: unexpected end of input in @, expected timestamp"},
      {"a @ b", "1:5: unexpected identifier \"b\" in @, expected timestamp"},
      {"a @ start(1)", "1:11: unexpected number \"1\" in @, expected timestamp"},
      {"a @ step()", "1:5: unexpected \"step\" in @, expected timestamp"},
      {"a @ 1 @ 2", "1:1: @ <timestamp> may not be set multiple times"},
      {"a @ start() @ end()", "1:1: @ <timestamp> may not be set multiple times"},
      {"rate(a[5m]) @ 1", kAt},
      {"a @ inf", "1:1: timestamp out of bounds for @ modifier: +Inf"},
      {"a @ -Inf", "1:1: timestamp out of bounds for @ modifier: -Inf"},
      {"a @ NaN", "1:1: timestamp out of bounds for @ modifier: NaN"},
      {"a @ 9223372036854775807",
       "1:1: timestamp out of bounds for @ modifier: 9223372036854775808.000000"},
      {"a anchored smoothed", "1:1: anchored and smoothed modifiers cannot be used together"},
      {"a[5m] smoothed anchored", "1:1: anchored and smoothed modifiers cannot be used together"},
      {"a[5m:] anchored", "1:1: anchored modifier is not supported for subqueries"},
      {"a[5m:] smoothed", "1:1: smoothed modifier is not supported for subqueries"},
      {"1 anchored", "1:1: anchored modifier not implemented"},
      {"(a) smoothed", "1:1: smoothed modifier not implemented"},
  });
}

TEST(ParserErrors, OfAggregates) {
  ExpectErrors({
      {"sum()", "1:1: no arguments for aggregate expression provided"},
      {"sum(a, b)",
       "1:1: wrong number of arguments for aggregate expression provided, expected 1, got 2"},
      {"topk(a)",
       "1:1: wrong number of arguments for aggregate expression provided, expected 2, got 1"},
      {"sum(1)", "1:5: expected type instant vector in aggregation expression, got scalar"},
      {"sum(a[5m])",
       "1:5: expected type instant vector in aggregation expression, got range vector"},
      {"topk(a, b)", "1:6: expected type scalar in aggregation parameter, got instant vector"},
      {"count_values(1, a)", "1:14: expected type string in aggregation parameter, got scalar"},
      {"sum by a (b)", "1:8: unexpected identifier \"a\" in grouping opts, expected \"(\""},
      {"sum by (,) (b)", "1:9: unexpected \",\" in grouping opts, expected label"},
      {"sum by (1) (b)", "1:9: unexpected number \"1\" in grouping opts, expected label"},
      {"sum by (without) (b)", "1:9: unexpected <without> in grouping opts, expected label"},
      {"sum by (a b) (c)",
       "1:11: unexpected identifier \"b\" in grouping opts, expected \",\" or \")\""},
      {"sum by (a,,b) (c)", "1:11: unexpected \",\" in grouping opts, expected label"},
      {"sum by ('') (c)", "1:9: invalid label name for grouping: \"\""},
      {R"(sum by ("\xff") (c))", R"(1:9: invalid label name for grouping: "\xff")"},
      {"sum by (a)", "1:11: unexpected end of input in aggregation"},
      {"sum(a b)", "1:7: unexpected identifier \"b\" in aggregation"},
      {"sum(abs(a b))", "1:11: unexpected identifier \"b\" in aggregation"},
      {"sum(a) by (b) by (c)", "1:15: unexpected <by>"},
      {"sum(a,)", "1:6: trailing commas not allowed in function call args"},
      {"sum a", "1:5: unexpected identifier \"a\""},
      {"sum(a, b) c",
       "1:1: wrong number of arguments for aggregate expression provided, expected 1, got 2"},
      {"sum(a, b) $", "1:11: unexpected character: '$'"},
  });
}

TEST(ParserErrors, OfCalls) {
  ExpectErrors({
      {"nope(a)", "1:1: unknown function with name \"nope\""},
      {"Rate(a[5m])", "1:1: unknown function with name \"Rate\""},
      {"Start()", "1:1: unknown function with name \"Start\""},
      {"nope(sum())", "1:6: no arguments for aggregate expression provided"},
      {"rate()", "1:1: expected 1 argument(s) in call to \"rate\", got 0"},
      {"rate(a, b)", "1:1: expected 1 argument(s) in call to \"rate\", got 2"},
      {"rate(a)",
       "1:6: expected type range vector in call to function \"rate\", got instant vector"},
      {"abs(1)", "1:5: expected type instant vector in call to function \"abs\", got scalar"},
      {"label_join(a, b, 'c')",
       "1:15: expected type string in call to function \"label_join\", got instant vector"},
      {"label_join(a, 'b')",
       "1:1: expected at least 3 argument(s) in call to \"label_join\", got 2"},
      {"label_join(a, 'b', 'c', d)",
       "1:25: expected type string in call to function \"label_join\", got instant vector"},
      {"round(a, 1, 2)", "1:1: expected at most 2 argument(s) in call to \"round\", got 3"},
      {"time(1)", "1:1: expected 0 argument(s) in call to \"time\", got 1"},
      {"abs(a,)", "1:6: trailing commas not allowed in function call args"},
      {"abs(a,,b)", "1:6: trailing commas not allowed in function call args"},
      {"abs(,a)", "1:5: unexpected \",\""},
      {"info(a, 1)", "1:1: expected type instant vector in call to function \"info\", got scalar"},
      {"info(a, b)", "1:9: expected label selectors only, got vector selector instead"},
      {"info(a, (b))", "1:9: expected label selectors only"},
      {"info({}, {})", "1:6: vector selector must contain at least one non-empty matcher"},
      {"info(a, {}, {})", "1:1: expected at most 2 argument(s) in call to \"info\", got 3"},
  });
}

TEST(ParserErrors, OfBinaryOperators) {
  constexpr std::string_view kTypes =
      "binary expression must contain only scalar and instant vector types";
  const std::string left = "1:1: " + std::string(kTypes);
  const std::string right = "1:5: " + std::string(kTypes);
  ExpectErrors({
      {"1 == 1", "1:3: comparisons between scalars must use BOOL modifier"},
      {"1  >\n 2", "1:4: comparisons between scalars must use BOOL modifier"},
      {"a + bool b", "1:3: bool modifier can only be used on comparison operators"},
      {"a </ bool b", "1:3: bool modifier can only be used on comparison operators"},
      {"1 and a", "1:1: set operator \"and\" not allowed in binary scalar expression"},
      {"1 or 2", "1:1: set operator \"or\" not allowed in binary scalar expression"},
      {"a and on(x) group_left b", "1:1: no grouping allowed for \"and\" operation"},
      {"a unless fill(0) b", "1:1: filling in missing series not allowed for set operators"},
      {"a + fill(0) 1", "1:1: filling in missing series only allowed between instant vectors"},
      {"1 + on(x) a", "1:1: vector matching only allowed between instant vectors"},
      {"'a' + 1", left},
      {"1 + 'a'", right},
      {"a[5m] + 1", left},
      {"a + on(x) group_left(x) b",
       "1:3: label \"x\" must not occur in ON and GROUP clause at once"},
      {"a + on b", "1:8: unexpected identifier \"b\" in grouping opts, expected \"(\""},
      {"a + on(x) group_left, b", "1:21: unexpected \",\" in grouping opts, expected \"(\""},
      {"a + group_left(x) b", "1:5: unexpected <group_left>"},
      {"a + on(x) on(y) b", "1:11: unexpected <on>"},
      {"a + fill(b) c", "1:10: unexpected identifier \"b\""},
      {"a + fill() c", "1:10: unexpected \")\""},
      {"a + fill(1) fill_left(2) b", "1:22: unexpected \"(\""},
      {"a + fill_left(1) fill_left(2) b", "1:27: unexpected \"(\""},
      {"-'a'",
       "1:1: unary expression only allowed on expressions of type scalar or instant vector, got "
       "\"string\""},
  });
}

}  // namespace
}  // namespace basalt::promql
