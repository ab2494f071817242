// query/promql/printer.h -- an expression as text.
#pragma once

#include <string>

#include "query/promql/ast.h"
#include "storage/reader.h"

namespace basalt::promql {

// One line, canonical: parsing it gives the same tree. Equal to upstream's Expr.String().
std::string ToString(const Expr& expr);
std::string ToString(const DurationExpr& expr);
// A matcher as it stands in braces: `job=~"a.*"`, `"quoted name"="x"`.
std::string ToString(const storage::Matcher& matcher);

// Several lines where one would pass 100 characters, two spaces a level: equal to upstream's
// prettifier, which /api/v1/format_query shows.
std::string Pretty(const Expr& expr);

}  // namespace basalt::promql
