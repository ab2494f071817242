// /api/v1/slo, what is below it of one SLO, and the ledger of exclusions, from a SloSource.
#include <charconv>
#include <string>

#include "engine/http/api/endpoint.h"
#include "engine/http/api/params.h"
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
  WriteOptionalTime("keepFiringSince", severity.cleared_at, json);
  WriteOptionalTime("endedAt", severity.ended_at, json);
  WriteOptionalTime("deliveredAt", severity.delivered_at, json);
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
  WriteOptionalTime("asOf", group.as_of, json);
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
  if (!groups.has_value()) {
    return Fail(ErrorType::kNotFound,
                "no SLO has the id \"" + std::string(id) + "\"; /api/v1/slo lists them");
  }
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

Answer NoSuchSlo(std::string_view id) {
  return Fail(ErrorType::kNotFound,
              "no SLO has the id \"" + std::string(id) + "\"; /api/v1/slo lists them");
}

// One tier of a group: both windows' burn rates beside the factor.
void WriteTier(const slo::ConditionView& tier, const slo::GroupView& group, JsonWriter& json) {
  const auto window = [&](Duration length) -> const slo::WindowView* {
    for (const slo::WindowView& one : group.windows) {
      if (one.length == length) return &one;
    }
    return nullptr;
  };
  json.BeginObject();
  json.Field("severity", slo::SeverityName(tier.severity));
  json.Field("factor", tier.factor);
  json.Field("threshold", tier.threshold);
  json.Field("for", promql::FormatDuration(tier.hold_for));
  for (const auto& [key, length] :
       {std::pair("short", tier.short_window), std::pair("long", tier.long_window)}) {
    json.Key(key);
    if (const slo::WindowView* one = window(length)) {
      WriteWindow(*one, json);
    } else {
      json.Null();
    }
  }
  json.EndObject();
}

// Parameters: window (one of the SLO's; all if absent), max_groups.
Answer Burn(const Call& call) {
  const auto max_groups = GroupsShown(call);
  if (!max_groups.ok()) return InvalidParameter("max_groups", max_groups.status());
  const std::string_view id = call.request.path_param("id");
  std::optional<slo::SloView> view;
  if (call.context.slos != nullptr) view = call.context.slos->Slo(call.tenant, id, *max_groups);
  if (!view.has_value()) return NoSuchSlo(id);
  std::optional<Duration> only;
  if (const std::string_view text = call.form.Get("window"); !text.empty()) {
    const Result<Duration> length = promql::ParseDuration(text);
    if (!length.ok()) return InvalidParameter("window", length.status());
    only = *length;
  }
  std::string data;
  JsonWriter json(data);
  bool found = !only.has_value() || (view->groups.empty() && !view->total.has_value());
  const auto write = [&](const slo::GroupView& group) {
    json.BeginObject();
    json.Key("labels");
    json.LabelSet(group.labels);
    WriteOptionalTime("asOf", group.as_of, json);
    json.Key("windows");
    json.BeginArray();
    for (const slo::WindowView& window : group.windows) {
      if (only.has_value() && window.length != *only) continue;
      WriteWindow(window, json);
      found = true;
    }
    json.EndArray();
    json.Key("tiers");
    json.BeginArray();
    for (const slo::ConditionView& tier : view->conditions) {
      const bool wanted =
          !only.has_value() || tier.short_window == *only || tier.long_window == *only;
      if (wanted) WriteTier(tier, group, json);
    }
    json.EndArray();
    json.EndObject();
  };
  json.BeginObject();
  json.Field("id", view->id);
  json.Key("total");
  if (view->total.has_value()) {
    write(*view->total);
  } else {
    json.Null();
  }
  json.Key("groups");
  json.BeginArray();
  for (const slo::GroupView& group : view->groups) write(group);
  json.EndArray();
  json.EndObject();
  if (found) return Succeed(data);
  std::string windows;
  const slo::GroupView& any = view->groups.empty() ? *view->total : view->groups[0];
  for (const slo::WindowView& window : any.windows) {
    windows += " " + promql::FormatDuration(window.length);
  }
  return InvalidParameter("window",
                          InvalidArgument("\"" + std::string(call.form.Get("window")) +
                                          "\" is no window of this SLO; it has" + windows));
}

void WriteExplainedWindow(std::string_view key, const slo::ExplainedWindow& window,
                          JsonWriter& json) {
  json.Key(key);
  json.BeginObject();
  json.Field("window", promql::FormatDuration(window.length));
  WriteNumber("bad", window.bad, json);
  WriteNumber("total", window.total, json);
  WriteOptional("burnRate", window.burn_rate, json);
  json.EndObject();
}

