// engine/slo/quiet.h -- for how long a group certainly stays as it is, so that rounds which cannot
// change anything need not be judged.
//
// A proof in integers, from slots alone: up to a time U a window keeps at least the slots that are
// still inside at U, and gains at most what comes meanwhile. As long as the rounds up to U bring
// nothing negative, and no more than `most`, every condition's answer stays what it is now. Most
// rounds of most SLOs are far below every threshold. Never a guess: where the bound says nothing,
// the round is judged. docs/0008-quiet.md.
#pragma once

#include <array>
#include <cstdint>

#include "engine/slo/alert_state.h"
#include "engine/slo/conditions.h"
#include "engine/slo/definition.h"
#include "engine/slo/slots.h"

namespace basalt::slo {

struct Quiet {
  int64_t until_ms = INT64_MIN;  // nothing can change in rounds up to here ...
  Counts most;                   // ... that bring no more than this in all

  // A round, or the sum of several.
  [[nodiscard]] bool Covers(int64_t time_ms, const Counts& counts) const {
    return time_ms <= until_ms && counts.bad >= 0 && counts.bad <= most.bad && counts.total >= 0 &&
           counts.total <= most.total;
  }
};

// What a group's next rounds are judged by.
struct Standing {
  const SlotTable& slots;  // with the last judged round at the head
  GroupIndex group;
  const Definition& definition;
  const std::array<AlertState, kSeverityCount>& alerts;
  const Held& held;
  const Excluded* excluded = nullptr;
};

// The bound for rounds up to `until_ms`; none (until_ms in the past) if one of them may change
// something. Without alerts (HasAlerts) nothing can.
Quiet QuietUntil(const Standing& at, int64_t until_ms);

}  // namespace basalt::slo
