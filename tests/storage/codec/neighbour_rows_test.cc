// Rows that lean on the row before them.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "storage/codec/row_coding.h"
#include "storage/codec/superblock.h"
#include "storage/codec/superblock_builder.h"
#include "storage/codec/superblock_format.h"
#include "tests/support/same_bits.h"
#include "tests/support/sample_shapes.h"

namespace basalt::storage {
namespace {

using ::basalt::testing::MakeTimes;
using ::basalt::testing::SameBits;

// The buckets of one histogram: neighbours that rise together.
std::vector<std::vector<double>> MakeBuckets(size_t buckets, size_t samples) {
  std::mt19937_64 random(1);
  std::vector<std::vector<double>> rows(buckets, std::vector<double>(samples));
  std::vector<double> counts(buckets, 1e6);
  for (size_t i = 0; i < samples; ++i) {
    for (uint64_t observed = random() % 50; observed > 0; --observed) {
      for (size_t b = random() % 4; b < buckets; ++b) counts[b] += 1;
    }
    for (size_t b = 0; b < buckets; ++b) rows[b][i] = counts[b];
  }
  return rows;
}

std::string BuildBuckets(const std::vector<std::vector<double>>& rows,
                         const std::vector<int64_t>& times) {
  SuperblockBuilder builder;
  const uint32_t column = builder.AddColumn(times).value();
  for (uint32_t i = 0; i < rows.size(); ++i) {
    EXPECT_TRUE(
        builder.AddRow({.ordinal = SeriesOrdinal{i}, .time_column = column, .values = rows[i]})
            .ok());
  }
  return builder.Finish();
}

TEST(Neighbours, LeanOnOneAnotherInBoundedChainsAndAreReadInAnyOrder) {
  const auto times = MakeTimes(300, 15'000, 0, 0, 1);
  auto rows = MakeBuckets(60, times.size());
  // From bucket 3 on all are equal; make them differ, with a few repeats and a constant in between.
  std::mt19937_64 random(1);
  for (size_t b = 4; b < rows.size(); ++b) {
    if (b % 11 == 0) {
      rows[b].assign(times.size(), 7);
    } else if (b % 7 != 0) {
      double extra = 0;
      for (double& v : rows[b]) v += extra += random() % 20 == 0 ? 1 : 0;
    }
  }
  const std::string bytes = BuildBuckets(rows, times);
  const auto block = Superblock::Open(bytes);
  ASSERT_TRUE(block.ok());
  size_t leaning = 0;
  size_t chain = 0;
  for (uint32_t i = 0; i < rows.size(); ++i) {
    const bool leans = block->row(i)->leans;
    leaning += leans ? 1 : 0;
    chain = leans ? chain + 1 : 0;
    EXPECT_LE(chain, kMaxNeighbourChain);
  }
  EXPECT_GT(leaning, 30U);

  RowDecoder decoder(*block);
  std::vector<double> values(times.size());
  const auto expect_row = [&](uint32_t row) {
    ASSERT_TRUE(decoder.Values(row, values).ok());
    EXPECT_TRUE(SameBits(values, rows[row])) << row;
  };
  for (uint32_t i = 0; i < rows.size(); ++i) expect_row(i);
  for (auto i = static_cast<uint32_t>(rows.size()); i-- > 0;) expect_row(i);
  for (int round = 0; round < 300; ++round)
    expect_row(static_cast<uint32_t>(random() % rows.size()));
  for (int round = 0; round < 300; ++round) {
    const auto row = static_cast<uint32_t>(random() % rows.size());
    const size_t first = random() % times.size();
    const auto part = std::span(values).first(1 + random() % (times.size() - first));
    ASSERT_TRUE(decoder.ValuesRange(row, first, part).ok());
    EXPECT_TRUE(SameBits(part, std::span(rows[row]).subspan(first, part.size())));
  }
  EXPECT_EQ(decoder.ValuesRange(5, 299, std::span(values).first(2)).code(),
            StatusCode::kInvalidArgument);

  // Another superblock at another place must not be read against the integers of this one.
  const auto other_rows = MakeBuckets(20, times.size());
  const std::string other_bytes = BuildBuckets(other_rows, times);
  const auto other = Superblock::Open(other_bytes);
  for (uint32_t i = 0; i + 1 < other_rows.size(); ++i) {
    decoder.Reset(*block);
    expect_row(i);
    decoder.Reset(*other);
    ASSERT_TRUE(decoder.Values(i + 1, values).ok());
    EXPECT_TRUE(SameBits(values, other_rows[i + 1]));
  }
}

TEST(Neighbours, TakeLessThanTwoThirdsOfWhatTheyWouldAlone) {
  const auto times = MakeTimes(512, 15'000, 0, 0, 1);
  auto rows = MakeBuckets(16, times.size());
  std::mt19937_64 random(1);
  for (size_t b = 1; b < rows.size(); ++b) {
    double extra = 0;
    for (size_t i = 0; i < times.size(); ++i)
      rows[b][i] = rows[b - 1][i] + (extra += random() % 20 == 0 ? 1 : 0);
  }
  size_t alone = 0;
  for (const auto& row : rows) {
    std::string bytes;
    ASSERT_TRUE(EncodeRow(row, bytes).ok());
    alone += bytes.size();
  }
  EXPECT_LT(BuildBuckets(rows, times).size() * 3, alone * 2);
}

TEST(Neighbours, ABrokenChainIsDataLoss) {
  const auto times = MakeTimes(100, 15'000, 0, 0, 1);
  auto rows = MakeBuckets(4, times.size());
  std::string bytes = BuildBuckets(rows, times);
  // The first row made to lean on what is not there: its method is the first byte of the bodies.
  std::string alone;
  ASSERT_TRUE(EncodeRow(rows[0], alone).ok());
  const size_t at = bytes.find(alone);
  ASSERT_NE(at, std::string::npos);
  bytes[at] = static_cast<char>((bytes[at] & ~0x27) | 5);
  const uint32_t checksum = SuperblockChecksum(bytes);
  std::memcpy(bytes.data() + kChecksumOffset, &checksum, 4);
  const auto block = Superblock::Open(bytes);
  ASSERT_TRUE(block.ok());
  RowDecoder decoder(*block);
  std::vector<double> values(times.size());
  const Status status = decoder.Values(0, values);
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.message(), "superblock: row 0: it leans on no row");
}

}  // namespace
}  // namespace basalt::storage
