// engine/slo/view.h -- what the API shows of SLOs: plain copies, no JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/labels.h"
#include "engine/base/time.h"
#include "engine/slo/definition.h"

namespace basalt::slo {

// Events in (as_of - length, as_of]. Fractions of an event come from gaps spread over their time.
struct WindowView {
  Duration length{0};
  double bad = 0;
  double total = 0;
  std::optional<double> ratio;      // bad / total; none without events
  std::optional<double> burn_rate;  // ratio / (1 - objective); infinite for an objective of 100 %
  bool exact = true;  // false: stored samples could not be read, the edge is estimated
};

enum class SeverityState : uint8_t { kDisabled, kInactive, kFiring, kFrozen };
std::string_view SeverityStateName(SeverityState state);  // "disabled", "inactive", ...

struct SeverityView {
  Severity severity = Severity::kPage;
  SeverityState state = SeverityState::kInactive;  // frozen: firing, and no traffic to judge by
  std::optional<Timestamp> starts_at;              // while firing
  std::optional<Timestamp> cleared_at;             // firing on by keep_firing_for since then
  std::optional<Timestamp> ended_at;               // of the last episode, since start-up
  std::optional<Timestamp> delivered_at;           // a receiver has accepted it
  bool held_back = false;                          // not sent while the SLO's total fires
  Labels labels;                                   // of the alert; empty if disabled
  Labels annotations;                              // while firing
  std::string reason;                              // while firing: the inequality, with numbers
  double value = 0;                                // while firing: the long window's burn rate
};

// The budget over the period that ends at as_of: what the objective allows of the events that were.
struct BudgetView {
  // The period is (begins_at, ends_at]: a calendar's, or the length that ends at as_of.
  Timestamp begins_at{};
  Timestamp ends_at{};
  bool exact = true;  // false: the slot that its beginning cuts is estimated
  double total = 0;   // allowed bad events
  double consumed = 0;
  double remaining = 0;                   // negative when overspent
  std::optional<double> remaining_ratio;  // of total; none without events
};

// One step of a budget's way. A step's events lie in (begins_at, ends_at].
struct BudgetStep {
  Timestamp begins_at{};
  Timestamp ends_at{};
  double bad = 0;
  double total = 0;
  double consumed = 0;  // bad events since the history's begin, up to ends_at
};
// Steps that follow each other and burned faster than the objective allows.
struct EpisodeView {
  Timestamp begins_at{};
  Timestamp ends_at{};
  double bad = 0;
  double total = 0;
  double budget_share = 0;  // of the whole budget of this history
  double peak_burn_rate = 0;
};
struct BudgetHistoryView {
  Labels labels;          // of the group
  bool is_total = false;  // the sum over all groups
  BudgetView budget;
  // Finer the younger: minutes of the last two hours, hours of days ago, as the SLO's slots are.
  std::vector<BudgetStep> steps;
  std::vector<EpisodeView> episodes;
  double coverage = 0;  // share of the time that has events
};

struct GroupView {
  Labels labels;                    // the group_by labels; empty without
  std::optional<Timestamp> as_of;   // the last settled round; none: no data yet
  std::vector<WindowView> windows;  // by rising length, the period last
  BudgetView budget;
  std::vector<SeverityView> severities;
  bool healthy = true;
  std::string problem;  // why not
};

// A tier, as it decides.
struct ConditionView {
  Severity severity = Severity::kPage;
  Duration short_window{0};
  Duration long_window{0};
  std::string factor;     // "14.4"
  std::string threshold;  // the error ratio: factor * (1 - objective)
  Duration hold_for{0};
};

struct SloView {
  TenantId tenant = kDefaultTenant;
  std::string id;
  std::string service;
  std::string name;
  std::string description;
  std::string owner;
  double objective = 0;        // share, such as 0.999
  std::string objective_text;  // the exact percentage, "99.9"
  Duration period{0};
  std::string calendar;  // "1M from 2026-01-01 00:00:00 Europe/Berlin"; empty: the period rolls
  // Streamed SLIs are decided with each sample; polled ones by query, because `polled_why`.
  bool polled = false;
  std::string polled_why;
  Duration poll_interval{0};
  std::string poll_problem;              // the last query failed; empty: it did not
  std::vector<std::string> limitations;  // of a polled SLI: what is not there, and why
  // Why it is not evaluated, or not over all of its series; empty: it is.
  std::string problem;
  Labels labels;
  std::vector<ConditionView> conditions;
  std::vector<std::string> group_by;
  std::string error_query;
  std::string total_query;
  // For what is recorded (recorded_series.h).
  Origin origin = Origin::kBasalt;
  double budget_share = 0;  // 1 - objective
  Labels info_labels;
  std::string record_metric;
  Labels record_labels;
  Labels record_matchers;
  std::string file;
  int line = 0;
  std::vector<GroupView> groups;
  uint64_t groups_omitted = 0;  // beyond the caller's limit
  // The sum over all groups of an SLO with group_by; none before its first series, and of polled
  // SLIs whose answers do not add up (`limitations`).
  std::optional<GroupView> total;
  bool total_alerts = false;  // it has alerts too
  uint64_t max_groups = 0;
  uint64_t other_series = 0;  // that count in the group __other__ for want of room
};

// For event counters (event_counters.h).
struct CountedGroup {
  std::vector<std::string> values;  // of group_by
  Labels labels;                    // of what is recorded of it, without __name__
  int64_t head_ms = 0;              // its last settled round
  int64_t step_ms = 0;              // of its counters
  int64_t period_ms = 0;
  int64_t changed_ms = INT64_MAX;  // counts after this time have changed since they were last taken
};
struct CountedSlo {
  std::string id;
  std::vector<CountedGroup> groups;  // in order of their values
};
struct CountedEvents {
  int64_t time_ms = 0;
  double bad = 0;  // since some earlier time
  double total = 0;
};
struct CountRequest {
  std::vector<std::string> values;
  // Times that may be counted from, rising: best the latest at or before `latest_ms`. None: from
  // the group's first event.
  std::vector<int64_t> anchors_ms;
  int64_t latest_ms = INT64_MAX;
  bool born = false;  // at the first of them: all there is may be counted
};
struct CountedSince {
  size_t anchor = 0;      // counted from there...
  int64_t begins_ms = 0;  // ...or, of what is born, from this earlier time
  bool exact = true;      // false: no anchor was on the end of a slot
  std::vector<CountedEvents> steps;
};

// Slots that were recomputed from stored samples, since start.
struct AuditView {
  uint64_t slots = 0;
  uint64_t skipped = 0;  // polled, young, or waiting for late samples
  uint64_t mismatches = 0;
  std::string last_mismatch;
};

// One alerting rule a severity: how an SLO looks in /api/v1/rules.
struct SloAlertInstance {
  Labels labels;
  Labels annotations;
  Timestamp active_at{};
  std::optional<Timestamp> keep_firing_since;
  double value = 0;
};
struct SloAlertRule {
  TenantId tenant = kDefaultTenant;
  std::string group;  // "sloth-slo-alerts-<id>", as sloth names it
  std::string file;
  std::string name;
  std::string query;  // the condition, readable; it is not run
  Labels labels;
  Labels annotations;
  Duration keep_firing_for{0};
  std::vector<SloAlertInstance> firing;
  bool healthy = true;
  std::string last_error;
  Timestamp last_evaluation{};
  std::chrono::nanoseconds evaluation_time{0};
};

}  // namespace basalt::slo
