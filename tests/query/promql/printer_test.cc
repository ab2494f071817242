#include "query/promql/printer.h"

#include <gtest/gtest.h>

#include "query/promql/parser.h"

namespace basalt::promql {
namespace {

struct Case {
  std::string_view query;
  std::string_view printed;
};

TEST(Printer, WritesTheCanonicalForm) {
  const Case cases[] = {
      {"sum  by(a)(b)", "sum by (a) (b)"},
      {"SUM(b)by(a)", "sum by (a) (b)"},
      {"sum by()(b)", "sum(b)"},
      {"sum without()(b)", "sum without () (b)"},
      {"topk(3,b)", "topk(3, b)"},
      {"sum by('x y',z)(b)", "sum by (\"x y\", z) (b)"},
      {"a+bool b", ""},  // an error; see below
      {"a==bool b", "a == bool b"},
      {"a+on(x)b", "a + on (x) b"},
      {"a+ignoring()b", "a + b"},
      {"a+on()b", "a + on () b"},
      {"a+ignoring()group_left b", "a + ignoring () group_left () b"},
      {"a+on(x)group_right(y,'z-z')b", "a + on (x) group_right (y, \"z-z\") b"},
      {"a+fill(1.5)b", "a + fill (1.5) b"},
      {"a+fill_left(1)fill_right(1)b", "a + fill (1) b"},
      {"a+fill_right(1e21)b", "a + fill_right (1e+21) b"},
      {"a+fill_left(1)fill_right(nan)b", "a + fill_left (1) fill_right (NaN) b"},
      {"-a", "-a"},
      {"- ( 1 )", "-(1)"},
      {"1e20", "100000000000000000000"},
      {"1e-7", "0.0000001"},
      {"123.456e2", "12345.6"},
      {"-0", "-0"},
      {"44444444m2ms", "30864d4h44m1ms"},  // upstream as well: seconds are doubles
      {"2^inf^3", "2 ^ +Inf ^ 3"},  // whose sign binds less when it is read again, upstream as well
      {"inf", "+Inf"},
      {"90m", "1h30m"},
      {"-90m", "-1h30m"},
      {"'it\\'s'", "\"it's\""},
      {"`\\`", R"("\\")"},
      {R"("\u200b\x00")", R"("\u200b\x00")"},
      {"{z='1',a='2'}", R"({a="2",z="1"})"},
      {"a{c!~'x',b=~\"y\"}", R"(a{b=~"y",c!~"x"})"},
      {"{'a','b c'='d'}", R"({"b c"="d",__name__="a"})"},
      {"{__name__='a'}", R"({__name__="a"})"},
      {"a[90s]", "a[1m30s]"},
      {"a[5m:]", "a[5m:]"},
      {"a[5m:30]", "a[5m:30s]"},
      {"a[5m]offset 90s@5", "a[5m] @ 5.000 offset 1m30s"},
      {"a@start()offset-5m", "a @ start() offset -5m"},
      {"a anchored @ end()", "a @ end() anchored"},
      {"a[5m] smoothed @ 1.2345", "a[5m] smoothed @ 1.235"},
      {"a[5m:] offset 1w @ -1", "a[5m:] @ -1.000 offset 1w"},
      {"a[2*step()+(5m)]", "a[2 * step() + (5m)]"},
      {"a[-(1m)+min_of(90s,range())]", "a[-(1m) + min_of(1m30s, range())]"},
      {"a offset(1m-2%3)", "a offset (1m - 2 % 3)"},
      {"a offset+step()", "a offset step()"},
      {"a[2^2/1:max_of(1,2)]", "a[2 ^ 2 / 1:max_of(1, 2)]"},
      {"info(a,{})", "info(a, )"},  // so it does upstream
      {"a</5>/6", "a </ 5 >/ 6"},
  };
  for (const Case& c : cases) {
    const Result<ExprPtr> expr = ParseExpr(c.query);
    if (c.printed.empty()) {
      EXPECT_FALSE(expr.ok()) << c.query;
      continue;
    }
    ASSERT_TRUE(expr.ok()) << c.query << ": " << expr.status().ToString();
    EXPECT_EQ(ToString(**expr), c.printed) << c.query;
  }
}

std::string PrettyOf(std::string_view query, size_t longest_line) {
  return Pretty(**ParseExpr(query), longest_line);
}

TEST(Pretty, SplitsWhatIsTooLongForALine) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"sum(foo)", "sum(foo)"},
      {"sum by(a)(longer_name)", "sum by (a) (\n  longer_name\n)"},
      {"topk(10, longer)", "topk(\n  10,\n  longer\n)"},
      {"longer_name + 2", "  longer_name\n+\n  2"},
      {"aaaa + bbbb + cccc", "    aaaa\n  +\n    bbbb\n+\n  cccc"},
      {"a == bool on(x) b", "  a\n== bool on (x)\n  b"},
      {"(longer_name)", "(\n  longer_name\n)"},
      {"((longer))", "((longer))"},
      {"rate(name[5m])", "rate(\n  name[5m]\n)"},
      {"clamp(a, 100, 2000)", "clamp(\n  a,\n  100,\n  2000\n)"},
      {"longer_name{a=\"b\"}[5m] offset 1m", "longer_name{a=\"b\"}[5m] offset 1m"},
      {"abs(longer_name)[5m:] @ 5", "abs(\n  longer_name\n)[5m:] @ 5.000"},
      {"max_over_time(a[5m:1m])", "max_over_time(\na[5m:1m]\n)"},  // so it does upstream
      {"-abs(longer_name)", "-abs(\n  longer_name\n)"},
      {"(-longer_name)", "(\n  -longer_name\n)"},
      {"\"a long string\"", "\"a long string\""},
      {"time()", "time()"},
  };
  for (const auto& [query, pretty] : cases) EXPECT_EQ(PrettyOf(query, 10), pretty) << query;
}

TEST(Pretty, FillsALineOfExactlyTheLimit) {
  EXPECT_EQ(PrettyOf("sum(aaaaa)", 10), "sum(aaaaa)");
  EXPECT_EQ(PrettyOf("sum(aaaaaa)", 10), "sum(\n  aaaaaa\n)");
  const std::string name(kLongestPrettyLine - 5, 'a');
  EXPECT_EQ(Pretty(**ParseExpr("sum(" + name + ")")), "sum(" + name + ")");
  EXPECT_EQ(Pretty(**ParseExpr("sum(b" + name + ")")), "sum(\n  b" + name + "\n)");
}

}  // namespace
}  // namespace basalt::promql
