#include "engine/slo/openslo_loader.h"

#include <algorithm>
#include <utility>

#include "engine/slo/openslo_sli.h"
#include "engine/slo/slo_builder.h"

namespace basalt::slo {
namespace {

const std::initializer_list<const char*> kEnvelope = {"apiVersion", "kind", "metadata", "spec"};

class Checker {
 public:
  Checker(const LoadContext& context, YamlChecker& yaml) : objects_(context.objects), yaml_(yaml) {}
  void Slo(const Place& root);

 private:
  // The spec of an object that stands inline (`metadata` and `spec`) or is referred to.
  std::optional<Place> SpecOf(const Place& at, const Fields& fields, const char* inline_key,
                              const char* ref_key, const char* kind);
  std::optional<Place> Referred(const Place& at, const std::string& name, const char* kind);
  void Period(const Place& at, const Fields& spec, Definition& slo);
  Labels LabelMap(const Fields& metadata);
  void Objective(const Place& at, const Place& indicator, OpenSloMethod method, Definition& slo);
  void Policies(const Fields& spec, Definition& slo, std::vector<Tier>& tiers);
  void Policy(const Place& at, Definition& slo, std::vector<Tier>& tiers);
  void Condition(const Place& at, std::vector<Tier>& tiers);

  const OpenSloObjects& objects_;
  YamlChecker& yaml_;
};

std::optional<Place> Checker::Referred(const Place& at, const std::string& name, const char* kind) {
  if (const auto it = objects_.find({kind, name}); it != objects_.end()) {
    const auto& [document, file] = it->second;
    const YAML::Node spec = document["spec"];
    if (spec.IsDefined()) {
      return Place{spec, std::string(kind) + " " + name + ": spec",
                   file == yaml_.file() ? "" : file};
    }
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
  if (windows.empty() && !spec.contains("timeWindow")) {
    return yaml_.Warn(at, "has no `timeWindow`: its budget is that of the last 30d");
  }
  if (windows.size() != 1) return yaml_.Error(at, "needs exactly one `timeWindow`");
  const Fields window = yaml_.FieldsOf(windows[0], {"duration", "isRolling", "calendar"});
  const std::string text = yaml_.RequiredText(windows[0], window, "duration");
  if (text.empty()) return;
  if (text.ends_with('m')) {
    yaml_.Warn(window.at("duration"), "is in minutes: a month is written 1M");
  }
  if (const auto calendar = window.find("calendar"); calendar != window.end()) {
    if (yaml_.Flag(window, "isRolling", false)) {
      yaml_.Error(windows[0], "has both `isRolling: true` and `calendar`: keep one of them");
    }
    const Fields own = yaml_.FieldsOf(calendar->second, {"startTime", "timeZone"});
    return SetCalendar(yaml_, calendar->second, text,
                       yaml_.RequiredText(calendar->second, own, "startTime"),
                       yaml_.RequiredText(calendar->second, own, "timeZone"), slo);
  }
  if (!yaml_.Flag(window, "isRolling", false)) {
    return yaml_.Error(windows[0], "needs `isRolling: true` or a `calendar`");
  }
  // OpenSLO's M, Q and Y have no length in days unless a calendar gives one.
  if (text.find_first_of("MQY") != std::string::npos) {
    return yaml_.Error(window.at("duration"),
                       "\"" + text + "\" has no fixed length: write it in days, such as 30d");
  }
  if (const auto period = yaml_.Length(window, "duration")) {
    SetPeriod(yaml_, window.at("duration"), *period, slo);
  }
}

// Values may be strings or lists of strings.
Labels Checker::LabelMap(const Fields& metadata) {
  Labels labels;
  const auto it = metadata.find("labels");
  if (it == metadata.end() || it->second.node.IsNull()) return labels;
  if (!it->second.node.IsMap()) {
    yaml_.Error(it->second, "has to be a map of strings");
    return labels;
  }
  for (const auto& entry : it->second.node) {
    if (!entry.first.IsScalar()) continue;
    const std::string name = entry.first.Scalar();
    const Place at = it->second.Child(name, entry.second);
    if (!IsLegacyLabelName(name) || name == kMetricName) {
      yaml_.Warn(at, "is left out: it is no label name (letters, digits and _)");
      continue;
    }
    std::string value;
    if (entry.second.IsScalar()) value = entry.second.Scalar();
    if (entry.second.IsSequence()) {
      for (const auto& one : entry.second) {
        if (one.IsScalar()) value += (value.empty() ? "" : ",") + one.Scalar();
      }
      if (entry.second.size() > 1 && (name == "team" || name == "owner")) {
        yaml_.Warn(at, "names several teams: alerts go to all of them, and nobody owns the SLO");
      }
    }
    if (!IsValidUtf8(value)) yaml_.Error(at, "is not valid UTF-8");
    labels.Set(name, value);
  }
  return labels;
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
    yaml_.Warn(own.at("op"), "is read as gt: taken at its word it alerts while little burns");
  } else if (!op.empty() && op != "gt" && op != "gte") {
    yaml_.Error(own.at("op"), "\"" + op + "\" is not lt, lte, gt or gte");
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
  if (yaml_.Flag(fields, "alertWhenNoData", false)) slo.absent.emplace();
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
  base.labels = LabelMap(metadata);
  base.period = kDefaultPeriod;
  base.file = yaml_.file();
  base.line = root.node.Mark().line + 1;
  base.alert_name = base.name;
  const OpenSloMethod method = MethodOf(yaml_, at, spec);
  Period(at, spec, base);
  const auto indicator = SpecOf(at, spec, "indicator", "indicatorRef", "SLI");
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
    Definition slo = base;
    // Each objective is an SLO of its own here; the first keeps the name.
    if (i > 0) slo.name += "-" + std::to_string(i + 1);
    slo.id = slo.service + "-" + slo.name;
    if (indicator.has_value()) Objective(objectives[i], *indicator, method, slo);
    Finish(yaml_, objectives[i], tiers, errors_before, std::move(slo));
  }
}

void Checker::Objective(const Place& at, const Place& indicator, OpenSloMethod method,
                        Definition& slo) {
  const Fields own = yaml_.FieldsOf(
      at, {"displayName", "op", "value", "target", "targetPercent", "timeSliceTarget",
           "timeSliceWindow", "indicator", "indicatorRef", "compositeWeight"});
  for (const char* key : {"indicator", "indicatorRef", "compositeWeight"}) {
    if (own.contains(key)) {
      yaml_.Error(own.at(key), "is of a composite SLO: write an SLO for each of its parts");
    }
  }
  const bool percent = own.contains("targetPercent");
  const char* key = percent ? "targetPercent" : "target";
  const std::string target = yaml_.RequiredText(at, own, key);
  if (!target.empty()) SetObjective(yaml_, own.at(key), target, !percent, slo);
  SetOpenSloSli(yaml_, indicator, at, own, method, slo);
}

}  // namespace

void RememberOpenSlo(const YAML::Node& document, const std::string& file, OpenSloObjects& objects) {
  if (!document.IsMap()) return;
  const YAML::Node kind = document["kind"];
  const YAML::Node metadata = document["metadata"];
  if (!kind.IsDefined() || !kind.IsScalar() || !metadata.IsDefined() || !metadata.IsMap()) return;
  const YAML::Node name = metadata["name"];
  if (name.IsDefined() && name.IsScalar())
    objects[{kind.Scalar(), name.Scalar()}] = {document, file};
}

void CheckOpenSlo(const YAML::Node& document, const LoadContext& context, YamlChecker& yaml) {
  Checker(context, yaml).Slo({document, ""});
}

void CheckOpenSloAlpha(const YAML::Node& document, YamlChecker& yaml) {
  const int errors_before = yaml.errors();
  const Place root{document, ""};
  const Fields fields = yaml.FieldsOf(root, kEnvelope);
  if (!fields.contains("metadata") || !fields.contains("spec")) {
    return yaml.Error(root, "needs `metadata` and `spec`");
  }
  const Fields metadata =
      yaml.FieldsOf(fields.at("metadata"), {"name", "displayName", "labels", "annotations"});
  const Place& at = fields.at("spec");
  const Fields spec = yaml.FieldsOf(
      at, {"description", "service", "budgetingMethod", "objectives", "timeWindows", "indicator"});
  Definition base;
  base.origin = Origin::kOpenSlo;
  const std::string name = yaml.RequiredText(fields.at("metadata"), metadata, "name");
  base.service = yaml.RequiredText(at, spec, "service");
  base.description = yaml.Text(spec, "description");
  base.period = kDefaultPeriod;
  base.file = yaml.file();
  base.line = document.Mark().line + 1;
  base.alert_name = name;
  for (AlertSpec& alert : base.alerts) alert.enabled = false;  // v1alpha has none, as in sloth
  if (const std::string method = yaml.Text(spec, "budgetingMethod");
      !method.empty() && method != "Occurrences") {
    yaml.Error(spec.at("budgetingMethod"), "\"" + method + "\" needs openslo/v1");
  }
  for (const Place& window : yaml.ListOf(spec, "timeWindows")) {
    const Fields own = yaml.FieldsOf(window, {"count", "unit", "isRolling"});
    const auto count = yaml.Number(own, "count");
    const std::string unit = yaml.Text(own, "unit");
    if (!count || count->den != 1 || (unit != "Day" && unit != "day")) {
      yaml.Error(window, "needs a whole `count` and `unit: Day`, the only one there is");
      continue;
    }
    SetPeriod(yaml, window, std::chrono::hours(24 * std::min<int64_t>(count->num, 1000)), base);
  }
  SetOwner(yaml, at, base);
  const std::vector<Place> objectives = yaml.ListOf(spec, "objectives");
  if (objectives.empty()) return yaml.Error(at, "needs at least one objective");
  for (size_t i = 0; i < objectives.size(); ++i) {
    const Place& objective = objectives[i];
    const Fields own =
        yaml.FieldsOf(objective, {"displayName", "ratioMetrics", "target", "value", "op"});
    Definition slo = base;
    slo.name = name + "-" + std::to_string(i);  // sloth's names
    slo.id = slo.service + "-" + slo.name;
    const std::string target = yaml.RequiredText(objective, own, "target");
    if (!target.empty()) SetObjective(yaml, own.at("target"), target, true, slo);
    if (!own.contains("ratioMetrics")) {
      yaml.Error(objective, "lacks `ratioMetrics`, which is required");
    } else {
      const Place& ratio = own.at("ratioMetrics");
      const Fields parts = yaml.FieldsOf(ratio, {"good", "total", "counter", "incremental"});
      const auto query = [&](const char* part) -> std::string {
        if (!parts.contains(part)) return "";
        const Fields source = yaml.FieldsOf(parts.at(part), {"source", "queryType", "query"});
        return yaml.RequiredText(parts.at(part), source, "query");
      };
      const std::string good = query("good");
      const std::string total = query("total");
      if (good.empty() || total.empty()) {
        yaml.Error(ratio, "needs `good` and `total`, each with a `query`");
      } else {
        std::string bad = "(" + total;
        bad.append(") - (").append(good).append(")");
        SetEvents(yaml, {parts.at("good"), bad}, {parts.at("total"), total}, slo);
      }
    }
    const std::vector<Tier> tiers = WorkbookTiers(slo.period);
    Finish(yaml, objective, tiers, errors_before, std::move(slo));
  }
}

}  // namespace basalt::slo
