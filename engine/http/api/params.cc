#include "engine/http/api/params.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "engine/base/labels.h"
#include "engine/http/message.h"
#include "query/promql/durations.h"
#include "query/promql/text.h"

namespace basalt::http::api {
namespace {

std::string Quoted(std::string_view text) {
  std::string out;
  promql::AppendGoQuoted(text, out);
  return out;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// `count` digits at the beginning of `rest`, taken from it.
std::optional<int> TakeDigits(std::string_view& rest, size_t count) {
  if (rest.size() < count) return std::nullopt;
  int value = 0;
  for (size_t i = 0; i < count; ++i) {
    if (!IsDigit(rest[i])) return std::nullopt;
    value = value * 10 + (rest[i] - '0');
  }
  rest.remove_prefix(count);
  return value;
}

bool Take(std::string_view& rest, char c) {
  if (rest.empty() || rest.front() != c) return false;
  rest.remove_prefix(1);
  return true;
}

// "Z" or "+01:30", in minutes east.
std::optional<int> TakeOffset(std::string_view& rest) {
  if (Take(rest, 'Z')) return 0;
  const int sign = Take(rest, '+') ? 1 : Take(rest, '-') ? -1 : 0;
  if (sign == 0) return std::nullopt;
  const std::optional<int> hours = TakeDigits(rest, 2);
  if (!hours.has_value() || !Take(rest, ':')) return std::nullopt;
  const std::optional<int> minutes = TakeDigits(rest, 2);
  if (!minutes.has_value() || *hours > 24 || *minutes > 60) return std::nullopt;
  return sign * (*hours * 60 + *minutes);
}

std::optional<Timestamp> ParseRfc3339(std::string_view text) {
  std::string_view rest = text;
  const std::optional<int> year = TakeDigits(rest, 4);
  if (!year.has_value() || !Take(rest, '-')) return std::nullopt;
  const std::optional<int> month = TakeDigits(rest, 2);
  if (!month.has_value() || !Take(rest, '-')) return std::nullopt;
  const std::optional<int> day = TakeDigits(rest, 2);
  if (!day.has_value() || !Take(rest, 'T')) return std::nullopt;
  const std::optional<int> hour = TakeDigits(rest, 2);
  if (!hour.has_value() || !Take(rest, ':')) return std::nullopt;
  const std::optional<int> minute = TakeDigits(rest, 2);
  if (!minute.has_value() || !Take(rest, ':')) return std::nullopt;
  const std::optional<int> second = TakeDigits(rest, 2);
  if (!second.has_value() || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;

  int64_t ms = 0;
  if (Take(rest, '.') || Take(rest, ',')) {  // Go takes both
    const size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    if (digits == 0) return std::nullopt;
    for (size_t i = 0; i < 3; ++i) ms = ms * 10 + (i < digits ? rest[i] - '0' : 0);
    rest.remove_prefix(digits);
  }
  const std::optional<int> offset = TakeOffset(rest);
  const std::chrono::year_month_day date(std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day)));
  if (!offset.has_value() || !rest.empty() || !date.ok()) return std::nullopt;
  return Timestamp(std::chrono::sys_days(date)) + std::chrono::hours(*hour) +
         std::chrono::minutes(*minute - *offset) + std::chrono::seconds(*second) + Duration(ms);
}

// False for what is no code point.
bool AppendUtf8(uint32_t point, std::string& out) {
  if (point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) return false;
  const auto tail = [point](unsigned shift) {
    return static_cast<char>(0x80 | ((point >> shift) & 0x3F));
  };
  if (point < 0x80) {
    out.push_back(static_cast<char>(point));
  } else if (point < 0x800) {
    out.append({static_cast<char>(0xC0 | (point >> 6)), tail(0)});
  } else if (point < 0x10000) {
    out.append({static_cast<char>(0xE0 | (point >> 12)), tail(6), tail(0)});
  } else {
    out.append({static_cast<char>(0xF0 | (point >> 18)), tail(12), tail(6), tail(0)});
  }
  return true;
}

Timestamp FromSeconds(double seconds) {
  double whole = 0;
  const double fraction = std::modf(seconds, &whole);
  constexpr int64_t kMinSeconds = ToMs(kMinTime) / 1000;
  constexpr int64_t kMaxSeconds = ToMs(kMaxTime) / 1000;
  if (whole <= static_cast<double>(kMinSeconds)) return kMinTime;
  if (whole >= static_cast<double>(kMaxSeconds)) return kMaxTime;
  return FromMs(static_cast<int64_t>(whole) * 1000 +
                static_cast<int64_t>(std::round(fraction * 1000)));
}

}  // namespace

std::optional<double> ParseGoFloat(std::string_view text) {
  std::string_view digits = text;
  const bool negative = Take(digits, '-');
  if (!negative) Take(digits, '+');
  if (digits.empty() || digits.front() == '-' || digits.front() == '+') return std::nullopt;
  double value = 0;
  if (EqualsIgnoringCase(digits, "inf") || EqualsIgnoringCase(digits, "infinity")) {
    value = std::numeric_limits<double>::infinity();
  } else if (EqualsIgnoringCase(digits, "nan")) {
    return text.size() == 3 ? std::optional(std::numeric_limits<double>::quiet_NaN())
                            : std::nullopt;
  } else {
    const bool hex =
        digits.size() > 2 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
    if (!IsDigit(digits.front()) && digits.front() != '.') return std::nullopt;
    // Go wants an exponent on hexadecimal floats.
    if (hex && digits.find_first_of("pP") == std::string_view::npos) return std::nullopt;
    const std::string_view number = hex ? digits.substr(2) : digits;
    const char* const end = number.data() + number.size();
    const auto [stop, ec] = std::from_chars(
        number.data(), end, value, hex ? std::chars_format::hex : std::chars_format::general);
    if (stop != end) return std::nullopt;
    if (ec == std::errc::result_out_of_range) {
      // from_chars does not tell too large from too small; Go takes the latter as zero.
      value = std::strtod(std::string(digits).c_str(), nullptr);
      if (std::isinf(value)) return std::nullopt;
    } else if (ec != std::errc()) {
      return std::nullopt;
    }
  }
  return negative ? -value : value;
}

Result<Timestamp> ParseTime(std::string_view text) {
  if (const std::optional<double> seconds = ParseGoFloat(text);
      seconds.has_value() && std::isfinite(*seconds)) {
    return FromSeconds(*seconds);
  }
  if (const std::optional<Timestamp> time = ParseRfc3339(text); time.has_value()) return *time;
  if (text == "-292273086-05-16T16:47:06Z") return kMinTime;
  if (text == "292277025-08-18T07:12:54.999999999Z") return kMaxTime;
  return InvalidArgument("cannot parse " + Quoted(text) + " to a valid timestamp");
}

Result<Duration> ParseDurationParam(std::string_view text) {
  if (const std::optional<double> seconds = ParseGoFloat(text);
      seconds.has_value() && !std::isnan(*seconds)) {
    constexpr double kMaxNanoseconds = 9223372036854775808.0;
    const double nanoseconds = *seconds * 1e9;
    if (nanoseconds > kMaxNanoseconds || nanoseconds < -kMaxNanoseconds) {
      return InvalidArgument("cannot parse " + Quoted(text) +
                             " to a valid duration. It overflows int64");
    }
    const double ms = std::trunc(*seconds * 1000);
    if (ms == 0 && *seconds != 0) {
      return InvalidArgument("cannot parse " + Quoted(text) +
                             " to a valid duration. The finest is a millisecond");
    }
    return Duration(static_cast<int64_t>(ms));
  }
  if (Result<Duration> duration = promql::ParseDuration(text); duration.ok()) return duration;
  return InvalidArgument("cannot parse " + Quoted(text) + " to a valid duration");
}

Result<int64_t> ParseGoInt(std::string_view text, std::string_view function) {
  std::string_view digits = text;
  const bool plus = Take(digits, '+');
  int64_t value = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, ec] = std::from_chars(digits.data(), end, value);
  const std::string what = "strconv." + std::string(function) + ": parsing " + Quoted(text) + ": ";
  if (digits.empty() || stop != end || (plus && digits.front() == '-'))
    return InvalidArgument(what + "invalid syntax");
  if (ec == std::errc::result_out_of_range) return InvalidArgument(what + "value out of range");
  if (ec != std::errc()) return InvalidArgument(what + "invalid syntax");
  return value;
}

