#include "engine/slo/recurrence.h"

#include <absl/time/civil_time.h>
#include <absl/time/time.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "engine/base/time.h"

namespace basalt::slo {
namespace {

constexpr std::array<std::string_view, 7> kDays = {"MO", "TU", "WE", "TH", "FR", "SA", "SU"};

int DayNumber(absl::CivilDay day) {  // 0: Monday
  return static_cast<int>(absl::GetWeekday(day));
}

absl::CivilDay MondayOf(absl::CivilDay day) { return day - DayNumber(day); }

absl::CivilDay LastOf(absl::CivilDay day) { return absl::CivilDay(absl::CivilMonth(day) + 1) - 1; }

Result<int64_t> ParseNumber(std::string_view key, std::string_view text) {
  int64_t value = 0;
  const std::string_view digits = text.starts_with('+') ? text.substr(1) : text;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    return InvalidArgument(std::string(key) + "=" + std::string(text) + " is not a number");
  }
  return value;
}

std::vector<std::string_view> Split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

struct Recurrence::Rule {
  enum class Frequency : uint8_t { kDaily, kWeekly, kMonthly };
  struct Day {
    int weekday = 0;
    int64_t nth = 0;  // of the month; negative from its end; 0: every one
  };
  Frequency frequency = Frequency::kDaily;
  int64_t interval = 1;
  int64_t count = INT64_MAX;
  int64_t until_ms = INT64_MAX;  // no occurrence begins after it
  std::vector<Day> days;
  std::vector<int64_t> month_days;
  TimeSpan first;
  absl::CivilSecond start;  // of the first, local
  absl::TimeZone zone;

  [[nodiscard]] bool IsOn(absl::CivilDay day) const {
    const absl::CivilDay first_day(start);
    switch (frequency) {
      case Frequency::kDaily:
        return (day - first_day) % interval == 0 && IsWeekday(day);
      case Frequency::kWeekly:
        if ((MondayOf(day) - MondayOf(first_day)) / 7 % interval != 0) return false;
        return days.empty() ? DayNumber(day) == DayNumber(first_day) : IsWeekday(day);
      case Frequency::kMonthly:
        break;
    }
    if ((absl::CivilMonth(day) - absl::CivilMonth(first_day)) % interval != 0) return false;
    if (!days.empty()) return IsWeekday(day);
    if (month_days.empty()) return day.day() == first_day.day();
    return std::any_of(month_days.begin(), month_days.end(), [&](int64_t n) {
      return n > 0 ? day.day() == n : day - LastOf(day) == n + 1;
    });
  }
  [[nodiscard]] bool IsWeekday(absl::CivilDay day) const {
    if (days.empty()) return true;
    return std::any_of(days.begin(), days.end(), [&](const Day& one) {
      if (one.weekday != DayNumber(day)) return false;
      if (one.nth == 0) return true;
      return one.nth > 0 ? (day.day() - 1) / 7 + 1 == one.nth
                         : (LastOf(day) - day) / 7 + 1 == -one.nth;
    });
  }
  [[nodiscard]] int64_t StartOn(absl::CivilDay day) const {
    const absl::CivilSecond local(day.year(), day.month(), day.day(), start.hour(), start.minute(),
                                  start.second());
    const absl::TimeZone::TimeInfo info = zone.At(local);
    const bool skipped = info.kind == absl::TimeZone::TimeInfo::SKIPPED;
    return absl::ToUnixMillis(skipped ? info.trans : info.pre);
  }

