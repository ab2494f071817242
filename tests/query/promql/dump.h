// tests/query/promql/dump.h -- a tree with nothing left out but positions, to compare and to show
// precedence.
#pragma once

#include <string>

#include "query/promql/ast.h"

namespace basalt::promql {

// `a + b * c` is "(+ a (* b c))". Everything a node holds shows, so two trees are equal if their
// dumps are.
std::string Dump(const Expr& expr);
std::string Dump(const DurationExpr& expr);

}  // namespace basalt::promql
