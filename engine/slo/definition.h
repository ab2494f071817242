// engine/slo/definition.h -- a service level objective, checked and ready to run, whatever file
// format it came from.
//
// All numbers that decide anything are exact (fraction.h). The SLI is *linear*: two weighted sums
// of counters, bad and total, so that every window of it is a difference of sums and never a query.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/labels.h"
#include "engine/base/time.h"
#include "engine/slo/calendar.h"
#include "engine/slo/fraction.h"
#include "engine/slo/low_traffic.h"
#include "engine/slo/measure.h"
#include "engine/slo/polled_sli.h"
#include "engine/slo/slots.h"
#include "storage/reader.h"

namespace basalt::slo {

// One `coefficient * sum(increase(selector))`, or of another measure.
struct LinearTerm {
  storage::MatcherSet matchers;  // __name__ included; `le` equality is compared as a number
  int64_t coefficient = 1;       // not 0
  Measure measure;
};

// bad = sum of bad terms, total = sum of total terms, both multiplied by `scale`, which makes every
// coefficient an integer. Terms of one side may match the same series; their coefficients add up.
struct LinearSli {
  std::vector<LinearTerm> bad;
  std::vector<LinearTerm> total;
  int64_t scale = 1;                  // events = sum / scale
  std::vector<std::string> group_by;  // sorted, unique; each combination of values is a group
};

// Groups that one SLO may have: a label with unbounded values must not take the process down.
inline constexpr size_t kMaxGroupsPerSlo = 100'000;
// What basalt/v1 has without `max_groups`; formats that know of no bound have kMaxGroupsPerSlo.
inline constexpr size_t kDefaultMaxGroups = 1000;
inline constexpr std::string_view kOtherGroup = "__other__";

enum class Severity : uint8_t { kPage, kTicket };
inline constexpr size_t kSeverityCount = 2;
std::string_view SeverityName(Severity severity);  // "page", "ticket"

// "The budget burns more than `factor` times too fast over both windows, for `hold_for`."
struct Tier {
  Severity severity = Severity::kPage;
  Duration short_window{0};
  Duration long_window{0};
  Fraction factor;
  Duration hold_for{0};  // 0: at once
};

// A tier for one objective.
struct BurnCondition : Tier {
  // factor * (1 - objective): the condition is bad/total > threshold in both windows.
  Fraction threshold;
  // Among Definition::layout's windows; LayOut() sets them.
  size_t short_index = 0;
  size_t long_index = 0;
};

// Whose names its series and alerts have.
enum class Origin : uint8_t { kBasalt, kSloth, kPyrra, kOpenSlo };

struct AlertSpec {
  bool enabled = true;
  Labels labels;       // the user's
  Labels annotations;  // templates of the user's; {{ $labels.x }} is expanded
};

// Fires for a group whose samples have stopped to arrive, or for an SLO that never had any.
struct AbsentAlert {
  std::string name = "SLOMetricAbsent";
  Labels labels;
  Duration after{0};  // without a sample; Finish() sets it
};
// Senders flush and scrape at their leisure: nothing is absent sooner.
inline constexpr Duration kMinAbsence = std::chrono::minutes(3);
// The time in which an outage would have paged (pyrra's formula): h * W of the first page, and its
// `for`, plus two minutes.
Duration AbsenceOf(const std::vector<BurnCondition>& conditions);

struct Definition {
  Origin origin = Origin::kSloth;
  TenantId tenant = kDefaultTenant;
  std::string id;  // "<service>-<name>": unique over all definitions
  std::string service;
  std::string name;
  std::string description;
  std::string owner;   // exactly one team; empty only if the file names none (a warning)
  Fraction objective;  // share of good events, in (0, 1]
  Duration period{0};  // of the budget; of a calendar's, the longest
  // The budget begins anew when it says so. Null: it rolls.
  std::shared_ptr<const Calendar> calendar;
  Labels labels;       // the user's, of the service and of the SLO
  Labels info_labels;  // on sloth_slo_info only
  LinearSli sli;       // without terms if `polled`; scale and group_by hold for both
  std::optional<PolledSli> polled;
  // Burn is measured against what the period's traffic brings within a window on average, not
  // against the window's own: quiet hours page less, busy ones more.
  bool against_period = false;
  // An alert goes on for this long after its condition has stopped to hold, as in Prometheus.
  Duration keep_firing_for{0};
  TrafficGuard guard;
  // How pyrra names what it records: its metric, and labels of the rule and of the selector.
  std::string record_metric;
  Labels record_matchers;
  std::string error_query;  // as written
  std::string total_query;

  // Groups of their own, at most. Series of further ones count together in the group whose labels
  // all are kOtherGroup, and in the total.
  size_t max_groups = kMaxGroupsPerSlo;
  // The sum of all groups has alerts too, without group labels; while one fires, its groups' alerts
  // of that severity are held back.
  bool total_alerts = false;

  std::string alert_name;
  std::array<AlertSpec, kSeverityCount> alerts;  // by Severity
  std::vector<BurnCondition> conditions;         // of a severity: any one fires
  std::optional<AbsentAlert> absent;

  // The windows of all conditions and of the period; LayOut() sets both.
  std::shared_ptr<const Layout> layout;
  size_t period_index = 0;

  std::string file;  // where it stands
  int line = 0;
  // "factor=12 for=2m": what a sweep of settings (trial.h) has changed of it; empty elsewhere.
  std::string setting;

  [[nodiscard]] const AlertSpec& alert(Severity severity) const {
    return alerts[static_cast<size_t>(severity)];
  }
};

// Periods that budgets may have.
inline constexpr Duration kMinPeriod = std::chrono::minutes(1);
inline constexpr Duration kMaxPeriod = std::chrono::hours(24 * 400);

// The workbook's four tiers: 2 % of the budget in 1 h and 5 % in 6 h page, 10 % in 1 d and in 3 d
// make a ticket; the short window is a twelfth of the long one. Over 28 and 30 days the windows are
// those (as in sloth), over any other period they scale with it and the factors stay 14.4, 6, 3
// and 1: windows of an hour would cover more than the budget of a day, and little of a year's.
std::vector<Tier> WorkbookTiers(Duration period);
// The period that tiers are scaled to: a calendar's usual one (Calendar::usual).
Duration TierPeriod(const Definition& definition);
// kOutOfRange if a threshold does not fit.
Result<std::vector<BurnCondition>> ConditionsOf(const std::vector<Tier>& tiers,
                                                const Fraction& objective);
// The factor at which `budget_percent` of a period's budget burns within `window`.
Result<Fraction> FactorOf(const Fraction& budget_percent, Duration period, Duration window);

// Of pyrra's recorded rates.
inline constexpr Duration kPyrraRateWindow = std::chrono::minutes(5);

// Sets `layout` and the indexes into it, from the period and the conditions. The last step of every
// loader.
void LayOut(Definition& definition);

inline constexpr Duration kDefaultPeriod = std::chrono::hours(24 * 30);

}  // namespace basalt::slo
