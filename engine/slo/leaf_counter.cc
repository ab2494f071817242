#include "engine/slo/leaf_counter.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "engine/base/stale.h"
#include "engine/slo/fraction.h"

namespace basalt::slo {
namespace {

// Below this a value times 2^16 fits in 62 bits; counters above it (7 * 10^13) take the slow way.
constexpr double kFastLimit = 70'368'744'177'664.0;  // 2^46
// Doubles above 2^53 count in steps above 1, and 2^100 is far beyond any counter.
constexpr double kSlowLimit = 1.2676506002282294e30;

// A decrease by less than this share of the value may be a change of replica (design: slo.md 4.1).
constexpr double kResetShare = 8;
// Intervals that differ by at most this share of themselves are one beat.
constexpr int64_t kBeatShare = 10;

Int128 ToAmount(double value) {
  // Rounding each value, not each difference, is what makes the differences add up.
  if (value < kFastLimit) {
    const auto whole = static_cast<int64_t>(value);
    if (static_cast<double>(whole) == value) return whole * kAmountPerEvent;  // counters, mostly
    return static_cast<int64_t>(std::nearbyint(value * kAmountPerEvent));
  }
  return static_cast<Int128>(std::min(value, kSlowLimit) * kAmountPerEvent);
}

Amount Difference(double to, double from) {
  if (from <= to && to < kFastLimit) {
    return static_cast<Amount>(ToAmount(to)) - static_cast<Amount>(ToAmount(from));
  }
  constexpr Int128 kMax = INT64_MAX / 4096;  // room for coefficients
  return static_cast<Amount>(std::clamp<Int128>(ToAmount(to) - ToAmount(from), 0, kMax));
}

int64_t GapLimit(const LeafState& state) {
  int64_t interval = state.interval_ms;
  // The smaller of two, so that one gap does not make the next one look usual.
  if (state.previous_interval_ms > 0) interval = std::min(interval, state.previous_interval_ms);
  return std::max(3 * interval, kMinGapMs);
}

// Two replicas of a sender whose clocks differ: where one takes over from the other, the scrape is
// off the beat and the counter a little below what was seen. Taken for a reset it would book the
// whole counter, which is a page of any size.
bool IsReplicaSwitch(const LeafState& state, const LeafSample& sample) {
  const double missing = state.last_value - sample.value;
  if (missing <= 0 || missing >= state.last_value / kResetShare) return false;
  const int64_t a = state.interval_ms;
  const int64_t b = state.previous_interval_ms;
  if (a <= 0 || b <= 0 || std::abs(a - b) > std::min(a, b) / kBeatShare) return false;  // no beat
  const int64_t beat = std::min(a, b);
  const int64_t off = (sample.time_ms - state.last_ms) % beat;
  return std::min(off, beat - off) > beat / kBeatShare;
}

Booking CountFirst(const LeafSample& sample, bool born) {
  Booking booking{sample.time_ms, sample.time_ms, 0};
  if (born) {
    booking.amount = Difference(sample.value, 0);
  } else if (sample.start_ms != storage::kNoStartMs && sample.start_ms <= sample.time_ms &&
             sample.start_ms >= sample.time_ms - kMinGapMs) {
    booking.amount = Difference(sample.value, 0);
    booking.from_ms = sample.start_ms;
  }
  return booking;
}

}  // namespace

Amount BookedUpTo(const Booking& booking, int64_t time_ms) {
  if (time_ms >= booking.to_ms) return booking.amount;
  if (time_ms <= booking.from_ms) return 0;
  return static_cast<Amount>(static_cast<Int128>(booking.amount) * (time_ms - booking.from_ms) /
                             (booking.to_ms - booking.from_ms));
}

std::optional<LeafSample> MeasureSample(const Measure& measure, LeafSample sample,
                                        const NativeHistogram* histogram) {
  const std::optional<double> value =
      histogram == nullptr ? Measured(measure, sample.value) : Measured(measure, *histogram);
  if (!value.has_value()) return std::nullopt;
  sample.value = *value;
  if (histogram != nullptr) sample.count = CountOf(*histogram);
  return sample;
}

bool IsFirst(const LeafState& state, int64_t time_ms) {
  return !state.seen || time_ms - state.last_ms > kMaxGapMs;
}

void InsertLate(LeafState& state, const LeafSample& sample) {
  const int64_t t = sample.time_ms;
  if (!state.seen || t >= state.last_ms || !IsCountable(sample.value)) return;
  if (state.last_ms - t > kMaxGapMs) return;
  const bool has_second = state.interval_ms > 0;
  const int64_t second_ms = state.last_ms - state.interval_ms;
  if (!has_second || t > second_ms) {
    state.previous_interval_ms = has_second ? t - second_ms : 0;
    state.interval_ms = state.last_ms - t;
  } else if (state.previous_interval_ms == 0 || t > second_ms - state.previous_interval_ms) {
    if (second_ms - t <= kMaxGapMs) state.previous_interval_ms = second_ms - t;
  }
}

Booking Advance(LeafState& state, const LeafSample& sample, bool born) {
  if (IsStaleMarker(sample.value)) {
    state.ended = true;
    state.marker_ms = std::max(state.marker_ms, sample.time_ms);
    return {sample.time_ms, sample.time_ms, 0};
  }
  if (IsFirst(state, sample.time_ms)) {
    state = {sample.time_ms, sample.value, 0, 0, true, false, sample.count};
    return CountFirst(sample, born);
  }
  const bool reset = sample.value < state.last_value || sample.count < state.last_count ||
                     (sample.start_ms > state.last_ms && sample.start_ms <= sample.time_ms);
  const bool gap = state.ended || sample.time_ms - state.last_ms > GapLimit(state);
  Booking booking{gap ? state.last_ms : sample.time_ms, sample.time_ms,
                  Difference(sample.value, reset ? 0 : state.last_value)};
  if (reset && IsReplicaSwitch(state, sample)) booking.amount = 0;
  state = {sample.time_ms, sample.value, sample.time_ms - state.last_ms, state.interval_ms, true,
           false,          sample.count};
  return booking;
}

Booking AdvanceGauge(LeafState& state, const LeafSample& sample) {
  const int64_t t = sample.time_ms;
  if (IsStaleMarker(sample.value)) {
    state.ended = true;
    state.marker_ms = std::max(state.marker_ms, sample.time_ms);
    return {t, t, 0};
  }
  const bool first = IsFirst(state, t);
  state = {t,    sample.value, first ? 0 : t - state.last_ms, first ? 0 : state.interval_ms,
           true, false};
  return {t, t, static_cast<Amount>(std::llround(sample.value * kAmountPerEvent))};
}

}  // namespace basalt::slo
