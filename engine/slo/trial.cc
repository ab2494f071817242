#include "engine/slo/trial.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "engine/slo/message.h"
#include "query/promql/durations.h"

namespace basalt::slo {
namespace {

bool IsSentPage(const SimulatedAlert& alert) {
  return alert.severity == Severity::kPage && !alert.held_back;
}

bool Belongs(const SimulatedAlert& page, const Incident& incident) {
  if (!incident.slo.empty() && incident.slo != page.slo) return false;
  if (page.starts_ms > incident.to_ms + kIncidentGrace.count()) return false;
  return !page.ends_ms.has_value() || *page.ends_ms > incident.from_ms;
}

// Sorts.
std::optional<Duration> Median(std::vector<Duration>& all) {
  if (all.empty()) return std::nullopt;
  std::sort(all.begin(), all.end());
  return all[(all.size() - 1) / 2];
}

}  // namespace

Verdict Judge(const std::vector<SimulatedAlert>& alerts, const std::vector<Incident>& incidents,
              const std::string& slo) {
  Verdict verdict;
  std::vector<const SimulatedAlert*> pages;
  for (const SimulatedAlert& alert : alerts) {
    if (IsSentPage(alert) && (slo.empty() || alert.slo == slo)) pages.push_back(&alert);
  }
  std::vector<Duration> detections;
  std::vector<Duration> resets;
  std::vector<bool> right(pages.size());
  for (const Incident& incident : incidents) {
    if (!slo.empty() && !incident.slo.empty() && incident.slo != slo) continue;
    ++verdict.incidents;
    std::optional<int64_t> first;
    std::optional<int64_t> last;
    for (size_t i = 0; i < pages.size(); ++i) {
      if (!Belongs(*pages[i], incident)) continue;
      right[i] = true;
      first = std::min(first.value_or(INT64_MAX), pages[i]->starts_ms);
      if (pages[i]->ends_ms) last = std::max(last.value_or(INT64_MIN), *pages[i]->ends_ms);
    }
    if (!first.has_value()) continue;
    ++verdict.found;
    detections.emplace_back(std::max<int64_t>(*first - incident.from_ms, 0));
    if (last.has_value()) resets.emplace_back(std::max<int64_t>(*last - incident.to_ms, 0));
  }
  verdict.pages = pages.size();
  verdict.right = static_cast<size_t>(std::count(right.begin(), right.end(), true));
  const auto share = [](size_t part, size_t all) -> std::optional<double> {
    if (all == 0) return std::nullopt;
    return static_cast<double>(part) / static_cast<double>(all);
  };
  verdict.precision = share(verdict.right, verdict.pages);
  verdict.recall = share(verdict.found, verdict.incidents);
  verdict.detection_median = Median(detections);
  if (!detections.empty()) verdict.detection_longest = detections.back();
  verdict.reset_median = Median(resets);
  if (!resets.empty()) verdict.reset_longest = resets.back();
  return verdict;
}

namespace {

enum class Unit { kNumber, kDuration };
struct Parameter {
  std::string_view name;
  Unit unit;
};
constexpr Parameter kParameters[] = {
    {"factor", Unit::kNumber},           {"for", Unit::kDuration},     {"min_bad", Unit::kNumber},
    {"min_total", Unit::kNumber},        {"objective", Unit::kNumber}, {"windows", Unit::kNumber},
    {"keep_firing_for", Unit::kDuration}};

std::vector<std::string> Split(std::string_view text, char at) {
  std::vector<std::string> parts;
  while (true) {
    const size_t end = text.find(at);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// "0" is a length, too.
Result<Duration> LengthOf(const std::string& text) {
  if (text == "0") return Duration(0);
  return promql::ParseDuration(text);
}

// from:to:step, the end included, in exact decimals.
Result<std::vector<std::string>> RangeOf(const std::vector<std::string>& parts, Unit unit) {
  std::vector<std::string> values;
  const auto too_many = [] {
    return ResourceExhausted("has more than " + std::to_string(kMaxSettings) + " values");
  };
  if (unit == Unit::kDuration) {
    BASALT_TRY_ASSIGN(const Duration from, LengthOf(parts[0]));
    BASALT_TRY_ASSIGN(const Duration to, LengthOf(parts[1]));
    BASALT_TRY_ASSIGN(const Duration step, LengthOf(parts[2]));
    if (step <= Duration(0) || to < from) return InvalidArgument("needs FROM:TO:STEP upwards");
    for (Duration at = from; at <= to; at += step) {
      if (values.size() == kMaxSettings) return too_many();
      values.push_back(at == Duration(0) ? "0s" : FormatDuration(at));  // not "0d"
    }
    return values;
  }
  BASALT_TRY_ASSIGN(Fraction at, ParseDecimal(parts[0]));
  BASALT_TRY_ASSIGN(const Fraction to, ParseDecimal(parts[1]));
  BASALT_TRY_ASSIGN(const Fraction step, ParseDecimal(parts[2]));
  if (step.num <= 0 || Less(to, at)) return InvalidArgument("needs FROM:TO:STEP upwards");
  while (!Less(to, at)) {
    if (values.size() == kMaxSettings) return too_many();
    values.push_back(ToString(at));
    const int64_t den = at.den * step.den;
    BASALT_TRY_ASSIGN(at, Multiply({at.num * step.den + step.num * at.den, 1}, {1, den}));
  }
  return values;
}

}  // namespace

Result<Sweep> ParseSweep(const std::string& text) {
  const size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  const auto* const parameter =
      std::find_if(std::begin(kParameters), std::end(kParameters),
                   [&](const Parameter& one) { return one.name == name; });
  if (equals == std::string::npos || parameter == std::end(kParameters)) {
    return InvalidArgument("\"" + text +
                           "\" is not factor=, for=, min_bad=, min_total=, objective=, windows= or "
                           "keep_firing_for=");
  }
  Sweep sweep{name, {}};
  const std::string range = text.substr(equals + 1);
  const std::vector<std::string> parts = Split(range, ':');
  if (parts.size() == 3) {
    Result<std::vector<std::string>> values = RangeOf(parts, parameter->unit);
    if (!values.ok()) return values.status().WithContext("\"" + text + "\"");
    sweep.values = std::move(values).value();
    return sweep;
  }
  if (parts.size() != 1) return InvalidArgument("\"" + text + "\" needs FROM:TO:STEP or A|B|C");
  sweep.values = Split(range, '|');
  for (const std::string& value : sweep.values) {
    const Status status = parameter->unit == Unit::kDuration ? LengthOf(value).status()
                                                             : ParseDecimal(value).status();
    if (!status.ok()) return status.WithContext("\"" + text + "\"");
  }
  return sweep;
}

std::string ToString(const Setting& setting) {
  std::string text;
  for (const auto& [parameter, value] : setting) {
    text += (text.empty() ? "" : " ") + parameter + "=" + value;
  }
  return text;
}

Result<std::vector<Setting>> SettingsOf(const std::vector<Sweep>& sweeps) {
  std::vector<Setting> settings{{}};
  for (const Sweep& sweep : sweeps) {
    std::vector<Setting> next;
    for (const Setting& setting : settings) {
      for (const std::string& value : sweep.values) {
        next.push_back(setting);
        next.back().emplace_back(sweep.parameter, value);
      }
    }
    if (next.size() > kMaxSettings) {
      return ResourceExhausted("sweeps make more than " + std::to_string(kMaxSettings) +
                               " settings together");
    }
    settings = std::move(next);
  }
  return settings;
}

namespace {

Status Apply(Definition& slo, std::vector<Tier>& tiers, const std::string& parameter,
             const std::string& value) {
  if (parameter == "for" || parameter == "keep_firing_for") {
    BASALT_TRY_ASSIGN(const Duration length, LengthOf(value));
    if (parameter == "keep_firing_for") slo.keep_firing_for = length;
    for (Tier& tier : tiers) {
      if (parameter == "for" && tier.severity == Severity::kPage) tier.hold_for = length;
    }
    return OkStatus();
  }
  BASALT_TRY_ASSIGN(const Fraction number, ParseDecimal(value));
  if (number.num < 0) return InvalidArgument(parameter + "=" + value + " is below 0");
  if (parameter == "min_bad" || parameter == "min_total") {
    if (number.den != 1) return InvalidArgument(parameter + "=" + value + " is no whole number");
    (parameter == "min_bad" ? slo.guard.min_bad : slo.guard.min_total) = number.num;
    return OkStatus();
  }
  if (number.num == 0) return InvalidArgument(parameter + "=" + value + " is not above 0");
  if (parameter == "objective") {
    BASALT_TRY_ASSIGN(slo.objective, Multiply(number, Fraction{1, 100}));
    if (Less(Fraction{1, 1}, slo.objective)) {
      return InvalidArgument("objective=" + value + " is above 100 %");
    }
  } else if (parameter == "windows") {
    for (Tier& tier : tiers) {
      for (Duration* window : {&tier.short_window, &tier.long_window}) {
        *window = Duration(window->count() * number.num / number.den / 1000 * 1000);
        if (*window < Duration(1000)) {
          return InvalidArgument("windows=" + value + " makes a window shorter than 1s");
        }
      }
    }
  } else {  // factor
    const auto fastest = std::find_if(tiers.begin(), tiers.end(), [](const Tier& tier) {
      return tier.severity == Severity::kPage;
    });
    if (fastest == tiers.end()) return InvalidArgument("factor= needs an SLO that pages");
    fastest->factor = number;
  }
  return OkStatus();
}

}  // namespace

Result<Definition> WithSetting(Definition slo, const Setting& setting) {
  std::vector<Tier> tiers(slo.conditions.begin(), slo.conditions.end());
  for (const auto& [parameter, value] : setting) {
    const Status status = Apply(slo, tiers, parameter, value);
    if (!status.ok()) return status.WithContext("slo " + slo.id);
  }
  BASALT_TRY_ASSIGN(slo.conditions, ConditionsOf(tiers, slo.objective));
  LayOut(slo);
  slo.setting = ToString(setting);
  return slo;
}

Result<std::vector<Definition>> VariantsOf(const std::vector<Definition>& definitions,
                                           const std::vector<std::string>& sweeps) {
  std::vector<Sweep> parsed;
  for (const std::string& text : sweeps) {
    Result<Sweep> sweep = ParseSweep(text);
    if (!sweep.ok()) return sweep.status().WithContext("sweep");
    const bool twice = std::any_of(parsed.begin(), parsed.end(), [&](const Sweep& other) {
      return other.parameter == sweep->parameter;
    });
    if (twice) {
      return InvalidArgument("sweep: " + sweep->parameter +
                             "= is given twice; write its values as one list, A|B|C");
    }
    parsed.push_back(std::move(sweep).value());
  }
  BASALT_TRY_ASSIGN(const std::vector<Setting> settings, SettingsOf(parsed));
  if (definitions.size() * settings.size() > kMaxVariants) {
    return ResourceExhausted("sweep: " + std::to_string(settings.size()) + " settings of " +
                             std::to_string(definitions.size()) + " SLOs are more than " +
                             std::to_string(kMaxVariants) +
                             " together; sweep fewer settings, or name fewer files");
  }
  std::vector<Definition> variants;
  variants.reserve(definitions.size() * settings.size());
  for (const Definition& definition : definitions) {
    for (const Setting& setting : settings) {
      BASALT_TRY_ASSIGN(Definition variant, WithSetting(definition, setting));
      variants.push_back(std::move(variant));
    }
  }
  return variants;
}

std::vector<std::string> Differences(const Definition& before, const Definition& after) {
  std::vector<std::string> out;
  const auto differ = [&](const char* what, const std::string& a, const std::string& b) {
    if (a != b) out.push_back(std::string(what) + ": " + a + " -> " + b);
  };
  const auto tiers = [](const Definition& slo) {
    std::string text;
    for (const BurnCondition& c : slo.conditions) {
      if (!slo.alert(c.severity).enabled) continue;
      text += (text.empty() ? "" : ", ") + std::string(SeverityName(c.severity)) + " above " +
              slo::ToString(c.factor) + " over " + FormatDuration(c.short_window) + " and " +
              FormatDuration(c.long_window) +
              (c.hold_for.count() > 0 ? " for " + FormatDuration(c.hold_for) : "");
    }
    return text.empty() ? std::string("none") : text;
  };
  const auto joined = [](const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : ",") + name;
    return text.empty() ? std::string("nothing") : text;
  };
  const auto guard = [](const TrafficGuard& g) {
    return "min_bad " + std::to_string(g.min_bad) + ", min_total " + std::to_string(g.min_total) +
           ", confidence " + FormatNumber(g.confidence);
  };
  const auto calendar = [](const Definition& slo) {
    return slo.calendar == nullptr ? std::string("rolling") : slo.calendar->text();
  };
  differ("objective", ObjectivePercent(before), ObjectivePercent(after));
  differ("period", FormatDuration(before.period), FormatDuration(after.period));
  differ("calendar", calendar(before), calendar(after));
  differ("error query", before.error_query, after.error_query);
  differ("total query", before.total_query, after.total_query);
  differ("groups by", joined(before.sli.group_by), joined(after.sli.group_by));
  differ("max_groups", std::to_string(before.max_groups), std::to_string(after.max_groups));
  differ("the total alerts", before.total_alerts ? "yes" : "no", after.total_alerts ? "yes" : "no");
  differ("evaluated", before.polled ? "polled" : "streamed", after.polled ? "polled" : "streamed");
  differ("alerts", tiers(before), tiers(after));
  differ("keep_firing_for", FormatDuration(before.keep_firing_for),
         FormatDuration(after.keep_firing_for));
  differ("against_period", before.against_period ? "yes" : "no",
         after.against_period ? "yes" : "no");
  differ("guard", guard(before.guard), guard(after.guard));
  differ("alert name", before.alert_name, after.alert_name);
  differ("owner", before.owner, after.owner);
  return out;
}

std::vector<AlertDifference> Differences(const SimulationReport& before,
                                         const SimulationReport& after) {
  std::vector<AlertDifference> out;
  const auto only_in = [&](const SimulationReport& one, const SimulationReport& other, bool comes) {
    for (const SimulatedAlert& alert : one.alerts) {
      const bool there =
          std::any_of(other.alerts.begin(), other.alerts.end(), [&](const SimulatedAlert& a) {
            return a.slo == alert.slo && a.severity == alert.severity && a.group == alert.group &&
                   a.held_back == alert.held_back &&
                   a.starts_ms < alert.ends_ms.value_or(INT64_MAX) &&
                   alert.starts_ms < a.ends_ms.value_or(INT64_MAX);
          });
      if (!there) out.push_back({alert, comes});
    }
  };
  only_in(before, after, false);
  only_in(after, before, true);
  std::stable_sort(out.begin(), out.end(), [](const AlertDifference& a, const AlertDifference& b) {
    return a.alert.starts_ms < b.alert.starts_ms;
  });
  return out;
}

}  // namespace basalt::slo
