#include "storage/codec/histogram_column.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <random>

#include "engine/base/varint.h"
#include "storage/codec/row.h"
#include "tests/storage/codec/histogram_shapes.h"

namespace basalt::storage {
namespace {

using ::basalt::testing::MakeHistograms;
using ::basalt::testing::SameHistogram;

std::string MustEncode(std::span<const HistogramPoint> points) {
  std::string out;
  const Status status = EncodeHistograms(points, out);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return out;
}

bool SameHistograms(std::span<const HistogramPoint> a, std::span<const HistogramPoint> b) {
  return std::ranges::equal(
      a, b, [](const auto& x, const auto& y) { return SameHistogram(x.histogram, y.histogram); });
}

std::vector<HistogramPoint> MustDecode(const std::string& bytes, size_t count) {
  // Reused memory must not shine through.
  auto out = MakeHistograms(count, true, false, 99);
  const std::vector<char> exact(bytes.begin(), bytes.end());
  const Status status = DecodeHistograms({exact.data(), exact.size()}, out);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return out;
}

TEST(HistogramRow, ACountThatItsBucketsExplainCostsNothing) {
  auto points = MakeHistograms(200, false, false, 1);
  const size_t explained = MustEncode(points).size();
  std::mt19937_64 random(1);
  for (HistogramPoint& point : points) point.histogram.count += random() % 4;
  EXPECT_GE(MustEncode(points).size(), explained + 200 / 8);
  EXPECT_TRUE(SameHistograms(MustDecode(MustEncode(points), points.size()), points));
}

RC_GTEST_PROP(HistogramRow, DecodeInvertsEncodeBitForBit, ()) {
  const auto points = MakeHistograms(*rc::gen::inRange<size_t>(1, 200), *rc::gen::arbitrary<bool>(),
                                     *rc::gen::arbitrary<bool>(), *rc::gen::arbitrary<uint64_t>());
  RC_ASSERT(SameHistograms(MustDecode(MustEncode(points), points.size()), points));
}

TEST(HistogramRow, MixesKindsAndOddNumbers) {
  auto points = MakeHistograms(40, false, false, 1);
  const auto floats = MakeHistograms(40, true, true, 2);
  for (size_t i = 0; i < points.size(); i += 3) points[i].histogram = floats[i].histogram;
  for (size_t i = 0; i < points.size(); ++i) {
    points[i].histogram.sum =
        std::bit_cast<double>(testing::kSpecialBits[i % testing::kSpecialBits.size()]);
    for (double& c : points[i].histogram.positive_counts)
      c = std::bit_cast<double>(testing::kSpecialBits[i % 16]);
  }
  // Counts whose sums wrap: no valid histogram, but still bits.
  points[1].histogram = {};
  points[1].histogram.positive_spans = {{0, 3}};
  points[1].histogram.positive_deltas = {INT64_MAX, INT64_MAX, INT64_MIN};
  points[1].histogram.count = UINT64_MAX;
  EXPECT_TRUE(SameHistograms(MustDecode(MustEncode(points), points.size()), points));
}

TEST(HistogramRow, SteadyLayoutsAreWrittenOnce) {
  auto points = MakeHistograms(120, false, false, 1);
  for (auto& p : points) p.histogram = points[0].histogram;
  EXPECT_LE(MustEncode(points).size(), 40 + 4 * points[0].histogram.positive_deltas.size());
}

TEST(HistogramRow, FieldsOfTheOtherKindAreNotKept) {
  auto points = MakeHistograms(1, false, false, 1);
  points[0].histogram.count_float = 7;
  points[0].histogram.positive_counts = {1, 2, 3};
  const auto out = MustDecode(MustEncode(points), 1);
  EXPECT_EQ(out[0].histogram.count_float, 0);
  EXPECT_TRUE(out[0].histogram.positive_counts.empty());
}

TEST(HistogramRow, RefusesWhatItCannotKeep) {
  std::string out = "kept";
  EXPECT_EQ(EncodeHistograms({}, out).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(EncodeHistograms(std::vector<HistogramPoint>(kMaxSamplesPerRow + 1), out).code(),
            StatusCode::kInvalidArgument);
  auto points = MakeHistograms(3, false, false, 1);
  points[2].histogram.positive_deltas.push_back(1);
  const Status misfit = EncodeHistograms(points, out);
  EXPECT_EQ(misfit.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(misfit.message().find("sample 2"), std::string_view::npos);
  EXPECT_EQ(out, "kept");
}

TEST(HistogramRow, IsCutAtTheBoundOfCells) {
  HistogramPoint wide;
  wide.histogram.positive_spans = {{0, kMaxHistogramBuckets}};
  wide.histogram.positive_deltas.assign(kMaxHistogramBuckets, 0);
  const std::vector<HistogramPoint> points(20, wide);
  const size_t fit = HistogramsThatFit(points);
  EXPECT_EQ(fit, kMaxHistogramCells / (kMaxHistogramBuckets + 2));
  EXPECT_TRUE(SameHistograms(MustDecode(MustEncode(std::span(points).first(fit)), fit),
                             std::span(points).first(fit)));
  std::string out;
  EXPECT_EQ(EncodeHistograms(std::span(points).first(fit + 1), out).code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(HistogramsThatFit({}), 0U);

  // One sample past the bound is a row of its own, and comes back.
  HistogramPoint huge;
  huge.histogram.positive_spans.assign(kMaxHistogramCells, {1, 0});
  EXPECT_EQ(HistogramsThatFit(std::vector<HistogramPoint>(2, huge)), 1U);
  const std::vector<HistogramPoint> one = {huge};
  EXPECT_TRUE(SameHistograms(MustDecode(MustEncode(one), 1), one));
}

TEST(HistogramRow, AShortInputCannotClaimMuch) {
  // One layout of 2^20 buckets, shared by 2048 samples: 16 GiB if it were believed.
  std::string bytes;
  AppendVarint(1, bytes);
  bytes += '\0';
  AppendVarint(0, bytes);
  bytes.append(8, '\0');
  AppendVarint(1, bytes);
  AppendVarint(0, bytes);
  AppendVarint(1U << 20, bytes);
  AppendVarint(0, bytes);
  AppendVarint(0, bytes);
  bytes += std::string("\0\0\0\0", 4);  // layout 0 and hint 0 throughout
  std::vector<HistogramPoint> out(kMaxSamplesPerRow);
  EXPECT_EQ(DecodeHistograms(bytes, out).message(), "histogram row: too many cells");
}

TEST(HistogramRow, DamageIsAnErrorOrStaysInside) {
  for (const bool is_float : {false, true}) {
    const auto points = MakeHistograms(50, is_float, false, 1);
    const std::string good = MustEncode(points);
    std::vector<HistogramPoint> out(points.size());
    EXPECT_FALSE(DecodeHistograms(good + "x", out).ok());
    EXPECT_FALSE(DecodeHistograms(good, std::span(out).first(49)).ok());
    EXPECT_EQ(DecodeHistograms(good, {}).code(), StatusCode::kDataLoss);
    for (size_t n = 0; n < good.size(); ++n) {
      const std::vector<char> cut(good.begin(), good.begin() + static_cast<ptrdiff_t>(n));
      EXPECT_EQ(DecodeHistograms({cut.data(), cut.size()}, out).code(), StatusCode::kDataLoss) << n;
    }
    std::mt19937_64 random(1);
    for (int round = 0; round < 2000; ++round) {
      std::vector<char> bad(good.begin(), good.end());
      bad[random() % bad.size()] ^= static_cast<char>(1 << (random() % 8));
      (void)DecodeHistograms({bad.data(), bad.size()}, out);
    }
  }
}

}  // namespace
}  // namespace basalt::storage