  Status ReadDay(std::string_view text) {
    const auto* const name =
        text.size() < 2 ? kDays.end()
                        : std::find(kDays.begin(), kDays.end(), text.substr(text.size() - 2));
    if (name == kDays.end()) {
      return InvalidArgument("BYDAY: \"" + std::string(text) + "\" is not a day such as MO or 1SU");
    }
    Day day{static_cast<int>(name - kDays.begin()), 0};
    if (const std::string_view nth = text.substr(0, text.size() - 2); !nth.empty()) {
      BASALT_TRY_ASSIGN(day.nth, ParseNumber("BYDAY", nth));
    }
    days.push_back(day);
    return OkStatus();
  }
  Status ReadUntil(std::string_view text) {
    absl::Time time;
    std::string error;
    for (const bool is_day : {false, true}) {
      if (!absl::ParseTime(is_day ? "%E4Y%m%d" : "%E4Y%m%dT%H%M%SZ", std::string(text),
                           is_day ? zone : absl::UTCTimeZone(), &time, &error)) {
        continue;
      }
      until_ms = absl::ToUnixMillis(time) + (is_day ? kMsPerDay - 1 : 0);
      return OkStatus();
    }
    return InvalidArgument("UNTIL=" + std::string(text) +
                           " is not a time such as 20261231T235959Z");
  }
  Status ReadPart(std::string_view key, std::string_view value) {
    if (key == "FREQ") {
      if (value == "DAILY") frequency = Frequency::kDaily;
      if (value == "WEEKLY") frequency = Frequency::kWeekly;
      if (value == "MONTHLY") frequency = Frequency::kMonthly;
      if (value == "DAILY" || value == "WEEKLY" || value == "MONTHLY") return OkStatus();
      return InvalidArgument("FREQ=" + std::string(value) + " is not DAILY, WEEKLY or MONTHLY");
    }
    if (key == "INTERVAL" || key == "COUNT") {
      BASALT_TRY_ASSIGN(const int64_t number, ParseNumber(key, value));
      if (number < 1) return InvalidArgument(std::string(key) + " has to be above 0");
      (key == "COUNT" ? count : interval) = number;
      return OkStatus();
    }
    if (key == "UNTIL") return ReadUntil(value);
    if (key == "BYDAY") {
      for (const std::string_view day : Split(value, ',')) BASALT_TRY(ReadDay(day));
      return OkStatus();
    }
    if (key == "BYMONTHDAY") {
      for (const std::string_view day : Split(value, ',')) {
        BASALT_TRY_ASSIGN(const int64_t number, ParseNumber(key, day));
        month_days.push_back(number);
      }
      return OkStatus();
    }
    return InvalidArgument("\"" + std::string(key) +
                           "\" is not supported: FREQ, INTERVAL, BYDAY, BYMONTHDAY, COUNT and "
                           "UNTIL are");
  }
};

Recurrence::Recurrence(std::unique_ptr<const Rule> rule) : rule_(std::move(rule)) {}
Recurrence::~Recurrence() = default;

Result<std::shared_ptr<const Recurrence>> Recurrence::Parse(std::string_view text, TimeSpan first,
                                                            std::string_view zone) {
  auto rule = std::make_unique<Rule>();
  if (!absl::LoadTimeZone(std::string(zone.empty() ? "UTC" : zone), &rule->zone)) {
    return InvalidArgument("\"" + std::string(zone) + "\" is not an IANA time zone");
  }
  rule->first = first;
  rule->start = absl::ToCivilSecond(absl::FromUnixMillis(first.first), rule->zone);
  if (text.starts_with("RRULE:")) text.remove_prefix(6);
  bool has_frequency = false;
  for (const std::string_view part : Split(text, ';')) {
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos) {
      return InvalidArgument("\"" + std::string(part) + "\" is not KEY=VALUE");
    }
    has_frequency |= part.substr(0, equals) == "FREQ";
    BASALT_TRY(rule->ReadPart(part.substr(0, equals), part.substr(equals + 1)));
  }
  if (!has_frequency) return InvalidArgument("lacks FREQ");
  return std::shared_ptr<const Recurrence>(new Recurrence(std::move(rule)));
}

std::vector<TimeSpan> Recurrence::Within(TimeSpan span) const {
  const Rule& rule = *rule_;
  const int64_t length_ms = rule.first.second - rule.first.first;
  const auto overlaps = [&](int64_t from) {
    return from < span.second && from + length_ms > span.first;
  };
  std::vector<TimeSpan> out;
  if (overlaps(rule.first.first)) out.push_back(rule.first);
  absl::CivilDay day(rule.start);
  int64_t left = rule.count - 1;
  if (rule.count == INT64_MAX) {  // nothing to count: begin where the span does
    const absl::CivilDay from(absl::ToCivilDay(
        absl::FromUnixMillis(std::max(span.first - length_ms, rule.first.first)), rule.zone));
    day = std::max(day, from - 1);
    left = kMaxOccurrences;
  }
  const absl::CivilDay end =
      absl::ToCivilDay(absl::FromUnixMillis(std::min(span.second, rule.until_ms)), rule.zone);
  for (; day <= end && left > 0; ++day) {
    if (day <= absl::CivilDay(rule.start) || !rule.IsOn(day)) continue;
    const int64_t from = rule.StartOn(day);
    if (from > rule.until_ms || from >= span.second) break;
    --left;
    if (overlaps(from)) out.emplace_back(from, from + length_ms);
  }
  return out;
}

}  // namespace basalt::slo
