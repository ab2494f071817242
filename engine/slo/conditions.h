// engine/slo/conditions.h -- does a burn-rate condition hold at a time? Decided exactly, mostly
// from slots alone.
//
// A window's sum is certain but for the slot that its beginning cuts. If the answer is the same
// whether none or all of that slot counts, it is the answer; only otherwise the slot is read back
// from storage.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "engine/slo/alert_state.h"
#include "engine/slo/definition.h"
#include "engine/slo/slots.h"

namespace basalt::slo {

// The part of `sum.edge` after `from_ms`, from stored samples. None: storage could not say.
using EdgeReader = std::function<std::optional<Counts>(GroupIndex g, size_t window,
                                                       const WindowSum& sum, int64_t from_ms)>;

// bad and total of a window, exactly. `exact` is false if storage could not say; then the edge
// counts in proportion to its time inside.
struct WindowReading {
  Counts counts;
  bool exact = true;
};

// Events that do not count, although they were: of times excluded from a group's budget.
class Excluded {
 public:
  virtual ~Excluded() = default;
  // Whether any of (from_ms, to_ms] is excluded; cheap.
  [[nodiscard]] virtual bool Any(GroupIndex g, int64_t from_ms, int64_t to_ms) const = 0;
  // What is booked in the excluded parts of (from_ms, to_ms].
  virtual WindowReading Read(GroupIndex g, int64_t from_ms, int64_t to_ms) const = 0;
};

// A group at a time: its settled slots plus what open rounds add.
struct Moment {
  const SlotTable& slots;
  GroupIndex group;
  int64_t time_ms;
  Counts open;
  const EdgeReader& edges;
  const Excluded* excluded = nullptr;
};

// Without what is excluded.
WindowReading ReadWindow(const Moment& at, size_t window);

// bad/total > threshold over the window; undefined if total is 0.
Truth Exceeds(const Moment& at, size_t window, const Fraction& threshold);

// The same against the period's traffic: bad / (total of the period * window / period) > threshold.
Truth ExceedsOfPeriod(const Moment& at, size_t window, size_t period, const Fraction& threshold);

// Both windows of the condition. Yes is never said of a short window with more errors than events:
// then the two queries do not fit together, and `inconsistent` is set.
Truth Holds(const Moment& at, const Definition& definition, const BurnCondition& condition,
            bool& inconsistent);

// Since when each condition of a definition has held without a break, in settled rounds; 0: it does
// not. Empty if no condition has to hold for a while.
using Held = std::vector<int64_t>;

// The conditions of one severity: any, for as long as it has to (Tier::hold_for). `which` is the
// first that holds. `is_settled`: `held` is brought up to this moment.
Truth AnyHolds(const Moment& at, const Definition& definition, Severity severity, bool is_settled,
               Held& held, size_t& which, bool& inconsistent);

}  // namespace basalt::slo
