// /api/v1/metadata.
#include <memory>
#include <string>
#include <vector>

#include "engine/http/api/endpoint.h"
#include "engine/http/api/params.h"

namespace basalt::http::api {
namespace {

std::string_view TypeName(storage::MetricType type) {
  switch (type) {
    case storage::MetricType::kUnknown:
      return "unknown";
    case storage::MetricType::kCounter:
      return "counter";
    case storage::MetricType::kGauge:
      return "gauge";
    case storage::MetricType::kHistogram:
      return "histogram";
    case storage::MetricType::kGaugeHistogram:
      return "gaugehistogram";
    case storage::MetricType::kSummary:
      return "summary";
    case storage::MetricType::kInfo:
      return "info";
    case storage::MetricType::kStateset:
      return "stateset";
  }
  return "unknown";
}

// Nothing: no limit. Upstream takes a negative one for none, and 0 for none to show.
Result<std::optional<size_t>> ParseMetadataLimit(const Call& call, std::string_view name) {
  const std::string_view text = call.form.Get(name);
  if (text.empty()) return std::optional<size_t>();
  const Result<int64_t> limit = ParseGoInt(text);
  if (!limit.ok()) return InvalidArgument(std::string(name) + " must be a number");
  if (*limit < 0) return std::optional<size_t>();
  return std::optional<size_t>(static_cast<size_t>(*limit));
}

Answer Metadata(Call& call) {
  const auto limit = ParseMetadataLimit(call, "limit");
  if (!limit.ok()) return FailWith(limit.status());
  auto per_metric = ParseMetadataLimit(call, "limit_per_metric");
  if (!per_metric.ok()) return FailWith(per_metric.status());
  if (*per_metric == size_t{0}) *per_metric = std::nullopt;  // here upstream takes 0 for none, too
  const auto snapshot = call.TakeSnapshot();
  if (!snapshot.ok()) return FailWith(snapshot.status());
  const auto entries = (*snapshot)->Metadata(call.tenant, call.form.Get("metric"));
  if (!entries.ok()) return FailWith(entries.status());

  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  size_t metrics = 0;
  for (size_t i = 0; i < entries->size();) {
    if (limit->has_value() && metrics == **limit) break;
    ++metrics;
    const std::string& metric = (*entries)[i].metric;
    json.Key(metric);
    json.BeginArray();
    for (size_t shown = 0; i < entries->size() && (*entries)[i].metric == metric; ++i, ++shown) {
      if (per_metric->has_value() && shown >= **per_metric) continue;
      json.BeginObject();
      json.Field("type", TypeName((*entries)[i].type));
      json.Field("unit", (*entries)[i].unit);
      json.Field("help", (*entries)[i].help);
      json.EndObject();
    }
    json.EndArray();
  }
  json.EndObject();
  return Succeed(data);
}

}  // namespace

void RegisterMetadata(const SharedContext& context, Router& router) {
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/metadata", Metadata);
}

}  // namespace basalt::http::api
