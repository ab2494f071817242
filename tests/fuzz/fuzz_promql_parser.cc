// Any bytes as a query: the parser neither crashes nor hangs, its errors point into the query, and
// what it accepts it prints as something that it accepts again.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "engine/base/status.h"
#include "query/promql/durations.h"
#include "query/promql/lexer.h"
#include "query/promql/parser.h"
#include "query/promql/printer.h"

using namespace basalt::promql;  // NOLINT(google-build-using-namespace): one function, one
                                 // namespace under test

namespace {

// `1d1ms` as a number is the double 86400.001, whose nanoseconds, cut, are less than that: upstream
// prints it as `1d`, and so do we. What such a literal comes to when it is printed once more.
std::string PrintedAsNumber(std::string_view duration) {
  const basalt::Result<basalt::Duration> parsed = ParseDuration(duration);
  BASALT_CHECK(parsed.ok(), std::string(duration));
  const int64_t ms = parsed->count();
  const double seconds = static_cast<double>(ms / 1000) + static_cast<double>(ms % 1000) / 1e3;
  return FormatDuration(Nanoseconds(static_cast<int64_t>(seconds * 1e9)));
}

// Whether `again` is what printing, parsing and printing makes of `printed`: the same tokens, but
// for durations that stand as numbers.
bool SaysTheSame(const std::string& printed, const std::string& again) {
  Lexer before(printed);
  Lexer after(again);
  while (true) {
    const Token was = before.Next();
    const Token is = after.Next();
    if (was.type != is.type) return false;
    if (was.type == TokenType::kEof) return true;
    const bool cut = was.type == TokenType::kDuration && is.text == PrintedAsNumber(was.text);
    if (was.text != is.text && !cut) return false;
  }
}

}  // namespace

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
  // Three things print as what does not parse again, or as something else, upstream as well: a
  // selector without name and matchers, which only info() may have; durations under a millisecond,
  // which print as 0s; and a power of inf, which prints with a sign that binds less.
  for (const std::string_view odd : {", )", "0s", "+Inf ^"}) {
    if (printed.find(odd) != std::string::npos) return 0;
  }
  const basalt::Result<ExprPtr> again = ParseExpr(printed);
  BASALT_CHECK(again.ok(), printed);
  BASALT_CHECK(SaysTheSame(printed, ToString(**again)), printed);
  return 0;
}
