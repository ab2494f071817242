// engine/slo/event_counters.h -- what every group of every SLO has counted, as two ordinary
// counters: basalt_slo_bad_events_total and basalt_slo_total_events_total.
//
// A counter's value is its stored one of before and what slots hold since then, so nothing but the
// stored series says how far it has come: docs/0009-event-counters.md.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "engine/slo/evaluator.h"
#include "engine/slo/sample_store.h"

namespace basalt::slo {

inline constexpr std::string_view kBadEventsName = "basalt_slo_bad_events_total";
inline constexpr std::string_view kTotalEventsName = "basalt_slo_total_events_total";

// Values stand at multiples of this, or, where an SLO's finest slots are longer, at their ends: a
// slot is never cut.
inline constexpr int64_t kCounterStepMs = 60'000;
// Late samples change values up to this long before a counter's newest one.
inline constexpr int64_t kCounterReachMs = 24 * 3'600'000;
// What one call of EventCounters::Next gives, about: further groups are left for the next one.
inline constexpr size_t kMaxCounterPoints = 100'000;

// Both counters at one time.
struct CounterPoint {
  int64_t time_ms = 0;
  double bad = 0;
  double total = 0;
  friend bool operator==(const CounterPoint&, const CounterPoint&) = default;
};

// The points to be written so that the counters show `steps`: new ones, and stored ones that say
// something else. `stored`, by rising time, begins with the point that `steps` count from. Never
// falls. A stored point between two stored steps moves with them where both move alike, and else
// lies evenly between them; one after the last stored step keeps its distance to it, and one after
// the last step stays as it is.
std::vector<CounterPoint> ContinueCounters(std::span<const CounterPoint> stored,
                                           std::span<const CountedEvents> steps);

// One thread.
class EventCounters {
 public:
  struct Sample {
    Labels labels;  // __name__ included
    int64_t time_ms = 0;
    double value = 0;
  };
  // Both borrowed; `samples` is where the counters are stored. Only one of an evaluator at a time.
  EventCounters(Evaluator& slos, const SampleStore& samples) : slos_(slos), samples_(samples) {}

  // Appends what is to be stored, each series' samples by rising time, and the labels of all
  // counters there are. Until Written() the same is given again. On an error some groups are left
  // out; what was appended may be stored.
  Status Next(TenantId tenant, size_t max_groups, std::vector<Sample>& out,
              std::vector<Labels>& alive);
  // Everything that Next() gave is stored.
  void Written();

 private:
  struct State {
    bool known = false;              // the store has been asked for `last`
    CounterPoint last;               // the newest stored point; of time 0: there is none
    int64_t changed_ms = INT64_MIN;  // counts after it may differ from what is stored
    // Of this Next(): it has been looked at, and `next` will be `last`.
    bool is_done = false;
    CounterPoint next;
  };
  Status OfSlo(TenantId tenant, const CountedSlo& slo, std::vector<Sample>& out);
  Status Compare(TenantId tenant, const std::string& id, const CountedGroup& group, State& state,
                 std::vector<Sample>& out);
  static void Continue(const Labels& labels, std::span<const CounterPoint> stored,
                       const CountedSince& answer, State& state, std::vector<Sample>& out);
  // What is stored of one group from `from_ms` on, where both counters have a value.
  Result<std::vector<CounterPoint>> ReadStored(TenantId tenant, const Labels& labels,
                                               int64_t from_ms) const;

  Evaluator& slos_;
  const SampleStore& samples_;
  std::map<Labels, State> states_;  // by labels without __name__
};

}  // namespace basalt::slo
