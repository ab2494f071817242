// engine/base/clock.h -- the only door to "now". Passed into constructors, so that tests own the
// time.
#pragma once

#include <chrono>

#include "engine/base/time.h"

namespace basalt {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Wall time. May jump in both directions.
  [[nodiscard]] virtual Timestamp Now() const = 0;
  // Never goes back; only differences mean anything.
  [[nodiscard]] virtual std::chrono::nanoseconds Monotonic() const = 0;
};

// The machine's clocks. Lives as long as the process.
const Clock& SystemClock();

}  // namespace basalt
