#include "engine/slo/pyrra_loader.h"

#include <algorithm>
#include <array>
#include <utility>

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

// "200ms" in seconds, as PromQL writes numbers.
std::string Seconds(Duration length) {
  const std::string ms = std::to_string(length.count() % 1000);
  return std::to_string(length.count() / 1000) + "." + std::string(3 - ms.size(), '0') + ms;
}

void Ratio(YamlChecker& yaml, const Place& at, Definition& slo) {
  const Fields parts = yaml.FieldsOf(at, {"errors", "total", "grouping"});
  const std::string errors = Metric(yaml, at, parts, "errors");
  const std::string total = Metric(yaml, at, parts, "total");
  const std::string by = By(yaml, parts);
  if (errors.empty() || total.empty()) return;
  SetEvents(yaml, {parts.at("errors"), Sum(by, errors)}, {parts.at("total"), Sum(by, total)}, slo);
}

void Latency(YamlChecker& yaml, const Place& at, Definition& slo) {
  const Fields parts = yaml.FieldsOf(at, {"success", "total", "grouping"});
  const std::string success = Metric(yaml, at, parts, "success");
  const std::string total = Metric(yaml, at, parts, "total");
  const std::string by = By(yaml, parts);
  if (success.empty() || total.empty()) return;
  SetEvents(yaml, {parts.at("success"), Sum(by, total) + " - " + Sum(by, success)},
            {parts.at("total"), Sum(by, total)}, slo);
}

void LatencyNative(YamlChecker& yaml, const Place& at, Definition& slo) {
  const Fields parts = yaml.FieldsOf(at, {"latency", "total", "grouping"});
  const std::string total = Metric(yaml, at, parts, "total");
  const std::string by = By(yaml, parts);
  const auto latency = yaml.Length(parts, "latency");
  if (!latency.has_value() && !parts.contains("latency")) {
    yaml.Error(at, "lacks `latency`, which is required");
  }
  if (total.empty() || !latency.has_value()) return;
  const std::string sum = Sum(by, total);
  const std::string count = "histogram_count(" + sum + ")";
  const std::string slow =
      count + " * (1 - histogram_fraction(0, " + Seconds(*latency) + ", " + sum + "))";
  SetEvents(yaml, {at, slow}, {parts.at("total"), count}, slo);
}

// Each sample is an event, good if it is 1.
void BoolGauge(YamlChecker& yaml, const Place& at, Definition& slo) {
  const Fields parts = yaml.FieldsOf(at, {"metric", "grouping"});
  const std::string metric = yaml.RequiredText(at, parts, "metric");
  const std::string by = By(yaml, parts);
  if (metric.empty()) return;
  const auto over = [&](const char* function) {
    return "sum " + by + "(" + function + "(" + metric + "[{{.window}}]))";
  };
  const std::string count = over("count_over_time");
  SetEvents(yaml, {parts.at("metric"), count + " - " + over("sum_over_time")},
            {parts.at("metric"), count}, slo);
}

void Indicator(YamlChecker& yaml, const Place& at, Definition& slo) {
  const Fields kinds = yaml.FieldsOf(at, {"ratio", "latency", "latencyNative", "bool_gauge"});
  if (kinds.size() != 1) {
    return yaml.Error(at, "needs one of `ratio`, `latency`, `latencyNative` and `bool_gauge`");
  }
  const auto& [kind, place] = *kinds.begin();
  if (kind == "ratio") Ratio(yaml, place, slo);
  if (kind == "latency") Latency(yaml, place, slo);
  if (kind == "latencyNative") LatencyNative(yaml, place, slo);
  if (kind == "bool_gauge") BoolGauge(yaml, place, slo);
}

void Alerting(YamlChecker& yaml, const Fields& spec, Definition& slo) {
  slo.alert_name = "ErrorBudgetBurn";
  slo.alerts[0].labels = Labels{{"severity", "critical"}};
  slo.alerts[1].labels = Labels{{"severity", "warning"}};
  slo.absent.emplace();
  slo.absent->labels = Labels{{"severity", "critical"}};
  const auto it = spec.find("alerting");
  if (it == spec.end() || it->second.node.IsNull()) return;
  const Fields own = yaml.FieldsOf(
      it->second, {"disabled", "burnrates", "absent", "name", "absentName", "severities"});
  if (const std::string name = yaml.Text(own, "name"); !name.empty()) slo.alert_name = name;
  if (yaml.Flag(own, "disabled", false) || !yaml.Flag(own, "burnrates", true)) {
    slo.alerts[0].enabled = slo.alerts[1].enabled = false;
  }
  if (yaml.Flag(own, "disabled", false) || !yaml.Flag(own, "absent", true)) slo.absent.reset();
  const bool absent = slo.absent.has_value();
  if (const std::string name = yaml.Text(own, "absentName"); absent && !name.empty()) {
    slo.absent->name = name;
  }
  if (const auto severities = own.find("severities"); severities != own.end()) {
    const Fields each = yaml.FieldsOf(
        severities->second, {"absent", "fastBurn", "mediumBurn", "slowBurn", "longTermBurn"});
    if (const std::string s = yaml.Text(each, "absent"); absent && !s.empty()) {
      slo.absent->labels.Set("severity", s);
    }
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

// pyrra records <metric>:burnrate<window>, the metric without its suffix, with the labels that its
// total's selector fixes.
void RecordNames(Definition& slo) {
  if (slo.polled.has_value()) {
    // "sum (rate(name{" and the like: the name stands before the first brace or bracket.
    const size_t end = slo.total_query.find_first_of("{[");
    const size_t begin = end == std::string::npos ? end : slo.total_query.rfind('(', end);
    if (begin != std::string::npos) {
      slo.record_metric = slo.total_query.substr(begin + 1, end - begin - 1);
    }
  } else if (!slo.sli.total.empty()) {
    for (const storage::Matcher& matcher : slo.sli.total[0].matchers) {
      if (matcher.type != storage::MatchType::kEqual) continue;
      if (matcher.name == kMetricName) {
        slo.record_metric = matcher.value;
      } else {
        slo.record_matchers.Set(matcher.name, matcher.value);
      }
    }
  }
  for (const std::string_view suffix : {"_total", "_count"}) {
    if (slo.record_metric.ends_with(suffix)) {
      slo.record_metric.resize(slo.record_metric.size() - suffix.size());
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
  tiers.reserve(std::size(kRows));
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
  RecordNames(slo);
  Alerting(yaml, spec, slo);
  SetOwner(yaml, at, slo);
  const std::vector<Tier> tiers = PyrraTiers(slo.period);
  Finish(yaml, at, tiers, errors_before, std::move(slo));
}

}  // namespace basalt::slo
