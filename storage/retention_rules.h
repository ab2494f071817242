// storage/retention_rules.h -- which retention rule decides for a series, and what it keeps of a
// day. Private to storage/*.cc.
//
// A rule decides by whole UTC days, and a series fits the same rule for as long as it lives. So
// what a run should hold is a function of (policy, day, today): its *shape*, a number that changes
// only when something of that day is due to go. A run remembers the shape that it was written in.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "storage/index/matcher.h"
#include "storage/reader.h"
#include "storage/store.h"

namespace basalt::storage {

// Immutable; thread-safe.
class RetentionRules {
 public:
  // kInvalidArgument: CheckRetention's.
  static Result<RetentionRules> Compile(const RetentionPolicy& policy);

  // Rules are numbered in their order; the number after the last is "no rule fits".
  [[nodiscard]] size_t count() const { return rules_.size(); }
  [[nodiscard]] uint8_t RuleOf(TenantId tenant, const Labels& labels) const;

  // Whether a series of this rule has something of this resolution of the day at `now_ms`.
  [[nodiscard]] bool Keeps(uint8_t rule, Resolution resolution, uint16_t day, int64_t now_ms) const;
  // Whether any rule keeps any, or all rules keep all (raw) or none (rollups): nothing to filter.
  [[nodiscard]] bool KeepsAny(Resolution resolution, uint16_t day, int64_t now_ms) const;
  [[nodiscard]] bool KeepsEvery(Resolution resolution, uint16_t day, int64_t now_ms) const;
  // Two policies and days with equal shapes keep the same series. 0: all (kRaw) or none (rollups).
  [[nodiscard]] uint64_t Shape(Resolution resolution, uint16_t day, int64_t now_ms) const;
  // Samples at or after this are kept whatever the rule; INT64_MIN if nothing is ever dropped.
  [[nodiscard]] int64_t AllKeptFromMs(int64_t now_ms) const;

  [[nodiscard]] const RetentionPolicy& policy() const { return policy_; }

 private:
  // 0 in a rule's `raw` and in `keep`: for ever. 0 in a rollup: none.
  struct Rule {
    std::optional<TenantId> tenant;
    std::vector<CompiledMatcher> matchers;
    std::array<Duration, kResolutionCount> keep{};
    uint64_t fingerprint = 0;  // of tenant and matchers
  };

  RetentionPolicy policy_;
  std::vector<Rule> rules_;  // the last one fits every series
};

}  // namespace basalt::storage
