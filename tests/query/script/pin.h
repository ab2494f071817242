// tests/query/script/pin.h -- the same query with its selectors pinned to one time.
#pragma once

#include <optional>
#include <string>

#include "engine/base/time.h"
#include "query/promql/ast.h"

namespace basalt::query::script {

// `expr` with `@ time` at every selector and subquery that has none and lies in no subquery; it
// then has the same value at any time of evaluation. Nothing if it calls a function that looks at
// the time of evaluation itself.
std::optional<std::string> PinSelectors(const promql::ExprPtr& expr, Timestamp time);

}  // namespace basalt::query::script
