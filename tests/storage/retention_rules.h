// tests/storage/retention_rules.h -- the retention that several tests keep samples by.
#pragma once

#include <chrono>
#include <optional>

#include "storage/store.h"

namespace basalt::testing {

inline constexpr Duration kOneDay = std::chrono::hours(24);

// Ten days of everything; of metric_0 and metric_1 of job "node" two days raw, four of five minutes
// and thirty of hours; one day of job "alone".
inline storage::RetentionPolicy TwoRules() {
  using storage::MatchType;
  storage::RetentionPolicy policy;
  policy.keep = 10 * kOneDay;
  policy.rules.push_back({.tenant = std::nullopt,
                          .matchers = {{MatchType::kRegex, "__name__", "metric_[01]"},
                                       {MatchType::kEqual, "job", "node"}},
                          .raw = 2 * kOneDay,
                          .five_minutes = 4 * kOneDay,
                          .hours = 30 * kOneDay});
  policy.rules.push_back({.tenant = kDefaultTenant,
                          .matchers = {{MatchType::kEqual, "job", "alone"}},
                          .raw = kOneDay});
  return policy;
}

}  // namespace basalt::testing
