#include "engine/slo/alert_state.h"

namespace basalt::slo {
namespace {

AlertChange Resolve(AlertState& state, int64_t time_ms) {
  state.firing = false;
  state.ends_ms = time_ms;
  state.undefined_since_ms = 0;
  state.cleared_ms = 0;
  return AlertChange::kResolved;
}

}  // namespace

Truth And(Truth a, Truth b) {
  if (a == Truth::kNo || b == Truth::kNo) return Truth::kNo;
  return a == Truth::kYes && b == Truth::kYes ? Truth::kYes : Truth::kUndefined;
}

Truth Or(Truth a, Truth b) {
  if (a == Truth::kYes || b == Truth::kYes) return Truth::kYes;
  return a == Truth::kNo && b == Truth::kNo ? Truth::kNo : Truth::kUndefined;
}

AlertChange FireEarly(AlertState& state, int64_t time_ms) {
  if (state.firing) return AlertChange::kNone;
  state = {true, time_ms, 0, 0, false, 0};
  return AlertChange::kFired;
}

AlertChange Settle(AlertState& state, int64_t time_ms, Truth truth, int64_t keep_ms) {
  if (!state.firing) {
    return truth == Truth::kYes ? FireEarly(state, time_ms) : AlertChange::kNone;
  }
  if (time_ms < state.starts_ms) {
    // Fired early at a later round; this one has settled only now.
    if (truth != Truth::kYes || state.start_fixed) return AlertChange::kNone;
    state.starts_ms = time_ms;
    return AlertChange::kStartMoved;
  }
  switch (truth) {
    case Truth::kYes:
      state.cleared_ms = 0;
      state.undefined_since_ms = 0;
      return AlertChange::kNone;
    case Truth::kNo:
      state.undefined_since_ms = 0;
      if (state.cleared_ms == 0) state.cleared_ms = time_ms;
      if (time_ms - state.cleared_ms < keep_ms) return AlertChange::kNone;
      return Resolve(state, time_ms);
    case Truth::kUndefined:
      break;
  }
  if (state.undefined_since_ms == 0) state.undefined_since_ms = time_ms;
  if (time_ms - state.undefined_since_ms < kNoTrafficReleaseMs) return AlertChange::kNone;
  return Resolve(state, time_ms);
}

}  // namespace basalt::slo
