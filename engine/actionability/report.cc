#include "engine/actionability/report.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

namespace basalt::actionability {
namespace {

constexpr double kWeekSeconds = 7 * 86'400;
constexpr size_t kWorstShown = 3;

struct Work {
  TeamReport report;
  std::vector<double> acknowledge_seconds;
};

void Count(const AlertRecord& record, Work& work) {
  TeamReport& team = work.report;
  ++(record.page ? team.pages : team.tickets);
  if (record.page) ++team.worst[record.slo().empty() ? "none" : record.slo()];
  if (record.flap) ++team.flaps;
  if (record.undelivered()) ++team.undelivered;
  if (record.feedback.has_value()) {
    ++team.with_feedback;
    if (record.feedback->verdict == Verdict::kActionable) ++team.actionable;
    team.minutes += record.feedback->minutes;
  }
  if (!record.page || !record.acknowledged_at.has_value()) return;
  const Timestamp since = record.delivered_at.value_or(record.published_at);
  work.acknowledge_seconds.push_back(
      std::max(0.0, std::chrono::duration<double>(*record.acknowledged_at - since).count()));
}

void Finish(double weeks, Work& work) {
  TeamReport& team = work.report;
  if (weeks > 0) team.pages_per_week = static_cast<double>(team.pages) / weeks;
  if (team.with_feedback > 0) {
    team.actionable_share =
        static_cast<double>(team.actionable) / static_cast<double>(team.with_feedback);
  }
  std::vector<double>& seconds = work.acknowledge_seconds;
  team.acknowledged_pages = seconds.size();
  if (seconds.empty()) return;
  std::sort(seconds.begin(), seconds.end());
  const size_t half = seconds.size() / 2;
  team.acknowledge_p50_seconds =
      seconds.size() % 2 == 1 ? seconds[half] : (seconds[half - 1] + seconds[half]) / 2;
  double sum = 0;
  for (const double one : seconds) sum += one;
  team.acknowledge_mean_seconds = sum / static_cast<double>(seconds.size());
}

std::string Number(double value, const char* format = "%.1f") {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string Minutes(const std::optional<double>& seconds) {
  return seconds.has_value() ? Number(*seconds / 60) + " min" : "-";
}

std::string Day(Timestamp time) {
  const auto days = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(days);
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02u", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  return text.data();
}

// Would end the cell or its row.
std::string Cell(std::string text) {
  for (char& c : text) {
    if (c == '|' || c == '\n' || c == '\r') c = ' ';
  }
  return text;
}

}  // namespace

Result<TimeRange> ParseMonth(std::string_view month) {
  int year = 0;
  unsigned number = 0;
  const bool form = month.size() == 7 && month[4] == '-';
  const bool read =
      form && std::from_chars(month.data(), month.data() + 4, year).ptr == month.data() + 4 &&
      std::from_chars(month.data() + 5, month.data() + 7, number).ptr == month.data() + 7;
  if (!read || year < 1970 || number < 1 || number > 12)
    return InvalidArgument("\"" + std::string(month) + "\" is no month such as 2026-11");
  using std::chrono::sys_days;
  const std::chrono::year_month first{std::chrono::year(year), std::chrono::month(number)};
  return TimeRange{Timestamp(sys_days(first / 1)),
                   Timestamp(sys_days((first + std::chrono::months(1)) / 1))};
}

Report MakeReport(std::span<const AlertRecord> records, Timestamp from, Timestamp to,
                  Timestamp now) {
  std::map<std::string, Work> teams;
  for (const AlertRecord& record : records) {
    if (record.starts_at < from || record.starts_at >= to) continue;
    Count(record, teams[record.team()]);
  }
  const Timestamp until = std::clamp(now, from, to);
  const double weeks = std::chrono::duration<double>(until - from).count() / kWeekSeconds;
  Report report{.from = from, .to = to, .teams = {}};
  for (auto& [name, work] : teams) {
    Finish(weeks, work);
    work.report.team = name;
    report.teams.push_back(std::move(work.report));
  }
  return report;
}

std::string ReportMarkdown(const Report& report) {
  std::string out = "# Alerts by team, " + Day(report.from) + " to " +
                    Day(report.to - Duration(1)) + "\n\n" +
                    "| team | pages | a week | tickets | actionable | with feedback | "
                    "acknowledged | time to acknowledge (median, mean) | flapping | undelivered | "
                    "minutes spent | most pages |\n"
                    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
  for (const TeamReport& team : report.teams) {
    std::vector<std::pair<size_t, std::string>> worst;
    worst.reserve(team.worst.size());
    for (const auto& [slo, pages] : team.worst) worst.emplace_back(pages, slo);
    std::sort(worst.begin(), worst.end(),
              [](const auto& a, const auto& b) { return a.first > b.first; });
    std::string most;
    for (size_t i = 0; i < worst.size() && i < kWorstShown; ++i)
      most += (i == 0 ? "" : ", ") + worst[i].second + " (" + std::to_string(worst[i].first) + ")";
    const std::string share = team.actionable_share.has_value()
                                  ? Number(100 * *team.actionable_share, "%.0f") + " %"
                                  : "-";
    const size_t all = team.pages + team.tickets;
    out += "| " + Cell(team.team) + " | " + std::to_string(team.pages) + " | " +
           Number(team.pages_per_week) + " | " + std::to_string(team.tickets) + " | " + share +
           " | " + std::to_string(team.with_feedback) + " of " + std::to_string(all) + " | " +
           std::to_string(team.acknowledged_pages) + " of " + std::to_string(team.pages) + " | " +
           Minutes(team.acknowledge_p50_seconds) + ", " + Minutes(team.acknowledge_mean_seconds) +
           " | " + std::to_string(team.flaps) + " | " + std::to_string(team.undelivered) + " | " +
           Number(team.minutes, "%.0f") + " | " + Cell(most) + " |\n";
  }
  if (report.teams.empty()) out += "\nNo alert fired.\n";
  return out;
}

}  // namespace basalt::actionability
