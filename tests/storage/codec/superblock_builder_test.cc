#include "storage/codec/superblock_builder.h"

#include <gtest/gtest.h>

#include <span>
#include <string>
#include <vector>

#include "storage/codec/row_summary.h"
#include "storage/codec/superblock.h"
#include "storage/codec/superblock_format.h"
#include "tests/storage/codec/histogram_shapes.h"

namespace basalt::storage {
namespace {

using ::basalt::testing::MakeHistograms;

class BuilderRefuses : public ::testing::Test {
 protected:
  BuilderRefuses() { column_ = builder_.AddColumn(times_).value(); }
  // The message of the refusal; the builder must be as it was.
  std::string Refusal(const RowInput& row) {
    const size_t before = builder_.EstimatedBytes();
    const Status status = builder_.AddRow(row);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status.ToString();
    EXPECT_EQ(builder_.EstimatedBytes(), before);
    EXPECT_EQ(builder_.row_count(), 0U);
    return std::string(status.message());
  }
  const std::vector<int64_t> times_ = {1000, 2000, 3000};
  const std::vector<double> values_ = {1, 2, 3};
  SuperblockBuilder builder_;
  uint32_t column_ = 0;
};

TEST_F(BuilderRefuses, RowsThatDoNotFitAndNamesTheField) {
  using ::testing::Test;
  EXPECT_NE(Refusal({.time_column = 5, .values = values_}).find("time_column"), std::string::npos);
  EXPECT_NE(Refusal({.time_column = column_}).find("values or histograms"), std::string::npos);
  EXPECT_NE(Refusal({.time_column = column_, .values = std::span(values_).first(2)})
                .find("samples 2, not 3"),
            std::string::npos);
  const std::vector<uint64_t> none = {0};
  const std::vector<uint64_t> past = {15};
  const std::vector<uint64_t> two_words = {7, 0};
  EXPECT_NE(Refusal({.time_column = column_, .presence = none, .values = values_}).find("presence"),
            std::string::npos);
  EXPECT_NE(Refusal({.time_column = column_, .presence = past, .values = values_}).find("presence"),
            std::string::npos);
  EXPECT_NE(
      Refusal({.time_column = column_, .presence = two_words, .values = values_}).find("presence"),
      std::string::npos);
  const std::vector<int64_t> starts = {1};
  EXPECT_NE(
      Refusal({.time_column = column_, .values = values_, .start_ms = starts}).find("start_ms"),
      std::string::npos);
  auto histograms = MakeHistograms(3, false, false, 1);
  EXPECT_NE(
      Refusal({.time_column = column_, .histograms = histograms}).find("histograms[0].time_ms"),
      std::string::npos);
  EXPECT_NE(Refusal({.time_column = column_, .values = values_, .histograms = histograms})
                .find("values or histograms"),
            std::string::npos);
  for (size_t i = 0; i < 3; ++i) histograms[i].time_ms = times_[i];
  RowSummary summary;
  EXPECT_NE(Refusal({.time_column = column_, .histograms = histograms, .summary = &summary})
                .find("summary"),
            std::string::npos);
  summary.count = 4;
  EXPECT_NE(Refusal({.time_column = column_, .values = values_, .summary = &summary})
                .find("summary.count"),
            std::string::npos);
  summary = {.first_ms = 1, .last_ms = 3000, .count = 3};
  EXPECT_NE(Refusal({.time_column = column_, .values = values_, .summary = &summary})
                .find("summary.first_ms"),
            std::string::npos);
}

TEST_F(BuilderRefuses, ColumnsThatDoNotRiseOrChange) {
  EXPECT_EQ(builder_.AddColumn(std::vector<int64_t>{2, 1}).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(builder_.AddColumn({}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(builder_.AddSharedColumn(3, std::vector<int64_t>{2, 2}).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_TRUE(builder_.AddSharedColumn(3, times_).ok());
  EXPECT_EQ(builder_.AddSharedColumn(3, std::vector<int64_t>{1}).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(builder_.AddSharedColumn(UINT32_MAX, times_).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(builder_.PlaceTimes(times_, 99).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(builder_.PlaceTimes({}, column_).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(BuilderRefuses, MoreRowsAndColumnsThanItsBounds) {
  for (size_t i = 0; i < kMaxRowsPerSuperblock; ++i) {
    ASSERT_TRUE(builder_.AddRow({.time_column = column_, .values = values_}).ok());
  }
  EXPECT_EQ(builder_.AddRow({.time_column = column_, .values = values_}).code(),
            StatusCode::kResourceExhausted);
  for (int64_t i = 1; i < static_cast<int64_t>(kMaxColumnsPerSuperblock); ++i) {
    ASSERT_TRUE(builder_.AddColumn(std::vector<int64_t>{i}).ok());
  }
  EXPECT_EQ(builder_.AddColumn(std::vector<int64_t>{0}).status().code(),
            StatusCode::kResourceExhausted);
  const std::string bytes = builder_.Finish();
  const auto block = Superblock::Open(bytes);
  ASSERT_TRUE(block.ok()) << block.status().ToString();
  EXPECT_EQ(block->row_count(), kMaxRowsPerSuperblock);
  EXPECT_EQ(block->column_count(), kMaxColumnsPerSuperblock);
}

}  // namespace
}  // namespace basalt::storage
