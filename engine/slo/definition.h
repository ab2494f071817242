// engine/slo/definition.h -- a service level objective, checked and ready to run, whatever file
// format it came from.
//
// All numbers that decide anything are exact (fraction.h). The SLI is *linear*: two weighted sums
// of counters, bad and total, so that every window of it is a difference of sums and never a query.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/labels.h"
#include "engine/base/time.h"
#include "engine/slo/fraction.h"
#include "storage/reader.h"

namespace basalt::slo {

// One `coefficient * sum(increase(selector))`.
struct LinearTerm {
  storage::MatcherSet matchers;  // __name__ included; `le` equality is compared as a number
  int64_t coefficient = 1;       // not 0
};

// bad = sum of bad terms, total = sum of total terms, both multiplied by `scale`, which makes every
// coefficient an integer. Terms of one side may match the same series; their coefficients add up.
struct LinearSli {
  std::vector<LinearTerm> bad;
  std::vector<LinearTerm> total;
  int64_t scale = 1;                  // events = sum / scale
  std::vector<std::string> group_by;  // sorted, unique; each combination of values is a group
};

enum class Severity : uint8_t { kPage, kTicket };
inline constexpr size_t kSeverityCount = 2;
std::string_view SeverityName(Severity severity);  // "page", "ticket"

// "The budget burns more than `factor` times too fast over both windows."
struct BurnCondition {
  Severity severity = Severity::kPage;
  Duration short_window{0};
  Duration long_window{0};
  Fraction factor;
  // factor * (1 - objective): the condition is bad/total > threshold in both windows.
  Fraction threshold;
};

struct AlertSpec {
  bool enabled = true;
  Labels labels;       // the user's
  Labels annotations;  // templates of the user's; {{ $labels.x }} is expanded
};

struct Definition {
  TenantId tenant = kDefaultTenant;
  std::string id;  // "<service>-<name>": unique over all definitions
  std::string service;
  std::string name;
  std::string description;
  std::string owner;   // exactly one team; empty only if the file names none (a warning)
  Fraction objective;  // share of good events, in (0, 1]
  Duration period{0};  // of the budget
  Labels labels;       // the user's, of the service and of the SLO
  LinearSli sli;
  std::string error_query;  // as written
  std::string total_query;

  std::string alert_name;
  std::array<AlertSpec, kSeverityCount> alerts;  // by Severity
  std::vector<BurnCondition> conditions;         // of a severity: any one fires

  std::string file;  // where it stands
  int line = 0;

  [[nodiscard]] const AlertSpec& alert(Severity severity) const {
    return alerts[static_cast<size_t>(severity)];
  }
};

// The workbook's four conditions over a period of 30 days: 5m/1h at 14.4 and 30m/6h at 6 page,
// 2h/1d at 3 and 6h/3d at 1 make a ticket. kOutOfRange if a threshold does not fit.
Result<std::vector<BurnCondition>> WorkbookConditions(const Fraction& objective);

inline constexpr Duration kDefaultPeriod = std::chrono::hours(24 * 30);

}  // namespace basalt::slo
