#include "engine/actionability/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace basalt::actionability {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

AlertRecord MakeRecord(const std::string& team, Timestamp at, bool page = true) {
  AlertRecord record;
  record.labels = Labels{{"team", team}, {"sloth_id", "shop-availability"}};
  record.page = page;
  record.starts_at = record.published_at = at;
  record.delivered_at = at;
  record.ends_at = at + minutes(30);
  return record;
}

TEST(Report, CountsByTeamOverTheMonth) {
  const TimeRange november = *ParseMonth("2026-11");
  EXPECT_EQ(november.to - november.from, hours(30 * 24));
  std::vector<AlertRecord> records;
  for (int i = 0; i < 6; ++i) records.push_back(MakeRecord("a", november.from + hours(i)));
  records[0].feedback = Feedback{.verdict = Verdict::kActionable, .minutes = 30};
  records[1].feedback = Feedback{.verdict = Verdict::kNotActionable, .minutes = 10};
  records[2].feedback = Feedback{.verdict = Verdict::kSelfHealed};
  records[3].feedback = Feedback{.verdict = Verdict::kActionable};
  records[0].acknowledged_at = records[0].starts_at + minutes(2);
  records[1].acknowledged_at = records[1].starts_at + minutes(4);
  records[2].acknowledged_at = records[2].starts_at + minutes(12);
  records[4].flap = true;
  records[5].delivered_at.reset();
  records.push_back(MakeRecord("a", november.from, false));
  records.push_back(MakeRecord("b", november.to - Duration(1)));
  records.push_back(MakeRecord("b", november.to));  // December's
  records.push_back(MakeRecord("", november.from));
  const Report report =
      MakeReport(records, november.from, november.to, november.from + hours(14 * 24));
  ASSERT_EQ(report.teams.size(), 3U);
  const TeamReport& a = report.teams[0];
  EXPECT_EQ(a.team, "a");
  EXPECT_EQ(a.pages, 6U);
  EXPECT_EQ(a.tickets, 1U);
  EXPECT_EQ(a.pages_per_week, 3) << "two weeks have passed";
  EXPECT_EQ(a.with_feedback, 4U);
  EXPECT_EQ(a.actionable_share, 0.5);
  EXPECT_EQ(a.acknowledge_p50_seconds, 240);
  EXPECT_EQ(a.acknowledge_mean_seconds, 360);
  EXPECT_EQ(a.flaps, 1U);
  EXPECT_EQ(a.undelivered, 1U);
  EXPECT_EQ(a.minutes, 40);
  EXPECT_EQ(report.teams[1].pages, 1U);
  EXPECT_EQ(report.teams[1].actionable_share, std::nullopt);
  EXPECT_EQ(report.teams[2].team, "none");
  const std::string markdown = ReportMarkdown(report);
  EXPECT_THAT(markdown, testing::HasSubstr("# Alerts by team, 2026-11-01 to 2026-11-30\n"));
  EXPECT_THAT(markdown, testing::HasSubstr("| a | 6 | 3.0 | 1 | 50 % | 4 of 7 | 3 of 6 | 4.0 min, "
                                           "6.0 min | 1 | 1 | 40 | shop-availability (6) |"));
}

TEST(Report, AMonthWithoutAlertsSaysSo) {
  const TimeRange month = *ParseMonth("2024-02");
  EXPECT_EQ(month.to - month.from, hours(29 * 24));
  EXPECT_THAT(ReportMarkdown(MakeReport({}, month.from, month.to, month.to)),
              testing::HasSubstr("No alert fired."));
}

TEST(Report, MonthsAreChecked) {
  for (const char* text : {"", "2026", "2026-13", "2026-00", "2026-1", "2026/11", "2026-11-01"})
    EXPECT_FALSE(ParseMonth(text).ok()) << text;
}

}  // namespace
}  // namespace basalt::actionability
