#include "engine/slo/message.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <limits>

namespace basalt::slo {
namespace {

void SetAll(Labels& labels, const Labels& from) {
  for (const Label& label : from) labels.Set(label.name, label.value);
}

bool IsOwnerLabel(std::string_view name) { return name == "owner" || name == "team"; }

std::string Percent(double share) { return FormatNumber(100 * share) + " %"; }

std::string CountOf(const Counts& counts, int64_t scale) {
  return FormatNumber(Events(counts.bad, scale)) + " of " +
         FormatNumber(Events(counts.total, scale));
}

std::string FormatTime(int64_t time_ms) {
  const std::time_t seconds = time_ms / kMsPerSecond;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 32> text{};
  const size_t n = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &utc);
  return {text.data(), n};
}

// "2d 3h", two units at most.
std::string FormatRough(double seconds) {
  struct Unit {
    double seconds;
    const char* name;
  };
  constexpr std::array<Unit, 4> kUnits = {{{86'400, "d"}, {3'600, "h"}, {60, "m"}, {1, "s"}}};
  for (size_t i = 0; i < kUnits.size(); ++i) {
    if (seconds < kUnits[i].seconds && i + 1 < kUnits.size()) continue;
    const double whole = std::floor(seconds / kUnits[i].seconds);
    std::string out = FormatNumber(whole) + kUnits[i].name;
    if (i + 1 == kUnits.size()) return out;
    const double rest = std::floor((seconds - whole * kUnits[i].seconds) / kUnits[i + 1].seconds);
    if (rest > 0) out += " " + FormatNumber(rest) + kUnits[i + 1].name;
    return out;
  }
  return "0s";
}

double BudgetOf(const Definition& definition) { return 1 - definition.objective.ToDouble(); }

// What the long window took of the period's budget, what is left, and for how long at this rate.
std::string BudgetSentence(const Definition& definition, const AlertNumbers& numbers) {
  const double allowed = BudgetOf(definition) * Events(numbers.in_period.total, numbers.scale);
  if (allowed <= 0) return "the objective leaves no budget";
  const double burned = Events(numbers.in_long.bad, numbers.scale) / allowed;
  const double left = 1 - Events(numbers.in_period.bad, numbers.scale) / allowed;
  std::string out = Percent(burned) + " of the " + FormatDuration(definition.period) +
                    " budget was spent in the last " +
                    FormatDuration(numbers.condition.long_window) + "; ";
  if (left <= 0) return out + "it is overspent by " + Percent(-left);
  out += Percent(left) + " of it is left";
  const double rate = BurnRate(definition, numbers.in_short);
  if (rate <= 0 || !std::isfinite(rate)) return out;
  const double period_s = std::chrono::duration<double>(definition.period).count();
  return out + ", for " + FormatRough(left * period_s / rate) + " at the rate of the last " +
         FormatDuration(numbers.condition.short_window);
}

}  // namespace

double Events(Amount amount, int64_t scale) {
  return static_cast<double>(amount) /
         (static_cast<double>(kAmountPerEvent) * static_cast<double>(scale));
}

std::string ObjectivePercent(const Definition& definition) {
  const Result<Fraction> percent = Multiply(definition.objective, Fraction{100, 1});
  return percent.ok() ? ToString(*percent) : ToString(definition.objective);
}

double RatioOf(const Counts& counts) {
  return counts.total > 0 ? static_cast<double>(counts.bad) / static_cast<double>(counts.total) : 0;
}

double BurnRate(const Definition& definition, const Counts& counts) {
  const double ratio = RatioOf(counts);
  // From the fraction, so that 1 - 0.999 does not bring 0.0010000000000000009 in.
  const Fraction& objective = definition.objective;
  const double budget =
      static_cast<double>(objective.den - objective.num) / static_cast<double>(objective.den);
  if (budget > 0) return ratio / budget;
  return ratio > 0 ? std::numeric_limits<double>::infinity() : 0;
}

