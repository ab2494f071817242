// How values are spelt, and histograms' buckets.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "query/float_histogram.h"
#include "query/number_format.h"

namespace basalt::query {
namespace {

TEST(FormatDecimal, NeverUsesAnExponent) {
  EXPECT_EQ(FormatDecimal(0.1), "0.1");
  EXPECT_EQ(FormatDecimal(1e21), "1000000000000000000000");
  EXPECT_EQ(FormatDecimal(-0.0), "-0");
  // Beyond 2^53: the digits that tell the double apart, and then zeros.
  EXPECT_EQ(FormatDecimal(9007199254740991), "9007199254740991");
  EXPECT_EQ(FormatDecimal(0x1p63), "9223372036854776000");
  EXPECT_EQ(FormatDecimal(1e23), "100000000000000000000000");
  EXPECT_EQ(FormatDecimal(-1.2e308), "-12" + std::string(307, '0'));
  EXPECT_EQ(FormatDecimal(5e-324).size(), 326U);
  EXPECT_EQ(FormatDecimal(std::numeric_limits<double>::infinity()), "+Inf");
  EXPECT_EQ(FormatDecimal(-std::numeric_limits<double>::infinity()), "-Inf");
  EXPECT_EQ(FormatDecimal(std::nan("")), "NaN");
}

TEST(FormatShort, SwitchesToAnExponentWhereGoDoes) {
  EXPECT_EQ(FormatShort(100000), "100000");
  EXPECT_EQ(FormatShort(1e6), "1e+06");
  EXPECT_EQ(FormatShort(1234567), "1.234567e+06");
  EXPECT_EQ(FormatShort(0.0001), "0.0001");
  EXPECT_EQ(FormatShort(0.00001), "1e-05");
  EXPECT_EQ(FormatShort(0), "0");
}

TEST(ExponentialBound, IsAPowerOfTwoInEverySchemaAndEndsAtTheLargestDouble) {
  for (int32_t schema = kMinExponentialSchema; schema <= kMaxExponentialSchema; ++schema) {
    EXPECT_EQ(ExponentialBound(0, schema), 1);
    const int32_t per_octave = schema < 0 ? 1 : 1 << schema;
    const double next = schema < 0 ? std::ldexp(1.0, 1 << -schema) : 2;
    EXPECT_EQ(ExponentialBound(per_octave, schema), next);
  }
  EXPECT_EQ(ExponentialBound(1024, 0), std::numeric_limits<double>::max());
  EXPECT_EQ(ExponentialBound(1025, 0), std::numeric_limits<double>::infinity());
  EXPECT_EQ(ExponentialBound(64, -4), std::numeric_limits<double>::max());
  // As Prometheus publishes it, an ulp below the square root of two.
  EXPECT_EQ(ExponentialBound(1, 1), 2 * 0.7071067811865475);
}

TEST(AllBuckets, RunFromTheLowestBoundToTheHighest) {
  FloatHistogram h;
  h.zero_threshold = 0.6;
  h.zero_count = 5;
  h.positive_spans = {{0, 2}};  // (0.5,1], cut by the zero bucket, and (1,2]
  h.positive_buckets = {1, 2};
  h.negative_spans = {{2, 1}};  // [-4,-2)
  h.negative_buckets = {3};
  const auto buckets = AllBuckets(h);
  ASSERT_EQ(buckets.size(), 4U);
  EXPECT_EQ(buckets[0].lower, -4);
  EXPECT_EQ(buckets[0].boundaries(), 1);
  EXPECT_EQ(buckets[1].boundaries(), 3);
  EXPECT_EQ(buckets[2].lower, 0.6);
  EXPECT_EQ(buckets[2].boundaries(), 0);
  EXPECT_EQ(ToString(h), "{count:0, sum:0, [-4,-2):3, [-0.6,0.6]:5, (0.5,1]:1, (1,2]:2}");
}

TEST(ToFloatHistogram, AddsUpTheDeltasOfIntegers) {
  NativeHistogram n;
  n.count = 7;
  n.positive_spans = {{1, 3}};
  n.positive_deltas = {2, 1, -1};
  const FloatHistogram h = ToFloatHistogram(n);
  EXPECT_EQ(h.count, 7);
  EXPECT_EQ(h.positive_buckets, (std::vector<double>{2, 3, 2}));
}

}  // namespace
}  // namespace basalt::query
