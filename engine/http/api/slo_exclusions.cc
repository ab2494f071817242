// /api/v1/slo/exclusions: what is left out of budgets, and since when.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/http/api/endpoint.h"
#include "engine/http/api/params.h"
#include "engine/http/api/slo_json.h"
#include "engine/http/api/slo_source.h"
#include "query/promql/durations.h"

namespace basalt::http::api {
namespace {

void WriteExclusion(const slo::Exclusion& exclusion, JsonWriter& json) {
  json.BeginObject();
  json.Field("id", exclusion.id);
  json.Field("slo", exclusion.slo);
  json.Key("group");
  json.LabelSet(exclusion.group);
  json.Key("from");
  json.Time(FromMs(exclusion.from_ms));
  json.Key("to");
  json.Time(FromMs(exclusion.to_ms));
  json.Field("rrule", exclusion.rrule);
  json.Field("zone", exclusion.zone);
  json.Field("reason", exclusion.reason);
  json.Field("author", exclusion.author);
  json.Field("ticket", exclusion.ticket);
  json.Key("createdAt");
  json.Time(FromMs(exclusion.created_ms));
  std::optional<Timestamp> removed;
  if (exclusion.removed_ms != 0) removed = FromMs(exclusion.removed_ms);
  WriteOptional("removedAt", removed, json);
  json.EndObject();
}

Answer ListExclusions(const Call& call) {
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("exclusions");
  json.BeginArray();
  if (call.context.slos != nullptr) {
    const auto exclusions = call.context.slos->Exclusions();
    if (!exclusions.ok()) return FailWith(exclusions.status());
    for (const slo::Exclusion& one : *exclusions) WriteExclusion(one, json);
  }
  json.EndArray();
  json.EndObject();
  return Succeed(data);
}

// Parameters: from, to, reason; slo, group (name=value, repeated), rrule, zone, author, ticket.
Answer AddExclusion(const Call& call) {
  if (!call.form_error.ok()) return FailWith(call.form_error);
  if (call.context.slos == nullptr) return FailWith(Unavailable("no SLO is evaluated"));
  slo::Exclusion exclusion;
  for (const auto& [name, to] :
       {std::pair("from", &exclusion.from_ms), std::pair("to", &exclusion.to_ms)}) {
    const Result<Timestamp> time = ParseTime(call.form.Get(name));
    if (!time.ok()) return InvalidParameter(name, time.status());
    *to = ToMs(*time);
  }
  for (const auto& [name, to] :
       {std::pair("slo", &exclusion.slo), std::pair("rrule", &exclusion.rrule),
        std::pair("zone", &exclusion.zone), std::pair("reason", &exclusion.reason),
        std::pair("author", &exclusion.author), std::pair("ticket", &exclusion.ticket)}) {
    *to = std::string(call.form.Get(name));
  }
  for (const std::string_view label : call.form.All("group")) {
    const size_t equals = label.find('=');
    if (equals == std::string_view::npos || !IsLegacyLabelName(label.substr(0, equals))) {
      return InvalidParameter("group",
                              InvalidArgument("\"" + std::string(label) + "\" is not name=value"));
    }
    exclusion.group.Set(label.substr(0, equals), label.substr(equals + 1));
  }
  const auto added = call.context.slos->AddExclusion(std::move(exclusion));
  if (!added.ok()) return FailWith(added.status());
  std::string data;
  JsonWriter json(data);
  WriteExclusion(*added, json);
  return Succeed(data);
}

Answer RemoveExclusion(const Call& call) {
  if (call.context.slos == nullptr) return FailWith(Unavailable("no SLO is evaluated"));
  const std::string id(call.request.path_param("exclusion"));
  const Status status = call.context.slos->RemoveExclusion(id);
  if (!status.ok()) return FailAs(status);
  return Succeed("{}");
}

}  // namespace

void RegisterSloExclusions(const SharedContext& context, Router& router) {
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/slo/exclusions",
              [](Call& call) { return ListExclusions(call); });
  AddEndpoint(context, router, {Method::kPost}, "/api/v1/slo/exclusions",
              [](Call& call) { return AddExclusion(call); });
  AddEndpoint(context, router, {Method::kDelete}, "/api/v1/slo/exclusions/{exclusion}",
              [](Call& call) { return RemoveExclusion(call); });
}

}  // namespace basalt::http::api
