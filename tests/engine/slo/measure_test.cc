// What of a histogram's observations counts, beside what the query engine says of the same one.
#include "engine/slo/measure.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>

#include "query/exec/quantile.h"

namespace basalt::slo {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double FromTheQueryEngine(const NativeHistogram& h, double lower, double upper) {
  query::exec::Annotations annotations;
  const double share =
      query::exec::HistogramFraction(lower, upper, query::ToFloatHistogram(h), "", {}, annotations);
  return share * CountOf(h);
}

// Counts of neighbouring buckets from `first` on, as one span.
void SetBuckets(int32_t first, const std::vector<int>& counts, std::vector<HistogramSpan>& spans,
                std::vector<int64_t>& deltas) {
  if (counts.empty()) return;
  spans = {{first, static_cast<uint32_t>(counts.size())}};
  int64_t before = 0;
  for (const int count : counts) {
    deltas.push_back(count - before);
    before = count;
  }
}

RC_GTEST_PROP(CountBetween, IsTheQueryEnginesFractionTimesTheCount, ()) {
  const auto counts = [] { return *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 50)); };
  NativeHistogram h;
  h.schema = *rc::gen::inRange(-1, 9);                     // bounds that doubles hold
  h.zero_threshold = *rc::gen::element(0.0, 0.001, 0.25);  // buckets begin above it, at 1
  h.zero_count = *rc::gen::inRange<uint64_t>(0, 20);
  SetBuckets(*rc::gen::inRange(1, 20), counts(), h.positive_spans, h.positive_deltas);
  SetBuckets(*rc::gen::inRange(1, 20), counts(), h.negative_spans, h.negative_deltas);
  const query::FloatHistogram f = query::ToFloatHistogram(h);
  h.count = h.zero_count;
  for (const double c : f.positive_buckets) h.count += static_cast<uint64_t>(c);
  for (const double c : f.negative_buckets) h.count += static_cast<uint64_t>(c);
  RC_PRE(h.count > 0);
  const auto bound = [] {
    return *rc::gen::element(-kInfinity, -3.0, -1.0, 0.0, 0.1, 0.25, 1.0, 1.7, 4.0, 1000.0,
                             kInfinity);
  };
  const double lower = bound();
  const double upper = bound();
  RC_PRE(lower < upper);
  const double expected = FromTheQueryEngine(h, lower, upper);
  const double found = CountBetween(h, lower, upper);
  if (std::abs(found - expected) > 1e-6 * (1 + std::abs(expected))) {
    RC_FAIL(std::to_string(found) + " and not " + std::to_string(expected));
  }
}

RC_GTEST_PROP(CountBetween, KnowsCustomBuckets, ()) {
  NativeHistogram h;
  h.schema = kCustomBucketsSchema;
  h.custom_values = {0.1, 0.5, 1, 5};
  std::vector<int> counts(5);
  for (int& count : counts) count = *rc::gen::inRange(0, 30);
  SetBuckets(0, counts, h.positive_spans, h.positive_deltas);
  for (const int count : counts) h.count += static_cast<uint64_t>(count);
  RC_PRE(h.count > 0);
  const double upper = *rc::gen::element(0.05, 0.1, 0.3, 1.0, 2.0, 5.0, 70.0, kInfinity);
  const double expected = FromTheQueryEngine(h, 0, upper);
  RC_ASSERT(std::abs(CountBetween(h, 0, upper) - expected) < 1e-6 * (1 + expected));
}

TEST(Measured, FloatsAndHistogramsAreNotTakenForEachOther) {
  NativeHistogram h;
  h.count = 7;
  EXPECT_EQ(Measured({MeasureKind::kHistogramCount}, h), 7);
  EXPECT_FALSE(Measured({MeasureKind::kHistogramCount}, 7.0).has_value());
  EXPECT_FALSE(Measured({MeasureKind::kCounter}, h).has_value());
  EXPECT_FALSE(Measured({MeasureKind::kValues}, h).has_value());
  EXPECT_EQ(Measured({MeasureKind::kSamples}, 0.0), 1);
  EXPECT_EQ(Measured({MeasureKind::kValues}, -2.5), -2.5);
  EXPECT_EQ(Measured({MeasureKind::kValues}, std::nan("")), 0);
}

}  // namespace
}  // namespace basalt::slo
