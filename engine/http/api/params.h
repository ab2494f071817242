// engine/http/api/params.h -- times, durations, limits and label names out of request parameters,
// as Prometheus reads them, and its words for those it cannot read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/ids.h"
#include "engine/base/status.h"
#include "engine/base/time.h"

namespace basalt::http::api {

// The ends of time that Prometheus' API knows; a time beyond them is taken as the nearer one.
inline constexpr Timestamp kMinTime = FromMs((INT64_MIN / 1000 + 62'135'596'801) * 1000);
inline constexpr Timestamp kMaxTime = FromMs((INT64_MAX / 1000 - 62'135'596'801) * 1000 + 999);

// Seconds as a decimal or hexadecimal float ("1700003600.123", rounded to a millisecond), RFC 3339
// with any fraction and offset, or the formatted kMinTime and kMaxTime. kInvalidArgument: `cannot
// parse "x" to a valid timestamp`.
Result<Timestamp> ParseTime(std::string_view text);

// Seconds as a float, or PromQL's "1h30m". Cut to milliseconds toward zero, but never to zero: 0 <
// x < 1 ms is an error too, since nothing here has a finer step. kInvalidArgument: `cannot parse
// "x" to a valid duration`, with
// ". It overflows int64" where nanoseconds would.
Result<Duration> ParseDurationParam(std::string_view text);

// Empty is 0, which is no limit. kInvalidArgument: `strconv.Atoi: parsing "x": invalid syntax`,
// "limit must be non-negative".
Result<size_t> ParseLimit(std::string_view text);
// Go's strconv.Atoi and its error.
Result<int64_t> ParseGoInt(std::string_view text, std::string_view function = "Atoi");
// Go's ParseFloat without its underscores; nothing if the text is not a number or beyond the
// doubles.
std::optional<double> ParseGoFloat(std::string_view text);

// "U__http_2e_status" is "http.status"; a name that is not well escaped, or has no "U__", is
// returned as it is.
std::string UnescapeLabelName(std::string_view name);

// X-Scope-OrgID. kInvalidArgument names the header.
Result<TenantId> ParseTenant(std::string_view header);

// "<lane>:<seq>", the token of a write's answer. kInvalidArgument otherwise.
Result<LogPosition> ParseLogPosition(std::string_view text);

}  // namespace basalt::http::api
