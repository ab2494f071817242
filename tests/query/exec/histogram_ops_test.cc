// Arithmetic of native histograms, by hand and by laws that must hold for all.
#include "query/exec/histogram_ops.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>
#include <optional>

#include "query/exec/quantile.h"

namespace basalt::query::exec {
namespace {

// A histogram of schema 0 whose buckets begin at (1,2].
FloatHistogram Plain(std::vector<double> counts, int32_t offset = 1) {
  FloatHistogram h;
  h.positive_spans = {{offset, static_cast<uint32_t>(counts.size())}};
  for (const double c : counts) h.count += c;
  h.sum = h.count;
  h.positive_buckets = std::move(counts);
  return h;
}

FloatHistogram Custom(std::vector<double> bounds, std::vector<double> counts) {
  FloatHistogram h = Plain(std::move(counts), 0);
  h.schema = kCustomBucketsSchema;
  h.custom_values = std::move(bounds);
  return h;
}

TEST(Add, PutsBucketsOfBothSidesTogether) {
  FloatHistogram a = Plain({1, 2});        // (1,2] (2,4]
  const FloatHistogram b = Plain({5}, 4);  // (8,16]
  EXPECT_FALSE(Add(a, b).incompatible);
  EXPECT_EQ(ToString(a), "{count:8, sum:8, (1,2]:1, (2,4]:2, (8,16]:5}");
  ASSERT_EQ(a.positive_spans.size(), 2U);
  EXPECT_EQ(a.positive_spans[1], (HistogramSpan{1, 1}));
}

TEST(Add, TakesTheCoarserSchema) {
  FloatHistogram fine;
  fine.schema = 1;  // bounds at 2^(i/2)
  fine.positive_spans = {{1, 4}};
  fine.positive_buckets = {1, 2, 3, 4};
  fine.count = 10;
  FloatHistogram coarse = Plain({10, 20});
  Add(coarse, fine);
  EXPECT_EQ(ToString(coarse), "{count:40, sum:30, (1,2]:13, (2,4]:27}");
  EXPECT_EQ(coarse.schema, 0);
}

TEST(Add, WidensTheZeroBucketToWhatBothHave) {
  FloatHistogram a = Plain({1, 2, 4}, -1);  // (0.25,0.5] (0.5,1] (1,2]
  FloatHistogram b;
  b.zero_threshold = 0.7;  // cuts (0.5,1], which goes in whole
  b.zero_count = 3;
  b.count = 3;
  Add(a, b);
  EXPECT_EQ(ToString(a), "{count:10, sum:7, [-1,1]:6, (1,2]:4}");
}

TEST(Add, RefusesToMixExponentialWithCustom) {
  FloatHistogram a = Plain({1});
  const FloatHistogram before = a;
  EXPECT_TRUE(Add(a, Custom({1}, {1, 1})).incompatible);
  EXPECT_TRUE(SameHistogram(a, before));
}

TEST(Add, KeepsTheCustomBoundsInCommon) {
  FloatHistogram a = Custom({1, 2, 5}, {1, 2, 3, 4});
  const HistogramOutcome outcome = Add(a, Custom({2, 5, 7}, {10, 20, 30, 40}));
  EXPECT_TRUE(outcome.bounds_reconciled);
  EXPECT_EQ(a.custom_values, (std::vector<double>{2, 5}));
  EXPECT_EQ(ToString(a), "{count:110, sum:110, [-Inf,2]:13, (2,5]:23, (5,+Inf]:74}");
}

TEST(Hints, ContradictOnlyIfOneSaysResetAndTheOtherNot) {
  FloatHistogram a = Plain({1});
  FloatHistogram b = Plain({1});
  a.reset_hint = ResetHint::kYes;
  b.reset_hint = ResetHint::kNo;
  EXPECT_TRUE(Add(a, b).reset_collision);
  EXPECT_EQ(a.reset_hint, ResetHint::kUnknown);
  a.reset_hint = ResetHint::kYes;
  b.reset_hint = ResetHint::kGauge;
  EXPECT_FALSE(Add(a, b).reset_collision);
  EXPECT_EQ(a.reset_hint, ResetHint::kGauge);
}

TEST(DetectReset, FindsWhateverShrank) {
  const FloatHistogram before = Plain({1, 2});
  EXPECT_FALSE(DetectReset(Plain({1, 2}), before));
  EXPECT_FALSE(DetectReset(Plain({1, 3}), before));
  EXPECT_TRUE(DetectReset(Plain({0, 5}), before));  // a bucket
  EXPECT_TRUE(DetectReset(Plain({5}), before));     // a bucket is gone
  EXPECT_TRUE(DetectReset(Plain({1, 1}), before));  // the count
  FloatHistogram finer = Plain({1, 2});
  finer.schema = 1;
  EXPECT_TRUE(DetectReset(finer, before));
  FloatHistogram told = Plain({0, 0});
  told.reset_hint = ResetHint::kNo;
  EXPECT_FALSE(DetectReset(told, before));  // believed
}

TEST(DetectReset, ComparesCustomBucketsByCommonBounds) {
  EXPECT_FALSE(DetectReset(Custom({1, 5}, {3, 4, 5}), Custom({1, 2, 5}, {3, 1, 1, 5})));
  EXPECT_TRUE(DetectReset(Custom({1, 5}, {2, 5, 5}), Custom({1, 2, 5}, {3, 1, 1, 5})));
}

TEST(Compact, LeavesOutEmptyBuckets) {
  FloatHistogram h = Plain({0, 1, 0, 0, 2, 0});
  Compact(h);
  EXPECT_EQ(h.positive_spans, (std::vector<HistogramSpan>{{2, 1}, {2, 1}}));
  EXPECT_EQ(h.positive_buckets, (std::vector<double>{1, 2}));
}

TEST(Trim, CutsTheBucketThatTheBoundIsIn) {
  FloatHistogram h = Custom({1, 2, 3}, {4, 8, 4, 0});
  TrimBuckets(h, 1.5, true);
  EXPECT_EQ(ToString(h), "{count:8, sum:7, [-Inf,1]:4, (1,2]:4}");  // 4 at 0.5 and 4 at 1.25
}

TEST(Quantile, IsInterpolatedOnTheScaleOfTheBuckets) {
  Annotations notes;
  EXPECT_DOUBLE_EQ(HistogramQuantile(0.5, Plain({4}), "", {}, notes), std::sqrt(2));
  EXPECT_DOUBLE_EQ(HistogramQuantile(0.5, Custom({1, 3}, {0, 4, 0}), "", {}, notes), 2);
  EXPECT_TRUE(std::isnan(HistogramQuantile(0.5, FloatHistogram(), "", {}, notes)));
  EXPECT_EQ(HistogramQuantile(2, Plain({4}), "", {}, notes),
            std::numeric_limits<double>::infinity());
}

TEST(ClassicQuantile, LiftsCountsThatFallAndSaysSo) {
  std::vector<ClassicBucket> buckets{
      {1, 10}, {2, 8}, {std::numeric_limits<double>::infinity(), 12}};
  const ClassicQuantile q = BucketQuantile(0.5, buckets);
  EXPECT_TRUE(q.forced_monotonic);
  EXPECT_EQ(q.min_bucket, 2);
  EXPECT_EQ(q.max_diff, 2);
  EXPECT_DOUBLE_EQ(q.value, 0.6);
}

FloatHistogram Arbitrary() {
  FloatHistogram h;
  h.schema = *rc::gen::inRange(-4, 9);
  h.zero_threshold = *rc::gen::element(0.0, 0.001, 0.5, 1.0);
  // Buckets of a valid histogram lie outside its own zero bucket; those of the other one need not.
  const int lowest = h.zero_threshold == 0 ? -8 : 1;
  const auto side = [&](std::vector<HistogramSpan>& spans, std::vector<double>& counts) {
    const int n = *rc::gen::inRange(0, 4);
    for (int i = 0; i < n; ++i) {
      const auto length = static_cast<uint32_t>(*rc::gen::inRange(0, 4));
      spans.push_back({*rc::gen::inRange(i == 0 ? lowest : 0, 5), length});
      for (uint32_t k = 0; k < length; ++k) counts.push_back(*rc::gen::inRange(0, 100));
    }
  };
  side(h.positive_spans, h.positive_buckets);
  side(h.negative_spans, h.negative_buckets);
  h.zero_count = *rc::gen::inRange(0, 50);
  h.count = h.zero_count;
  for (const double c : h.positive_buckets) h.count += c;
  for (const double c : h.negative_buckets) h.count += c;
  h.sum = *rc::gen::inRange(-1000, 1000);
  return h;
}

double InBuckets(const FloatHistogram& h) {
  double out = 0;
  for (const HistogramBucket& b : AllBuckets(h)) out += b.count;
  return out;
}

RC_GTEST_PROP(Laws, AddingLosesNoObservationAndSubtractingUndoesIt, ()) {
  FloatHistogram a = Arbitrary();
  const FloatHistogram b = Arbitrary();
  // With different schemas, upstream counts an observation twice if a zero bucket ends inside a
  // bucket of the coarser one; answers are to be upstream's, so the law is claimed for one schema.
  a.schema = b.schema;
  FloatHistogram sum = a;
  Add(sum, b);
  RC_ASSERT(InBuckets(sum) == InBuckets(a) + InBuckets(b));
  RC_ASSERT(sum.count == a.count + b.count);
  FloatHistogram other_way = b;
  Add(other_way, a);
  Compact(sum);
  Compact(other_way);
  RC_ASSERT(SameHistogram(sum, other_way));
  Subtract(sum, b);
  RC_ASSERT(InBuckets(sum) == InBuckets(a));
}

RC_GTEST_PROP(Laws, KahanSumsOfIntegersAreTheSums, ()) {
  const FloatHistogram a = Arbitrary();
  const FloatHistogram b = Arbitrary();
  FloatHistogram plain = a;
  Add(plain, b);
  FloatHistogram kahan = a;
  std::optional<FloatHistogram> correction;
  KahanAdd(kahan, b, correction);
  Add(kahan, *correction);
  Compact(plain);
  Compact(kahan);
  RC_ASSERT(SameHistogram(plain, kahan));
}

RC_GTEST_PROP(Laws, WhatGrewWasNotReset, ()) {
  const FloatHistogram growth = Arbitrary();
  FloatHistogram a = Arbitrary();
  // A process that runs on does not change its layout.
  a.schema = growth.schema;
  a.zero_threshold = growth.zero_threshold;
  Compact(a);
  const FloatHistogram before = a;
  Add(a, growth);
  RC_ASSERT(!DetectReset(a, before));
}

}  // namespace
}  // namespace basalt::query::exec
