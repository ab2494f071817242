#include "engine/slo/polled_sli.h"

#include <algorithm>
#include <regex>
#include <utility>

#include "engine/slo/message.h"
#include "query/promql/ast.h"
#include "query/promql/functions.h"
#include "query/promql/parser.h"

namespace basalt::slo {
namespace {

using promql::Expr;

// While a query is read, {{.window}} is a duration that nobody writes.
constexpr std::string_view kStandIn = "2h11m59s";

const std::regex& WindowTemplate() {
  static const std::regex pattern(R"(\{\{\s*\.window\s*\}\})");
  return pattern;
}

Result<promql::ExprPtr> Parse(const std::string& text) {
  auto parsed = promql::ParseExprOrError(text);
  if (const auto* error = std::get_if<promql::ParseError>(&parsed)) {
    return InvalidArgument("is not PromQL: " + error->message);
  }
  return std::get<promql::ExprPtr>(std::move(parsed));
}

// Calls `visit` with each node, parents first, until it returns false for one; then its children
// are left out.
template <typename Visit>
void Walk(const Expr& expr, const Visit& visit) {
  if (!visit(expr)) return;
  if (const auto* e = expr.As<promql::Unary>()) return Walk(*e->expr, visit);
  if (const auto* e = expr.As<promql::Paren>()) return Walk(*e->expr, visit);
  if (const auto* e = expr.As<promql::Subquery>()) return Walk(*e->expr, visit);
  if (const auto* e = expr.As<promql::Binary>()) {
    Walk(*e->lhs, visit);
    return Walk(*e->rhs, visit);
  }
  if (const auto* e = expr.As<promql::Aggregate>()) {
    if (e->parameter != nullptr) Walk(*e->parameter, visit);
    return Walk(*e->expr, visit);
  }
  if (const auto* e = expr.As<promql::Call>()) {
    for (const promql::ExprPtr& arg : e->args) Walk(*arg, visit);
  }
}

}  // namespace

bool Compare(double value, Comparison op, double bound) {
  switch (op) {
    case Comparison::kLess:
      return value < bound;
    case Comparison::kLessOrEqual:
      return value <= bound;
    case Comparison::kGreater:
      return value > bound;
    case Comparison::kGreaterOrEqual:
      return value >= bound;
  }
  return false;
}

std::vector<std::string> LimitationsOf(const PolledSli& sli, bool grouped) {
  std::vector<std::string> out;
  if (grouped && !sli.adds_up()) {
    out.emplace_back(
        "It has no total over its groups, and groups beyond max_groups are left out: ratios do not "
        "add up.");
  }
  if (!sli.by_windows()) return out;
  out.emplace_back(
      "It has no basalt_slo_bad_events_total and basalt_slo_total_events_total, and no burn-down: "
      "each window is asked by itself, so there are no events with times.");
  out.emplace_back(
      "An exclusion keeps a condition from deciding while its short window overlaps it; longer "
      "windows and the budget have what was excluded in them.");
  return out;
}

bool HasWindow(std::string_view query) {
  return std::regex_search(query.begin(), query.end(), WindowTemplate());
}

std::string WithWindow(std::string_view query, Duration window) {
  return std::regex_replace(std::string(query), WindowTemplate(), FormatDuration(window));
}

Result<PolledQuery> ReadPolledQuery(std::string_view query) {
  PolledQuery out;
  out.has_window = HasWindow(query);
  const std::string text =
      std::regex_replace(std::string(query), WindowTemplate(), std::string(kStandIn));
  if (text.find("{{") != std::string::npos) {
    return InvalidArgument("holds a template other than {{.window}}, which is not supported");
  }
  BASALT_TRY_ASSIGN(const promql::ExprPtr root, Parse(text));
  if (root->type() != promql::ValueType::kVector && root->type() != promql::ValueType::kScalar) {
    return InvalidArgument("gives a " + std::string(promql::DocumentedValueType(root->type())) +
                           ": an SLI needs an instant vector or a scalar");
  }
  bool found = false;
  Walk(*root, [&](const Expr& e) {
    if (const auto* call = e.As<promql::Call>()) {
      const auto id = call->function->id;
      out.is_rate |= id == promql::FunctionId::kRate || id == promql::FunctionId::kIrate;
    }
    if (const auto* aggregate = e.As<promql::Aggregate>(); aggregate != nullptr && !found) {
      found = true;
      if (!aggregate->without) out.group_by = aggregate->grouping;
    }
    return true;
  });
  std::sort(out.group_by.begin(), out.group_by.end());
  out.group_by.erase(std::unique(out.group_by.begin(), out.group_by.end()), out.group_by.end());
  return out;
}

std::string OverWindow(std::string_view query, bool is_counter, bool anchored) {
  std::string text(query);
  if (HasWindow(query)) return text;
  const auto root = Parse(text);
  if (!root.ok()) return text;
  std::vector<promql::PosRange> selectors;
  bool has_range = false;
  Walk(**root, [&](const Expr& e) {
    has_range |= e.As<promql::MatrixSelector>() != nullptr || e.As<promql::Subquery>() != nullptr;
    if (e.As<promql::VectorSelector>() != nullptr) selectors.push_back(e.pos());
    return true;
  });
  if (has_range) return text;  // it says itself over which time
  std::sort(selectors.begin(), selectors.end(),
            [](const auto& a, const auto& b) { return a.start > b.start; });
  for (const promql::PosRange& at : selectors) {  // the last one first, so that positions hold
    text.insert(static_cast<size_t>(at.end),
                anchored && is_counter ? "[{{.window}}] anchored)" : "[{{.window}}])");
    text.insert(static_cast<size_t>(at.start), is_counter ? "increase(" : "sum_over_time(");
  }
  return text;
}

}  // namespace basalt::slo
