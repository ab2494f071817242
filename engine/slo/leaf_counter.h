// engine/slo/leaf_counter.h -- from the samples of one counter to counted events, each booked at a
// time once.
//
// This is the definition of what an SLO counts (docs/0001-counting.md): the same code runs live,
// over history, and in a recomputation, so all three give the same integers. Amounts are in 2^-16
// of an event, so that a share of an event can be booked and adding stays associative.
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>

#include "engine/slo/measure.h"
#include "storage/ingest_batch.h"

namespace basalt::slo {

using Amount = int64_t;  // 2^-16 events
inline constexpr Amount kAmountPerEvent = 65'536;

// A distance between two samples above max(3 intervals, this) is a gap: nobody knows when in it the
// events happened, so they are spread over it.
inline constexpr int64_t kMinGapMs = 60'000;
// After a longer silence a series begins anew, without counting what happened in between. It bounds
// how far a recomputation has to look around.
inline constexpr int64_t kMaxGapMs = 86'400'000;

// `amount` events in (from_ms, to_ms], evenly; at to_ms if both are equal.
struct Booking {
  int64_t from_ms = 0;
  int64_t to_ms = 0;
  Amount amount = 0;
};

// How much of the booking lies at or before `time_ms`. Rounds down, so shares of it always add up.
Amount BookedUpTo(const Booking& booking, int64_t time_ms);

// What has to be remembered of a counter. A value type.
struct LeafState {
  int64_t last_ms = 0;
  double last_value = 0;
  int64_t interval_ms = 0;           // between the last two samples; 0: not known
  int64_t previous_interval_ms = 0;  // and the two before
  bool seen = false;
  bool ended = false;     // by a stale marker
  double last_count = 0;  // LeafSample::count of the last sample
  int64_t marker_ms = 0;  // of the newest stale marker since the last sample; 0: none
};

struct LeafSample {
  int64_t time_ms = 0;
  double value = 0;
  int64_t start_ms = storage::kNoStartMs;
  // Of a part of a native histogram: the whole count. Where it falls the histogram has begun anew,
  // also if this part of it has not fallen.
  double count = 0;
};

// `sample`, or the histogram in its place (null: it is a float), by a measure; none: it is no
// sample of that kind. Not for stale markers.
std::optional<LeafSample> MeasureSample(const Measure& measure, LeafSample sample,
                                        const NativeHistogram* histogram);

// Samples that count nothing and change nothing: NaN, infinite and negative values.
inline bool IsCountable(double value) { return std::isfinite(value) && value >= 0; }

// True if the next sample would be a series' first one, so that it matters whether its target was
// there before (`Advance`'s born).
bool IsFirst(const LeafState& state, int64_t time_ms);

// Nothing of the series is newer, whatever its store can say of that.
inline bool IsNewest(const LeafState& state, int64_t time_ms) {
  return time_ms > state.last_ms && time_ms > state.marker_ms;
}

// A sample has turned up before state.last_ms. What was booked is corrected elsewhere; here the
// distances of the last samples are, on which the limit of a gap depends.
void InsertLate(LeafState& state, const LeafSample& sample);

// Takes the next sample, newer than state.last_ms, countable or a stale marker. `born`: the series'
// target is known to have been there a round before without this series, so that all of its count
// is new. A marker or a mere baseline books 0.
Booking Advance(LeafState& state, const LeafSample& sample, bool born);
// The same of a measure that is not cumulative: each sample is `value` events, which may be
// negative, at its time.
Booking AdvanceGauge(LeafState& state, const LeafSample& sample);

}  // namespace basalt::slo
