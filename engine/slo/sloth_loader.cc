#include "engine/slo/sloth_loader.h"

#include <utility>

#include "engine/slo/message.h"
#include "engine/slo/slo_builder.h"
#include "engine/slo/sloth_plugins.h"

namespace basalt::slo {
namespace {

// How one format spells its keys.
struct Dialect {
  Origin origin;
  const char* error_query;
  const char* total_query;
  const char* error_ratio_query;
  const char* page_alert;
  const char* ticket_alert;
  const char* slo_plugins;
};
constexpr Dialect kSloth = {Origin::kSloth, "error_query",  "total_query", "error_ratio_query",
                            "page_alert",   "ticket_alert", "slo_plugins"};
constexpr Dialect kBasalt = {Origin::kBasalt, "error_query",  "total_query", "error_ratio_query",
                             "page_alert",    "ticket_alert", "slo_plugins"};
constexpr Dialect kResource = {Origin::kSloth, "errorQuery",  "totalQuery", "errorRatioQuery",
                               "pageAlert",    "ticketAlert", "sloPlugins"};

class Checker {
 public:
  Checker(const Dialect& dialect, const LoadContext& context, YamlChecker& yaml)
      : dialect_(dialect), context_(context), yaml_(yaml) {}

  // `at` holds service, labels and slos.
  void Service(const Place& at, const Fields& fields);

 private:
  void Slo(const Place& at, const Fields& of_service, const std::string& service,
           const Labels& service_labels);
  void Period(const Fields& fields, Definition& slo);
  TrafficGuard Guard(const Fields& fields);
  void MaxGroups(const Fields& fields, Definition& slo);
  void Plugin(const Place& at, Definition& slo);
  void Sli(const Place& parent, const Fields& fields, Definition& slo);
  std::vector<Tier> Tiers(const Fields& fields, const Definition& slo);
  void OneTier(const Place& at, const Definition& slo, std::vector<Tier>& tiers);
  void Alerting(const Place& parent, const Fields& fields, Definition& slo);
  AlertSpec Alert(const Fields& fields, const char* key, const Labels& common_labels,
                  const Labels& common_annotations);

