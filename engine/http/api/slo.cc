// /api/v1/slo and /api/v1/slo/<id>, from a SloSource.
#include <charconv>
#include <string>

#include "engine/http/api/endpoint.h"
#include "engine/http/api/slo_source.h"
#include "query/promql/durations.h"

namespace basalt::http::api {
namespace {

constexpr size_t kGroupsShown = 100;
constexpr size_t kMaxGroupsShown = 100'000;

void WriteOptional(std::string_view key, const std::optional<double>& value, JsonWriter& json) {
  json.Key(key);
  if (value.has_value()) {
    json.Float(*value);
  } else {
    json.Null();
  }
}

void WriteNumber(std::string_view key, double value, JsonWriter& json) {
  json.Key(key);
  json.Float(value);
}

void WriteOptionalTime(std::string_view key, const std::optional<Timestamp>& time,
                       JsonWriter& json) {
  json.Key(key);
  if (time.has_value()) {
    json.Time(*time);
  } else {
    json.Null();
  }
}

void WriteWindow(const slo::WindowView& window, JsonWriter& json) {
  json.BeginObject();
  json.Field("window", promql::FormatDuration(window.length));
  WriteNumber("bad", window.bad, json);
  WriteNumber("total", window.total, json);
  WriteOptional("ratio", window.ratio, json);
  WriteOptional("burnRate", window.burn_rate, json);
  json.Field("exact", window.exact);
  json.EndObject();
}

void WriteSeverity(const slo::SeverityView& severity, JsonWriter& json) {
  json.BeginObject();
  json.Field("severity", severity.severity == slo::Severity::kPage ? "page" : "ticket");
  json.Field("state", slo::SeverityStateName(severity.state));
  WriteOptionalTime("startsAt", severity.starts_at, json);
  WriteOptionalTime("endedAt", severity.ended_at, json);
  WriteOptionalTime("deliveredAt", severity.delivered_at, json);
  json.Key("labels");
  json.LabelSet(severity.labels);
  json.Key("annotations");
  json.LabelSet(severity.annotations);
  json.Field("reason", severity.reason);
  WriteNumber("value", severity.value, json);
  json.EndObject();
}

void WriteGroup(const slo::GroupView& group, JsonWriter& json) {
  json.BeginObject();
  json.Key("labels");
  json.LabelSet(group.labels);
  WriteOptionalTime("asOf", group.as_of, json);
  json.Field("health", group.healthy ? "ok" : "err");
  json.Field("problem", group.problem);
  json.Key("windows");
  json.BeginArray();
  for (const slo::WindowView& window : group.windows) WriteWindow(window, json);
  json.EndArray();
  json.Key("budget");
  json.BeginObject();
  json.Key("beginsAt");
  json.Time(group.budget.begins_at);
  json.Key("endsAt");
  json.Time(group.budget.ends_at);
  json.Field("exact", group.budget.exact);
  WriteNumber("total", group.budget.total, json);
  WriteNumber("consumed", group.budget.consumed, json);
  WriteNumber("remaining", group.budget.remaining, json);
  WriteOptional("remainingRatio", group.budget.remaining_ratio, json);
  json.EndObject();
  json.Key("alerts");
  json.BeginArray();
  for (const slo::SeverityView& severity : group.severities) WriteSeverity(severity, json);
  json.EndArray();
  json.EndObject();
}

void WriteSlo(const slo::SloView& view, JsonWriter& json) {
  json.BeginObject();
  json.Field("id", view.id);
  json.Field("service", view.service);
  json.Field("name", view.name);
  json.Field("owner", view.owner);
  json.Field("description", view.description);
  WriteNumber("objective", view.objective, json);
  json.Field("objectivePercent", view.objective_text);
  json.Field("period", promql::FormatDuration(view.period));
  if (!view.calendar.empty()) json.Field("calendar", view.calendar);
  json.Field("evaluated", view.polled ? "polled" : "streamed");
  if (view.polled) {
    json.Field("polledBecause", view.polled_why);
    json.Field("polledEvery", promql::FormatDuration(view.poll_interval));
    json.Field("pollProblem", view.poll_problem);
  }
  json.Key("labels");
  json.LabelSet(view.labels);
  json.Field("errorQuery", view.error_query);
  json.Field("totalQuery", view.total_query);
  json.Field("file", view.file);
  json.Key("line");
  json.Int(view.line);
  json.Key("groupBy");
  json.BeginArray();
  for (const std::string& label : view.group_by) json.String(label);
  json.EndArray();
  json.Key("groups");
  json.BeginArray();
  for (const slo::GroupView& group : view.groups) WriteGroup(group, json);
  json.EndArray();
  json.Key("groupsOmitted");
  json.Uint(view.groups_omitted);
  json.EndObject();
}

Result<size_t> GroupsShown(const Call& call) {
  const std::string_view text = call.form.Get("max_groups");
  if (text.empty()) return kGroupsShown;
  size_t value = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || at != text.data() + text.size() || value > kMaxGroupsShown) {
    return InvalidArgument("\"" + std::string(text) + "\" is not a number up to " +
                           std::to_string(kMaxGroupsShown));
  }
  return value;
}

Answer ListSlos(const Call& call) {
  const auto max_groups = GroupsShown(call);
  if (!max_groups.ok()) return InvalidParameter("max_groups", max_groups.status());
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("slos");
  json.BeginArray();
  if (call.context.slos != nullptr) {
    for (const slo::SloView& view : call.context.slos->Slos(call.tenant, *max_groups))
      WriteSlo(view, json);
  }
  json.EndArray();
  json.EndObject();
  return Succeed(data);
}

Answer OneSlo(const Call& call) {
  const auto max_groups = GroupsShown(call);
  if (!max_groups.ok()) return InvalidParameter("max_groups", max_groups.status());
  const std::string_view id = call.request.path_param("id");
  if (call.context.slos != nullptr) {
    if (const auto view = call.context.slos->Slo(call.tenant, id, *max_groups); view.has_value()) {
      std::string data;
      JsonWriter json(data);
      WriteSlo(*view, json);
      return Succeed(data);
    }
  }
  return Fail(ErrorType::kNotFound,
              "no SLO has the id \"" + std::string(id) + "\"; /api/v1/slo lists them");
}

}  // namespace

void RegisterSlo(const SharedContext& context, Router& router) {
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/slo",
              [](Call& call) { return ListSlos(call); });
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/slo/{id}",
              [](Call& call) { return OneSlo(call); });
}

}  // namespace basalt::http::api
