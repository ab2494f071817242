// engine/slo/linear_sli.h -- from the two PromQL queries of an events SLI to a LinearSli.
//
// Understood: linear combinations of `sum [by (...)] (f(selector[{{.window}}]))`, f being rate or
// increase of a counter, count_over_time or sum_over_time of a gauge (measure.h), of
// `histogram_count(sum(rate(...)))` and of that times `histogram_fraction(a, b, ...)` or its rest,
// with
// + - and constants (* and /), parentheses, `or vector(0)`, and a final `> 0`. What is not linear
// is refused, naming the sub-expression: it cannot be kept as two integers a group.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "engine/slo/definition.h"

namespace basalt::slo {

// kInvalidArgument: "error_query: `histogram_quantile(...)` is not ...: do this instead".
Result<LinearSli> CompileEventsSli(std::string_view error_query, std::string_view total_query);

// A ratio's two queries: of `errors / total`, or of `1 - good / total`, where the errors are
// `(total) - (good)`. None: it is no such quotient, or no PromQL.
struct RatioParts {
  std::string errors;
  std::string total;
};
std::optional<RatioParts> SplitRatio(std::string_view error_ratio_query);

}  // namespace basalt::slo
