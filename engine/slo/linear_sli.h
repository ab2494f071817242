// engine/slo/linear_sli.h -- from the two PromQL queries of an events SLI to a LinearSli.
//
// Understood: linear combinations of `sum [by (...)] (rate|increase(selector[{{.window}}]))` with
// + - and constants (* and /), parentheses, `or vector(0)`, and a final `> 0`. What is not linear
// is refused, naming the sub-expression: it cannot be kept as two integers a group.
#pragma once

#include <string_view>

#include "engine/base/status.h"
#include "engine/slo/definition.h"

namespace basalt::slo {

// kInvalidArgument: "error_query: `histogram_quantile(...)` is not ...: do this instead".
Result<LinearSli> CompileEventsSli(std::string_view error_query, std::string_view total_query);

// A ratio of two such queries: `errors / total`, or `1 - good / total`. Anything else would have to
// be polled, and is refused by naming it.
Result<LinearSli> CompileRatioSli(std::string_view error_ratio_query);

}  // namespace basalt::slo
