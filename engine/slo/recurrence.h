// engine/slo/recurrence.h -- times that repeat, by a subset of RFC 5545's RRULE, in a zone's local
// time: a window every Sunday at 02:00 stays there when the clocks change.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/status.h"

namespace basalt::slo {

// (from_ms, to_ms].
using TimeSpan = std::pair<int64_t, int64_t>;

// Occurrences that one rule is followed for, at most.
inline constexpr int64_t kMaxOccurrences = 100'000;

// Immutable; thread-safe.
class Recurrence {
 public:
  // Understood: FREQ=DAILY, WEEKLY or MONTHLY; INTERVAL; BYDAY (MO, or with MONTHLY 1SU, -1FR);
  // BYMONTHDAY (MONTHLY); COUNT; UNTIL (as 20261231T235959Z or 20261231). The first occurrence is
  // `first`; it counts as one even if the rule does not name it. Each lasts as long as the first.
  // kInvalidArgument names the part that is wrong.
  static Result<std::shared_ptr<const Recurrence>> Parse(std::string_view rule, TimeSpan first,
                                                         std::string_view zone);
  ~Recurrence();

  // The occurrences that overlap `span`, in order.
  [[nodiscard]] std::vector<TimeSpan> Within(TimeSpan span) const;

 private:
  struct Rule;
  explicit Recurrence(std::unique_ptr<const Rule> rule);
  std::unique_ptr<const Rule> rule_;
};

}  // namespace basalt::slo
