// query/promql/parser.h -- query text in, checked expression tree out. The grammar is that of
// Prometheus main with everything experimental on; notes on where it is surprising:
// query/promql/docs/grammar.md.
//
// All functions here are pure and thread-safe, and safe on hostile text: recursion is bounded by
// kMaxDepth, length by kMaxQueryBytes, and any bytes may come in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/base/status.h"
#include "query/promql/ast.h"
#include "query/promql/functions.h"
#include "storage/reader.h"

namespace basalt::promql {

// Height of a tree. A chain `a + a + ...` is as high as it is long; walks over a tree need a frame
// or two a level. Beyond it: "expression is nested too deeply, at most 1024 levels are allowed".
inline constexpr int kMaxDepth = 1024;
// Parentheses, calls, signs and right operands of ^ inside each other, of which machine-made rules
// reach some dozens. A level takes half a dozen frames of the parser, 16 KiB under asan, and has to
// fit in a thread's 8 MiB stack.
inline constexpr int kMaxNesting = 400;

// Positions are 32 bits, and nobody writes a query of this size.
inline constexpr size_t kMaxQueryBytes = 16U << 20U;

struct ParseOptions {
  const FunctionTable* functions = &PromqlFunctions();
};

// What is wrong and where. Parsing stops at the first thing that upstream would report.
struct ParseError {
  PosRange pos;
  std::string message;  // without position: `unexpected end of input`
};
// `1:5: parse error: unexpected end of input`. Lines and byte columns count from 1.
std::string FormatError(const ParseError& error, std::string_view query);
// `1:5` for a byte offset; "unknown position" if the query is empty, "invalid position" if it lies
// outside.
std::string LineAndColumn(int32_t offset, std::string_view query);

// Either the tree or the error, with its position, for callers that show it in place.
std::variant<ExprPtr, ParseError> ParseExprOrError(std::string_view query,
                                                   const ParseOptions& options = {});

// The tree, syntax and types checked. kInvalidArgument carries FormatError's text, which is
// upstream's to the letter.
Result<ExprPtr> ParseExpr(std::string_view query, const ParseOptions& options = {});

// `up{job=~"a.*"}` as in match[]. May be empty (`{}`): whether that is allowed is for the caller to
// say. Regular expressions are compiled as a check. kInvalidArgument as for ParseExpr.
Result<std::vector<storage::Matcher>> ParseMetricSelector(std::string_view selector);

}  // namespace basalt::promql
