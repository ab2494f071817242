#include "engine/slo/pyrra_loader.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/slo/linear_sli.h"
#include "engine/slo/slo_builder.h"

namespace basalt::slo {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr std::string_view kPrefix = "pyrra.dev/";

// `metric` of an indicator's part; empty (and an error) without.
std::string Metric(YamlChecker& yaml, const Place& parent, const Fields& parts, const char* part) {
  const auto it = parts.find(part);
  if (it == parts.end()) {
    yaml.Error(parent, std::string("lacks `") + part + "`, which is required");
    return "";
  }
  return yaml.RequiredText(it->second, yaml.FieldsOf(it->second, {"metric"}), "metric");
}

std::string By(YamlChecker& yaml, const Fields& parts) {
  std::string labels;
  for (const Place& place : yaml.ListOf(parts, "grouping")) {
    if (!place.node.IsScalar() || !IsLegacyLabelName(place.node.Scalar())) {
      yaml.Error(place, "is not a label name");
      continue;
    }
    labels += (labels.empty() ? "" : ", ") + place.node.Scalar();
  }
  return labels.empty() ? "" : "by (" + labels + ") ";
}

std::string Sum(const std::string& by, const std::string& selector) {
  return "sum " + by + "(rate(" + selector + "[{{.window}}]))";
}

void SetQueries(YamlChecker& yaml, const Place& at, std::string error, std::string total,
                Definition& slo) {
  Result<LinearSli> sli = CompileEventsSli(error, total);
  if (!sli.ok()) return yaml.Error(at, std::string(sli.status().message()));
  slo.sli = std::move(sli).value();
  slo.error_query = std::move(error);
  slo.total_query = std::move(total);
}

void Indicator(YamlChecker& yaml, const Place& at, Definition& slo) {
  const Fields kinds = yaml.FieldsOf(at, {"ratio", "latency", "latencyNative", "bool_gauge"});
  for (const char* kind : {"latencyNative", "bool_gauge"}) {
    if (!kinds.contains(kind)) continue;
    yaml.Error(kinds.at(kind), std::string(kind) + " is not supported yet: use ratio or latency");
  }
  if (const auto it = kinds.find("ratio"); it != kinds.end()) {
    const Fields parts = yaml.FieldsOf(it->second, {"errors", "total", "grouping"});
    const std::string errors = Metric(yaml, it->second, parts, "errors");
    const std::string total = Metric(yaml, it->second, parts, "total");
    const std::string by = By(yaml, parts);
    if (errors.empty() || total.empty()) return;
    SetQueries(yaml, it->second, Sum(by, errors), Sum(by, total), slo);
  }
  if (const auto it = kinds.find("latency"); it != kinds.end()) {
    const Fields parts = yaml.FieldsOf(it->second, {"success", "total", "grouping"});
    const std::string success = Metric(yaml, it->second, parts, "success");
    const std::string total = Metric(yaml, it->second, parts, "total");
    const std::string by = By(yaml, parts);
    if (success.empty() || total.empty()) return;
    SetQueries(yaml, it->second, Sum(by, total) + " - " + Sum(by, success), Sum(by, total), slo);
  }
  if (kinds.empty()) yaml.Error(at, "needs `ratio` or `latency`");
}

void Alerting(YamlChecker& yaml, const Fields& spec, Definition& slo) {
  slo.alert_name = "ErrorBudgetBurn";
  slo.alerts[0].labels = Labels{{"severity", "critical"}};
  slo.alerts[1].labels = Labels{{"severity", "warning"}};
  const auto it = spec.find("alerting");
  if (it == spec.end() || it->second.node.IsNull()) return;
  const Fields own = yaml.FieldsOf(
      it->second, {"disabled", "burnrates", "absent", "name", "absentName", "severities"});
  if (const std::string name = yaml.Text(own, "name"); !name.empty()) slo.alert_name = name;
  if (yaml.Flag(own, "disabled", false) || !yaml.Flag(own, "burnrates", true)) {
    slo.alerts[0].enabled = slo.alerts[1].enabled = false;
  }
  if (const auto severities = own.find("severities"); severities != own.end()) {
    const Fields each = yaml.FieldsOf(
        severities->second, {"absent", "fastBurn", "mediumBurn", "slowBurn", "longTermBurn"});
    if (const std::string s = yaml.Text(each, "fastBurn"); !s.empty()) {
      slo.alerts[0].labels.Set("severity", s);
    }
    if (const std::string s = yaml.Text(each, "slowBurn"); !s.empty()) {
      slo.alerts[1].labels.Set("severity", s);
    }
    for (const auto& [one, other] :
         {std::pair("mediumBurn", "fastBurn"), std::pair("longTermBurn", "slowBurn")}) {
      if (!each.contains(one) || yaml.Text(each, one) == yaml.Text(each, other)) continue;
      yaml.Warn(each.at(one),
                std::string("is one alert with ") + other + " here, and has its severity");
    }
  }
}

// pyrra.dev/team=x is the label team=x of its alerts; other labels stay with the resource.
Labels PropagatedLabels(const Labels& labels) {
  Labels out;
  for (const Label& label : labels) {
    if (!label.name.starts_with(kPrefix)) continue;
    const std::string name = label.name.substr(kPrefix.size());
    if (IsLegacyLabelName(name)) out.Set(name, label.value);
  }
  return out;
}

}  // namespace

