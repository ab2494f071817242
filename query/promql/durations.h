// query/promql/durations.h -- durations as text (`1h30m`) and duration expressions as numbers.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "query/promql/ast.h"

namespace basalt::promql {

// Parses y, w, d, h, m, s, ms in that order, each at most once: "1d12h", "90m", "0". A day has 24
// h, a year 365 days. kInvalidArgument with upstream's text: `not a valid duration string: "5"`,
// `empty duration string`, `duration out of range`.
Result<Duration> ParseDuration(std::string_view text);

// The inverse, in the fewest units: "1d12h", "1h30m", "0s"; a negative one has a leading '-'.
// Fractions of a millisecond are cut.
std::string FormatDuration(Duration duration);
std::string FormatDuration(Nanoseconds duration);

// What step() and range() stand for.
struct DurationContext {
  Duration step{0};   // 0 in an instant query
  Duration range{0};  // end - start
};

enum class DurationUse : uint8_t {
  kRangeOrStep,  // must be greater than 0
  kOffset,       // any sign
};

// Evaluates to whole milliseconds (cut toward zero). A value without `expr` comes back as it is.
// kInvalidArgument with upstream's text and position: "13:18: duration must be greater than 0",
// "division by zero".
Result<Nanoseconds> ResolveDuration(const DurationValue& duration, const DurationContext& context,
                                    DurationUse use);

// The same tree with every duration expression resolved; subtrees without one are shared.
Result<ExprPtr> ResolveDurations(const ExprPtr& expr, const DurationContext& context);

}  // namespace basalt::promql
