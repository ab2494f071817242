// query/promql/check.h -- the types of a tree that is right in its syntax. Private to this folder.
#pragma once

#include <optional>
#include <string_view>

#include "query/promql/parser.h"

namespace basalt::promql {

// The first thing wrong with the types, counts and matchings in `expr`, in upstream's order of
// looking; nothing if all is well. `query` is the text that `expr` was parsed from.
std::optional<ParseError> CheckTypes(const Expr& expr, std::string_view query);

}  // namespace basalt::promql
