#include "engine/slo/openslo_loader.h"

#include <algorithm>
#include <utility>

#include "engine/slo/linear_sli.h"
#include "engine/slo/slo_builder.h"

namespace basalt::slo {
namespace {

const std::initializer_list<const char*> kEnvelope = {"apiVersion", "kind", "metadata", "spec"};

// A node of another document or of this one, with the path that led there.
YAML::Node Find(const OpenSloObjects& objects, const std::string& kind, const std::string& name) {
  const auto it = objects.find({kind, name});
  return it == objects.end() ? YAML::Node(YAML::NodeType::Undefined) : it->second;
}

class Checker {
 public:
  Checker(const OpenSloObjects& objects, YamlChecker& yaml) : objects_(objects), yaml_(yaml) {}
  void Slo(const Place& root);

 private:
  // The spec of an object that stands inline (`metadata` and `spec`) or is referred to.
  std::optional<Place> SpecOf(const Place& at, const Fields& fields, const char* inline_key,
                              const char* ref_key, const char* kind);
  std::optional<Place> Referred(const Place& at, const std::string& name, const char* kind);
  void Period(const Place& at, const Fields& spec, Definition& slo);
  void Indicator(const Place& indicator, Definition& slo);
  std::string Query(const Place& parent, const Fields& fields, const char* key);
  void Policies(const Fields& spec, Definition& slo, std::vector<Tier>& tiers);
  void Policy(const Place& at, Definition& slo, std::vector<Tier>& tiers);
  void Condition(const Place& at, std::vector<Tier>& tiers);