  const Dialect& dialect_;
  const LoadContext& context_;
  YamlChecker& yaml_;
};

void Checker::Service(const Place& at, const Fields& fields) {
  const std::string service = yaml_.RequiredText(at, fields, "service");
  if (!service.empty()) yaml_.Name(fields.at("service"), service);
  Labels labels = yaml_.StringMap(fields, "labels", true);
  if (const std::string owner = yaml_.Text(fields, "owner"); !owner.empty()) {
    labels.Set("owner", owner);
  }
  const auto slos = fields.find("slos");
  if (slos == fields.end() || !slos->second.node.IsSequence() || slos->second.node.size() == 0) {
    yaml_.Error(slos == fields.end() ? at : slos->second, "`slos` has to list at least one SLO");
    return;
  }
  for (const Place& slo : yaml_.ListOf(fields, "slos")) Slo(slo, fields, service, labels);
}

// How long the budget lasts: a length, or a calendar's unit with its zone.
void Checker::Period(const Fields& fields, Definition& slo) {
  const auto it = fields.find("calendar");
  if (it == fields.end()) {
    if (const auto period = yaml_.Length(fields, "period")) {
      SetPeriod(yaml_, fields.at("period"), *period, slo);
    }
    return;
  }
  const Fields own = yaml_.FieldsOf(it->second, {"start", "zone"});
  SetCalendar(yaml_, it->second, yaml_.RequiredText(it->second, fields, "period"),
              yaml_.RequiredText(it->second, own, "start"),
              yaml_.RequiredText(it->second, own, "zone"), slo);
}

TrafficGuard Checker::Guard(const Fields& fields) {
  TrafficGuard guard;
  for (const auto& [key, to] :
       {std::pair("min_bad", &guard.min_bad), std::pair("min_total", &guard.min_total)}) {
    const auto number = yaml_.Number(fields, key);
    if (!number.has_value()) continue;
    if (number->den != 1) yaml_.Error(fields.at(key), "has to be a whole number of events");
    *to = number->num;
  }
  if (const auto confidence = yaml_.Number(fields, "confidence")) {
    guard.confidence = confidence->ToDouble();
    if (guard.confidence >= 1) {
      yaml_.Error(fields.at("confidence"), "has to be below 1, such as 0.95");
    }
  }
  return guard;
}

void Checker::MaxGroups(const Fields& fields, Definition& slo) {
  slo.max_groups = kDefaultMaxGroups;
  const auto number = yaml_.Number(fields, "max_groups");
  if (!number.has_value()) return;
  if (number->den != 1 || number->num > static_cast<int64_t>(kMaxGroupsPerSlo)) {
    return yaml_.Error(fields.at("max_groups"),
                       "has to be a whole number from 1 to " + std::to_string(kMaxGroupsPerSlo));
  }
  slo.max_groups = static_cast<size_t>(number->num);
}

void Checker::Slo(const Place& at, const Fields& of_service, const std::string& service,
                  const Labels& service_labels) {
  const int errors_before = yaml_.errors();
  const bool native = dialect_.origin == Origin::kBasalt;
  const Fields fields =
      native
          ? yaml_.FieldsOf(at, {"name", "description", "objective", "labels", "period", "calendar",
                                "tiers", "against_period", "min_bad", "min_total", "confidence",
                                "keep_firing_for", "max_groups", "sli", "alerting"})
          : yaml_.FieldsOf(
                at, {"name", "description", "objective", "labels", "plugins", "sli", "alerting"});
  if (!at.node.IsMap()) return;
  Definition slo;
  slo.origin = dialect_.origin;
  slo.service = service;
  slo.name = yaml_.RequiredText(at, fields, "name");
  if (!slo.name.empty()) yaml_.Name(fields.at("name"), slo.name);
  slo.id = service + "-" + slo.name;
  slo.description = yaml_.Text(fields, "description");
  slo.labels = Merge(service_labels, yaml_.StringMap(fields, "labels", true));
  slo.period = kDefaultPeriod;
  slo.file = yaml_.file();
  slo.line = at.node.Mark().line + 1;
  Period(fields, slo);
  slo.against_period = yaml_.Flag(fields, "against_period", false);
  slo.keep_firing_for = yaml_.Length(fields, "keep_firing_for").value_or(Duration(0));
  slo.guard = Guard(fields);
  if (native) MaxGroups(fields, slo);
  const std::string objective = yaml_.RequiredText(at, fields, "objective");
  if (!objective.empty()) SetObjective(yaml_, fields.at("objective"), objective, false, slo);
  Sli(at, fields, slo);
  Alerting(at, fields, slo);
  ApplySloPlugins(yaml_, of_service, dialect_.slo_plugins, slo);
  ApplySloPlugins(yaml_, fields, "plugins", slo);
  SetOwner(yaml_, at, slo);
  const std::vector<Tier> tiers = Tiers(fields, slo);  // before it is moved from
  Finish(yaml_, at, tiers, errors_before, std::move(slo));
}

void Checker::Sli(const Place& parent, const Fields& fields, Definition& slo) {
  const auto it = fields.find("sli");
  if (it == fields.end()) return yaml_.Error(parent, "lacks `sli`, which is required");
  const Fields kinds = yaml_.FieldsOf(it->second, {"events", "raw", "plugin"});
  if (kinds.contains("plugin")) Plugin(kinds.at("plugin"), slo);
  if (kinds.contains("raw")) {
    const Place& raw = kinds.at("raw");
    const Fields own = yaml_.FieldsOf(raw, {dialect_.error_ratio_query});
    const std::string query = yaml_.RequiredText(raw, own, dialect_.error_ratio_query);
    if (!query.empty()) SetRatio(yaml_, own.at(dialect_.error_ratio_query), query, slo);
  }
  if (kinds.contains("events")) {
    const Place& events = kinds.at("events");
    const Fields own = yaml_.FieldsOf(events, {dialect_.error_query, dialect_.total_query});
    if (!events.node.IsMap()) return;
    SetEvents(yaml_, events, own, dialect_.error_query, dialect_.total_query, slo);
  }
  if (kinds.empty()) {
    yaml_.Error(it->second, std::string("needs `events` with ") + dialect_.error_query + " and " +
                                dialect_.total_query);
  }
}

// sloth's SLI plugins: an id, and options that fill in the plugin's template.
void Checker::Plugin(const Place& at, Definition& slo) {
  const Fields own = yaml_.FieldsOf(at, {"id", "options"});
  const std::string id = yaml_.RequiredText(at, own, "id");
  if (id.empty()) return;
  const auto plugin = context_.plugins.find(id);
  if (plugin == context_.plugins.end()) {
    return yaml_.Error(own.at("id"),
                       "\"" + id +
                           "\" is Go code that cannot run here: give its query as a document of "
                           "kind SliPlugin (see the format), or under `events`");
  }
  const Labels options = yaml_.StringMap(own, "options", false);
  const Result<std::string> query = ExpandSliPlugin(plugin->second, options, slo.labels);
  if (!query.ok()) return yaml_.Error(at, std::string(query.status().message()));
  SetRatio(yaml_, at, *query, slo);
}

std::vector<Tier> Checker::Tiers(const Fields& fields, const Definition& slo) {
  if (!fields.contains("tiers")) return TiersFor(context_, TierPeriod(slo));
  std::vector<Tier> tiers;
  for (const Place& at : yaml_.ListOf(fields, "tiers")) OneTier(at, slo, tiers);
  return tiers;
}

void Checker::OneTier(const Place& at, const Definition& slo, std::vector<Tier>& tiers) {
  const Fields fields =
      yaml_.FieldsOf(at, {"severity", "short", "long", "factor", "budget_percent", "for"});
  if (!at.node.IsMap()) return;
  Tier tier;
  const std::string severity = yaml_.RequiredText(at, fields, "severity");
  if (severity == "ticket") {
    tier.severity = Severity::kTicket;
  } else if (!severity.empty() && severity != "page") {
    yaml_.Error(fields.at("severity"), "\"" + severity + "\" is neither page nor ticket");
  }
  const auto long_window = yaml_.Length(fields, "long");
  if (!long_window.has_value()) {
    if (!fields.contains("long")) yaml_.Error(at, "lacks `long`, which is required");
    return;
  }
  tier.long_window = *long_window;
  if (tier.long_window > kMaxPeriod) yaml_.Error(fields.at("long"), "is longer than 400d");
  tier.short_window = yaml_.Length(fields, "short").value_or(tier.long_window / 12);
  if (tier.short_window > tier.long_window) yaml_.Error(at, "has a `short` longer than its `long`");
  if (fields.contains("for")) tier.hold_for = yaml_.Length(fields, "for").value_or(Duration(0));
  if (fields.contains("factor") == fields.contains("budget_percent")) {
    return yaml_.Error(at, "needs either `factor` or `budget_percent`");
  }
  if (const auto factor = yaml_.Number(fields, "factor")) tier.factor = *factor;
  if (const auto percent = yaml_.Number(fields, "budget_percent")) {
    const Result<Fraction> factor = FactorOf(*percent, TierPeriod(slo), tier.long_window);
    if (!factor.ok()) return yaml_.Error(fields.at("budget_percent"), "has too many digits");
    tier.factor = *factor;
  }
  tiers.push_back(tier);
}

AlertSpec Checker::Alert(const Fields& fields, const char* key, const Labels& common_labels,
                         const Labels& common_annotations) {
  AlertSpec spec;
  spec.labels = common_labels;
  spec.annotations = common_annotations;
  const auto it = fields.find(key);
  if (it == fields.end() || it->second.node.IsNull()) return spec;
  const Fields own = yaml_.FieldsOf(it->second, {"disable", "labels", "annotations"});
  spec.enabled = !yaml_.Flag(own, "disable", false);
  spec.labels = Merge(spec.labels, yaml_.StringMap(own, "labels", true));
  spec.annotations = Merge(spec.annotations, yaml_.StringMap(own, "annotations", false));
  return spec;
}

void Checker::Alerting(const Place& parent, const Fields& fields, Definition& slo) {
  const auto it = fields.find("alerting");
  if (it == fields.end() || it->second.node.IsNull()) {
    return yaml_.Error(parent, std::string("lacks `alerting`: give it a `name`, or `disable: "
                                           "true` under ") +
                                   dialect_.page_alert + " and " + dialect_.ticket_alert);
  }
  const bool is_resource = dialect_.page_alert == kResource.page_alert;
  const Fields own =
      is_resource
          ? yaml_.FieldsOf(it->second, {"name", "labels", "annotations", "pageAlert", "ticketAlert",
                                        "page_alert", "ticket_alert"})
          : yaml_.FieldsOf(it->second, {"name", "labels", "annotations", "page_alert",
                                        "ticket_alert", "total_alert", "absent", "absent_name"});
  for (const auto& [key, known] :
       {std::pair("page_alert", "pageAlert"), std::pair("ticket_alert", "ticketAlert")}) {
    if (!is_resource || !own.contains(key)) continue;
    yaml_.Warn(own.at(key),
               std::string("is left out, as Kubernetes leaves it out: write ") + known);
  }
  slo.alert_name = yaml_.Text(own, "name");
  const Labels labels = yaml_.StringMap(own, "labels", true);
  if (own.contains("absent") && dialect_.origin != Origin::kBasalt) {
    yaml_.Error(own.at("absent"), "is a key of basalt/v1");
  }
  if (yaml_.Flag(own, "absent", false)) {
    slo.absent.emplace();
    slo.absent->labels = labels;
    if (const std::string name = yaml_.Text(own, "absent_name"); !name.empty()) {
      slo.absent->name = name;
    }
  }
  slo.total_alerts = dialect_.origin == Origin::kBasalt && !slo.sli.group_by.empty() &&
                     (!slo.polled.has_value() || slo.polled->adds_up());
  if (own.contains("total_alert")) {
    if (dialect_.origin != Origin::kBasalt) {
      yaml_.Error(own.at("total_alert"), "is a key of basalt/v1");
    }
    const Fields total = yaml_.FieldsOf(own.at("total_alert"), {"disable"});
    slo.total_alerts &= !yaml_.Flag(total, "disable", false);
  }
  const Labels annotations = yaml_.StringMap(own, "annotations", false);
  slo.alerts = {Alert(own, dialect_.page_alert, labels, annotations),
                Alert(own, dialect_.ticket_alert, labels, annotations)};
  const bool any = slo.alerts[0].enabled || slo.alerts[1].enabled;
  if (any && slo.alert_name.empty()) {
    yaml_.Error(it->second, "lacks `name`: it becomes the alert's name");
  }
}

}  // namespace

bool IsSlothDocument(const YAML::Node& document) {
  return !document.IsMap() || !document["apiVersion"].IsDefined();
}

void CheckSlothDocument(const YAML::Node& document, const LoadContext& context, YamlChecker& yaml) {
  const Place root{document, ""};
  const Fields fields =
      yaml.FieldsOf(root, {"version", "service", "owner", "labels", "slo_plugins", "slos"});
  if (!document.IsMap()) return;
  const std::string version = yaml.RequiredText(root, fields, "version");
  if (!version.empty() && version != "prometheus/v1" && version != "basalt/v1") {
    yaml.Error(fields.at("version"), "\"" + version +
                                         "\" is not supported: this reads sloth's "
                                         "\"prometheus/v1\" and Basalt's own \"basalt/v1\"");
    return;
  }
  const bool native = version == "basalt/v1";
  if (!native && fields.contains("owner")) {
    yaml.Error(fields.at("owner"), "is a key of basalt/v1: in sloth's format the owner is a label");
  }
  Checker(native ? kBasalt : kSloth, context, yaml).Service(root, fields);
}

void CheckSlothResource(const YAML::Node& document, const LoadContext& context, YamlChecker& yaml) {
  const Place root{document, ""};
  const Fields fields = yaml.FieldsOf(root, {"apiVersion", "kind", "metadata", "spec", "status"});
  const auto spec = fields.find("spec");
  if (spec == fields.end()) return yaml.Error(root, "lacks `spec`, which is required");
  const Fields own = yaml.FieldsOf(spec->second, {"service", "labels", "sloPlugins", "slos"});
  if (spec->second.node.IsMap()) Checker(kResource, context, yaml).Service(spec->second, own);
}

void RememberAlertWindows(const YAML::Node& document, YamlChecker& yaml, LoadContext& context) {
  const Place root{document, ""};
  const Fields fields = yaml.FieldsOf(root, {"apiVersion", "kind", "metadata", "spec"});
  const auto it = fields.find("spec");
  if (it == fields.end()) return yaml.Error(root, "lacks `spec`, which is required");
  const Fields spec = yaml.FieldsOf(it->second, {"sloPeriod", "page", "ticket"});
  const auto period = yaml.Length(spec, "sloPeriod");
  if (!period.has_value()) {
    if (!spec.contains("sloPeriod")) yaml.Error(it->second, "lacks `sloPeriod`");
    return;
  }
  std::vector<Tier> tiers;
  for (const auto& [severity, name] :
       {std::pair(Severity::kPage, "page"), std::pair(Severity::kTicket, "ticket")}) {
    const auto alert = spec.find(name);
    if (alert == spec.end()) {
      yaml.Error(it->second, std::string("lacks `") + name + "`, which is required");
      continue;
    }
    const Fields speeds = yaml.FieldsOf(alert->second, {"quick", "slow"});
    for (const char* speed : {"quick", "slow"}) {
      if (!speeds.contains(speed)) {
        yaml.Error(alert->second, std::string("lacks `") + speed + "`, which is required");
        continue;
      }
      const Place& at = speeds.at(speed);
      const Fields own = yaml.FieldsOf(at, {"errorBudgetPercent", "shortWindow", "longWindow"});
      const auto percent = yaml.Number(own, "errorBudgetPercent");
      const auto short_window = yaml.Length(own, "shortWindow");
      const auto long_window = yaml.Length(own, "longWindow");
      if (!percent || !short_window || !long_window) {
        yaml.Error(at, "needs errorBudgetPercent, shortWindow and longWindow");
        continue;
      }
      const Result<Fraction> factor = FactorOf(*percent, *period, *long_window);
      if (!factor.ok()) yaml.Error(at, "has a percentage of too many digits");
      if (factor.ok()) {
        tiers.push_back({severity, *short_window, *long_window, *factor, Duration(0)});
      }
    }
  }
  if (!context.windows.emplace(*period, std::move(tiers)).second) {
    yaml.Error(spec.at("sloPeriod"),
               "stands twice: another document has the windows of this period already");
  }
}

void RememberSliPlugin(const YAML::Node& document, YamlChecker& yaml, LoadContext& context) {
  const Place root{document, ""};
  const Fields fields = yaml.FieldsOf(root, {"apiVersion", "kind", "metadata", "spec"});
  const auto it = fields.find("spec");
  if (it == fields.end()) return yaml.Error(root, "lacks `spec`, which is required");
  const Fields spec =
      yaml.FieldsOf(it->second, {"id", "required_options", "required_labels", "error_ratio_query"});
  SliPlugin plugin;
  const std::string id = yaml.RequiredText(it->second, spec, "id");
  plugin.error_ratio_query = yaml.RequiredText(it->second, spec, "error_ratio_query");
  for (const Place& at : yaml.ListOf(spec, "required_options")) {
    plugin.required_options.push_back(at.node.IsScalar() ? at.node.Scalar() : "");
  }
  for (const Place& at : yaml.ListOf(spec, "required_labels")) {
    plugin.required_labels.push_back(at.node.IsScalar() ? at.node.Scalar() : "");
  }
  if (!id.empty()) context.plugins[id] = std::move(plugin);
}

std::vector<Tier> TiersFor(const LoadContext& context, Duration period) {
  const auto it = context.windows.find(period);
  return it == context.windows.end() ? WorkbookTiers(period) : it->second;
}

}  // namespace basalt::slo
