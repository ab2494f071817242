#include "engine/slo/calendar.h"

#include <absl/time/civil_time.h>
#include <absl/time/time.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace basalt::slo {
namespace {

constexpr int64_t kMaxCount = 10'000;
constexpr int64_t kMaxDays = 400;

int DaysOf(absl::CivilMonth month) {
  return static_cast<int>(absl::CivilDay(month + 1) - absl::CivilDay(month));
}

}  // namespace

struct Calendar::Rule {
  char unit = 'M';  // m, h, d or M; the others are multiples
  int64_t count = 1;
  absl::CivilSecond start;
  absl::TimeZone zone;
  std::string text;

  // The n-th boundary after the start; n may be negative.
  [[nodiscard]] int64_t Boundary(int64_t n) const {
    const int64_t units = n * count;
    if (unit == 'm' || unit == 'h') {
      return At(start) + units * (unit == 'm' ? 60'000 : 3'600'000);
    }
    if (unit == 'd') return At(start + units * 86'400);  // civil days: 86400 civil seconds each
    const absl::CivilMonth month = absl::CivilMonth(start) + units;
    const int day = std::min(start.day(), DaysOf(month));
    return At(absl::CivilSecond(month.year(), month.month(), day, start.hour(), start.minute(),
                                start.second()));
  }
  [[nodiscard]] int64_t At(absl::CivilSecond civil) const {
    const absl::TimeZone::TimeInfo info = zone.At(civil);
    const bool skipped = info.kind == absl::TimeZone::TimeInfo::SKIPPED;
    return absl::ToUnixMillis(skipped ? info.trans : info.pre);
  }
  [[nodiscard]] int64_t UnitMs() const {  // about
    switch (unit) {
      case 'm':
        return 60'000;
      case 'h':
        return 3'600'000;
      case 'd':
        return kMsPerDay;
      default:
        return 2'629'746'000;  // a twelfth of a Gregorian year
    }
  }
};

Calendar::Calendar(std::unique_ptr<const Rule> rule) : rule_(std::move(rule)) {}
Calendar::~Calendar() = default;
const std::string& Calendar::text() const { return rule_->text; }

Result<std::shared_ptr<const Calendar>> Calendar::Make(std::string_view length,
                                                       std::string_view start,
                                                       std::string_view zone) {
  auto rule = std::make_unique<Rule>();
  const auto [end, error] =
      std::from_chars(length.data(), length.data() + length.size(), rule->count);
  const std::string_view unit(end, static_cast<size_t>(length.data() + length.size() - end));
  if (error != std::errc() || unit.size() != 1 ||
      std::string_view("mhdwMQY").find(unit[0]) == std::string_view::npos || rule->count < 1 ||
      rule->count > kMaxCount) {
    return InvalidArgument("\"" + std::string(length) +
                           "\" is not a calendar period such as 1d, 1w, 1M, 1Q or 1Y");
  }
  rule->unit = unit[0];
  const auto becomes = [&](char to, int64_t times) {
    rule->unit = to;
    rule->count *= times;
  };
  if (unit[0] == 'w') becomes('d', 7);
  if (unit[0] == 'Q') becomes('M', 3);
  if (unit[0] == 'Y') becomes('M', 12);
  std::string civil(start);
  std::replace(civil.begin(), civil.end(), ' ', 'T');
  if (!absl::ParseCivilTime(civil, &rule->start)) {
    absl::CivilDay day;
    if (!absl::ParseCivilTime(civil, &day)) {
      return InvalidArgument("\"" + std::string(start) +
                             "\" is not a local time such as 2026-01-31 00:00:00");
    }
    rule->start = absl::CivilSecond(day);
  }
  if (zone.empty() || !absl::LoadTimeZone(std::string(zone), &rule->zone)) {
    return InvalidArgument("\"" + std::string(zone) +
                           "\" is not an IANA time zone that this machine knows, such as "
                           "Europe/Berlin or UTC");
  }
  rule->text = std::string(length) + " from " + std::string(start) + " " + std::string(zone);
  std::shared_ptr<const Calendar> calendar(new Calendar(std::move(rule)));
  if (calendar->longest() > Duration(kMaxDays * kMsPerDay)) {
    return InvalidArgument("\"" + std::string(length) + "\" is longer than 400d");
  }
  return calendar;
}

PeriodBounds Calendar::PeriodAt(int64_t time_ms) const {
  const Rule& rule = *rule_;
  int64_t n = (time_ms - rule.At(rule.start)) / (rule.UnitMs() * rule.count);
  while (rule.Boundary(n) >= time_ms) --n;
  while (rule.Boundary(n + 1) < time_ms) ++n;
  return {rule.Boundary(n), rule.Boundary(n + 1)};
}

Duration Calendar::longest() const {
  const int64_t count = rule_->count;
  switch (rule_->unit) {
    case 'm':
      return Duration(count * 60'000);
    case 'h':
      return Duration(count * 3'600'000);
    case 'd':
      return Duration(count * kMsPerDay + 3'600'000);  // an hour more in autumn
    default: {
      // 31 for one month, 92 for three, 366 for twelve: no run of months has more.
      const int64_t days = std::min(count * 31, (count * 30 + count / 2) + 2 + count / 12);
      return Duration(days * kMsPerDay + 3'600'000);
    }
  }
}

Duration Calendar::usual() const {
  switch (rule_->unit) {
    case 'm':
    case 'h':
      return longest();  // their hours are of one length
    case 'd':
      return Duration(rule_->count * kMsPerDay);
    default:
      return Duration(rule_->count * 365 / 12 * kMsPerDay);
  }
}

}  // namespace basalt::slo