  const OpenSloObjects& objects_;
  YamlChecker& yaml_;
};

std::optional<Place> Checker::Referred(const Place& at, const std::string& name, const char* kind) {
  const YAML::Node found = Find(objects_, kind, name);
  if (found.IsDefined() && found.IsMap()) {
    const YAML::Node spec = found["spec"];
    if (spec.IsDefined()) return Place{spec, std::string(kind) + " " + name + ": spec"};
  }
  yaml_.Error(at,
              "refers to the " + std::string(kind) + " \"" + name + "\", which no file defines");
  return std::nullopt;
}

std::optional<Place> Checker::SpecOf(const Place& at, const Fields& fields, const char* inline_key,
                                     const char* ref_key, const char* kind) {
  if (const std::string name = yaml_.Text(fields, ref_key); !name.empty()) {
    return Referred(fields.at(ref_key), name, kind);
  }
  const auto it = fields.find(inline_key);
  if (it == fields.end()) {
    yaml_.Error(at, std::string("needs `") + inline_key + "` or `" + ref_key + "`");
    return std::nullopt;
  }
  const Fields own = yaml_.FieldsOf(it->second, kEnvelope);
  if (const auto spec = own.find("spec"); spec != own.end()) return spec->second;
  yaml_.Error(it->second, "lacks `spec`, which is required");
  return std::nullopt;
}

void Checker::Period(const Place& at, const Fields& spec, Definition& slo) {
  const std::vector<Place> windows = yaml_.ListOf(spec, "timeWindow");
  if (windows.size() != 1) return yaml_.Error(at, "needs exactly one `timeWindow`");
  const Fields window = yaml_.FieldsOf(windows[0], {"duration", "isRolling", "calendar"});
  if (window.contains("calendar") || !yaml_.Flag(window, "isRolling", false)) {
    return yaml_.Error(windows[0],
                       "calendar windows are not supported yet: give `isRolling: true`");
  }
  const std::string text = yaml_.RequiredText(windows[0], window, "duration");
  if (text.empty()) return;
  // OpenSLO's M, Q and Y have no length in days unless a calendar gives one.
  if (text.find_first_of("MQY") != std::string::npos) {
    return yaml_.Error(window.at("duration"),
                       "\"" + text + "\" has no fixed length: write it in days, such as 30d");
  }
  if (const auto period = yaml_.Length(window, "duration")) {
    SetPeriod(yaml_, window.at("duration"), *period, slo);
  }
}

std::string Checker::Query(const Place& parent, const Fields& fields, const char* key) {
  const auto it = fields.find(key);
  if (it == fields.end()) {
    yaml_.Error(parent, std::string("lacks `") + key + "`, which is required");
    return "";
  }
  const Fields metric = yaml_.FieldsOf(it->second, {"metricSource"});
  const auto source = metric.find("metricSource");
  if (source == metric.end()) {
    yaml_.Error(it->second, "lacks `metricSource`, which is required");
    return "";
  }
  const Fields own = yaml_.FieldsOf(source->second, {"metricSourceRef", "type", "spec"});
  const auto spec = own.find("spec");
  if (spec == own.end()) {
    yaml_.Error(source->second, "lacks `spec` with the query");
    return "";
  }
  const Fields query = yaml_.FieldsOf(spec->second, {"query", "promql"});
  return yaml_.RequiredText(spec->second, query, query.contains("promql") ? "promql" : "query");
}

void Checker::Indicator(const Place& at, Definition& slo) {
  const Fields kinds = yaml_.FieldsOf(at, {"description", "thresholdMetric", "ratioMetric"});
  if (kinds.contains("thresholdMetric")) {
    return yaml_.Error(kinds.at("thresholdMetric"),
                       "thresholds are not supported yet: count slices as a ratio");
  }
  const auto it = kinds.find("ratioMetric");
  if (it == kinds.end()) return yaml_.Error(at, "lacks `ratioMetric`, which is required");
  const Fields ratio =
      yaml_.FieldsOf(it->second, {"counter", "good", "bad", "total", "raw", "rawType"});
  if (ratio.contains("raw")) {
    const std::string type = yaml_.Text(ratio, "rawType");
    const std::string query = Query(it->second, ratio, "raw");
    if (query.empty()) return;
    return SetRatio(yaml_, ratio.at("raw"), type == "success" ? "1 - (" + query + ")" : query, slo);
  }
  const bool has_good = ratio.contains("good");
  if (has_good == ratio.contains("bad")) {
    return yaml_.Error(it->second, "needs either `good` or `bad`, and `total`");
  }
  const std::string part = Query(it->second, ratio, has_good ? "good" : "bad");
  const std::string total = Query(it->second, ratio, "total");
  if (part.empty() || total.empty()) return;
  slo.total_query = total;
  slo.error_query = has_good ? "(" + total + ") - (" + part + ")" : part;
  Result<LinearSli> sli = CompileEventsSli(slo.error_query, slo.total_query);
  if (!sli.ok()) return yaml_.Error(it->second, std::string(sli.status().message()));
  slo.sli = std::move(sli).value();
}

void Checker::Condition(const Place& at, std::vector<Tier>& tiers) {
  const Fields fields = yaml_.FieldsOf(at, {"description", "severity", "condition"});
  const std::string severity = yaml_.RequiredText(at, fields, "severity");
  const auto it = fields.find("condition");
  if (it == fields.end()) return yaml_.Error(at, "lacks `condition`, which is required");
  const Fields own =
      yaml_.FieldsOf(it->second, {"kind", "op", "threshold", "lookbackWindow", "alertAfter"});
  const std::string kind = yaml_.RequiredText(it->second, own, "kind");
  if (!kind.empty() && kind != "burnrate") {
    return yaml_.Error(own.at("kind"), "\"" + kind + "\" is not burnrate, the only kind there is");
  }
  const std::string op = yaml_.Text(own, "op");
  if (op == "lt" || op == "lte") {
    yaml_.Warn(own.at("op"), "alerts while the budget burns slowly, taken literally; read as gt");
  }
  const auto threshold = yaml_.Number(own, "threshold");
  const auto lookback = yaml_.Length(own, "lookbackWindow");
  if (!threshold.has_value() || !lookback.has_value()) {
    return yaml_.Error(it->second, "needs `threshold` and `lookbackWindow`");
  }
  Tier tier;
  tier.severity =
      severity == "page" || severity == "critical" ? Severity::kPage : Severity::kTicket;
  tier.short_window = tier.long_window = *lookback;
  tier.factor = *threshold;
  if (yaml_.Text(own, "alertAfter").find_first_not_of("0mhs") != std::string::npos) {
    tier.hold_for = yaml_.Length(own, "alertAfter").value_or(Duration(0));
  }
  tiers.push_back(tier);
}

void Checker::Policy(const Place& at, Definition& slo, std::vector<Tier>& tiers) {
  const Fields fields =
      yaml_.FieldsOf(at, {"description", "alertWhenNoData", "alertWhenResolved",
                          "alertWhenBreaching", "conditions", "notificationTargets"});
  for (const Place& condition : yaml_.ListOf(fields, "conditions")) {
    const Fields own =
        yaml_.FieldsOf(condition, {"apiVersion", "kind", "metadata", "spec", "conditionRef"});
    if (own.contains("spec")) {
      Condition(own.at("spec"), tiers);
    } else if (const std::string name = yaml_.Text(own, "conditionRef"); !name.empty()) {
      if (const auto spec = Referred(own.at("conditionRef"), name, "AlertCondition")) {
        Condition(*spec, tiers);
      }
    } else {
      yaml_.Error(condition, "needs `spec` or `conditionRef`");
    }
  }
  // Where it goes is Alertmanager's routing; the target's name is there to route by.
  for (const Place& target : yaml_.ListOf(fields, "notificationTargets")) {
    const Fields own =
        yaml_.FieldsOf(target, {"apiVersion", "kind", "metadata", "spec", "targetRef"});
    std::string name = yaml_.Text(own, "targetRef");
    if (own.contains("metadata")) {
      name = yaml_.Text(
          yaml_.FieldsOf(own.at("metadata"), {"name", "displayName", "labels", "annotations"}),
          "name");
    }
    for (AlertSpec& alert : slo.alerts) alert.labels.Set("notification_target", name);
  }
}

void Checker::Policies(const Fields& spec, Definition& slo, std::vector<Tier>& tiers) {
  for (const Place& policy : yaml_.ListOf(spec, "alertPolicies")) {
    if (policy.node.IsScalar()) {
      if (const auto found = Referred(policy, policy.node.Scalar(), "AlertPolicy")) {
        Policy(*found, slo, tiers);
      }
      continue;
    }
    const Fields own =
        yaml_.FieldsOf(policy, {"apiVersion", "kind", "metadata", "spec", "alertPolicyRef"});
    if (own.contains("spec")) {
      Policy(own.at("spec"), slo, tiers);
    } else if (const std::string name = yaml_.Text(own, "alertPolicyRef"); !name.empty()) {
      if (const auto found = Referred(own.at("alertPolicyRef"), name, "AlertPolicy")) {
        Policy(*found, slo, tiers);
      }
    } else {
      yaml_.Error(policy, "needs `spec` or `alertPolicyRef`");
    }
  }
}

void Checker::Slo(const Place& root) {
  const int errors_before = yaml_.errors();
  const Fields fields = yaml_.FieldsOf(root, kEnvelope);
  if (!fields.contains("metadata") || !fields.contains("spec")) {
    return yaml_.Error(root, "needs `metadata` and `spec`");
  }
  const Fields metadata =
      yaml_.FieldsOf(fields.at("metadata"), {"name", "displayName", "labels", "annotations"});
  const Place& at = fields.at("spec");
  const Fields spec =
      yaml_.FieldsOf(at, {"description", "service", "indicator", "indicatorRef", "timeWindow",
                          "budgetingMethod", "objectives", "alertPolicies"});
  Definition base;
  base.origin = Origin::kOpenSlo;
  base.name = yaml_.RequiredText(fields.at("metadata"), metadata, "name");
  if (!base.name.empty()) yaml_.Name(metadata.at("name"), base.name);
  base.service = yaml_.RequiredText(at, spec, "service");
  base.description = yaml_.Text(spec, "description");
  base.labels = yaml_.StringMap(metadata, "labels", true);
  base.period = kDefaultPeriod;
  base.file = yaml_.file();
  base.line = root.node.Mark().line + 1;
  base.alert_name = base.name;
  const std::string method = yaml_.RequiredText(at, spec, "budgetingMethod");
  if (!method.empty() && method != "Occurrences") {
    yaml_.Error(spec.at("budgetingMethod"),
                "\"" + method + "\" is not supported yet: only Occurrences is");
  }
  Period(at, spec, base);
  if (const auto indicator = SpecOf(at, spec, "indicator", "indicatorRef", "SLI")) {
    Indicator(*indicator, base);
  }
  std::vector<Tier> tiers;
  Policies(spec, base, tiers);
  for (size_t s = 0; s < kSeverityCount; ++s) {
    base.alerts[s].enabled = std::any_of(tiers.begin(), tiers.end(), [&](const Tier& tier) {
      return static_cast<size_t>(tier.severity) == s;
    });
  }
  SetOwner(yaml_, at, base);

  const std::vector<Place> objectives = yaml_.ListOf(spec, "objectives");
  if (objectives.empty()) return yaml_.Error(at, "needs at least one objective");
  for (size_t i = 0; i < objectives.size(); ++i) {
    const Fields own = yaml_.FieldsOf(
        objectives[i], {"displayName", "op", "value", "target", "targetPercent", "timeSliceTarget",
                        "timeSliceWindow", "indicator", "indicatorRef", "compositeWeight"});
    Definition slo = base;
    // Each objective is an SLO of its own here; the first keeps the name.
    if (i > 0) slo.name += "-" + std::to_string(i + 1);
    slo.id = slo.service + "-" + slo.name;
    for (const char* key : {"indicator", "indicatorRef", "compositeWeight"}) {
      if (own.contains(key)) yaml_.Error(own.at(key), "composite SLOs are not supported yet");
    }
    const bool percent = own.contains("targetPercent");
    const char* key = percent ? "targetPercent" : "target";
    const std::string target = yaml_.RequiredText(objectives[i], own, key);
    if (!target.empty()) SetObjective(yaml_, own.at(key), target, !percent, slo);
    Finish(yaml_, objectives[i], tiers, errors_before, std::move(slo));
  }
}

}  // namespace

void RememberOpenSlo(const YAML::Node& document, OpenSloObjects& objects) {
  if (!document.IsMap()) return;
  const YAML::Node kind = document["kind"];
  const YAML::Node metadata = document["metadata"];
  if (!kind.IsDefined() || !kind.IsScalar() || !metadata.IsDefined() || !metadata.IsMap()) return;
  const YAML::Node name = metadata["name"];
  if (name.IsDefined() && name.IsScalar()) objects[{kind.Scalar(), name.Scalar()}] = document;
}

void CheckOpenSlo(const YAML::Node& document, const OpenSloObjects& objects, YamlChecker& yaml) {
  Checker(objects, yaml).Slo({document, ""});
}

}  // namespace basalt::slo
