// engine/slo/calendar.h -- budget periods that begin when a calendar says so: each first of the
// month in New York, each quarter, each Monday at noon.
//
// Boundaries are local times of an IANA zone, so a day of a change to or from daylight saving time
// has 23 or 25 hours. A local time that the change skips begins with the change; one that it
// repeats begins with the first of both.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "engine/base/time.h"

namespace basalt::slo {

struct PeriodBounds {
  int64_t begin_ms = 0;  // events in (begin_ms, end_ms] count
  int64_t end_ms = 0;
  friend bool operator==(const PeriodBounds&, const PeriodBounds&) = default;
};

// Immutable; thread-safe.
class Calendar {
 public:
  // `length`: a count and m, h, d, w, M (months), Q or Y, as OpenSLO writes it. `start`: a local
  // time "2026-01-31 00:00:00" at which some period begins; periods go on in both directions. A
  // month without the start's day begins a period with its last day. kInvalidArgument names what
  // is wrong; a zone is looked up in the machine's zoneinfo.
  static Result<std::shared_ptr<const Calendar>> Make(std::string_view length,
                                                      std::string_view start,
                                                      std::string_view zone);
  ~Calendar();

  // The period with begin_ms < time_ms <= end_ms.
  [[nodiscard]] PeriodBounds PeriodAt(int64_t time_ms) const;
  // No period is longer.
  [[nodiscard]] Duration longest() const;
  // What people call it: no hour more in autumn; a month has 30 d, a year 365.
  [[nodiscard]] Duration usual() const;
  // "1M from 2026-01-01 00:00:00 America/New_York".
  [[nodiscard]] const std::string& text() const;

 private:
  struct Rule;
  explicit Calendar(std::unique_ptr<const Rule> rule);
  std::unique_ptr<const Rule> rule_;
};

}  // namespace basalt::slo
