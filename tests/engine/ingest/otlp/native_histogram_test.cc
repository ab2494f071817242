#include "engine/ingest/otlp/native_histogram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <map>

#include "engine/base/stale.h"

namespace basalt::ingest::otlp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Index -> count, empty ones left out.
std::map<int64_t, uint64_t> BucketsOf(const std::vector<HistogramSpan>& spans,
                                      const std::vector<int64_t>& deltas) {
  std::map<int64_t, uint64_t> out;
  int64_t index = 0;
  uint64_t count = 0;
  size_t next = 0;
  for (const HistogramSpan& span : spans) {
    index += span.offset;
    for (uint32_t i = 0; i < span.length; ++i, ++index) {
      count += static_cast<uint64_t>(deltas.at(next++));
      if (count != 0) out[index] = count;
    }
  }
  EXPECT_EQ(next, deltas.size());
  return out;
}

TEST(FromExponential, ShiftsIndexesByOne) {
  // OpenTelemetry's bucket 0 at scale 0 is (1, 2], which is Prometheus' bucket 1.
  Point point;
  point.count = 6;
  point.sum = 9.5;
  point.zero_count = 1;
  point.positive = {-1, {2, 3}};
  const NativeHistogram h = FromExponential(point, Temporality::kCumulative).value();
  EXPECT_EQ(h.schema, 0);
  EXPECT_EQ(h.zero_threshold, 1e-128);
  EXPECT_EQ(h.reset_hint, ResetHint::kUnknown);
  EXPECT_EQ(BucketsOf(h.positive_spans, h.positive_deltas),
            (std::map<int64_t, uint64_t>{{0, 2}, {1, 3}}));
  EXPECT_TRUE(ValidateHistogram(h).ok()) << ValidateHistogram(h).message();
}

TEST(FromExponential, KeepsShortGapsAndCutsLongOnes) {
  Point point;
  point.positive = {0, {1, 0, 0, 2, 0, 0, 0, 3, 0}};
  point.count = 6;
  const NativeHistogram h = FromExponential(point, Temporality::kCumulative).value();
  EXPECT_THAT(h.positive_spans, ElementsAre(HistogramSpan{1, 4}, HistogramSpan{3, 1}));
  EXPECT_THAT(h.positive_deltas, ElementsAre(1, -1, 0, 2, 1));
}

TEST(FromExponential, RefusesWhatHasNoSchema) {
  Point point;
  point.scale = -5;
  EXPECT_THAT(FromExponential(point, Temporality::kCumulative).status().message(),
              HasSubstr("scale -5 is below -4"));
  point.scale = 100;
  EXPECT_THAT(FromExponential(point, Temporality::kCumulative).status().message(),
              HasSubstr("scale 100"));
  point.scale = 0;
  point.negative.offset = std::numeric_limits<int32_t>::min();
  EXPECT_THAT(FromExponential(point, Temporality::kCumulative).status().message(),
              HasSubstr("offset -2147483648"));
}

TEST(FromExponential, KeepsWhatWasSent) {
  Point point;
  point.zero_threshold = 0.25;
  EXPECT_EQ(FromExponential(point, Temporality::kDelta)->zero_threshold, 0.25);
  EXPECT_EQ(FromExponential(point, Temporality::kDelta)->reset_hint, ResetHint::kGauge);
  point.flags = 1;
  point.positive = {0, {7}};
  const NativeHistogram stale = FromExponential(point, Temporality::kCumulative).value();
  EXPECT_TRUE(IsStaleMarker(stale.sum));
  EXPECT_TRUE(stale.positive_spans.empty());
}

// Every observation must be in the bucket that its value belongs to, at whatever scale.
RC_GTEST_PROP(FromExponential, ScalingDownMovesCountsToTheBucketsThatHoldThem, ()) {
  Point point;
  point.scale = *rc::gen::inRange(0, 21);
  point.positive.offset = *rc::gen::inRange(-3000, 3000);
  point.positive.counts =
      *rc::gen::container<std::vector<uint64_t>>(rc::gen::weightedOneOf<uint64_t>(
          {{3, rc::gen::just<uint64_t>(0)}, {1, rc::gen::inRange<uint64_t>(1, 1000)}}));
  for (const uint64_t count : point.positive.counts) point.count += count;
  const NativeHistogram h = FromExponential(point, Temporality::kCumulative).value();
  std::map<int64_t, uint64_t> expected;
  const int shift = std::max(0, point.scale - 8);
  for (size_t i = 0; i < point.positive.counts.size(); ++i) {
    if (point.positive.counts[i] == 0) continue;
    // Upper bound 2^((index + 1) / 2^scale); Prometheus' bucket k ends at 2^(k / 2^schema).
    const double exponent = std::ldexp(
        static_cast<double>(point.positive.offset + static_cast<int64_t>(i) + 1), -shift);
    expected[static_cast<int64_t>(std::ceil(exponent))] += point.positive.counts[i];
  }
  RC_ASSERT(BucketsOf(h.positive_spans, h.positive_deltas) == expected);
  RC_ASSERT(ValidateHistogram(h).ok());
}

TEST(FromExplicitBounds, BecomesCustomBuckets) {
  Point point;
  point.explicit_bounds = {0.1, 1, 10};
  point.bucket_counts = {0, 4, 0, 5};
  point.count = 9;
  point.sum = 80;
  const NativeHistogram h = FromExplicitBounds(point, Temporality::kCumulative).value();
  EXPECT_EQ(h.schema, kCustomBucketsSchema);
  EXPECT_THAT(h.custom_values, ElementsAre(0.1, 1, 10));
  EXPECT_EQ(BucketsOf(h.positive_spans, h.positive_deltas),
            (std::map<int64_t, uint64_t>{{1, 4}, {3, 5}}));
  EXPECT_TRUE(ValidateHistogram(h).ok()) << ValidateHistogram(h).message();
}

TEST(FromExplicitBounds, RefusesCountsThatDoNotFit) {
  Point point;
  point.explicit_bounds = {1, 2};
  point.bucket_counts = {1, 2};
  EXPECT_THAT(CheckBounds(point).message(),
              HasSubstr("bucket_counts has 2 entries for 2 explicit_bounds"));
  point.bucket_counts = {1, 2, 3};
  EXPECT_TRUE(CheckBounds(point).ok());
  point.explicit_bounds = {2, 2};
  EXPECT_THAT(CheckBounds(point).message(), HasSubstr("explicit_bounds[1]"));
  EXPECT_TRUE(CheckBounds(Point()).ok()) << "only a count and a sum";
}

}  // namespace
}  // namespace basalt::ingest::otlp
