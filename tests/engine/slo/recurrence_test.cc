// Windows that repeat, and the ledger that keeps them.
#include "engine/slo/recurrence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "engine/base/time.h"
#include "engine/slo/ledger.h"

namespace basalt::slo {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kHour = 3'600'000;

int64_t At(int year, unsigned month, unsigned day, int hour = 0) {
  const std::chrono::sys_days date =
      std::chrono::year(year) / std::chrono::month(month) / std::chrono::day(day);
  return std::chrono::duration_cast<Duration>(date.time_since_epoch()).count() + hour * kHour;
}

std::vector<int64_t> Begins(const char* rule, int64_t first, int64_t from, int64_t to,
                            const char* zone = "UTC") {
  const auto recurrence = Recurrence::Parse(rule, {first, first + 2 * kHour}, zone);
  EXPECT_TRUE(recurrence.ok()) << recurrence.status().ToString();
  std::vector<int64_t> out;
  if (!recurrence.ok()) return out;
  for (const auto& [begin, end] : (*recurrence)->Within({from, to})) {
    EXPECT_EQ(end - begin, 2 * kHour);
    out.push_back(begin);
  }
  return out;
}

TEST(Recurrence, StaysAtItsLocalTimeWhenTheClocksChange) {
  // Sundays at 02:00 in New York; on 1 November 2026 the clocks go back.
  EXPECT_EQ(Begins("FREQ=WEEKLY;BYDAY=SU", At(2026, 10, 18, 6), At(2026, 10, 20), At(2026, 11, 16),
                   "America/New_York"),
            (std::vector<int64_t>{At(2026, 10, 25, 6), At(2026, 11, 1, 7), At(2026, 11, 8, 7),
                                  At(2026, 11, 15, 7)}));
}

TEST(Recurrence, DaysWeeksAndMonths) {
  EXPECT_EQ(Begins("FREQ=DAILY;INTERVAL=3", At(2026, 1, 1), At(2026, 1, 2), At(2026, 1, 11)),
            (std::vector<int64_t>{At(2026, 1, 4), At(2026, 1, 7), At(2026, 1, 10)}));
  EXPECT_EQ(
      Begins("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR", At(2026, 1, 5), At(2026, 1, 1), At(2026, 1, 31)),
      (std::vector<int64_t>{At(2026, 1, 5), At(2026, 1, 9), At(2026, 1, 19), At(2026, 1, 23)}));
  EXPECT_EQ(Begins("FREQ=MONTHLY;BYDAY=-1FR", At(2026, 1, 30), At(2026, 2, 1), At(2026, 4, 1)),
            (std::vector<int64_t>{At(2026, 2, 27), At(2026, 3, 27)}));
  EXPECT_EQ(
      Begins("FREQ=MONTHLY;BYMONTHDAY=31,-1", At(2026, 1, 31), At(2026, 2, 1), At(2026, 4, 1)),
      (std::vector<int64_t>{At(2026, 2, 28), At(2026, 3, 31)}));
}

TEST(Recurrence, CountAndUntilEndIt) {
  EXPECT_EQ(Begins("FREQ=DAILY;COUNT=3", At(2026, 1, 1), At(2026, 1, 1), At(2027, 1, 1)).size(),
            3U);
  EXPECT_EQ(Begins("FREQ=DAILY;COUNT=3", At(2026, 1, 1), At(2026, 1, 3), At(2027, 1, 1)),
            std::vector<int64_t>{At(2026, 1, 3)});
  EXPECT_EQ(
      Begins("FREQ=DAILY;UNTIL=20260104", At(2026, 1, 1), At(2026, 1, 1), At(2027, 1, 1)).size(),
      4U);
  EXPECT_EQ(Begins("RRULE:FREQ=DAILY;UNTIL=20260103T000000Z", At(2026, 1, 1), At(2026, 1, 1),
                   At(2027, 1, 1))
                .size(),
            3U);
  // One that began before the span reaches into it.
  EXPECT_EQ(Begins("FREQ=DAILY", At(2026, 1, 1), At(2026, 1, 5, 1), At(2026, 1, 5, 2)),
            std::vector<int64_t>{At(2026, 1, 5)});
}

TEST(Recurrence, WhatIsWrongIsNamed) {
  const auto message = [](const char* rule, const char* zone = "UTC") {
    return std::string(Recurrence::Parse(rule, {0, kHour}, zone).status().message());
  };
  EXPECT_THAT(message("INTERVAL=2"), HasSubstr("lacks FREQ"));
  EXPECT_THAT(message("FREQ=YEARLY"), HasSubstr("FREQ=YEARLY is not DAILY"));
  EXPECT_THAT(message("FREQ=DAILY;BYDAY=XX"), HasSubstr("BYDAY: \"XX\""));
  EXPECT_THAT(message("FREQ=DAILY;BYHOUR=3"), HasSubstr("\"BYHOUR\" is not supported"));
  EXPECT_THAT(message("FREQ=DAILY;COUNT=0"), HasSubstr("COUNT has to be above 0"));
  EXPECT_THAT(message("FREQ=DAILY;UNTIL=soon"), HasSubstr("UNTIL=soon"));
  EXPECT_THAT(message("FREQ=DAILY", "Moon"), HasSubstr("not an IANA time zone"));
}

class LedgerTest : public ::testing::Test {
 protected:
  LedgerTest() {
    dir_ = std::filesystem::path(::testing::TempDir()) / "slo_ledger_test";
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
  }
  ~LedgerTest() override { std::filesystem::remove_all(dir_); }
  std::unique_ptr<Ledger> MustOpen() {
    auto ledger = Ledger::Open(dir_ / "ledger.yml");
    EXPECT_TRUE(ledger.ok()) << ledger.status().ToString();
    return std::move(ledger).value();
  }
  static Exclusion One() {
    Exclusion one;
    one.slo = "shop-requests";
    one.group = Labels{{"region", "eu \"west\": #1"}};
    one.from_ms = At(2026, 1, 1, 2) + 12'345;
    one.to_ms = At(2026, 1, 1, 4) - 12'345;
    one.reason = "moving the database";
    return one;
  }
  std::filesystem::path dir_;
};

TEST_F(LedgerTest, EntriesOutliveARestartAndRemovingKeepsThem) {
  auto ledger = MustOpen();
  Exclusion weekly = One();
  weekly.rrule = "FREQ=WEEKLY";
  weekly.zone = "Europe/Berlin";
  const auto added = ledger->Add(One(), 1'000);
  ASSERT_TRUE(added.ok());
  EXPECT_EQ(added->from_ms, At(2026, 1, 1, 2));  // whole minutes, outwards
  EXPECT_EQ(added->to_ms, At(2026, 1, 1, 4));
  ASSERT_TRUE(ledger->Add(weekly, 2'000).ok());
  ASSERT_TRUE(ledger->Remove(added->id, 3'000).ok());
  EXPECT_EQ(ledger->Remove(added->id, 4'000).code(), StatusCode::kNotFound);

  ledger = MustOpen();
  const auto entries = ledger->All();
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].removed_ms, 3'000);
  EXPECT_FALSE(entries[0].Covers("shop-requests", One().group));
  EXPECT_EQ(entries[1].group, One().group);
  EXPECT_TRUE(entries[1].Covers("shop-requests", One().group));
  EXPECT_FALSE(entries[1].Covers("shop-latency", One().group));
  EXPECT_EQ(entries[1].Within({At(2026, 1, 2), At(2026, 1, 20)}).size(), 2U);
  EXPECT_NE(ledger->Add(One(), 5'000)->id, entries[1].id);
}

TEST_F(LedgerTest, WhatIsWrongIsNamedAndNothingIsWritten) {
  auto ledger = MustOpen();
  const auto message = [&](auto&& change) {
    Exclusion one = One();
    change(one);
    return std::string(ledger->Add(one, 0).status().message());
  };
  EXPECT_THAT(message([](Exclusion& e) { e.to_ms = e.from_ms; }), HasSubstr("to: is not after"));
  EXPECT_THAT(message([](Exclusion& e) { e.reason = ""; }), HasSubstr("reason: is missing"));
  EXPECT_THAT(message([](Exclusion& e) { e.to_ms += 401 * 24 * kHour; }), HasSubstr("400d"));
  EXPECT_THAT(message([](Exclusion& e) { e.rrule = "FREQ=NEVER"; }),
              HasSubstr("rrule: FREQ=NEVER"));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "ledger.yml"));
  std::ofstream(dir_ / "ledger.yml") << "exclusions: [{id: 1";
  EXPECT_EQ(Ledger::Open(dir_ / "ledger.yml").status().code(), StatusCode::kDataLoss);
}

}  // namespace
}  // namespace basalt::slo
