#include "storage/index/matcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <re2/re2.h>

namespace basalt::storage {
namespace {

using Shape = CompiledMatcher::Shape;

struct ShapeCase {
  const char* pattern;
  Shape shape;
  std::vector<std::string> literals;
};
class Shapes : public testing::TestWithParam<ShapeCase> {};
TEST_P(Shapes, AreRecognized) {
  const auto made = CompiledMatcher::Compile({MatchType::kRegex, "a", GetParam().pattern});
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_EQ(made->shape(), GetParam().shape);
  EXPECT_EQ(made->literals(), GetParam().literals);
}
INSTANTIATE_TEST_SUITE_P(
    Table, Shapes,
    testing::Values(
        ShapeCase{"", Shape::kLiterals, {""}}, ShapeCase{".*", Shape::kAll, {}},
        ShapeCase{".+", Shape::kNonEmpty, {}}, ShapeCase{"abc", Shape::kLiterals, {"abc"}},
        ShapeCase{"b|a|b", Shape::kLiterals, {"a", "b"}},
        ShapeCase{"(a|b)", Shape::kLiterals, {"a", "b"}},
        ShapeCase{"(?:a|)", Shape::kLiterals, {"", "a"}},
        ShapeCase{R"(a\.b|c)", Shape::kLiterals, {"a.b", "c"}},
        ShapeCase{"(a)|(b)", Shape::kLiterals, {"a", "b"}},
        ShapeCase{
            "(eu|us)-[1-3]", Shape::kLiterals, {"eu-1", "eu-2", "eu-3", "us-1", "us-2", "us-3"}},
        ShapeCase{"ab?", Shape::kLiterals, {"a", "ab"}},
        ShapeCase{"^a|b$", Shape::kLiterals, {"a", "b"}},
        ShapeCase{R"(a\-b)", Shape::kLiterals, {"a-b"}}, ShapeCase{"a|.*", Shape::kAll, {}},
        ShapeCase{".*.+", Shape::kNonEmpty, {}}, ShapeCase{"[^a]", Shape::kExpression, {}},
        ShapeCase{"(?P<x>a)", Shape::kExpression, {}}, ShapeCase{"(?<x>a)", Shape::kExpression, {}},
        ShapeCase{R"(a\d)", Shape::kExpression, {}}, ShapeCase{"(?i)a", Shape::kExpression, {}},
        ShapeCase{"(?i:a|b)", Shape::kExpression, {}},
        ShapeCase{R"((a|b\\))", Shape::kLiterals, {"a", "b\\"}},
        ShapeCase{"api-.*", Shape::kExpression, {}}),
    [](const auto& tested) { return "case_" + std::to_string(tested.index); });

struct GlobCase {
  const char* pattern;
  std::vector<const char*> matches;
  std::vector<const char*> others;
};
class Globs : public testing::TestWithParam<GlobCase> {};
TEST_P(Globs, NeedNoAutomaton) {
  const auto made = CompiledMatcher::Compile({MatchType::kRegex, "a", GetParam().pattern});
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_TRUE(made->is_globs());
  for (const char* value : GetParam().matches) EXPECT_TRUE(made->Matches(value)) << value;
  for (const char* value : GetParam().others) EXPECT_FALSE(made->Matches(value)) << value;
}
INSTANTIATE_TEST_SUITE_P(Table, Globs,
                         testing::Values(GlobCase{"api-.*", {"api-", "api-1"}, {"api", "xapi-1"}},
                                         GlobCase{".*-api", {"-api", "x-api"}, {"x-api2", "api"}},
                                         GlobCase{".*err.*", {"err", "terror"}, {"er", ""}},
                                         GlobCase{
                                             "a.+b.*c", {"axbc", "abbcc"}, {"abc", "axb", "axbcd"}},
                                         GlobCase{"aa.*aa", {"aaaa", "aaxaa"}, {"aa", "aaa"}},
                                         GlobCase{"(a|b).+|c?", {"ax", "bx", "c", ""}, {"a", "cc"}},
                                         GlobCase{".*?x", {"x", "xx"}, {""}}),
                         [](const auto& tested) { return "case_" + std::to_string(tested.index); });

TEST(CompiledMatcher, LeavesToRe2WhatHasMoreAlternativesThanItsBound) {
  // Ten to the third and to the fourth.
  const auto at = CompiledMatcher::Compile({MatchType::kRegex, "a", "[0-9][0-9][0-9]"});
  const auto past = CompiledMatcher::Compile({MatchType::kRegex, "a", "[0-9][0-9][0-9][0-9]"});
  ASSERT_TRUE(at.ok() && past.ok());
  EXPECT_EQ(at->literals().size(), 1000U);
  EXPECT_FALSE(past->is_globs());
  EXPECT_TRUE(past->Matches("0123"));
  std::string deep = "a";
  for (size_t i = 0; i < index_internal::kMaxGlobDepth; ++i) deep = "(" + deep + ")";
  EXPECT_TRUE(CompiledMatcher::Compile({MatchType::kRegex, "a", deep})->is_globs());
  EXPECT_FALSE(CompiledMatcher::Compile({MatchType::kRegex, "a", "(" + deep + ")"})->is_globs());
}

TEST(CompiledMatcher, SaysWhatIsWrongWithAnExpressionAndWhere) {
  const Status status = CompiledMatcher::Compile({MatchType::kNotRegex, "job", "a("}).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "matcher job!~\"a(\": missing ): ^(?s:a()$");
}

TEST(CompiledMatcher, IsAnchoredAtBothEndsAndTheDotMatchesNewlines) {
  const auto made = CompiledMatcher::Compile({MatchType::kRegex, "a", "a.c|x"});
  ASSERT_TRUE(made.ok());
  EXPECT_TRUE(made->Matches("a\nc"));
  EXPECT_TRUE(made->Matches("x"));
  EXPECT_FALSE(made->Matches("xa.c"));
  EXPECT_FALSE(made->Matches("abcd"));
  EXPECT_FALSE(made->Matches("x\n"));
}

TEST(CompiledMatcher, AQuantifierBehindFlagsBindsToTheCharacterBeforeThem) {
  for (const char* pattern : {"a(?i)?.", R"(a\Q\E?.)", "a(?i)(?s)*."}) {
    const auto made = CompiledMatcher::Compile({MatchType::kRegex, "n", pattern});
    ASSERT_TRUE(made.ok()) << pattern;
    EXPECT_TRUE(made->Matches("b")) << pattern;
    EXPECT_TRUE(made->Matches("ab")) << pattern;
  }
}

// Small pieces make expressions that touch every short cut.
RC_GTEST_PROP(CompiledMatcher, AgreesWithTheBareExpression, ()) {
  const auto piece =
      rc::gen::element<std::string>("a", "b", "ä", "|", ".*", ".+", ".", "*", "?", "(", ")",
                                    "(?:", "\\.", "\\", "[ab]", "+", "{2}", "(?i)", "^", "$", "\n");
  std::string pattern;
  for (const std::string& p :
       *rc::gen::resize(6, rc::gen::container<std::vector<std::string>>(piece)))
    pattern += p;
  RE2::Options options;
  options.set_log_errors(false);
  const RE2 plain("^(?s:" + pattern + ")$", options);
  const auto made = CompiledMatcher::Compile({MatchType::kRegex, "n", pattern});
  const auto negative = CompiledMatcher::Compile({MatchType::kNotRegex, "n", pattern});
  RC_ASSERT(made.ok() == plain.ok());
  if (!plain.ok()) return;
  const auto letter = rc::gen::element<std::string>("a", "b", "ä", ".", "A", "|", "\n", "\\", "(");
  for (int i = 0; i < 20; ++i) {
    std::string value;
    for (const std::string& p :
         *rc::gen::resize(4, rc::gen::container<std::vector<std::string>>(letter)))
      value += p;
    const bool expected = RE2::FullMatch(re2::StringPiece(value.data(), value.size()), plain);
    RC_ASSERT(made->Matches(value) == expected);
    RC_ASSERT(negative->Matches(value) != expected);
  }
  RC_ASSERT(made->matches_empty() == RE2::FullMatch("", plain));
}

}  // namespace
}  // namespace basalt::storage
