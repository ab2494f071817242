// tests/engine/notify/fake_clock.h -- time that moves when a test says so.
#pragma once

#include <atomic>

#include "engine/base/clock.h"

namespace basalt::notify {

class FakeClock final : public Clock {
 public:
  [[nodiscard]] Timestamp Now() const override { return FromMs(now_ms_); }
  [[nodiscard]] std::chrono::nanoseconds Monotonic() const override {
    return std::chrono::milliseconds(now_ms_);
  }
  void Advance(Duration d) { now_ms_ += d.count(); }

 private:
  std::atomic<int64_t> now_ms_{1'700'000'000'000};
};

}  // namespace basalt::notify