void WriteExplained(const slo::ExplainedGroup& group, JsonWriter& json) {
  json.BeginObject();
  json.Key("labels");
  json.LabelSet(group.labels);
  json.Field("isTotal", group.is_total);
  json.Key("asOf");
  json.Time(FromMs(group.as_of_ms));
  json.Key("tiers");
  json.BeginArray();
  for (const slo::ExplainedCondition& c : group.conditions) {
    json.BeginObject();
    json.Field("severity", slo::SeverityName(c.severity));
    json.Field("factor", c.factor);
    json.Field("threshold", c.threshold);
    WriteExplainedWindow("short", c.in_short, json);
    WriteExplainedWindow("long", c.in_long, json);
    json.Field("holds", c.holds == slo::Truth::kYes  ? "yes"
                        : c.holds == slo::Truth::kNo ? "no"
                                                     : "no events");
    json.EndObject();
  }
  json.EndArray();
  json.Key("firing");
  json.BeginArray();
  for (const slo::ExplainedAlert& alert : group.firing) {
    json.BeginObject();
    json.Field("severity", slo::SeverityName(alert.severity));
    json.Key("startsAt");
    json.Time(FromMs(alert.starts_ms));
    json.Field("frozen", alert.frozen);
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
}

// Parameter: at (now if absent).
Answer Explain(const Call& call) {
  const Result<Timestamp> at = call.TimeParam("at", call.context.clock->Now());
  if (!at.ok()) return InvalidParameter("at", at.status());
  const std::string_view id = call.request.path_param("id");
  if (call.context.slos == nullptr) return NoSuchSlo(id);
  const auto groups = call.context.slos->Explain(call.tenant, id, *at);
  if (!groups.ok()) return FailWith(groups.status());
  if (!groups->has_value()) return NoSuchSlo(id);
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("at");
  json.Time(*at);
  json.Key("groups");
  json.BeginArray();
  for (const slo::ExplainedGroup& group : **groups) WriteExplained(group, json);
  json.EndArray();
  json.EndObject();
  return Succeed(data);
}

constexpr size_t kMaxAuditedAtOnce = 10'000;

// Parameter: slots, that many are audited now (POST).
Answer Audit(const Call& call, bool now) {
  size_t slots = 0;
  if (now) {
    const std::string_view text = call.form.Get("slots");
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), slots);
    if (error != std::errc() || end != text.data() + text.size() || slots > kMaxAuditedAtOnce) {
      return InvalidParameter(
          "slots", InvalidArgument("\"" + std::string(text) + "\" is not a number up to " +
                                   std::to_string(kMaxAuditedAtOnce)));
    }
  }
  slo::AuditView view;
  if (call.context.slos != nullptr) view = call.context.slos->Audit(slots);
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("slots");
  json.Uint(view.slots);
  json.Key("skipped");
  json.Uint(view.skipped);
  json.Key("mismatches");
  json.Uint(view.mismatches);
  json.Field("lastMismatch", view.last_mismatch);
  json.EndObject();
  return Succeed(data);
}

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
  WriteOptionalTime("removedAt", removed, json);
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
  if (!status.ok()) {
    return status.code() == StatusCode::kNotFound
               ? Fail(ErrorType::kNotFound, std::string(status.message()))
               : FailWith(status);
  }
  return Succeed("{}");
}

void WriteReport(const slo::SimulationReport& report, JsonWriter& json) {
  json.BeginObject();
  json.Key("slos");
  json.BeginArray();
  for (const slo::SimulatedSlo& one : report.slos) {
    json.BeginObject();
    json.Field("id", one.id);
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

// Parameters: slos (YAML), from, to; inject, repeated.
Answer Simulate(const Call& call) {
  if (!call.form_error.ok()) return FailWith(call.form_error);
  if (call.context.slos == nullptr) return FailWith(Unavailable("no SLO is evaluated"));
  const Result<Timestamp> from = ParseTime(call.form.Get("from"));
  if (!from.ok()) return InvalidParameter("from", from.status());
  const Result<Timestamp> to = call.TimeParam("to", call.context.clock->Now());
  if (!to.ok()) return InvalidParameter("to", to.status());
  std::vector<std::string> injections;
  for (const std::string_view text : call.form.All("inject")) injections.emplace_back(text);
  const auto report =
      call.context.slos->Simulate(std::string(call.form.Get("slos")), *from, *to, injections);
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

void RegisterSlo(const SharedContext& context, Router& router) {
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/slo",
              [](Call& call) { return ListSlos(call); });
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/slo/{id}",
              [](Call& call) { return OneSlo(call); });
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/slo/{id}/budget",
              [](Call& call) { return History(call, true); });
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/slo/{id}/episodes",
              [](Call& call) { return History(call, false); });
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/slo/{id}/burn",
              [](Call& call) { return Burn(call); });
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/slo/{id}/explain",
              [](Call& call) { return Explain(call); });
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/slo/audit",
              [](Call& call) { return Audit(call, false); });
  AddEndpoint(context, router, {Method::kPost}, "/api/v1/slo/audit",
              [](Call& call) { return Audit(call, true); });
  AddEndpoint(context, router, {Method::kPost}, "/api/v1/slo/simulate",
              [](Call& call) { return Simulate(call); });
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/slo/exclusions",
              [](Call& call) { return ListExclusions(call); });
  AddEndpoint(context, router, {Method::kPost}, "/api/v1/slo/exclusions",
              [](Call& call) { return AddExclusion(call); });
  AddEndpoint(context, router, {Method::kDelete}, "/api/v1/slo/exclusions/{exclusion}",
              [](Call& call) { return RemoveExclusion(call); });
}

}  // namespace basalt::http::api
