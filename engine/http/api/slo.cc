// /api/v1/slo: all SLOs, one of them, its budget and its episodes, from a SloSource.
#include <optional>
#include <string>
#include <vector>

#include "engine/http/api/endpoint.h"
#include "engine/http/api/params.h"
#include "engine/http/api/slo_json.h"
#include "engine/http/api/slo_source.h"
#include "query/promql/durations.h"

namespace basalt::http::api {
namespace {

void WriteSeverity(const slo::SeverityView& severity, JsonWriter& json) {
  json.BeginObject();
  json.Field("severity", slo::SeverityName(severity.severity));
  json.Field("state", slo::SeverityStateName(severity.state));
  WriteOptional("startsAt", severity.starts_at, json);
  WriteOptional("keepFiringSince", severity.cleared_at, json);
  WriteOptional("endedAt", severity.ended_at, json);
  WriteOptional("deliveredAt", severity.delivered_at, json);
  json.Key("suppressedBy");
  if (severity.held_back) {
    json.String("total");
  } else {
    json.Null();
  }
  json.Key("labels");
  json.LabelSet(severity.labels);
  json.Key("annotations");
  json.LabelSet(severity.annotations);
  json.Field("reason", severity.reason);
  WriteNumber("value", severity.value, json);
  json.EndObject();
}

void WriteBudget(const slo::BudgetView& budget, JsonWriter& json) {
  json.BeginObject();
  json.Key("beginsAt");
  json.Time(budget.begins_at);
  json.Key("endsAt");
  json.Time(budget.ends_at);
  json.Field("exact", budget.exact);
  WriteNumber("total", budget.total, json);
  WriteNumber("consumed", budget.consumed, json);
  WriteNumber("remaining", budget.remaining, json);
  WriteOptional("remainingRatio", budget.remaining_ratio, json);
  json.EndObject();
}

void WriteGroup(const slo::GroupView& group, JsonWriter& json) {
  json.BeginObject();
  json.Key("labels");
  json.LabelSet(group.labels);
  WriteOptional("asOf", group.as_of, json);
  json.Field("health", group.healthy ? "ok" : "err");
  json.Field("problem", group.problem);
  json.Key("windows");
  json.BeginArray();
  for (const slo::WindowView& window : group.windows) WriteWindow(window, json);
  json.EndArray();
  json.Key("budget");
  WriteBudget(group.budget, json);
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
    json.Key("limitations");
    json.BeginArray();
    for (const std::string& one : view.limitations) json.String(one);
    json.EndArray();
  }
  json.Field("health", view.problem.empty() ? "ok" : "err");
  if (!view.problem.empty()) json.Field("problem", view.problem);
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
  if (!view.group_by.empty()) {
    json.Key("total");
    if (view.total.has_value()) {
      WriteGroup(*view.total, json);
    } else {
      json.Null();
    }
    json.Key("maxGroups");
    json.Uint(view.max_groups);
    json.Key("seriesBeyondMaxGroups");
    json.Uint(view.other_series);
  }
  json.EndObject();
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
  return NoSuchSlo(id);
}

void WriteStep(const slo::BudgetStep& step, JsonWriter& json) {
  json.BeginObject();
  json.Key("beginsAt");
  json.Time(step.begins_at);
  json.Key("endsAt");
  json.Time(step.ends_at);
  WriteNumber("bad", step.bad, json);
  WriteNumber("total", step.total, json);
  WriteNumber("consumed", step.consumed, json);
  json.EndObject();
}

void WriteEpisode(const slo::EpisodeView& episode, JsonWriter& json) {
  json.BeginObject();
  json.Key("beginsAt");
  json.Time(episode.begins_at);
  json.Key("endsAt");
  json.Time(episode.ends_at);
  WriteNumber("bad", episode.bad, json);
  WriteNumber("total", episode.total, json);
  WriteNumber("budgetShare", episode.budget_share, json);
  WriteNumber("peakBurnRate", episode.peak_burn_rate, json);
  json.EndObject();
}

// /budget with its steps, or /episodes.
Answer History(const Call& call, bool steps) {
  const auto max_groups = GroupsShown(call);
  if (!max_groups.ok()) return InvalidParameter("max_groups", max_groups.status());
  std::optional<Timestamp> from;
  if (!call.form.Get("from").empty()) {
    const Result<Timestamp> time = ParseTime(call.form.Get("from"));
    if (!time.ok()) return InvalidParameter("from", time.status());
    from = *time;
  }
  const std::string_view id = call.request.path_param("id");
  std::optional<std::vector<slo::BudgetHistoryView>> groups;
  if (call.context.slos != nullptr) {
    groups = call.context.slos->BudgetHistory(call.tenant, id, from, *max_groups);
  }
  if (!groups.has_value()) return NoSuchSlo(id);
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("groups");
  json.BeginArray();
  for (const slo::BudgetHistoryView& group : *groups) {
    json.BeginObject();
    json.Key("labels");
    json.LabelSet(group.labels);
    json.Field("isTotal", group.is_total);
    json.Key("budget");
    WriteBudget(group.budget, json);
    WriteNumber("coverage", group.coverage, json);
    json.Key(steps ? "steps" : "episodes");
    json.BeginArray();
    if (steps) {
      for (const slo::BudgetStep& step : group.steps) WriteStep(step, json);
    } else {
      for (const slo::EpisodeView& episode : group.episodes) WriteEpisode(episode, json);
    }
    json.EndArray();
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
  return Succeed(data);
}

}  // namespace

void RegisterSlo(const SharedContext& context, Router& router) {
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/slo",
              [](Call& call) { return ListSlos(call); });
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/slo/{id}",
              [](Call& call) { return OneSlo(call); });
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/slo/{id}/budget",
              [](Call& call) { return History(call, true); });
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/slo/{id}/episodes",
              [](Call& call) { return History(call, false); });
}

}  // namespace basalt::http::api
