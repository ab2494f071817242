// engine/slo/alert_state.h -- inactive, firing, resolved: the state of one (group, severity), moved
// by settled rounds in event time.
//
// Times are those of samples, never of clocks (DESIGN decision 12): startsAt is the earliest round
// at which the condition holds, so a restart, a backlog and a twin fed the same samples agree on
// it.
#pragma once

#include <cstdint>

namespace basalt::slo {

// Whether a condition holds. Undefined: no events, so there is no ratio.
enum class Truth : uint8_t { kNo, kYes, kUndefined };

// All of / any of, where an undefined part leaves open what it could decide.
Truth And(Truth a, Truth b);
Truth Or(Truth a, Truth b);

// While a page fires and its ratio is undefined, traffic has stopped, often because of the outage:
// no data never resolves a page. After this long with live targets and no traffic it is released.
inline constexpr int64_t kNoTrafficReleaseMs = 3'600'000;

struct AlertState {
  bool firing = false;
  int64_t starts_ms = 0;
  int64_t ends_ms = 0;             // of the last episode, once resolved
  int64_t undefined_since_ms = 0;  // while firing without a ratio; 0: there is one
  bool start_fixed = false;        // taken over from before a restart: starts_ms stays as published
  int64_t cleared_ms = 0;  // firing on although the condition has not held since; 0: it holds
};

enum class AlertChange : uint8_t { kNone, kFired, kStartMoved, kResolved };

// A settled round at `time_ms`, later than all before it. `keep_ms`: how long an alert fires on
// once its condition does not hold.
AlertChange Settle(AlertState& state, int64_t time_ms, Truth truth, int64_t keep_ms = 0);
// A round that has not settled, but cannot turn out otherwise: fires at once. When it settles, an
// earlier round may prove to be the start.
AlertChange FireEarly(AlertState& state, int64_t time_ms);

}  // namespace basalt::slo
