#include "storage/codec/row_summary.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "engine/base/stale.h"
#include "tests/support/sample_shapes.h"

namespace basalt::storage {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();
const double kStale = std::bit_cast<double>(kStaleMarkerBits);

RowSummary Summarize(const std::vector<double>& values, const std::vector<int64_t>& starts = {}) {
  std::vector<int64_t> times(values.size());
  for (size_t i = 0; i < times.size(); ++i) times[i] = 1000 * static_cast<int64_t>(i + 1);
  return SummarizeRow(times, values, starts);
}

TEST(RowSummary, SumsUpAnOrdinaryRow) {
  const RowSummary s = Summarize({3, 1, 2});
  EXPECT_EQ(s.first_ms, 1000);
  EXPECT_EQ(s.last_ms, 3000);
  EXPECT_EQ(s.count, 3U);
  EXPECT_EQ(s.first, 3);
  EXPECT_EQ(s.last, 2);
  EXPECT_EQ(s.min, 1);
  EXPECT_EQ(s.max, 3);
  EXPECT_EQ(s.sum, 6);
  EXPECT_TRUE(s.exact_sum);
  EXPECT_TRUE(s.has_resets);
  EXPECT_FALSE(s.has_nan || s.has_stale);
}

TEST(RowSummary, LeavesStaleMarkersOut) {
  const RowSummary s = Summarize({kStale, 5, kStale, 4, kStale});
  EXPECT_EQ(s.first_ms, 2000);
  EXPECT_EQ(s.last_ms, 4000);
  EXPECT_EQ(s.count, 2U);
  EXPECT_EQ(s.sum, 9);
  EXPECT_TRUE(s.has_stale);
  EXPECT_TRUE(s.has_resets) << "4 is below the 5 before the marker";
  EXPECT_FALSE(s.has_nan);
  const RowSummary none = Summarize({kStale, kStale});
  EXPECT_EQ(none.count, 0U);
  EXPECT_TRUE(none.has_stale);
  EXPECT_FALSE(none.exact_sum);
}

TEST(RowSummary, TreatsNanAsPromqlDoes) {
  const RowSummary s = Summarize({kNan, 2, kNan, 1});
  EXPECT_EQ(s.min, 1);
  EXPECT_EQ(s.max, 2);
  EXPECT_TRUE(std::isnan(s.first) && std::isnan(s.sum));
  EXPECT_TRUE(s.has_nan);
  EXPECT_FALSE(s.has_resets) << "no value is below a NaN";
  EXPECT_FALSE(s.exact_sum);
  EXPECT_TRUE(std::isnan(Summarize({kNan, kNan}).min));
}

TEST(RowSummary, AddsAsSumOverTimeDoes) {
  EXPECT_EQ(Summarize({1, 1e100, 1, -1e100}).sum, 2) << "compensated";
  EXPECT_EQ(Summarize({kInf, 1}).sum, kInf);
  EXPECT_TRUE(std::isnan(Summarize({kInf, -kInf}).sum));
  EXPECT_EQ(Summarize({1.7e308, 1.7e308}).sum, kInf);
}

TEST(RowSummary, KeepsTheEarlierOfEqualExtremes) {
  EXPECT_FALSE(std::signbit(Summarize({0.0, -0.0}).min));
  EXPECT_TRUE(std::signbit(Summarize({-0.0, 0.0}).max));
}

TEST(RowSummary, AChangedStartIsAReset) {
  EXPECT_FALSE(Summarize({1, 2, 3}, {500, 500, 500}).has_resets);
  EXPECT_TRUE(Summarize({1, 2, 3}, {500, 500, 2500}).has_resets);
}

std::vector<double> BeforeResets(const RowSummary& s) {
  return {s.before_reset.begin(), s.before_reset.begin() + s.resets};
}

TEST(RowSummary, KeepsTheValuesBeforeItsResets) {
  const RowSummary s = Summarize({5, 9, kStale, 0, 4, 4, 1});
  EXPECT_TRUE(s.has_resets);
  EXPECT_EQ(BeforeResets(s), (std::vector<double>{9, 4}));
  EXPECT_EQ(BeforeResets(Summarize({1, 2, 3}, {500, 500, 2500})), std::vector<double>{2});
  EXPECT_EQ(BeforeResets(Summarize({1, 2, 3})), std::vector<double>{});
}

TEST(RowSummary, OneResetTooManyAndNoneIsKept) {
  std::vector<double> values = {1};
  for (uint32_t i = 0; i < RowSummary::kMaxResets; ++i) values.insert(values.end(), {0.0, 1.0});
  EXPECT_EQ(Summarize(values).resets, RowSummary::kMaxResets);
  values.push_back(0);
  const RowSummary many = Summarize(values);
  EXPECT_TRUE(many.has_resets);
  EXPECT_EQ(many.resets, 0U);
  EXPECT_EQ(many.before_reset, (RowSummary{}.before_reset));
}

struct ExactCase {
  const char* name;
  std::vector<double> values;
  bool exact;
};
class ExactSum : public ::testing::TestWithParam<ExactCase> {};
TEST_P(ExactSum, IsClaimedOnlyWhereEveryOrderAgrees) {
  EXPECT_EQ(Summarize(GetParam().values).exact_sum, GetParam().exact);
}
INSTANTIATE_TEST_SUITE_P(
    Table, ExactSum,
    ::testing::Values(ExactCase{"integers", {1, 2, 3}, true}, ExactCase{"zeros", {0, 0}, true},
                      ExactCase{"negative_zero", {0, -0.0}, false},
                      ExactCase{"eighths", {0.125, 7.5, -3}, true},
                      ExactCase{"tenths", {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7}, false},
                      ExactCase{"just_below", {0x1p53 - 2, 1}, true},
                      ExactCase{"just_too_large", {0x1p53 - 1, 1}, false},
                      ExactCase{"signs_do_not_help", {0x1p53, -0x1p53, 1}, false},
                      ExactCase{"large_multiples", {0x1p60, 0x1p61}, true},
                      ExactCase{"denormals", {0x1p-1074, 0x1p-1073}, true},
                      ExactCase{"infinite", {kInf}, false}),
    [](const auto& param) { return std::string(param.param.name); });

// Integers are summed up at once, and a stale marker in front of them makes SummarizeRow go one by
// one: what the two say of the integers is the same.
TEST(RowSummary, IntegersAtOnceAreAsIntegersOneByOne) {
  std::mt19937_64 random(5);
  for (size_t n = 1; n < 300; ++n) {
    std::vector<double> values(n);
    const uint64_t most = uint64_t{1} << (random() % 50);
    double at = 0;
    for (double& value : values) {
      const auto step = static_cast<double>(random() % most);
      at = n % 3 == 0 ? step : random() % 40 == 0 ? -step : at + step;
      value = at;
    }
    const RowSummary at_once = Summarize(values);
    values.insert(values.begin(), kStale);
    RowSummary one_by_one = Summarize(values);
    ASSERT_TRUE(one_by_one.has_stale);
    EXPECT_EQ(at_once.first_ms + 1000, one_by_one.first_ms);
    EXPECT_EQ(at_once.last_ms + 1000, one_by_one.last_ms);
    EXPECT_EQ(at_once.count, one_by_one.count);
    EXPECT_EQ(std::bit_cast<uint64_t>(at_once.sum), std::bit_cast<uint64_t>(one_by_one.sum)) << n;
    EXPECT_EQ(at_once.exact_sum, one_by_one.exact_sum) << n;
    EXPECT_EQ(at_once.min, one_by_one.min);
    EXPECT_EQ(at_once.max, one_by_one.max);
    EXPECT_EQ(at_once.first, one_by_one.first);
    EXPECT_EQ(at_once.last, one_by_one.last);
    EXPECT_EQ(at_once.has_resets, one_by_one.has_resets);
    EXPECT_EQ(at_once.resets, one_by_one.resets);
    EXPECT_EQ(at_once.before_reset, one_by_one.before_reset);
    EXPECT_FALSE(at_once.has_nan || at_once.has_stale);
  }
}

RC_GTEST_PROP(RowSummary, AnExactSumHasOneAnswerInAnyOrder, ()) {
  const auto shape =
      static_cast<testing::Shape>(*rc::gen::inRange<size_t>(0, testing::kShapeCount));
  const auto seed = *rc::gen::arbitrary<uint64_t>();
  auto values = testing::MakeValues(shape, *rc::gen::inRange<size_t>(1, 300), seed);
  const RowSummary s = Summarize(values);
  if (!s.exact_sum) return;
  std::erase_if(values, IsStaleMarker);
  std::shuffle(values.begin(), values.end(), std::mt19937_64(seed));
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  RC_ASSERT(std::bit_cast<uint64_t>(sum) == std::bit_cast<uint64_t>(s.sum));
}

}  // namespace
}  // namespace basalt::storage