std::vector<Tier> PyrraTiers(Duration period) {
  struct Row {
    Severity severity;
    int64_t factor;
    Duration hold_for;
    Duration long_window;
    Duration short_window;
  };
  constexpr std::array<Row, 4> kRows = {{
      {Severity::kPage, 14, minutes(2), hours(1), minutes(5)},
      {Severity::kPage, 7, minutes(15), hours(6), minutes(30)},
      {Severity::kTicket, 2, hours(1), hours(24), hours(2)},
      {Severity::kTicket, 1, hours(3), hours(96), hours(6)},
  }};
  const auto scaled = [&](Duration length) {
    const Duration exact = length * period.count() / Duration(hours(24 * 28)).count();
    return (exact + Duration(minutes(1)) / 2) / Duration(minutes(1)) * Duration(minutes(1));
  };
  std::vector<Tier> tiers;
  for (const Row& row : kRows) {
    tiers.push_back({row.severity,
                     // pyrra itself comes to 0m below 6 days.
                     std::max(scaled(row.short_window), Duration(minutes(1))),
                     std::max(scaled(row.long_window), Duration(minutes(1))),
                     Fraction{row.factor, 1}, scaled(row.hold_for)});
  }
  return tiers;
}

void CheckPyrraResource(const YAML::Node& document, YamlChecker& yaml) {
  const int errors_before = yaml.errors();
  const Place root{document, ""};
  const Fields fields = yaml.FieldsOf(root, {"apiVersion", "kind", "metadata", "spec", "status"});
  if (!fields.contains("metadata")) return yaml.Error(root, "lacks `metadata`, which is required");
  if (!fields.contains("spec")) return yaml.Error(root, "lacks `spec`, which is required");
  const Fields metadata = yaml.FieldsOf(
      fields.at("metadata"), {"name", "namespace", "labels", "annotations", "creationTimestamp"});
  const Place& at = fields.at("spec");
  const Fields spec = yaml.FieldsOf(at, {"description", "target", "window", "indicator", "alerting",
                                         "performanceOverAccuracy", "ruleOutput"});
  Definition slo;
  slo.origin = Origin::kPyrra;
  slo.name = yaml.RequiredText(fields.at("metadata"), metadata, "name");
  if (!slo.name.empty()) yaml.Name(metadata.at("name"), slo.name);
  slo.service = yaml.Text(metadata, "namespace");
  if (slo.service.empty()) slo.service = "default";
  slo.id = slo.service + "-" + slo.name;
  slo.description = yaml.Text(spec, "description");
  slo.labels = PropagatedLabels(yaml.StringMap(metadata, "labels", false));
  slo.labels.Set("slo", slo.name);
  slo.period = kDefaultPeriod;
  slo.file = yaml.file();
  slo.line = document.Mark().line + 1;
  const std::string target = yaml.RequiredText(at, spec, "target");
  if (!target.empty()) SetObjective(yaml, spec.at("target"), target, false, slo);
  if (!spec.contains("window")) yaml.Error(at, "lacks `window`, which is required");
  if (const auto window = yaml.Length(spec, "window")) {
    SetPeriod(yaml, spec.at("window"), *window, slo);
  }
  if (spec.contains("indicator")) {
    Indicator(yaml, spec.at("indicator"), slo);
  } else {
    yaml.Error(at, "lacks `indicator`, which is required");
  }
  Alerting(yaml, spec, slo);
  SetOwner(yaml, at, slo);
  Finish(yaml, at, PyrraTiers(slo.period), errors_before, std::move(slo));
}

}  // namespace basalt::slo
