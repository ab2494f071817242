// query/promql/printer.h -- an expression as text.
#pragma once

#include <cstddef>
#include <string>

#include "query/promql/ast.h"
#include "storage/reader.h"

namespace basalt::promql {

// One line, canonical: parsing it gives the same tree. Equal to upstream's Expr.String().
std::string ToString(const Expr& expr);
std::string ToString(const DurationExpr& expr);
// A matcher as it stands in braces: `job=~"a.*"`, `"quoted name"="x"`.
std::string ToString(const storage::Matcher& matcher);

inline constexpr size_t kLongestPrettyLine = 100;  // bytes, without indentation: upstream's bound

// Several lines where one would pass `longest_line` bytes, two spaces a level: equal to upstream's
// prettifier, which /api/v1/format_query shows.
std::string Pretty(const Expr& expr, size_t longest_line = kLongestPrettyLine);

}  // namespace basalt::promql
