// Groups and SLOs whose samples have stopped to arrive. No data never resolves a page, and a total
// outage may look like none: so silence itself is an alert.
#include <algorithm>

#include "engine/slo/evaluator.h"
#include "engine/slo/message.h"

namespace basalt::slo {
namespace {

// Absence is a matter of minutes; looking at every group costs something.
constexpr std::chrono::nanoseconds kLookEvery = std::chrono::seconds(1);

}  // namespace

// What was published before a restart goes on firing until samples come.
void Evaluator::RememberAbsence(const std::vector<notify::Alert>& firing) {
  loaded_ms_ = ToMs(options_.clock->Now());
  absent_.clear();
  for (const notify::Alert& alert : firing) {
    const bool is_ours = alert.identity.Get("sloth_id") != "" &&
                         alert.identity.Get("sloth_severity") == "" &&
                         alert.identity.Get("alertname") != kTooManyGroups;
    if (is_ours) absent_.emplace(notify::Fingerprint(alert), alert);
  }
}

void Evaluator::WatchForAbsence() {
  const std::chrono::nanoseconds at = options_.clock->Monotonic();
  if (at - absence_looked_ < kLookEvery) return;
  absence_looked_ = at;
  const int64_t now_ms = ToMs(options_.clock->Now());
  std::vector<notify::Alert> changed;
  const auto look = [&](const Definition& definition, const std::vector<std::string>* values,
                        int64_t last_ms, bool forgotten) BASALT_REQUIRES(mu_) {
    const Hash128 fingerprint = notify::Fingerprint(AbsentIdentity(definition, values));
    const auto it = absent_.find(fingerprint);
    const bool absent = !forgotten && now_ms - last_ms > definition.absent->after.count();
    if (absent == (it != absent_.end())) return;
    if (absent) {
      const notify::Alert alert =
          MakeAbsentAlert(definition, values, last_ms, options_.external_url);
      absent_.emplace(fingerprint, alert);
      changed.push_back(alert);
      return;
    }
    notify::Alert alert = it->second;
    alert.ends_at = std::max(FromMs(last_ms), alert.starts_at);
    absent_.erase(it);
    changed.push_back(std::move(alert));
  };
  for (SloIndex slo = 0; slo < set_->definitions().size(); ++slo) {
    const Definition& definition = set_->definitions()[slo];
    if (!definition.absent.has_value()) continue;
    const auto& groups = set_->groups_of(slo);
    // With group labels and without: an SLO that has found its first group is not absent any more.
    const bool whole = groups.empty();
    if (whole || !definition.sli.group_by.empty()) {
      look(definition, nullptr, loaded_ms_, !whole);
    }
    for (const auto& [values, g] : groups) {
      const int64_t last_ms = set_->group(g).has_data ? set_->slots().head_ms(g) : loaded_ms_;
      // A group that none of its alerts can see any more is gone, not absent.
      const bool gone = now_ms - last_ms > AlertReachMs(definition);
      look(definition, &values, last_ms, gone && !definition.sli.group_by.empty());
    }
  }
  Send(std::move(changed));
  WatchGroupCounts({});
  TellProblems();
}

}  // namespace basalt::slo
