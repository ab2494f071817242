#include "engine/ingest/series_labels.h"

#include <gtest/gtest.h>

namespace basalt::ingest {
namespace {

TEST(SeriesLabels, DropEmptyValuesAsAbsent) {
  std::vector<LabelView> labels = {{"__name__", "x"}, {"a", ""}, {"b", "1"}};
  Reason reason{};
  ASSERT_TRUE(NormalizeSeriesLabels(Limits(), labels, reason).ok());
  EXPECT_EQ(labels, (std::vector<LabelView>{{"__name__", "x"}, {"b", "1"}}));
}

TEST(SeriesLabels, HoldTheirNumberToTheLimit) {
  Limits limits;
  limits.max_labels = 2;
  std::vector<LabelView> labels = {{"__name__", "x"}, {"a", "1"}};
  Reason reason{};
  EXPECT_TRUE(NormalizeSeriesLabels(limits, labels, reason).ok());
  labels.push_back({"b", "1"});
  EXPECT_EQ(NormalizeSeriesLabels(limits, labels, reason).message(), "3 labels, the limit is 2");
  EXPECT_EQ(reason, Reason::kLabelLimits);
}

TEST(ExemplarLabels, MayBeInAnyOrderAndEmptyButNotLong) {
  std::vector<LabelView> labels = {{"z", "1"}, {"a", "2"}};
  ASSERT_TRUE(NormalizeExemplarLabels(Limits(), labels).ok());
  EXPECT_EQ(labels[0].name, "a");
  labels.clear();
  EXPECT_TRUE(NormalizeExemplarLabels(Limits(), labels).ok());
  const std::string text(127, 'x');
  labels = {{"a", text}};
  EXPECT_TRUE(NormalizeExemplarLabels(Limits(), labels).ok());
  const std::string longer(128, 'x');
  labels = {{"a", longer}};
  EXPECT_EQ(NormalizeExemplarLabels(Limits(), labels).message(),
            "its labels have 129 bytes, the limit is 128");
}

TEST(Metadata, NamesTheFieldThatIsWrong) {
  storage::MetadataEntry entry;
  EXPECT_EQ(CheckMetadata(Limits(), entry).message(), "metric_family_name: empty");
  entry.metric = "x";
  entry.help = "\xff";
  EXPECT_EQ(CheckMetadata(Limits(), entry).message(), "help: not UTF-8");
  entry.help = std::string(4097, 'h');
  EXPECT_EQ(CheckMetadata(Limits(), entry).message(), "help: 4097 bytes, the limit is 4096");
}

}  // namespace
}  // namespace basalt::ingest
