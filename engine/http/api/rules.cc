// /api/v1/rules and /api/v1/alerts, from an AlertsView.
#include <re2/re2.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/labels.h"
#include "engine/base/regex_syntax.h"
#include "engine/http/api/alerts_view.h"
#include "engine/http/api/endpoint.h"
#include "engine/http/api/params.h"
#include "query/promql/text.h"

namespace basalt::http::api {
namespace {

std::string_view StateName(AlertState state) {
  switch (state) {
    case AlertState::kInactive:
      return "inactive";
    case AlertState::kPending:
      return "pending";
    case AlertState::kFiring:
      return "firing";
  }
  return "inactive";
}

void WriteSeconds(std::string_view key, std::chrono::nanoseconds time, JsonWriter& json) {
  json.Key(key);
  json.Float(std::chrono::duration<double>(time).count());
}

void WriteAlert(const AlertView& alert, JsonWriter& json) {
  json.BeginObject();
  json.Key("labels");
  json.LabelSet(alert.labels);
  json.Key("annotations");
  json.LabelSet(alert.annotations);
  json.Field("state", StateName(alert.state));
  json.Key("activeAt");
  json.Time(alert.active_at);
  if (alert.keep_firing_since.has_value()) {
    json.Key("keepFiringSince");
    json.Time(*alert.keep_firing_since);
  }
  std::string value;
  AppendGoFloatScientific(alert.value, value);
  json.Field("value", value);
  json.EndObject();
}

void WriteRule(const RuleView& rule, bool exclude_alerts, JsonWriter& json) {
  json.BeginObject();
  if (rule.alerting) json.Field("state", StateName(rule.state));
  json.Field("name", rule.name);
  json.Field("query", rule.query);
  if (rule.alerting) {
    WriteSeconds("duration", rule.hold, json);
    WriteSeconds("keepFiringFor", rule.keep_firing_for, json);
  }
  json.Key("labels");
  json.LabelSet(rule.labels);
  if (rule.alerting) {
    json.Key("annotations");
    json.LabelSet(rule.annotations);
    json.Key("alerts");
    if (exclude_alerts) {
      json.Null();  // upstream's nil slice
    } else {
      json.BeginArray();
      for (const AlertView& alert : rule.alerts) WriteAlert(alert, json);
      json.EndArray();
    }
  }
  json.Field("health", rule.health);
  if (!rule.last_error.empty()) json.Field("lastError", rule.last_error);
  WriteSeconds("evaluationTime", rule.evaluation_time, json);
  json.Key("lastEvaluation");
  json.Time(rule.last_evaluation);
  json.Field("type", rule.alerting ? "alerting" : "recording");
  json.EndObject();
}

// Tells a group from all others of a listing; opaque to clients.
std::string GroupToken(const RuleGroupView& group) {
  const Hash128 hash = HashBytes128(group.file + ";" + group.name);
  std::string token;
  for (const uint64_t half : {hash.high, hash.low}) {
    for (int shift = 60; shift >= 0; shift -= 4)
      token.push_back("0123456789abcdef"[(half >> shift) & 15]);
  }
  return token;
}

struct RuleFilter {
  std::vector<std::string_view> names;
  std::vector<std::string_view> groups;
  std::vector<std::string_view> files;
  std::vector<storage::MatcherSet> matchers;
  bool alerting = true;
  bool recording = true;
  bool exclude_alerts = false;
  std::optional<size_t> max_groups;
  std::string_view next_token;
};

bool Wanted(const std::vector<std::string_view>& wanted, std::string_view text) {
  return wanted.empty() || std::find(wanted.begin(), wanted.end(), text) != wanted.end();
}

// Rules are few, so an expression is compiled anew for each.
bool MatchesValue(const storage::Matcher& matcher, std::string_view value) {
  switch (matcher.type) {
    case storage::MatchType::kEqual:
      return value == matcher.value;
    case storage::MatchType::kNotEqual:
      return value != matcher.value;
    case storage::MatchType::kRegex:
    case storage::MatchType::kNotRegex:
      break;
  }
  RE2::Options options;
  options.set_log_errors(false);
  options.set_dot_nl(true);
  const bool matches = RE2::FullMatch(value, RE2(SpelledForRe2(matcher.value), options));
  return matches == (matcher.type == storage::MatchType::kRegex);
}

bool Matches(const RuleFilter& filter, const RuleView& rule) {
  if (!Wanted(filter.names, rule.name) || !(rule.alerting ? filter.alerting : filter.recording))
    return false;
  if (filter.matchers.empty()) return true;
  return std::any_of(
      filter.matchers.begin(), filter.matchers.end(), [&rule](const storage::MatcherSet& set) {
        return std::all_of(set.begin(), set.end(), [&rule](const storage::Matcher& matcher) {
          return MatchesValue(matcher, rule.labels.Get(matcher.name));
        });
      });
}

std::string Lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

// Go's strconv.ParseBool on lowered text.
std::optional<bool> ParseBool(std::string_view text) {
  if (text == "1" || text == "t" || text == "true") return true;
  if (text == "0" || text == "f" || text == "false") return false;
  return std::nullopt;
}

std::optional<Answer> ReadPaging(const Call& call, RuleFilter& filter) {
  const std::string_view limit = call.form.Get("group_limit");
  filter.next_token = call.form.Get("group_next_token");
  if (limit.empty()) {
    if (filter.next_token.empty()) return std::nullopt;
    return InvalidParameter(
        "group_next_token",
        InvalidArgument("group_limit needs to be present in order to paginate over the groups"));
  }
  const Result<int64_t> groups = ParseGoInt(limit, "ParseInt");
  if (!groups.ok()) {
    return InvalidParameter("group_limit",
                            groups.status().WithContext("group_limit needs to be a valid number"));
  }
  if (*groups <= 0)
    return InvalidParameter("group_limit",
                            InvalidArgument("group_limit needs to be greater than 0"));
  filter.max_groups = static_cast<size_t>(*groups);
  return std::nullopt;
}

std::optional<Answer> ReadFilter(const Call& call, RuleFilter& filter) {
  filter.names = call.form.All("rule_name[]");
  filter.groups = call.form.All("rule_group[]");
  filter.files = call.form.All("file[]");
  Result<std::vector<storage::MatcherSet>> matchers = ParseMatchers(call.form.All("match[]"));
  if (!matchers.ok()) return FailWith(matchers.status());
  filter.matchers = std::move(*matchers);
  const std::string type = Lowered(call.form.Get("type"));
  if (!type.empty() && type != "alert" && type != "record") {
    std::string text = "not supported value ";
    promql::AppendGoQuoted(type, text);
    return InvalidParameter("type", InvalidArgument(std::move(text)));
  }
  filter.alerting = type != "record";
  filter.recording = type != "alert";
  if (const std::string exclude = Lowered(call.form.Get("exclude_alerts")); !exclude.empty()) {
    const std::optional<bool> parsed = ParseBool(exclude);
    if (!parsed.has_value()) {
      std::string text = "error converting exclude_alerts: strconv.ParseBool: parsing ";
      promql::AppendGoQuoted(exclude, text);
      return InvalidParameter("exclude_alerts", InvalidArgument(text + ": invalid syntax"));
    }
    filter.exclude_alerts = *parsed;
  }
  return ReadPaging(call, filter);
}

void WriteGroup(const RuleGroupView& group, const std::vector<const RuleView*>& rules,
                bool exclude_alerts, JsonWriter& json) {
  json.BeginObject();
  json.Field("name", group.name);
  json.Field("file", group.file);
  json.Key("rules");
  json.BeginArray();
  for (const RuleView* rule : rules) WriteRule(*rule, exclude_alerts, json);
  json.EndArray();
  WriteSeconds("interval", group.interval, json);
  json.Key("limit");
  json.Int(group.limit);
  WriteSeconds("evaluationTime", group.evaluation_time, json);
  json.Key("lastEvaluation");
  json.Time(group.last_evaluation);
  json.EndObject();
}

Answer Rules(Call& call) {
  if (!call.form_error.ok())
    return FailWith(call.form_error.WithContext("error parsing form values"));
  RuleFilter filter;
  if (std::optional<Answer> error = ReadFilter(call, filter)) return std::move(*error);
  std::vector<RuleGroupView> groups;
  if (call.context.alerts != nullptr) groups = call.context.alerts->RuleGroups(call.tenant);

  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("groups");
  json.BeginArray();
  size_t shown = 0;
  std::string next_token;
  bool found_token = filter.next_token.empty();
  for (const RuleGroupView& group : groups) {
    found_token = found_token || GroupToken(group) == filter.next_token;
    if (!found_token || !Wanted(filter.groups, group.name) || !Wanted(filter.files, group.file))
      continue;
    std::vector<const RuleView*> rules;
    for (const RuleView& rule : group.rules) {
      if (Matches(filter, rule)) rules.push_back(&rule);
    }
    if (rules.empty()) continue;
    if (filter.max_groups.has_value() && shown == *filter.max_groups) {
      next_token = GroupToken(group);
      break;
    }
    WriteGroup(group, rules, filter.exclude_alerts, json);
    ++shown;
  }
  if (!found_token) {
    return InvalidParameter("group_next_token", InvalidArgument("invalid group_next_token '" +
                                                                std::string(filter.next_token) +
                                                                "'. were rule groups changed?"));
  }
  json.EndArray();
  if (!next_token.empty()) json.Field("groupNextToken", next_token);
  json.EndObject();
  return Succeed(data);
}

Answer Alerts(Call& call) {
  std::vector<RuleGroupView> groups;
  if (call.context.alerts != nullptr) groups = call.context.alerts->RuleGroups(call.tenant);
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("alerts");
  json.BeginArray();
  for (const RuleGroupView& group : groups) {
    for (const RuleView& rule : group.rules) {
      for (const AlertView& alert : rule.alerts) WriteAlert(alert, json);
    }
  }
  json.EndArray();
  json.EndObject();
  return Succeed(data);
}

}  // namespace

void RegisterRules(const SharedContext& context, Router& router) {
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/rules", Rules);
  AddEndpoint(context, router, {Method::kGet}, "/api/v1/alerts", Alerts);
}

}  // namespace basalt::http::api
