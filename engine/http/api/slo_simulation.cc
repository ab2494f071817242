// /api/v1/slo/simulate: SLOs played over what is stored.
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

void WriteReport(const slo::SimulationReport& report, JsonWriter& json) {
  json.BeginObject();
  json.Key("slos");
  json.BeginArray();
  for (const slo::SimulatedSlo& one : report.slos) {
    json.BeginObject();
    json.Field("id", one.id);
    if (!one.setting.empty()) json.Field("setting", one.setting);
    json.Key("groups");
    json.Uint(one.groups);
    WriteNumber("bad", one.bad, json);
    WriteNumber("total", one.total, json);
    WriteNumber("budget", one.budget, json);
    json.EndObject();
  }
  json.EndArray();
  json.Key("alerts");
  json.BeginArray();
  for (const slo::SimulatedAlert& alert : report.alerts) {
    json.BeginObject();
    json.Field("slo", alert.slo);
    if (!alert.setting.empty()) json.Field("setting", alert.setting);
    json.Key("group");
    json.LabelSet(alert.group);
    json.Field("severity", slo::SeverityName(alert.severity));
    json.Field("heldBack", alert.held_back);
    json.Key("startsMs");
    json.Int(alert.starts_ms);
    json.Key("endsMs");
    if (alert.ends_ms.has_value()) {
      json.Int(*alert.ends_ms);
    } else {
      json.Null();
    }
    json.EndObject();
  }
  json.EndArray();
  json.Key("rounds");
  json.Uint(report.rounds);
  json.EndObject();
}

// Parameters: slos (YAML), from, to; inject and sweep, repeated.
Answer Simulate(const Call& call) {
  if (!call.form_error.ok()) return FailWith(call.form_error);
  if (call.context.slos == nullptr) return FailWith(Unavailable("no SLO is evaluated"));
  if (call.form.Get("slos").empty()) {
    return InvalidParameter("slos", InvalidArgument("the text of SLO files is missing"));
  }
  const Result<Timestamp> from = ParseTime(call.form.Get("from"));
  if (!from.ok()) return InvalidParameter("from", from.status());
  const Result<Timestamp> to = call.TimeParam("to", call.context.clock->Now());
  if (!to.ok()) return InvalidParameter("to", to.status());
  SimulationRequest request{std::string(call.form.Get("slos")), *from, *to};
  for (const std::string_view text : call.form.All("inject")) request.injections.emplace_back(text);
  for (const std::string_view text : call.form.All("sweep")) request.sweeps.emplace_back(text);
  const auto report = call.context.slos->Simulate(request);
  if (!report.ok()) return FailWith(report.status());
  if (report->storage_errors > 0) {
    return FailWith(Unavailable("some series could not be read: " + report->last_storage_error));
  }
  std::string data;
  JsonWriter json(data);
  WriteReport(*report, json);
  return Succeed(data);
}

}  // namespace

void RegisterSloSimulation(const SharedContext& context, Router& router) {
  AddEndpoint(context, router, {Method::kPost}, "/api/v1/slo/simulate",
              [](Call& call) { return Simulate(call); });
}

}  // namespace basalt::http::api
