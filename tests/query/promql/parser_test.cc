#include "query/promql/parser.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <thread>

#include "query/promql/printer.h"
#include "tests/query/promql/dump.h"

namespace basalt::promql {
namespace {

std::string ParseAndDump(std::string_view query) {
  const Result<ExprPtr> expr = ParseExpr(query);
  return expr.ok() ? Dump(**expr) : std::string(expr.status().message());
}

struct Case {
  std::string_view query;
  std::string_view tree;
};

void ExpectTrees(std::initializer_list<Case> cases) {
  for (const Case& c : cases) EXPECT_EQ(ParseAndDump(c.query), c.tree) << c.query;
}

TEST(Parser, ReadsNumbersInAllForms) {
  ExpectTrees({
      {"1", "1"},
      {".5", "0.5"},
      {"5.", "5"},
      {"+5.5e-3", "0.0055"},
      {"0xc", "12"},
      {"0X_fF", "255"},
      {"017", "15"},
      {"0_17", "15"},
      {"08", "8"},
      {"08.5", "8.5"},
      {"1_000_000", "1000000"},
      {"1_0.5", "10.5"},
      {"0.1_1e1_0", "1100000000"},
      {"09_0.5", "90.5"},
      {"9223372036854775807", "9223372036854776000"},
      {"9223372036854775808", "9223372036854776000"},
      {"1e-400", "0"},
      {"-1e308", "-1e+308"},
      {"Inf", "+Inf"},
      {"-inf", "-Inf"},
      {"NaN", "NaN"},
      {"1m", "60s"},
      {"-1h30m", "-5400s"},
      {"1ms", "0.001s"},
  });
  EXPECT_EQ(ParseAndDump("1e+06"), "1000000");
  const ExprPtr nan = *ParseExpr("-nan");
  EXPECT_TRUE(std::isnan(nan->As<NumberLiteral>()->value));
}

TEST(Parser, ReadsStringsInAllForms) {
  ExpectTrees({
      {R"("a\"b'\\\a\b\f\n\r\t\v")", R"("a\"b'\\\a\b\f\n\r\t\v")"},
      {R"('a"b\'')", R"("a\"b'")"},
      {R"(`a\n"'`)", R"("a\\n\"'")"},
      {R"("\x41\101\u00e4\U0001F600")", "\"AA\xC3\xA4\xF0\x9F\x98\x80\""},
      {R"("\xff\u200b")", R"("\xff\u200b")"},
      {"`a\nb`", R"("a\nb")"},
  });
}

TEST(Parser, BindsTighterOperatorsFirst) {
  ExpectTrees({
      {"1 + 2 * 3 ^ 4", "(+ 1 (* 2 (^ 3 4)))"},
      {"1 * 2 + 3", "(+ (* 1 2) 3)"},
      {"1 - 2 - 3", "(- (- 1 2) 3)"},
      {"1 / 2 % 3 atan2 4 * 5", "(* (atan2 (% (/ 1 2) 3) 4) 5)"},
      {"2 ^ 3 ^ 4", "(^ 2 (^ 3 4))"},
      {"a or b and c unless d or e",
       "(or many-to-many(ignoring)(include) (or many-to-many(ignoring)(include) a "
       "(unless many-to-many(ignoring)(include) (and many-to-many(ignoring)(include) b c) d)) e)"},
      {"a > b + c < d", "(< (> a (+ b c)) d)"},
      {"a </ 1 + b >/ 2", "(>/ (</ a (+ 1 b)) 2)"},
      {"a == b != c >= d <= e", "(<= (>= (!= (== a b) c) d) e)"},
      {"(1 + 2) * 3", "(* [(+ 1 2)] 3)"},
  });
}

TEST(Parser, BindsASignAsMultiplicationDoes) {
  ExpectTrees({
      {"-1 ^ 2", "(neg (^ 1 2))"},
      {"-a ^ b * c", "(* (neg (^ a b)) c)"},
      {"a ^ -b * c", "(* (^ a (neg b)) c)"},
      {"a ^ -b ^ c", "(^ a (neg (^ b c)))"},
      {"--1", "1"},
      {"-(1)", "(neg [1])"},
      {"+a", "(pos a)"},
      {"1 - -1", "(- 1 -1)"},
  });
}

TEST(Parser, ReadsSelectors) {
  ExpectTrees({
      {"up", "up"},
      {"a:b", "a:b"},
      {"up{}", "up"},
      {"up{job=\"a\",}", R"(up{ job="a" __name__="up"})"},
      {"{__name__=~'a.*',b!='',c!~\"d\"}", R"({ __name__=~"a.*" b!="" c!~"d"})"},
      {R"({"a.b", "x y"="z"})", R"({ __name__="a.b" "x y"="z"})"},
      {"{\"a\"}", R"({ __name__="a"})"},
      {R"({"\xff"!=''})", R"({ "\xff"!=""})"},
      {"sum", "sum"},
      {"by + offset{a=''}", "(+ by offset{ a=\"\" __name__=\"offset\"})"},
      {"start + end + step + range + max_of + min_of + limitk",
       "(+ (+ (+ (+ (+ (+ start end) step) range) max_of) min_of) limitk)"},
      {"and and or", "(and many-to-many(ignoring)(include) and or)"},
      {"fill + fill(1) fill_left",
       "(+ one-to-one(ignoring)(include) left:1 right:1 fill fill_left)"},
  });
}

TEST(Parser, ReadsRangesAndSubqueries) {
  ExpectTrees({
      {"a[5m]", "(range a 300000000000ns)"},
      {"a[90]", "(range a 90000000000ns)"},
      {"a [ 1.5 ]", "(range a 1500000000ns)"},
      {"a[0.0005]", "(range a 500000ns)"},
      {"a[0x1F]", "(range a 31000000000ns)"},
      {"a[5m:]", "(subquery a 300000000000ns 0ns)"},
      {"a[5m:10s]", "(subquery a 300000000000ns 10000000000ns)"},
      {"rate(a[5m])[1h:1m]",
       "(subquery (rate (range a 300000000000ns)) 3600000000000ns 60000000000ns)"},
      {"max_over_time(a[1m:5s])[1h:]",
       "(subquery (max_over_time (subquery a 60000000000ns 5000000000ns)) 3600000000000ns 0ns)"},
      {"-a[1m:1m] offset 1m",
       "1:1: parse error: unary expression only allowed on expressions of type "
       "scalar or instant vector, got \"range vector\""},
  });
}

TEST(Parser, AttachesModifiersToTheSelectorBefore) {
  ExpectTrees({
      {"a offset 1m", "a offset:60000000000ns"},
      {"a offset -7", "a offset:-7000000000ns"},
      {"a offset 0s", "a"},
      {"a offset 0s offset 1m", "a offset:60000000000ns"},
      {"a[5m] offset 1m @ 100", "(range a @100000ms offset:60000000000ns 300000000000ns)"},
      {"a[5m:] @ end() offset -1m", "(subquery a 300000000000ns 0ns @end offset:-60000000000ns)"},
      {"a @ -1.5", "a @-1500ms"},
      {"a @ +0x10", "a @16000ms"},
      {"a @ 1m", "a @60000ms"},
      {"a @ start()", "a @start"},
      {"a @ 1603774568.2345", "a @1603774568235ms"},
      {"a @ 9223372036854774784", "a @9223372036854775807ms"},
      {"a anchored", "a anchored"},
      {"a[5m] smoothed offset 1m", "(range a smoothed offset:60000000000ns 300000000000ns)"},
      {"a smoothed[5m]", "(range a smoothed 300000000000ns)"},
      {"a anchored anchored", "a anchored"},
      {"a + b offset 5m * 3", "(+ a (* b offset:300000000000ns 3))"},
      {"-a offset 5m ^ 2", "(neg (^ a offset:300000000000ns 2))"},
      {"a @ 5 + 3", "(+ a @5000ms 3)"},
      {"sum by (x) (a offset 5m)", "(sum (by \"x\") a offset:300000000000ns)"},
  });
}

TEST(Parser, KeepsDurationArithmeticForThePlanner) {
  ExpectTrees({
      {"a[5m+10]", "(range a (+ 300s 10))"},
      {"a[step()]", "(range a (step))"},
      {"a[Range()*2]", "(range a (* (range) 2))"},
      {"a[2^3^2]", "(range a (^ 2 (^ 3 2)))"},
      {"a[1+2*3-4]", "(range a (- (+ 1 (* 2 3)) 4))"},
      {"a[-1^2+5]", "(range a (+ (neg (^ 1 2)) 5))"},
      {"a[(5m)]", "(range a [(pos 300s)])"},
      {"a[(5m+1)*2]", "(range a (* [(+ 300s 1)] 2))"},
      {"a[+(step())]", "(range a [(step)])"},
      {"a[max_of(step(),1m):min_of(2,3)]", "(subquery a (max_of (step) 60s) (min_of 2 3))"},
      {"a offset (1h/3)", "a offset:[(/ 3600s 3)]"},
      {"a offset -step()", "a offset:(neg (step))"},
      {"a offset +range()", "a offset:(pos (range))"},
      {"a offset -(1m)", "a offset:(neg [(pos 60s)])"},
      {"a offset -(1m*2)", "a offset:(neg [(* 60s 2)])"},
      {"a offset min_of(1,2)", "a offset:(min_of 1 2)"},
      {"a offset -max_of(1,2)", "a offset:(neg (max_of 1 2))"},
      {"a offset --5", "a offset:5000000000ns"},
  });
}

// A number behind `offset` ends the duration, a parenthesis does not: upstream's grammar, kept as
// it is.
TEST(Parser, EndsAnOffsetWhereUpstreamDoes) {
  ExpectTrees({
      {"a offset 5m + 3", "(+ a offset:300000000000ns 3)"},
      {"a offset -2^2", "(^ a offset:-2000000000ns 2)"},
      {"a offset step() * 2", "(* a offset:(step) 2)"},
      {"a offset -step() * 2", "(* a offset:(neg (step)) 2)"},
      {"a offset max_of(1,2) * 2", "(* a offset:(max_of 1 2) 2)"},
      {"a offset -(5m) + 3", "(+ a offset:(neg [(pos 300s)]) 3)"},
      {"a offset (5m) + 3", "a offset:(+ [(pos 300s)] 3)"},
      {"a offset --5m + 3", "a offset:(+ 300s 3)"},
  });
}

TEST(Parser, ReadsAggregates) {
  ExpectTrees({
      {"sum(a)", "(sum (by) a)"},
      {"SUM by () (a)", "(sum (by) a)"},
      {"avg by (x, \"y z\", sum,) (a)", R"((avg (by "x" "y z" "sum") a))"},
      {"count(a) without (by, on, offset, start)",
       R"((count (without "by" "on" "offset" "start") a))"},
      {"topk(3, a)", "(topk (by) 3 a)"},
      {"count_values by (x) ('v', a)", R"((count_values (by "x") "v" a))"},
      {"min(a) + max(a) + group(a) + stddev(a) + stdvar(a)",
       "(+ (+ (+ (+ (min (by) a) (max (by) a)) (group (by) a)) (stddev (by) a)) (stdvar (by) a))"},
      {"bottomk(1,a) or quantile(.5,a) or limitk(1,a) or limit_ratio(-.5,a)",
       "(or many-to-many(ignoring)(include) (or many-to-many(ignoring)(include) (or "
       "many-to-many(ignoring)(include) (bottomk (by) 1 a) (quantile (by) 0.5 a)) (limitk (by) 1 "
       "a)) "
       "(limit_ratio (by) -0.5 a))"},
  });
}

TEST(Parser, ReadsCalls) {
  ExpectTrees({
      {"time()", "(time)"},
      {"rate(a[5m])", "(rate (range a 300000000000ns))"},
      {"round(a, 5) + round(a)", "(+ (round a 5) (round a))"},
      {"label_join(a, 'x', ',')", R"((label_join a "x" ","))"},
      {"label_join(a, 'x', ',', 'b', 'c')", R"((label_join a "x" "," "b" "c"))"},
      {"histogram_quantiles(a, 'q', 0.5, 0.9)", R"((histogram_quantiles a "q" 0.5 0.9))"},
      {"start() + end() + step() + range()", "(+ (+ (+ (start) (end)) (step)) (range))"},
      {"max_of(step(), -1)", "(max_of (step) -1)"},
      {"info(a, {x='y'})", R"((info a { x="y"} any))"},
      {"info(a, {})", "(info a  any)"},
      {"hour()", "(hour)"},
  });
}

TEST(Parser, ReadsVectorMatching) {
  ExpectTrees({
      {"a + on(x, y) b", R"((+ one-to-one(on "x" "y")(include) a b))"},
      {"a + on() b", "(+ one-to-one(on)(include) a b)"},
      {"a + ignoring(x) group_left b", R"((+ many-to-one(ignoring "x")(include) a b))"},
      {"a == bool on(x) group_right(y, z) b",
       R"((== bool one-to-many(on "x")(include "y" "z") a b))"},
      {"a + fill(5) b", "(+ one-to-one(ignoring)(include) left:5 right:5 a b)"},
      {"a + fill_left(-1m) b", "(+ one-to-one(ignoring)(include) left:-60 a b)"},
      {"a + on(x) fill_right(+1) fill_left(2) b",
       R"((+ one-to-one(on "x")(include) left:2 right:1 a b))"},
      {"a and on(x) b", R"((and many-to-many(on "x")(include) a b))"},
      {"a < bool 5", "(< bool a 5)"},
      {"1 > bool 2", "(> bool 1 2)"},
      {"1 + on() 2", "(+ 1 2)"},
      {"1 + on() group_left(x) 2", "(+ 1 2)"},
  });
}

TEST(Parser, KnowsTypes) {
  const std::pair<std::string_view, ValueType> cases[] = {
      {"1 + 2", ValueType::kScalar},  {"1 + a", ValueType::kVector},
      {"'x'", ValueType::kString},    {"a[5m]", ValueType::kMatrix},
      {"a[5m:]", ValueType::kMatrix}, {"(-scalar(a))", ValueType::kScalar},
      {"sum(a)", ValueType::kVector}, {"('x')", ValueType::kString},
  };
  for (const auto& [query, type] : cases) EXPECT_EQ((*ParseExpr(query))->type(), type) << query;
}

TEST(Parser, RemembersWhereThingsStand) {
  const std::string_view query = "  sum by (x) (rate(a{b='c'}[5m] offset 1m))  >  -(2)";
  const ExprPtr expr = *ParseExpr(query);
  const auto text = [&](const Expr& e) {
    return query.substr(static_cast<size_t>(e.pos().start),
                        static_cast<size_t>(e.pos().end - e.pos().start));
  };
  const auto& binary = *expr->As<Binary>();
  EXPECT_EQ(text(*expr), "sum by (x) (rate(a{b='c'}[5m] offset 1m))  >  -(2)");
  EXPECT_EQ(text(*binary.lhs), "sum by (x) (rate(a{b='c'}[5m] offset 1m))");
  EXPECT_EQ(text(*binary.rhs), "-(2)");
  const Expr& rate = *binary.lhs->As<Aggregate>()->expr;
  EXPECT_EQ(text(rate), "rate(a{b='c'}[5m] offset 1m)");
  const Expr& matrix = *rate.As<Call>()->args[0];
  EXPECT_EQ(text(matrix), "a{b='c'}[5m] offset 1m");
  EXPECT_EQ(text(*matrix.As<MatrixSelector>()->selector), "a{b='c'}");
  EXPECT_EQ(text(**ParseExpr(query.substr(0, 43))), query.substr(2, 41));
  EXPECT_EQ((*ParseExpr("-5"))->pos(), (PosRange{0, 2}));
  EXPECT_EQ((*ParseExpr("a[5m:1m] @ 7"))->pos(), (PosRange{0, 12}));
  EXPECT_EQ((*ParseExpr("sum(a) by (x)"))->pos(), (PosRange{0, 13}));
}

TEST(Parser, AcceptsAnyNumberOfChainedTermsUpToTheDepth) {
  std::string query = "a";
  for (int i = 1; i < kMaxDepth; ++i) query += "+a";
  EXPECT_TRUE(ParseExpr(query).ok());
  const Result<ExprPtr> deeper = ParseExpr(query + "+a");
  ASSERT_FALSE(deeper.ok());
  EXPECT_EQ(deeper.status().message(),
            "1:1: parse error: expression is nested too deeply, at most 1024 levels are allowed");
}

std::string Repeat(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

TEST(Parser, AcceptsNestingUpToItsBound) {
  const auto nested = [](int levels) { return Repeat("(", levels) + "a" + Repeat(")", levels); };
  EXPECT_TRUE(ParseExpr(nested(kMaxNesting - 1)).ok());
  EXPECT_EQ(ParseExpr(nested(kMaxNesting)).status().message(),
            "1:401: parse error: expression is nested too deeply, at most 400 levels are allowed");
}

// Parses, prints and drops what nests as deeply as is allowed, and ten times as deeply, on a thread
// with the stack that threads have by default.
TEST(Parser, BoundsItsDepthSoThatNoQueryOverflowsTheStack) {
  std::thread([] {
    for (const int depth : {kMaxNesting - 1, kMaxNesting, kMaxDepth, 10 * kMaxDepth}) {
      const std::string queries[] = {
          Repeat("(", depth) + "a" + Repeat(")", depth),
          Repeat("-", depth) + "a",
          Repeat("-(", depth) + "a" + Repeat(")", depth),
          Repeat("abs(", depth) + "a" + Repeat(")", depth),
          Repeat("sum by (x) (", depth) + "a" + Repeat(")", depth),
          Repeat("a^", depth) + "a",
          "a[" + Repeat("(", depth) + "1" + Repeat(")", depth) + "]",
          "a[" + Repeat("-", depth) + "1]",
          "a[" + Repeat("1^", depth) + "1]",
          "a[1" + Repeat("+1", depth) + "]",
          "a offset " + Repeat("-", depth) + "1",
          "a" + Repeat(" or a", depth),
          "abs(a" + Repeat("[5m:])[5m:]", depth),
          Repeat("(", depth),
          Repeat("[", depth),
          Repeat("{", depth),
      };
      for (const std::string& query : queries) {
        const Result<ExprPtr> expr = ParseExpr(query);
        EXPECT_FALSE(expr.ok() && (ToString(**expr).empty() || Pretty(**expr).empty()));
        EXPECT_FALSE(expr.ok() && depth > kMaxDepth) << query.substr(0, 40);
      }
    }
  }).join();
}

TEST(Parser, RefusesAQueryOfMoreBytesThanAllowed) {
  std::string query = "a#" + std::string(kMaxQueryBytes - 2, ' ');
  EXPECT_TRUE(ParseExpr(query).ok());
  query += ' ';
  EXPECT_EQ(ParseExpr(query).status().message(),
            "1:1: parse error: query is too long, 16777217 bytes of at most 16777216");
  EXPECT_FALSE(ParseMetricSelector(query).ok());
}

TEST(Parser, UsesTheFunctionsOfTheDialect) {
  static constexpr FunctionSpec kOnly[] = {
      {FunctionId::kTime, "twice", {}, 0, ValueType::kScalar, false}};
  constexpr FunctionTable table{std::span<const FunctionSpec>(kOnly)};
  const ParseOptions options{&table};
  EXPECT_EQ(Dump(**ParseExpr("twice() + 1", options)), "(+ (twice) 1)");
  EXPECT_EQ(ParseExpr("time()", options).status().message(),
            "1:1: parse error: unknown function with name \"time\"");
}

std::string Matchers(std::string_view selector) {
  const Result<std::vector<storage::Matcher>> matchers = ParseMetricSelector(selector);
  if (!matchers.ok()) return std::string(matchers.status().message());
  std::string out;
  for (const storage::Matcher& matcher : *matchers) out += ToString(matcher) + ";";
  return out;
}

TEST(ParseMetricSelector, ReadsWhatMatchParametersHold) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"up", R"(__name__="up";)"},
      {"{}", ""},
      {"up{job=~\"a|b\"}", R"(job=~"a|b";__name__="up";)"},
      {"{\"a.b\",c!='d'}", R"(__name__="a.b";c!="d";)"},
      {"sum", R"(__name__="sum";)"},
      {" {a=''} # all", R"(a="";)"},
      {"", "unknown position: parse error: unexpected end of input"},
      {"up[5m]", "1:3: parse error: unexpected \"[\""},
      {"up offset 5m", "1:4: parse error: unexpected <offset>"},
      {"5", "1:1: parse error: unexpected number \"5\""},
      {"{a=~'('}", "1:2: parse error: error parsing regexp: missing closing ): `(`"},
      {"{a='b'", "1:7: parse error: unexpected end of input inside braces"},
  };
  for (const auto& [selector, matchers] : cases)
    EXPECT_EQ(Matchers(selector), matchers) << selector;
}

}  // namespace
}  // namespace basalt::promql
