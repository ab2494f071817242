#include "query/promql/parser.h"

#include <algorithm>
#include <string>
#include <utility>

#include "query/promql/check.h"
#include "query/promql/grammar.h"

namespace basalt::promql {
namespace {

std::optional<ParseError> CheckLength(std::string_view query) {
  if (query.size() <= kMaxQueryBytes) return std::nullopt;
  return ParseError{{},
                    "query is too long, " + std::to_string(query.size()) + " bytes of at most " +
                        std::to_string(kMaxQueryBytes)};
}

}  // namespace

std::string LineAndColumn(int32_t offset, std::string_view query) {
  if (query.empty()) return "unknown position";
  if (offset < 0 || static_cast<size_t>(offset) > query.size()) return "invalid position";
  const std::string_view before = query.substr(0, static_cast<size_t>(offset));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t line_break = before.rfind('\n');
  const size_t line_start = line_break == std::string_view::npos ? 0 : line_break + 1;
  return std::to_string(line) + ":" + std::to_string(before.size() - line_start + 1);
}

std::string FormatError(const ParseError& error, std::string_view query) {
  return LineAndColumn(error.pos.start, query) + ": parse error: " + error.message;
}

std::variant<ExprPtr, ParseError> ParseExprOrError(std::string_view query,
                                                   const ParseOptions& options) {
  if (auto error = CheckLength(query)) return *std::move(error);
  Grammar grammar(query, options);
  std::optional<ExprPtr> expr = grammar.ParseQuery();
  if (!expr) return grammar.error();
  if (auto error = CheckTypes(**expr, query)) return *std::move(error);
  return *std::move(expr);
}

Result<ExprPtr> ParseExpr(std::string_view query, const ParseOptions& options) {
  std::variant<ExprPtr, ParseError> outcome = ParseExprOrError(query, options);
  if (const auto* const error = std::get_if<ParseError>(&outcome))
    return InvalidArgument(FormatError(*error, query));
  return std::get<ExprPtr>(std::move(outcome));
}

Result<std::vector<storage::Matcher>> ParseMetricSelector(std::string_view selector) {
  if (const auto error = CheckLength(selector))
    return InvalidArgument(FormatError(*error, selector));
  const ParseOptions options;
  Grammar grammar(selector, options);
  std::optional<VectorSelector> parsed = grammar.ParseSelectorQuery();
  if (!parsed) return InvalidArgument(FormatError(grammar.error(), selector));
  return std::move(parsed->matchers);
}

}  // namespace basalt::promql
