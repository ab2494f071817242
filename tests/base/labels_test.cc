#include "engine/base/labels.h"

#include <gtest/gtest.h>

namespace basalt {
namespace {

TEST(Labels, AreSortedUniqueAndWithoutEmptyValues) {
  const Labels labels{{"z", "1"}, {"a", "first"}, {"empty", ""}, {"a", "last"}};
  EXPECT_EQ(labels.size(), 2U);
  EXPECT_EQ(labels.Get("a"), "last");
  EXPECT_EQ(labels.Get("absent"), "");
  EXPECT_FALSE(labels.Has("empty"));
}

TEST(Labels, SetAndRemoveKeepTheOrder) {
  Labels labels{{"b", "2"}};
  labels.Set("a", "1");
  labels.Set("b", "3");
  labels.Set("c", "");
  EXPECT_EQ(labels, (Labels{{"a", "1"}, {"b", "3"}}));
  labels.Set("a", "");
  EXPECT_EQ(labels, (Labels{{"b", "3"}}));
}

TEST(Labels, PrintAsPromql) {
  EXPECT_EQ((Labels{{"__name__", "up"}, {"job", "a\"b"}}).ToString(), R"(up{job="a\"b"})");
  EXPECT_EQ((Labels{{"__name__", "up"}}).ToString(), "up");
  EXPECT_EQ((Labels{{"job", "a"}}).ToString(), R"({job="a"})");
  EXPECT_EQ((Labels{{"__name__", "my metric"}, {"k.x", "v"}}).ToString(),
            R"({"my metric", "k.x"="v"})");
  EXPECT_EQ(Labels().ToString(), "{}");
}

TEST(Labels, CanonicalBytesRoundTripAndRejectCutInput) {
  const Labels labels{{"__name__", "up"}, {"job", std::string(200, 'x')}};
  std::string bytes;
  AppendCanonical(labels, bytes);
  EXPECT_EQ(LabelsFromCanonical(bytes).value(), labels);
  for (size_t n = 1; n < bytes.size(); ++n) {
    const auto cut = LabelsFromCanonical(std::string_view(bytes).substr(0, n));
    EXPECT_TRUE(!cut.ok() || cut->size() < labels.size()) << n;
  }
}

TEST(Utf8, AcceptsWellFormedTextOnly) {
  for (const char* good : {"", "plain", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x92\xa9"})
    EXPECT_TRUE(IsValidUtf8(good));
  for (const char* bad :
       {"\xff", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe2\x82"}) {
    EXPECT_FALSE(IsValidUtf8(bad));
  }
}

TEST(LegacyNames, FollowPrometheus) {
  EXPECT_TRUE(IsLegacyLabelName("_a1"));
  EXPECT_FALSE(IsLegacyLabelName("1a"));
  EXPECT_FALSE(IsLegacyLabelName("a:b"));
  EXPECT_TRUE(IsLegacyMetricName("a:b"));
  EXPECT_FALSE(IsLegacyMetricName(""));
}

}  // namespace
}  // namespace basalt
