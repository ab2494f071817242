// Periods of a calendar, against instants that were looked up in the zones' rules by hand.
#include "engine/slo/calendar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

namespace basalt::slo {
namespace {

using ::testing::HasSubstr;

// UTC.
int64_t At(int year, unsigned month, unsigned day, int hour = 0, int minute = 0) {
  const std::chrono::sys_days date =
      std::chrono::year(year) / std::chrono::month(month) / std::chrono::day(day);
  return std::chrono::duration_cast<Duration>(date.time_since_epoch()).count() +
         (hour * 60 + minute) * 60'000;
}

std::shared_ptr<const Calendar> Make(const char* length, const char* start, const char* zone) {
  auto calendar = Calendar::Make(length, start, zone);
  EXPECT_TRUE(calendar.ok()) << calendar.status().ToString();
  return calendar.ok() ? *calendar : nullptr;
}

TEST(Calendar, DaysOfChangesToAndFromSummerTimeHave23And25Hours) {
  const auto day = Make("1d", "2026-01-01 00:00:00", "Europe/Berlin");
  // 29 March 2026: 02:00 becomes 03:00; 25 October: 03:00 becomes 02:00.
  EXPECT_EQ(day->PeriodAt(At(2026, 3, 29, 12)),
            (PeriodBounds{At(2026, 3, 28, 23), At(2026, 3, 29, 22)}));
  EXPECT_EQ(day->PeriodAt(At(2026, 10, 25, 12)),
            (PeriodBounds{At(2026, 10, 24, 22), At(2026, 10, 25, 23)}));
  // Events at the boundary belong to the period that it ends.
  EXPECT_EQ(day->PeriodAt(At(2026, 10, 24, 22)).end_ms, At(2026, 10, 24, 22));
  EXPECT_EQ(day->PeriodAt(At(2026, 10, 24, 22) + 1).begin_ms, At(2026, 10, 24, 22));
}

TEST(Calendar, ALocalTimeThatIsSkippedBeginsWithTheChangeAndARepeatedOneWithItsFirst) {
  const auto day = Make("1d", "2026-01-01 02:30:00", "Europe/Berlin");
  EXPECT_EQ(day->PeriodAt(At(2026, 3, 29, 12)).begin_ms, At(2026, 3, 29, 1));
  EXPECT_EQ(day->PeriodAt(At(2026, 10, 25, 12)).begin_ms, At(2026, 10, 25, 0, 30));
}

TEST(Calendar, MonthsQuartersYearsAndWeeks) {
  const auto month = Make("1M", "2022-01-01 12:00:00", "America/New_York");
  EXPECT_EQ(month->PeriodAt(At(2026, 3, 20)),
            (PeriodBounds{At(2026, 3, 1, 17), At(2026, 4, 1, 16)}));
  const auto quarter = Make("1Q", "2026-01-01", "UTC");
  EXPECT_EQ(quarter->PeriodAt(At(2025, 12, 31)), (PeriodBounds{At(2025, 10, 1), At(2026, 1, 1)}));
  const auto year = Make("1Y", "2024-02-29 00:00:00", "UTC");
  EXPECT_EQ(year->PeriodAt(At(2026, 1, 1)), (PeriodBounds{At(2025, 2, 28), At(2026, 2, 28)}));
  const auto end_of_month = Make("1M", "2026-01-31", "UTC");
  EXPECT_EQ(end_of_month->PeriodAt(At(2026, 3, 1)),
            (PeriodBounds{At(2026, 2, 28), At(2026, 3, 31)}));
  const auto week = Make("1w", "2026-11-02", "Asia/Kolkata");
  EXPECT_EQ(week->PeriodAt(At(2026, 11, 20)).begin_ms, At(2026, 11, 15, 18, 30));
  const auto half_hours = Make("30m", "2026-01-01 00:10:00", "UTC");
  EXPECT_EQ(half_hours->PeriodAt(At(2026, 1, 1, 1, 0)),
            (PeriodBounds{At(2026, 1, 1, 0, 40), At(2026, 1, 1, 1, 10)}));
}

TEST(Calendar, PeriodsFollowEachOtherAndAreNeverLongerThanTheySay) {
  for (const char* length : {"1d", "3d", "2w", "1M", "2M", "1Q", "1Y", "5h"}) {
    for (const char* zone : {"Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "UTC"}) {
      const auto calendar = Make(length, "2024-01-31 02:15:00", zone);
      int64_t t = At(2023, 1, 1);
      for (int i = 0; i < 60; ++i) {
        const PeriodBounds bounds = calendar->PeriodAt(t);
        ASSERT_LT(bounds.begin_ms, t) << length << zone;
        ASSERT_GE(bounds.end_ms, t) << length << zone;
        ASSERT_LE(bounds.end_ms - bounds.begin_ms, calendar->longest().count()) << length << zone;
        ASSERT_EQ(calendar->PeriodAt(bounds.end_ms + 1).begin_ms, bounds.end_ms) << length << zone;
        t = bounds.end_ms + 1;
      }
    }
  }
}

TEST(Calendar, IsUsuallyAsLongAsItIsCalled) {
  const auto usual = [](const char* length) {
    return Make(length, "2026-01-01 00:00:00", "Europe/Berlin")->usual();
  };
  using std::chrono::hours;
  EXPECT_EQ(usual("90m"), std::chrono::minutes(90));
  EXPECT_EQ(usual("1h"), hours(1));
  EXPECT_EQ(usual("36h"), hours(36));
  EXPECT_EQ(usual("745h"), hours(745));  // as long as the longest month, and none
  EXPECT_EQ(usual("1d"), hours(24));
  EXPECT_EQ(usual("31d"), hours(31 * 24));
  EXPECT_EQ(usual("4w"), hours(28 * 24));
  EXPECT_EQ(usual("1M"), hours(30 * 24));
  EXPECT_EQ(usual("1Q"), hours(91 * 24));
  EXPECT_EQ(usual("1Y"), hours(365 * 24));
}

TEST(Calendar, WhatIsWrongIsNamed) {
  const auto message = [](const char* length, const char* start, const char* zone) {
    return std::string(Calendar::Make(length, start, zone).status().message());
  };
  EXPECT_THAT(message("1x", "2026-01-01", "UTC"), HasSubstr("\"1x\" is not a calendar period"));
  EXPECT_THAT(message("0d", "2026-01-01", "UTC"), HasSubstr("\"0d\""));
  EXPECT_THAT(message("2Y", "2026-01-01", "UTC"), HasSubstr("longer than 400d"));
  EXPECT_THAT(message("1d", "tomorrow", "UTC"), HasSubstr("\"tomorrow\" is not a local time"));
  EXPECT_THAT(message("1d", "2026-01-01", "Nowhere/At_All"), HasSubstr("IANA time zone"));
}

}  // namespace
}  // namespace basalt::slo
