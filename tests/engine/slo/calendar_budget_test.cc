// Budgets of calendar periods over streamed SLIs, against the oracle.
#include <gtest/gtest.h>

#include "tests/engine/slo/scenario.h"

namespace basalt::slo {
namespace {

TEST(CalendarBudget, BeginsAtLocalMidnightAlsoWhenTheClocksChange) {
  constexpr int64_t kMidnight = 1'792'879'200'000;  // 2026-10-24T22:00Z: the 25th in Berlin
  constexpr int64_t kNextMidnight = kMidnight + 25 * 3'600'000;
  const int64_t begin = kMidnight - 2 * 3'600'000 + 13'217;
  Scenario scenario(
      "", "    period: 1d\n    calendar: {start: 2026-01-01 00:00:00, zone: Europe/Berlin}\n",
      begin);
  double requests = 0;
  double errors = 0;
  for (int i = 0; i < 28 * 60; ++i) {
    const int64_t t = begin + i * 60'000;
    requests += 100;
    errors += i % 7 == 0 ? 1 : 0;
    scenario.Write("requests a", t, requests);
    scenario.Write("errors a", t, errors);
    if (i % 400 == 399) scenario.Restart(t - 50);
    scenario.Sweep(t + 200);
    if (i % 11 != 0) continue;
    scenario.truth.Recount();
    const int64_t from = t <= kMidnight       ? kMidnight - 24 * 3'600'000
                         : t <= kNextMidnight ? kMidnight
                                              : kNextMidnight;
    const oracle::Sums sums = scenario.truth.Window(t, t - from);
    const BudgetView budget = scenario.View().budget;
    ASSERT_EQ(ToMs(budget.begins_at), from) << i;
    ASSERT_NEAR(budget.consumed, static_cast<double>(sums.bad), 0.01) << i;
    ASSERT_NEAR(budget.total, 0.001 * static_cast<double>(sums.total), 0.01) << i;
    ASSERT_TRUE(budget.exact);
  }
  const auto history =
      scenario.evaluator->BudgetHistory(kDefaultTenant, "shop-requests", std::nullopt);
  ASSERT_TRUE(history.has_value() && history->size() == 1);
  const BudgetHistoryView& way = history->front();
  ASSERT_FALSE(way.steps.empty());
  // The slot that midnight cuts counts in proportion.
  EXPECT_NEAR(way.steps.back().consumed, way.budget.consumed, 1.5);
  EXPECT_EQ(way.steps.front().begins_at, way.budget.begins_at);
  for (size_t i = 1; i < way.steps.size(); ++i) {
    ASSERT_EQ(way.steps[i].begins_at, way.steps[i - 1].ends_at);
  }
  EXPECT_GT(way.coverage, 0.99);
  EXPECT_FALSE(way.episodes.empty());
  EXPECT_FALSE(
      scenario.evaluator->BudgetHistory(kDefaultTenant, "other", std::nullopt).has_value());
}

}  // namespace
}  // namespace basalt::slo