Result<size_t> ParseLimit(std::string_view text) {
  if (text.empty()) return size_t{0};
  BASALT_TRY_ASSIGN(const int64_t limit, ParseGoInt(text));
  if (limit < 0) return InvalidArgument("limit must be non-negative");
  return static_cast<size_t>(limit);
}

std::string UnescapeLabelName(std::string_view name) {
  constexpr std::string_view kPrefix = "U__";
  constexpr size_t kMaxHexDigits = 5;  // upstream's bound
  if (name.substr(0, kPrefix.size()) != kPrefix) return std::string(name);
  std::string_view rest = name.substr(kPrefix.size());
  std::string out;
  while (!rest.empty()) {
    if (rest.front() != '_') {
      out.push_back(rest.front());
      rest.remove_prefix(1);
    } else if (rest.substr(0, 2) == "__") {
      out.push_back('_');
      rest.remove_prefix(2);
    } else {
      const size_t end = rest.find('_', 1);
      if (end == std::string_view::npos || end == 1 || end - 1 > kMaxHexDigits)
        return std::string(name);
      uint32_t point = 0;
      const auto [stop, ec] = std::from_chars(rest.data() + 1, rest.data() + end, point, 16);
      if (ec != std::errc() || stop != rest.data() + end || !AppendUtf8(point, out))
        return std::string(name);
      rest.remove_prefix(end + 1);
    }
  }
  return out;
}

Result<TenantId> ParseTenant(std::string_view header) {
  if (header.empty()) return kDefaultTenant;
  uint32_t id = 0;
  const auto [stop, ec] = std::from_chars(header.data(), header.data() + header.size(), id);
  if (ec != std::errc() || stop != header.data() + header.size()) {
    return InvalidArgument("X-Scope-OrgID: " + Quoted(header) +
                           " is not a decimal number below 2^32");
  }
  return TenantId(id);
}

Result<LogPosition> ParseLogPosition(std::string_view text) {
  const size_t colon = text.find(':');
  LogPosition position;
  if (colon != std::string_view::npos) {
    const auto [lane_end, lane_error] =
        std::from_chars(text.data(), text.data() + colon, position.lane);
    const char* const end = text.data() + text.size();
    const auto [seq_end, seq_error] = std::from_chars(text.data() + colon + 1, end, position.seq);
    if (lane_error == std::errc() && seq_error == std::errc() && lane_end == text.data() + colon &&
        seq_end == end) {
      return position;
    }
  }
  return InvalidArgument("cannot parse " + Quoted(text) + " to a position \"lane:sequence\"");
}

}  // namespace basalt::http::api
