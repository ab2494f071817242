#include "storage/retention_rules.h"

#include <algorithm>
#include <string>
#include <utility>

#include "engine/base/hash.h"
#include "engine/base/time.h"
#include "engine/base/varint.h"
#include "storage/codec/keys.h"

namespace basalt::storage {
namespace {

std::string Days(Duration d) {
  const int64_t ms = d.count();
  if (ms % kMsPerDay == 0) return std::to_string(ms / kMsPerDay) + "d";
  return std::to_string(ms / 1000) + "s";
}

uint64_t Fingerprint(const std::optional<TenantId>& tenant, const MatcherSet& matchers) {
  std::string bytes;
  AppendVarint(tenant.has_value() ? uint64_t{static_cast<uint32_t>(*tenant)} + 1 : 0, bytes);
  for (const Matcher& m : matchers) {
    AppendVarint(static_cast<uint8_t>(m.type), bytes);
    for (const std::string& text : {m.name, m.value}) {
      AppendVarint(text.size(), bytes);
      bytes += text;
    }
  }
  return HashBytes64(bytes);
}

bool Expired(uint16_t day, Duration keep, int64_t now_ms) {
  // The last instant of the day is older.
  return DayStartMs(day) + kMsPerDay <= now_ms - keep.count();
}

}  // namespace

Status CheckRetention(const RetentionPolicy& policy) {
  if (policy.keep < Duration(0)) return InvalidArgument("keep: below 0");
  if (policy.rules.size() > kMaxRetentionRules) {
    return InvalidArgument("rules: " + std::to_string(policy.rules.size()) + ", but at most " +
                           std::to_string(kMaxRetentionRules));
  }
  for (size_t i = 0; i < policy.rules.size(); ++i) {
    const RetentionRule& rule = policy.rules[i];
    const std::string name = "rules[" + std::to_string(i) + "].";
    for (const auto& [field, value] :
         {std::pair{"raw", rule.raw}, std::pair{"five_minutes", rule.five_minutes},
          std::pair{"hours", rule.hours}}) {
      if (value < Duration(0)) return InvalidArgument(name + field + ": below 0");
    }
    for (const auto& [field, value] :
         {std::pair{"five_minutes", rule.five_minutes}, std::pair{"hours", rule.hours}}) {
      if (value == Duration(0)) continue;
      if (rule.raw == Duration(0)) {
        return InvalidArgument(name + field + ": " + Days(value) +
                               " is shorter than raw, which is kept for ever");
      }
      if (value <= rule.raw) {
        return InvalidArgument(name + field + ": " + Days(value) + " is not longer than raw, " +
                               Days(rule.raw));
      }
    }
    if (rule.five_minutes != Duration(0) && rule.hours != Duration(0) &&
        rule.hours <= rule.five_minutes) {
      return InvalidArgument(name + "hours: " + Days(rule.hours) +
                             " is not longer than five_minutes, " + Days(rule.five_minutes));
    }
    for (const Matcher& matcher : rule.matchers) {
      BASALT_TRY(CompiledMatcher::Compile(matcher).status().WithContext(name + "matchers"));
    }
  }
  return OkStatus();
}

Result<RetentionRules> RetentionRules::Compile(const RetentionPolicy& policy) {
  BASALT_TRY(CheckRetention(policy));
  RetentionRules out;
  out.policy_ = policy;
  for (const RetentionRule& rule : policy.rules) {
    Rule& made = out.rules_.emplace_back();
    made.tenant = rule.tenant;
    for (const Matcher& matcher : rule.matchers) {
      BASALT_TRY_ASSIGN(CompiledMatcher compiled, CompiledMatcher::Compile(matcher));
      made.matchers.push_back(std::move(compiled));
    }
    made.keep = {rule.raw, rule.five_minutes, rule.hours};
    made.fingerprint = Fingerprint(rule.tenant, rule.matchers);
  }
  Rule& none = out.rules_.emplace_back();
  none.keep = {policy.keep, Duration(0), Duration(0)};
  none.fingerprint = Fingerprint(std::nullopt, {});
  return out;
}

uint8_t RetentionRules::RuleOf(TenantId tenant, const Labels& labels) const {
  size_t i = 0;
  for (; i + 1 < rules_.size(); ++i) {
    const Rule& rule = rules_[i];
    if (rule.tenant.has_value() && *rule.tenant != tenant) continue;
    if (std::all_of(rule.matchers.begin(), rule.matchers.end(),
                    [&](const CompiledMatcher& m) { return m.Matches(labels.Get(m.name())); })) {
      break;
    }
  }
  return static_cast<uint8_t>(i);
}

bool RetentionRules::Keeps(uint8_t rule, Resolution resolution, uint16_t day,
                           int64_t now_ms) const {
  const Duration keep = rules_[rule].keep[static_cast<size_t>(resolution)];
  if (keep == Duration(0)) return resolution == Resolution::kRaw;
  return !Expired(day, keep, now_ms);
}

bool RetentionRules::KeepsAny(Resolution resolution, uint16_t day, int64_t now_ms) const {
  for (size_t i = 0; i < rules_.size(); ++i) {
    if (Keeps(static_cast<uint8_t>(i), resolution, day, now_ms)) return true;
  }
  return false;
}

bool RetentionRules::KeepsEvery(Resolution resolution, uint16_t day, int64_t now_ms) const {
  for (size_t i = 0; i < rules_.size(); ++i) {
    if (!Keeps(static_cast<uint8_t>(i), resolution, day, now_ms)) return false;
  }
  return true;
}

uint64_t RetentionRules::Shape(Resolution resolution, uint16_t day, int64_t now_ms) const {
  const bool raw = resolution == Resolution::kRaw;
  if (raw ? KeepsEvery(resolution, day, now_ms) : !KeepsAny(resolution, day, now_ms)) return 0;
  std::string bytes;
  for (size_t i = 0; i < rules_.size(); ++i) {
    AppendVarint(rules_[i].fingerprint, bytes);
    bytes += Keeps(static_cast<uint8_t>(i), resolution, day, now_ms) ? '+' : '-';
  }
  const uint64_t hash = HashBytes64(bytes);
  return hash == 0 ? 1 : hash;
}

int64_t RetentionRules::AllKeptFromMs(int64_t now_ms) const {
  int64_t from = INT64_MIN;
  for (const Rule& rule : rules_) {
    if (rule.keep[0] == Duration(0)) continue;
    // The day in which the oldest sample to be kept lies stays whole.
    const int64_t oldest = now_ms - rule.keep[0].count();
    if (oldest > 0) from = std::max(from, oldest / kMsPerDay * kMsPerDay);
  }
  return from;
}

}  // namespace basalt::storage
