// storage/parts/pace.h -- holds background work back, so that appends and queries do not feel it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

#include "engine/base/clock.h"

namespace basalt::storage {

struct PaceOptions {
  uint64_t bytes_per_second = 0;     // read and written; 0: no bound
  double busy_cpu_share = 1;         // of one core while `busy` says so; in (0, 1]
  std::function<bool()> busy = {};   // null: never
  std::function<bool()> hurry = {};  // somebody waits for the work: no waiting; null: never
};

// Token bucket for bytes, and rest after work for CPU: both by waiting inside Spend, which long
// work calls every few hundred KiB. One thread.
class Pace {
 public:
  // No work is done at once for longer than this; also the longest wait before `stop` is seen.
  static constexpr std::chrono::milliseconds kSlice{20};

  // `wait` sleeps; tests pass their own. `stop` ends waiting.
  Pace(PaceOptions options, const Clock& clock, const std::atomic<bool>& stop,
       std::function<void(std::chrono::nanoseconds)> wait = {});

  // So much has been read and written since the last call.
  void Spend(uint64_t bytes);
  // All waiting so far.
  [[nodiscard]] std::chrono::nanoseconds waited() const { return waited_; }

 private:
  void Wait(std::chrono::nanoseconds time);

  const PaceOptions options_;
  const Clock& clock_;
  const std::atomic<bool>& stop_;
  const std::function<void(std::chrono::nanoseconds)> wait_;
  std::chrono::nanoseconds worked_since_;  // when the work since the last rest began
  double debt_bytes_ = 0;
  std::chrono::nanoseconds debt_as_of_;
  std::chrono::nanoseconds waited_{0};
};

}  // namespace basalt::storage
