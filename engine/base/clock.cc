#include "engine/base/clock.h"

namespace basalt {
namespace {

class MachineClock final : public Clock {
 public:
  [[nodiscard]] Timestamp Now() const override {
    return std::chrono::floor<Duration>(std::chrono::system_clock::now());
  }
  [[nodiscard]] std::chrono::nanoseconds Monotonic() const override {
    return std::chrono::steady_clock::now().time_since_epoch();
  }
};

}  // namespace

const Clock& SystemClock() {
  static const MachineClock clock;
  return clock;
}

}  // namespace basalt
