// engine/actionability/report.h -- a month of alerts by team: were they worth waking up for?
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/actionability/alert_record.h"
#include "engine/base/status.h"
#include "engine/base/time.h"

namespace basalt::actionability {

struct TeamReport {
  std::string team;
  size_t pages = 0;
  size_t tickets = 0;
  double pages_per_week = 0;
  size_t with_feedback = 0;  // of pages and tickets
  size_t actionable = 0;
  std::optional<double> actionable_share;  // of those with feedback; none without
  size_t acknowledged_pages = 0;
  // From delivery to acknowledgement, of acknowledged pages.
  std::optional<double> acknowledge_p50_seconds;
  std::optional<double> acknowledge_mean_seconds;
  size_t flaps = 0;
  size_t undelivered = 0;
  double minutes = 0;                   // spent, as people say
  std::map<std::string, size_t> worst;  // pages by SLO
};

struct Report {
  Timestamp from{};
  Timestamp to{};
  std::vector<TeamReport> teams;  // by name
};

// [from, to) of "2026-11" in UTC. kInvalidArgument.
struct TimeRange {
  Timestamp from{};
  Timestamp to{};
};
Result<TimeRange> ParseMonth(std::string_view month);

// Over instances that began in [from, to). Weeks are counted up to `now`, if the range has not
// ended.
Report MakeReport(std::span<const AlertRecord> records, Timestamp from, Timestamp to,
                  Timestamp now);
std::string ReportMarkdown(const Report& report);

}  // namespace basalt::actionability