std::string FormatNumber(double value) {
  std::array<char, 32> text{};
  const char* format = std::abs(value) >= 1000 && std::abs(value) < 1e15 ? "%.0f" : "%.4g";
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string FormatDuration(Duration duration) {
  struct Unit {
    int64_t ms;
    const char* name;
  };
  for (const Unit& unit :
       {Unit{kMsPerDay, "d"}, Unit{3'600'000, "h"}, Unit{60'000, "m"}, Unit{1000, "s"}}) {
    if (duration.count() % unit.ms == 0)
      return std::to_string(duration.count() / unit.ms) + unit.name;
  }
  return std::to_string(duration.count()) + "ms";
}

Labels GroupLabels(const Definition& definition, const std::vector<std::string>& values) {
  std::vector<Label> labels;
  for (size_t i = 0; i < values.size(); ++i) {
    labels.push_back({definition.sli.group_by[i], values[i]});
  }
  return Labels(std::move(labels));
}

Labels OwnerLabels(const Definition& definition) {
  Labels labels;
  for (const Label& label : definition.labels) {
    if (IsOwnerLabel(label.name)) labels.Set(label.name, label.value);
  }
  if (!definition.owner.empty()) labels.Set("owner", definition.owner);
  return labels;
}

namespace {

// As sloth names SLOs. Two tenants may have the same one, and their alerts have to differ.
void SetIds(const Definition& definition, Labels& labels) {
  labels.Set("sloth_id", definition.id);
  labels.Set("sloth_service", definition.service);
  labels.Set("sloth_slo", definition.name);
  if (definition.tenant != kDefaultTenant) {
    labels.Set(kTenantLabel, std::to_string(static_cast<uint32_t>(definition.tenant)));
  }
}

}  // namespace

Labels AlertIdentity(const Definition& definition, const std::vector<std::string>& values,
                     Severity severity) {
  // As a rule's labels come about in Prometheus: those of the recorded series, which are the
  // group's overridden by the SLO's, then the rule's own.
  Labels labels = GroupLabels(definition, values);
  for (const Label& label : definition.labels) {
    if (!IsOwnerLabel(label.name)) labels.Set(label.name, label.value);
  }
  SetIds(definition, labels);
  labels.Set("sloth_severity", SeverityName(severity));
  SetAll(labels, definition.alert(severity).labels);
  labels.Set("alertname", definition.alert_name);
  return labels;
}

std::string WhatBurned(const AlertNumbers& numbers) {
  return Percent(RatioOf(numbers.in_short)) + " of events were bad over " +
         FormatDuration(numbers.condition.short_window) + " (" +
         CountOf(numbers.in_short, numbers.scale) + ") and " + Percent(RatioOf(numbers.in_long)) +
         " over " + FormatDuration(numbers.condition.long_window) + " (" +
         CountOf(numbers.in_long, numbers.scale) + ")";
}

std::string WhyItFired(const Definition& definition, const AlertNumbers& numbers) {
  return "burn rate " + FormatNumber(BurnRate(definition, numbers.in_short)) + " over " +
         FormatDuration(numbers.condition.short_window) + " and " +
         FormatNumber(BurnRate(definition, numbers.in_long)) + " over " +
         FormatDuration(numbers.condition.long_window) + ", both above " +
         ToString(numbers.condition.factor) + " (error ratio above " +
         ToString(numbers.condition.threshold) + ")";
}

std::string ExpandTemplate(std::string_view text, const Labels& labels, std::string_view value) {
  std::string out;
  while (true) {
    const size_t open = text.find("{{");
    const size_t close = open == std::string_view::npos ? open : text.find("}}", open);
    if (close == std::string_view::npos) break;
    out += text.substr(0, open);
    std::string_view inner = text.substr(open + 2, close - open - 2);
    while (inner.starts_with(' ') || inner.starts_with('-')) inner.remove_prefix(1);
    while (inner.ends_with(' ') || inner.ends_with('-')) inner.remove_suffix(1);
    if (inner == "$value" || inner == ".Value") {
      out += value;
    } else if (inner.starts_with("$labels.") && IsLegacyLabelName(inner.substr(8))) {
      out += labels.Get(inner.substr(8));
    } else if (inner.starts_with(".Labels.") && IsLegacyLabelName(inner.substr(8))) {
      out += labels.Get(inner.substr(8));
    } else {
      out += text.substr(open, close + 2 - open);
    }
    text.remove_prefix(close + 2);
  }
  return out += text;
}

Labels AbsentIdentity(const Definition& definition, const std::vector<std::string>* values) {
  Labels labels = values == nullptr ? Labels() : GroupLabels(definition, *values);
  for (const Label& label : definition.labels) {
    if (!IsOwnerLabel(label.name)) labels.Set(label.name, label.value);
  }
  SetIds(definition, labels);
  SetAll(labels, definition.absent->labels);
  labels.Set("alertname", definition.absent->name);
  return labels;
}

notify::Alert MakeAbsentAlert(const Definition& definition, const std::vector<std::string>* values,
                              int64_t last_ms, const std::string& external_url) {
  notify::Alert alert;
  alert.identity = AbsentIdentity(definition, values);
  alert.labels = OwnerLabels(definition);
  alert.urgent = true;
  alert.starts_at = FromMs(last_ms) + definition.absent->after;
  if (!external_url.empty()) alert.generator_url = external_url + "/slo?id=" + definition.id;
  alert.annotations.Set("title", definition.service + " " + definition.name +
                                     " SLO has no samples: its alerts cannot see an outage.");
  alert.annotations.Set("summary", "No samples of " + definition.service + " " + definition.name +
                                       " since " + FormatTime(last_ms) +
                                       "; expected at least every " +
                                       FormatDuration(definition.absent->after) + ".");
  alert.annotations.Set("description", definition.description);
  return alert;
}

notify::Alert MakeTooManyGroupsAlert(const Definition& definition, Timestamp now,
                                     const std::string& external_url, size_t all_groups) {
  notify::Alert alert;
  for (const Label& label : definition.labels) {
    if (!IsOwnerLabel(label.name)) alert.identity.Set(label.name, label.value);
  }
  SetIds(definition, alert.identity);
  alert.identity.Set("alertname", kTooManyGroups);
  alert.labels = OwnerLabels(definition);
  alert.starts_at = now;
  if (!external_url.empty()) alert.generator_url = external_url + "/slo?id=" + definition.id;
  const std::string most =
      std::to_string(all_groups > 0 ? all_groups : definition.max_groups) + " groups";
  alert.annotations.Set("title", definition.service + " " + definition.name +
                                     " SLO has more than " +
                                     (all_groups > 0 ? "its share of " : "") + most + ".");
  const bool adds_up = !definition.polled.has_value() || definition.polled->adds_up();
  const std::string beyond = adds_up ? " is alerted on together, as " + std::string(kOtherGroup)
                                     : " is left out, since ratios do not add up";
  const std::string advice =
      all_groups > 0 ? "raise slo.max_groups, the bound of all SLOs together (this one stands at "
      : definition.max_groups < kMaxGroupsPerSlo ? "raise max_groups of the SLO (it stands at "
                                                 : "no SLO has more (it stands at ";
  alert.annotations.Set("summary", "What is beyond " + most + beyond + ": " + advice +
                                       definition.file + ":" + std::to_string(definition.line) +
                                       "), or group by labels of fewer values.");
  alert.annotations.Set("description", definition.description);
  return alert;
}

notify::Alert MakeAlert(const Definition& definition, const std::vector<std::string>& values,
                        Severity severity, const AlertState& state, const AlertNumbers& numbers,
                        const std::string& external_url) {
  notify::Alert alert;
  alert.identity = AlertIdentity(definition, values, severity);
  alert.labels = OwnerLabels(definition);
  alert.urgent = severity == Severity::kPage;
  alert.starts_at = FromMs(state.starts_ms);
  if (!state.firing) alert.ends_at = FromMs(state.ends_ms);
  if (!external_url.empty()) alert.generator_url = external_url + "/slo?id=" + definition.id;

  const std::string severity_name(SeverityName(severity));
  Labels& notes = alert.annotations;
  notes.Set("title", "(" + severity_name + ") " + definition.service + " " + definition.name +
                         " SLO error budget burn rate is too fast.");
  notes.Set("summary", definition.service + " " + definition.name +
                           " SLO error budget burn rate is over expected.");
  notes.Set("description", definition.description);
  const std::string burn = FormatNumber(BurnRate(definition, numbers.in_long));
  Labels all = alert.identity;
  SetAll(all, alert.labels);
  for (const Label& note : definition.alert(severity).annotations) {
    notes.Set(note.name, ExpandTemplate(note.value, all, burn));
  }
  notes.Set("slo_burned", WhatBurned(numbers));
  notes.Set("slo_why", WhyItFired(definition, numbers));
  notes.Set("slo_since", FormatTime(state.starts_ms));
  notes.Set("slo_budget", BudgetSentence(definition, numbers));
  notes.Set("slo_objective",
            ObjectivePercent(definition) + " % over " + FormatDuration(definition.period));
  if (!state.firing) notes.Set("slo_until", FormatTime(state.ends_ms));
  return alert;
}

}  // namespace basalt::slo
