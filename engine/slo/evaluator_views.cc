// The evaluator's copies for the API.
#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/slo/evaluator.h"
#include "engine/slo/message.h"

namespace basalt::slo {
namespace {

bool IsFiring(const SloGroup& group) {
  return std::any_of(group.alerts.begin(), group.alerts.end(),
                     [](const AlertState& alert) { return alert.firing; });
}

// A readable form of what is decided, in sloth's recorded names; nothing runs it.
std::string ConditionText(const Definition& definition, Severity severity) {
  std::string text;
  for (const BurnCondition& condition : definition.conditions) {
    if (condition.severity != severity) continue;
    const std::string selector =
        "{sloth_id=\"" + definition.id + "\"} > " + ToString(condition.threshold);
    const std::string short_name =
        "slo:sli_error:ratio_rate" + FormatDuration(condition.short_window);
    const std::string long_name =
        "slo:sli_error:ratio_rate" + FormatDuration(condition.long_window);
    text += (text.empty() ? "(" : " or (") + short_name + selector +
            " and ignoring(sloth_window) " + long_name + selector + ")";
  }
  return text;
}

}  // namespace

std::string_view SeverityStateName(SeverityState state) {
  switch (state) {
    case SeverityState::kDisabled:
      return "disabled";
    case SeverityState::kInactive:
      return "inactive";
    case SeverityState::kFiring:
      return "firing";
    case SeverityState::kFrozen:
      return "frozen";
  }
  return "unknown";
}

std::vector<SloView> Evaluator::Slos(TenantId tenant, size_t max_groups) {
  const MutexLock lock(mu_);
  std::vector<SloView> views;
  if (set_ == nullptr) return views;
  const std::chrono::nanoseconds until = options_.clock->Monotonic() + kViewBudget;
  for (SloIndex slo = 0; slo < set_->definitions().size(); ++slo) {
    if (set_->definitions()[slo].tenant == tenant) {
      views.push_back(ViewOf(slo, max_groups, until));
    }
  }
  set_->DropSnapshot();
  return views;
}

std::optional<SloView> Evaluator::Slo(TenantId tenant, std::string_view id, size_t max_groups) {
  const MutexLock lock(mu_);
  if (set_ == nullptr) return std::nullopt;
  for (SloIndex slo = 0; slo < set_->definitions().size(); ++slo) {
    const Definition& definition = set_->definitions()[slo];
    if (definition.tenant != tenant || definition.id != id) continue;
    SloView view = ViewOf(slo, max_groups, options_.clock->Monotonic() + kViewBudget);
    set_->DropSnapshot();
    return view;
  }
  return std::nullopt;
}

SloView Evaluator::ViewOf(SloIndex slo, size_t max_groups, std::chrono::nanoseconds until) {
  const Definition& definition = set_->definitions()[slo];
  SloView view;
  view.tenant = definition.tenant;
  view.id = definition.id;
  view.service = definition.service;
  view.name = definition.name;
  view.description = definition.description;
  view.owner = definition.owner;
  view.objective = definition.objective.ToDouble();
  view.objective_text = ObjectivePercent(definition);
  view.period = definition.period;
  if (definition.calendar != nullptr) view.calendar = definition.calendar->text();
  if (definition.polled.has_value()) {
    view.polled = true;
    view.polled_why = definition.polled->why;
    view.poll_interval = Duration(RoundIntervalMs(*definition.polled));
    view.poll_problem = poller_ == nullptr ? "nobody answers queries" : poller_->ProblemOf(slo);
    view.limitations = LimitationsOf(*definition.polled, !definition.sli.group_by.empty());
  }
  view.problem = set_->problem_of(slo);
  view.labels = definition.labels;
  view.group_by = definition.sli.group_by;
  for (const BurnCondition& condition : definition.conditions) {
    view.conditions.push_back({condition.severity, condition.short_window, condition.long_window,
                               ToString(condition.factor), ToString(condition.threshold),
                               condition.hold_for});
  }
  view.origin = definition.origin;
  view.budget_share = static_cast<double>(definition.objective.den - definition.objective.num) /
                      static_cast<double>(definition.objective.den);
  view.info_labels = definition.info_labels;
  view.record_metric = definition.record_metric;
  view.record_labels = definition.labels;
  view.record_matchers = definition.record_matchers;
  view.error_query = definition.error_query;
  view.total_query = definition.total_query;
  view.file = definition.file;
  view.line = definition.line;

  const std::vector<GroupIndex> groups = GroupsShown(slo, max_groups, view.groups_omitted);
  if (const auto total = set_->total_of(slo)) view.total = ViewOfGroup(*total, until);
  view.total_alerts = definition.total_alerts;
  view.max_groups = definition.max_groups;
  view.other_series = set_->other_series_of(slo);
  for (const GroupIndex g : groups) view.groups.push_back(ViewOfGroup(g, until));
  return view;
}

std::vector<GroupIndex> Evaluator::GroupsShown(SloIndex slo, size_t max_groups, uint64_t& omitted) {
  std::vector<GroupIndex> groups;
  for (const auto& [values, g] : set_->groups_of(slo)) groups.push_back(g);
  std::stable_sort(groups.begin(), groups.end(),
                   [&](GroupIndex a, GroupIndex b) BASALT_REQUIRES(mu_) {
                     return IsFiring(set_->group(a)) && !IsFiring(set_->group(b));
                   });
  if (groups.size() > max_groups) {
    omitted = groups.size() - max_groups;
    groups.resize(max_groups);
  }
  return groups;
}

std::optional<std::vector<BudgetHistoryView>> Evaluator::BudgetHistory(
    TenantId tenant, std::string_view id, std::optional<Timestamp> from, size_t max_groups) {
  const MutexLock lock(mu_);
  if (set_ == nullptr) return std::nullopt;
  for (SloIndex slo = 0; slo < set_->definitions().size(); ++slo) {
    const Definition& definition = set_->definitions()[slo];
    if (definition.tenant != tenant || definition.id != id) continue;
    std::vector<BudgetHistoryView> out;
    uint64_t omitted = 0;
    if (const auto total = set_->total_of(slo)) {
      out.push_back(HistoryOf(*total, from));
      out.back().is_total = true;
    }
    for (const GroupIndex g : GroupsShown(slo, max_groups, omitted)) {
      out.push_back(HistoryOf(g, from));
    }
    set_->DropSnapshot();
    return out;
  }
  return std::nullopt;
}

BudgetHistoryView Evaluator::HistoryOf(GroupIndex g, std::optional<Timestamp> from) {
  const SloGroup& group = set_->group(g);
  const Definition& definition = set_->definitions()[group.slo];
  BudgetHistoryView out;
  out.labels = GroupLabels(definition, group.values);
  out.budget = BudgetOf(g, true);
  const double allowed = static_cast<double>(definition.objective.den - definition.objective.num) /
                         static_cast<double>(definition.objective.den);
  const int64_t begin_ms = ToMs(from.value_or(out.budget.begins_at));
  const int64_t end_ms = set_->slots().head_ms(g);
  int64_t covered_ms = 0;
  int64_t last_events_ms = INT64_MIN / 2;
  double consumed = 0;
  bool burning = false;
  for (const CurvePoint& point : set_->Curve(g, begin_ms, end_ms)) {
    BudgetStep step{FromMs(point.begin_ms), FromMs(point.end_ms),
                    Events(point.counts.bad, definition.sli.scale),
                    Events(point.counts.total, definition.sli.scale), 0};
    consumed += step.bad;
    step.consumed = consumed;
    out.steps.push_back(step);
    // Slots may be shorter than scrapes are apart: an empty one between two others is no gap.
    const bool is_gap = step.total <= 0 && point.end_ms - last_events_ms > kMinGapMs;
    if (!is_gap) covered_ms += point.end_ms - point.begin_ms;
    if (step.total <= 0) {
      burning = burning && !is_gap;
      continue;
    }
    last_events_ms = point.end_ms;
    const double burn = BurnRate(definition, point.counts);
    const bool was_burning = std::exchange(burning, step.bad > 0 && burn > 1);
    if (!burning) continue;
    if (!was_burning) out.episodes.push_back({step.begins_at, step.ends_at, 0, 0, 0, 0});
    EpisodeView& episode = out.episodes.back();
    episode.ends_at = step.ends_at;
    episode.bad += step.bad;
    episode.total += step.total;
    episode.peak_burn_rate = std::max(episode.peak_burn_rate, burn);
  }
  double total = 0;
  for (const BudgetStep& step : out.steps) total += step.total;
  for (EpisodeView& episode : out.episodes) {
    if (total > 0 && allowed > 0) episode.budget_share = episode.bad / (total * allowed);
  }
  if (end_ms > begin_ms) {
    out.coverage = static_cast<double>(covered_ms) / static_cast<double>(end_ms - begin_ms);
  }
  return out;
}

GroupView Evaluator::ViewOfGroup(GroupIndex g, std::chrono::nanoseconds until) {
  const SloGroup& group = set_->group(g);
  const Definition& definition = set_->definitions()[group.slo];
  GroupView view;
  view.labels = GroupLabels(definition, group.values);
  if (group.has_data) view.as_of = FromMs(set_->slots().head_ms(g));
  for (size_t w = 0; w < definition.layout->windows().size(); ++w) {
    const bool in_time = options_.clock->Monotonic() < until;
    const WindowReading reading = set_->Read(g, w, in_time);
    WindowView window;
    window.length = Duration(definition.layout->windows()[w].length_ms);
    window.bad = Events(reading.counts.bad, definition.sli.scale);
    window.total = Events(reading.counts.total, definition.sli.scale);
    window.exact = reading.exact;
    if (reading.counts.total > 0) {
      window.ratio = RatioOf(reading.counts);
      window.burn_rate = BurnRate(definition, AgainstPeriod(g, w, reading.counts));
    }
    view.windows.push_back(window);
  }
  view.budget = BudgetOf(g, options_.clock->Monotonic() < until);
  for (size_t s = 0; s < kSeverityCount; ++s) {
    view.severities.push_back(ViewOfSeverity(g, static_cast<Severity>(s)));
  }
  view.healthy = !group.inconsistent;
  if (group.inconsistent) {
    view.problem =
        "error_query counts more events than total_query: check that every error is part of the "
        "total";
  }
  return view;
}

BudgetView Evaluator::BudgetOf(GroupIndex g, bool exactly) {
  const Definition& definition = set_->definitions()[set_->group(g).slo];
  BudgetView budget;
  PeriodBounds bounds;
  const WindowReading reading = set_->ReadPeriod(g, bounds, exactly);
  budget.begins_at = FromMs(bounds.begin_ms);
  budget.ends_at = FromMs(bounds.end_ms);
  budget.exact = reading.exact;
  const Fraction& objective = definition.objective;
  budget.total = Events(reading.counts.total, definition.sli.scale) *
                 static_cast<double>(objective.den - objective.num) /
                 static_cast<double>(objective.den);
  budget.consumed = Events(reading.counts.bad, definition.sli.scale);
  budget.remaining = budget.total - budget.consumed;
  if (budget.total > 0) budget.remaining_ratio = budget.remaining / budget.total;
  return budget;
}

// For SLIs judged by the period's traffic: what it brings within the window on average.
Counts Evaluator::AgainstPeriod(GroupIndex g, size_t window, const Counts& counts) {
  const Definition& definition = set_->definitions()[set_->group(g).slo];
  if (!definition.against_period) return counts;
  const Counts of_period = set_->Read(g, definition.period_index, false).counts;
  const double share = static_cast<double>(definition.layout->windows()[window].length_ms) /
                       static_cast<double>(definition.period.count());
  return {counts.bad, static_cast<Amount>(static_cast<double>(of_period.total) * share)};
}

SeverityView Evaluator::ViewOfSeverity(GroupIndex g, Severity severity) {
  const SloGroup& group = set_->group(g);
  const Definition& definition = set_->definitions()[group.slo];
  SeverityView view;
  view.severity = severity;
  const bool only_shown = group.kind == SloGroup::Kind::kTotal && !definition.total_alerts;
  if (!definition.alert(severity).enabled || only_shown) {
    view.state = SeverityState::kDisabled;
    return view;
  }
  const AlertState& state = group.alerts[static_cast<size_t>(severity)];
  const Labels identity = AlertIdentity(definition, group.values, severity);
  view.labels = identity;
  for (const Label& label : OwnerLabels(definition)) view.labels.Set(label.name, label.value);
  view.delivered_at = sink_.DeliveredAt(notify::Fingerprint(identity));
  if (!state.firing) {
    if (state.ends_ms != 0) view.ended_at = FromMs(state.ends_ms);
    return view;
  }
  view.state = state.undefined_since_ms != 0 ? SeverityState::kFrozen : SeverityState::kFiring;
  view.held_back = IsHeldBack(g, severity);
  view.starts_at = FromMs(state.starts_ms);
  if (state.cleared_ms != 0) view.cleared_at = FromMs(state.cleared_ms);
  const AlertNumbers numbers = NumbersOf(g, severity);
  view.reason = WhyItFired(definition, numbers);
  view.value = BurnRate(definition, numbers.in_long);
  view.annotations = AlertOf(g, severity, state).annotations;
  return view;
}

std::vector<SloAlertRule> Evaluator::AlertRules(TenantId tenant) {
  const MutexLock lock(mu_);
  std::vector<SloAlertRule> rules;
  if (set_ == nullptr) return rules;
  for (SloIndex slo = 0; slo < set_->definitions().size(); ++slo) {
    const Definition& definition = set_->definitions()[slo];
    if (definition.tenant != tenant) continue;
    for (size_t s = 0; s < kSeverityCount; ++s) {
      const auto severity = static_cast<Severity>(s);
      if (!definition.alert(severity).enabled) continue;
      SloAlertRule rule;
      rule.tenant = tenant;
      rule.group = "sloth-slo-alerts-" + definition.id;
      rule.file = definition.file;
      rule.name = definition.alert_name;
      rule.query = ConditionText(definition, severity);
      rule.labels = definition.alert(severity).labels;
      rule.labels.Set("sloth_severity", SeverityName(severity));
      rule.annotations = definition.alert(severity).annotations;
      rule.keep_firing_for = definition.keep_firing_for;
      rule.last_evaluation = last_sweep_;
      rule.evaluation_time = std::chrono::nanoseconds(stats_.last_sweep_ns);
      rule.last_error = set_->problem_of(slo);
      rule.healthy = rule.last_error.empty();
      const auto add = [&](GroupIndex g) BASALT_REQUIRES(mu_) {
        const SloGroup& group = set_->group(g);
        if (group.inconsistent) {
          rule.healthy = false;
          rule.last_error = "error_query counts more events than total_query";
        }
        if (!group.alerts[s].firing) return;
        const SeverityView view = ViewOfSeverity(g, severity);
        rule.firing.push_back(
            {view.labels, view.annotations, *view.starts_at, view.cleared_at, view.value});
      };
      if (const auto total = set_->total_of(slo)) add(*total);
      for (const auto& [values, g] : set_->groups_of(slo)) add(g);
      rules.push_back(std::move(rule));
    }
    if (!definition.absent.has_value()) continue;
    SloAlertRule rule;
    rule.tenant = tenant;
    rule.group = "sloth-slo-alerts-" + definition.id;
    rule.file = definition.file;
    rule.name = definition.absent->name;
    rule.query = "absent(" + definition.total_query + ")";
    rule.labels = definition.absent->labels;
    rule.last_evaluation = last_sweep_;
    for (const auto& [fingerprint, alert] : absent_) {
      if (alert.identity.Get("sloth_id") != definition.id) continue;
      Labels labels = alert.identity;
      for (const Label& label : alert.labels) labels.Set(label.name, label.value);
      rule.firing.push_back({labels, alert.annotations, alert.starts_at, std::nullopt, 1});
    }
    rules.push_back(std::move(rule));
  }
  return rules;
}

}  // namespace basalt::slo
