// /api/v1/query_exemplars.
#include <memory>
#include <utility>
#include <vector>

#include "engine/http/api/endpoint.h"
#include "engine/http/api/params.h"
#include "query/promql/ast.h"
#include "query/promql/parser.h"

namespace basalt::http::api {
namespace {

// The matchers of every selector in the tree.
void CollectSelectors(const promql::Expr& expr, std::vector<storage::MatcherSet>& out) {
  if (const auto* selector = expr.As<promql::VectorSelector>()) out.push_back(selector->matchers);
  for (const promql::ExprPtr& child : promql::Children(expr)) CollectSelectors(*child, out);
}

void WriteSeries(const storage::SeriesExemplars& series, JsonWriter& json) {
  json.BeginObject();
  json.Key("seriesLabels");
  json.LabelSet(series.series);
  json.Key("exemplars");
  json.BeginArray();
  for (const storage::ExemplarPoint& exemplar : series.exemplars) {
    json.BeginObject();
    json.Key("labels");
    json.LabelSet(exemplar.labels);
    json.Key("value");
    json.SampleValue(exemplar.value);
    json.Key("timestamp");
    json.SampleTime(exemplar.time_ms);
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
}

Answer Exemplars(Call& call) {
  const Result<Timestamp> start = call.TimeParam("start", kMinTime);
  if (!start.ok()) return InvalidParameter("start", start.status());
  const Result<Timestamp> end = call.TimeParam("end", kMaxTime);
  if (!end.ok()) return InvalidParameter("end", end.status());
  if (*end < *start)
    return Fail(ErrorType::kBadData, "end timestamp must not be before start timestamp");
  const Result<promql::ExprPtr> expr = promql::ParseExpr(call.form.Get("query"));
  if (!expr.ok()) return FailWith(expr.status());
  std::vector<storage::MatcherSet> selectors;
  CollectSelectors(**expr, selectors);
  if (selectors.empty()) return NoContent();

  const auto snapshot = call.TakeSnapshot();
  if (!snapshot.ok()) return FailWith(snapshot.status());
  auto found = (*snapshot)->Exemplars(call.tenant, selectors, {ToMs(*start), ToMs(*end)});
  if (!found.ok()) return FailWith(found.status());
  auto series = std::make_shared<const std::vector<storage::SeriesExemplars>>(std::move(*found));
  Annotations annotations;
  annotations.warnings = (*snapshot)->Warnings();
  return SucceedWithList(
      series->size(), [series](size_t i, JsonWriter& json) { WriteSeries((*series)[i], json); },
      annotations);
}

}  // namespace

void RegisterExemplars(const SharedContext& context, Router& router) {
  AddEndpoint(context, router, {Method::kGet, Method::kPost}, "/api/v1/query_exemplars", Exemplars);
}

}  // namespace basalt::http::api
