#include "engine/base/regex_syntax.h"

#include <gtest/gtest.h>

namespace basalt {
namespace {

struct SpellingCase {
  const char* go;
  const char* re2;
};

class GoPattern : public testing::TestWithParam<SpellingCase> {};

TEST_P(GoPattern, IsSpelledForRe2) { EXPECT_EQ(SpelledForRe2(GetParam().go), GetParam().re2); }

INSTANTIATE_TEST_SUITE_P(
    Table, GoPattern,
    testing::Values(
        SpellingCase{"", ""}, SpellingCase{"a.b", "a.b"}, SpellingCase{"(?<n>a)", "(?P<n>a)"},
        SpellingCase{"(?P<n>a)", "(?P<n>a)"}, SpellingCase{"(?<n>a(?<m>b))", "(?P<n>a(?P<m>b))"},
        SpellingCase{R"(\(?<n>)", R"(\(?<n>)"}, SpellingCase{R"(\\(?<n>a))", R"(\\(?P<n>a))"},
        SpellingCase{R"(\Q(?<n>\E(?<n>a))", R"(\Q(?<n>\E(?P<n>a))"},
        SpellingCase{R"(\Q(?<n>)", R"(\Q(?<n>)"}, SpellingCase{"[(?<n>]", "[(?<n>]"},
        SpellingCase{"[]](?<n>a)", "[]](?P<n>a)"}, SpellingCase{"[^](?<n>]", "[^](?<n>]"},
        SpellingCase{"[[:alpha:](?<]", "[[:alpha:](?<]"},
        SpellingCase{R"([\](?<](?<n>))", R"([\](?<](?P<n>))"}, SpellingCase{"(?<", "(?P<"},
        SpellingCase{"[(?<", "[(?<"}, SpellingCase{"(?<n>\\", "(?P<n>\\"},
        SpellingCase{"[(?<\\", "[(?<\\"}));

}  // namespace
}  // namespace basalt
