// Any bytes as a query: the parser neither crashes nor hangs, its errors point into the query, and
// what it accepts it prints as something that it accepts again.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "engine/base/status.h"
#include "query/promql/durations.h"
#include "query/promql/parser.h"
#include "query/promql/printer.h"

using namespace basalt::promql;  // NOLINT(google-build-using-namespace): one function, one
                                 // namespace under test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view query(reinterpret_cast<const char*>(data), size);
  (void)ParseMetricSelector(query);
  (void)ParseDuration(query);
  const std::variant<ExprPtr, ParseError> outcome = ParseExprOrError(query);
  if (const auto* const error = std::get_if<ParseError>(&outcome)) {
    BASALT_CHECK(!error->message.empty());
    BASALT_CHECK(error->pos.start >= 0 && error->pos.start <= error->pos.end);
    BASALT_CHECK(static_cast<size_t>(error->pos.end) <= size);
    return 0;
  }
  const Expr& expr = *std::get<ExprPtr>(outcome);
  BASALT_CHECK(expr.pos().start >= 0 && static_cast<size_t>(expr.pos().end) <= size);
  const std::string printed = ToString(expr);
  (void)Pretty(expr, 20);
  (void)ResolveDurations(std::get<ExprPtr>(outcome),
                         {basalt::Duration(15'000), basalt::Duration(3'600'000)});
  // Four things print as what does not parse again, or as something else, upstream as well: a
  // selector without name and matchers, which only info() may have; durations under a millisecond,
  // which print as 0s; a power of inf, which prints with a sign that binds less; and milliseconds
  // behind days, which lose one to the double of seconds that they are.
  for (const std::string_view odd : {", )", "0s", "+Inf ^"}) {
    if (printed.find(odd) != std::string::npos) return 0;
  }
  const basalt::Result<ExprPtr> again = ParseExpr(printed);
  BASALT_CHECK(again.ok(), printed);
  if (printed.find("ms") != std::string::npos) return 0;
  BASALT_CHECK(ToString(**again) == printed, printed);
  return 0;
}
