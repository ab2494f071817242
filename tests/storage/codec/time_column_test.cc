#include "storage/codec/time_column.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <random>

#include "storage/codec/row.h"
#include "storage/ingest_batch.h"
#include "tests/support/sample_shapes.h"

namespace basalt::storage {
namespace {

using ::basalt::testing::MakeTimes;

std::string MustEncode(std::span<const int64_t> times) {
  std::string out;
  const Status status = EncodeTimes(times, out);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return out;
}

RC_GTEST_PROP(TimeColumn, DecodeInvertsEncode, ()) {
  const auto count = *rc::gen::inRange<size_t>(1, kMaxSamplesPerRow + 1);
  const auto step = *rc::gen::inRange<int64_t>(10, 100'000);
  const auto times =
      MakeTimes(count, step, *rc::gen::inRange<int64_t>(0, step / 2),
                *rc::gen::element<uint64_t>(0, 2, 3, 20), *rc::gen::arbitrary<uint64_t>());
  std::vector<int64_t> out(count);
  RC_ASSERT(DecodeTimes(MustEncode(times), out).ok());
  RC_ASSERT(out == times);
}

TEST(TimeColumn, AlignedScrapesCostAFewBytesAndJitterAFewBits) {
  EXPECT_LE(MustEncode(MakeTimes(2048, 15'000, 0, 0, 1)).size(), 50U);  // a width byte a 64 samples
  EXPECT_LE(MustEncode(MakeTimes(120, 15'000, 0, 0, 1)).size(), 15U);
  EXPECT_LE(MustEncode(MakeTimes(120, 15'000, 4, 0, 1)).size(), 16U + 120 * 4 / 8);
  EXPECT_LE(MustEncode(MakeTimes(120, 15'000, 0, 60, 1)).size(),
            30U);  // a scrape missing here and there
}

TEST(TimeColumn, ExtremesComeBack) {
  for (const std::vector<int64_t>& times :
       {std::vector<int64_t>{0}, std::vector<int64_t>{INT64_MIN},
        std::vector<int64_t>{INT64_MIN, INT64_MAX},
        std::vector<int64_t>{INT64_MIN, -1, 0, 1, INT64_MAX}}) {
    std::vector<int64_t> out(times.size());
    ASSERT_TRUE(DecodeTimes(MustEncode(times), out).ok());
    EXPECT_EQ(out, times);
  }
}

TEST(TimeColumn, RefusesWhatDoesNotRiseAndNamesIt) {
  std::string out = "kept";
  const std::vector<int64_t> times = {1000, 2000, 2000};
  const Status status = EncodeTimes(times, out);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("time_ms[2] = 2000"), std::string_view::npos)
      << status.ToString();
  EXPECT_EQ(EncodeTimes({}, out).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(EncodeTimes(std::vector<int64_t>(kMaxSamplesPerRow + 1), out).code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(out, "kept");
}

TEST(TimeColumn, DamageIsAnErrorAndTimesAlwaysRise) {
  const auto times = MakeTimes(300, 15'000, 5, 40, 1);
  const std::string good = MustEncode(times);
  std::vector<int64_t> out(times.size());
  EXPECT_EQ(DecodeTimes(good, std::span(out).first(299)).code(), StatusCode::kDataLoss);
  EXPECT_EQ(DecodeTimes(good, std::span<int64_t>()).code(), StatusCode::kDataLoss);
  EXPECT_EQ(DecodeTimes(good + "x", out).code(), StatusCode::kDataLoss);
  for (size_t n = 0; n < good.size(); ++n)
    EXPECT_FALSE(DecodeTimes(good.substr(0, n), out).ok()) << n;
  std::mt19937_64 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<char> bad(good.begin(), good.end());
    bad[random() % bad.size()] ^= static_cast<char>(1 << (random() % 8));
    if (!DecodeTimes({bad.data(), bad.size()}, out).ok()) continue;
    EXPECT_EQ(std::adjacent_find(out.begin(), out.end(), std::greater_equal<>()), out.end());
  }
}

TEST(StartColumn, TakesAnyOrder) {
  const std::vector<int64_t> starts = {kNoStartMs, 1'800'000'000'000, 1'800'000'000'000,
                                       5,          INT64_MIN,         INT64_MAX};
  std::string bytes;
  ASSERT_TRUE(EncodeStarts(starts, bytes).ok());
  std::vector<int64_t> out(starts.size());
  ASSERT_TRUE(DecodeStarts(bytes, out).ok());
  EXPECT_EQ(out, starts);
  bytes.clear();
  ASSERT_TRUE(EncodeStarts(std::vector<int64_t>(2048, 1'800'000'000'000), bytes).ok());
  EXPECT_LE(bytes.size(), 8U);
}

TEST(TimeColumnSet, NumbersColumnsByContent) {
  TimeColumnSet set;
  const std::vector<int64_t> a = {1, 2, 3};
  const std::vector<int64_t> b = {1, 2};
  EXPECT_EQ(set.Add(a), 0U);
  EXPECT_EQ(set.Add(b), 1U);
  EXPECT_EQ(set.Add(std::vector<int64_t>{1, 2, 3}), 0U);
  EXPECT_EQ(set.size(), 2U);
  EXPECT_TRUE(std::ranges::equal(set[1], b));
  set.Clear();
  EXPECT_EQ(set.Add(b), 0U);
}

}  // namespace
}  // namespace basalt::storage
