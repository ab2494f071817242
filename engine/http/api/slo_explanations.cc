// Why an SLO decides as it does: /api/v1/slo/<id>/burn and explain, and the audit of its slots.
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
    WriteOptional("asOf", group.as_of, json);
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

// Parameter: slots, that many are audited now (POST); one if absent.
Answer Audit(const Call& call, bool now) {
  Result<size_t> slots = 0;
  if (now) {
    slots = CountParam(call, "slots", 1, kMaxAuditedAtOnce);
    if (!slots.ok()) return InvalidParameter("slots", slots.status());
  }
  slo::AuditView view;
  if (call.context.slos != nullptr) view = call.context.slos->Audit(*slots);
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

}  // namespace

void RegisterSloExplanations(const SharedContext& context, Router& router) {
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/slo/{id}/burn",
              [](Call& call) { return Burn(call); });
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/slo/{id}/explain",
              [](Call& call) { return Explain(call); });
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/slo/audit",
              [](Call& call) { return Audit(call, false); });
  AddEndpoint(context, router, {Method::kPost}, "/api/v1/slo/audit",
              [](Call& call) { return Audit(call, true); });
}

}  // namespace basalt::http::api
