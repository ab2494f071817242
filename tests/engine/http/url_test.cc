#include "engine/http/url.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace basalt::http {
namespace {

using Values = std::vector<std::string_view>;

TEST(Form, KeepsOrderAndDecodes) {
  Form form;
  ASSERT_TRUE(form.Parse("match[]=a%20b&x=1&match%5B%5D=c+d&empty=&alone").ok());
  EXPECT_EQ(form.All("match[]"), (Values{"a b", "c d"}));
  EXPECT_EQ(form.Get("x"), "1");
  EXPECT_TRUE(form.Has("alone"));
  EXPECT_EQ(form.Get("alone"), "");
  EXPECT_FALSE(form.Has("missing"));
}

TEST(Form, PutsWhatWasParsedFirstFirst) {
  Form form;
  ASSERT_TRUE(form.Parse("q=body").ok());
  ASSERT_TRUE(form.Parse("q=url").ok());
  EXPECT_EQ(form.Get("q"), "body");
  EXPECT_EQ(form.All("q"), (Values{"body", "url"}));
}

TEST(Form, NamesTheBrokenEscapeAndKeepsTheRest) {
  Form form;
  const Status status = form.Parse("a=%zz1&b=2&c=%4");
  EXPECT_EQ(status.message(), R"(invalid URL escape "%zz")");
  EXPECT_EQ(form.Get("b"), "2");
  EXPECT_FALSE(form.Has("a"));
  EXPECT_EQ(Form().Parse("c=%4").message(), R"(invalid URL escape "%4")");
  EXPECT_EQ(Form().Parse("a=1;b=2").message(), "invalid semicolon separator in query");
}

TEST(Form, BoundsTheNumberOfParameters) {
  std::string text = "a=1";
  for (size_t i = 1; i < Form::kMaxPairs; ++i) text += "&a=1";
  EXPECT_TRUE(Form().Parse(text).ok());
  EXPECT_FALSE(Form().Parse(text + "&a=1").ok());
}

TEST(DecodePath, LeavesAPlusAlone) {
  EXPECT_EQ(DecodePath("a+b%2Bc"), "a+b+c");
  EXPECT_EQ(DecodePath("%2"), std::nullopt);
  EXPECT_EQ(DecodePath("%g0"), std::nullopt);
}

RC_GTEST_PROP(Url, DecodeInvertsEncode, (const std::string& text)) {
  RC_ASSERT(DecodePath(EncodeComponent(text)) == text);
  Form form;
  RC_ASSERT(form.Parse("k=" + EncodeComponent(text)).ok());
  RC_ASSERT(form.Get("k") == text);
}

}  // namespace
}  // namespace basalt::http
