// Outages around days of a clock change, for SLOs whose budget is a local day's. When such days
// begin was looked up in the zones' rules by hand.
#include <chrono>
#include <string>
#include <vector>

#include "tests/engine/slo/outage_script.h"

namespace basalt::slo {
namespace {

constexpr int64_t kStepMs = 120'000;

constexpr int64_t Utc(int year, unsigned month, unsigned day, int hour, int minute = 0) {
  const std::chrono::sys_days date =
      std::chrono::year(year) / std::chrono::month(month) / std::chrono::day(day);
  return date.time_since_epoch().count() * 24 * kHourMs + hour * kHourMs + minute * 60'000;
}

// The tiers that the oracle knows: those of a day's budget would be scaled to it.
std::string DailyBudget(const char* start, const char* zone) {
  return std::string("    period: 1d\n    calendar: {start: ") + start + ", zone: " + zone +
         "}\n"
         "    tiers:\n"
         "      - {severity: page, long: 1h, short: 5m, factor: 14.4}\n"
         "      - {severity: page, long: 6h, short: 30m, factor: 6}\n"
         "      - {severity: ticket, long: 1d, short: 2h, factor: 3}\n"
         "      - {severity: ticket, long: 3d, short: 6h, factor: 1}\n";
}

// From two hours before the second of `begins`, which is of the day of the change, until two hours
// after the third. Outages lie over the change and over both midnights; restarts after each.
OutageShape Around(const char* name, const std::string& more, int64_t change_ms,
                   std::vector<int64_t> begins) {
  const auto script = [=](Play& play) {
    Counters counters;
    const int64_t first = begins[1] - 2 * kHourMs + 13'217;
    const int64_t last = begins[2] + 2 * kHourMs;
    for (int64_t t = first; t < last && play.agrees(); t += kStepMs) {
      double share = 0.0007;
      for (const int64_t at : {change_ms, begins[1], begins[2]}) {
        if (t > at - 600'000 && t <= at + 900'000) share = 0.2;
        if (t > at && t <= at + kStepMs) play.Restart(t - 50);
      }
      counters.Serve(10'000, share);
      counters.WriteTo(play, "a", t);
      play.Judge(t);
    }
  };
  return {name, script, -1, false, "", 0, more, std::move(begins)};
}

}  // namespace

std::vector<OutageShape> CalendarOutages() {
  std::vector<OutageShape> shapes;
  // 02:00 becomes 03:00: the day has 23 hours.
  shapes.push_back(Around(
      "the_clocks_go_forward", DailyBudget("2026-01-01 00:00:00", "Europe/Berlin"),
      Utc(2026, 3, 29, 1),
      {Utc(2026, 3, 27, 23), Utc(2026, 3, 28, 23), Utc(2026, 3, 29, 22), Utc(2026, 3, 30, 22)}));
  // 03:00 becomes 02:00: 25 hours.
  shapes.push_back(Around("the_clocks_go_back", DailyBudget("2026-01-01 00:00:00", "Europe/Berlin"),
                          Utc(2026, 10, 25, 1),
                          {Utc(2026, 10, 23, 22), Utc(2026, 10, 24, 22), Utc(2026, 10, 25, 23),
                           Utc(2026, 10, 26, 23)}));
  // The day that begins at 02:30 begins with the change instead; the one before has 23 1/2 hours.
  shapes.push_back(Around("a_day_begins_in_the_hour_that_is_skipped",
                          DailyBudget("2026-01-01 02:30:00", "Europe/Berlin"), Utc(2026, 3, 29, 1),
                          {Utc(2026, 3, 28, 1, 30), Utc(2026, 3, 29, 1), Utc(2026, 3, 30, 0, 30),
                           Utc(2026, 3, 31, 0, 30)}));
  // 02:00 becomes 02:30: 23 1/2 hours.
  shapes.push_back(Around("the_clocks_go_forward_by_half_an_hour",
                          DailyBudget("2026-01-01 00:00:00", "Australia/Lord_Howe"),
                          Utc(2026, 10, 3, 15, 30),
                          {Utc(2026, 10, 2, 13, 30), Utc(2026, 10, 3, 13, 30), Utc(2026, 10, 4, 13),
                           Utc(2026, 10, 5, 13)}));
  // 02:00 becomes 01:30: 24 1/2 hours.
  shapes.push_back(Around("the_clocks_go_back_by_half_an_hour",
                          DailyBudget("2026-01-01 00:00:00", "Australia/Lord_Howe"),
                          Utc(2026, 4, 4, 15),
                          {Utc(2026, 4, 3, 13), Utc(2026, 4, 4, 13), Utc(2026, 4, 5, 13, 30),
                           Utc(2026, 4, 6, 13, 30)}));
  // 01:45 comes twice; the day begins with the first.
  shapes.push_back(Around("a_day_begins_in_the_half_hour_that_comes_twice",
                          DailyBudget("2026-01-01 01:45:00", "Australia/Lord_Howe"),
                          Utc(2026, 4, 4, 15),
                          {Utc(2026, 4, 3, 14, 45), Utc(2026, 4, 4, 14, 45),
                           Utc(2026, 4, 5, 15, 15), Utc(2026, 4, 6, 15, 15)}));
  return shapes;
}

}  // namespace basalt::slo
