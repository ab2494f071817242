#include "storage/parts/pace.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "engine/base/status.h"

namespace basalt::storage {

using std::chrono::nanoseconds;

Pace::Pace(PaceOptions options, const Clock& clock, const std::atomic<bool>& stop,
           std::function<void(nanoseconds)> wait)
    : options_(std::move(options)),
      clock_(clock),
      stop_(stop),
      wait_(wait ? std::move(wait) : [](nanoseconds time) { std::this_thread::sleep_for(time); }),
      worked_since_(clock.Monotonic()),
      debt_as_of_(worked_since_) {
  BASALT_CHECK(options_.busy_cpu_share > 0 && options_.busy_cpu_share <= 1, "cpu share");
}

void Pace::Wait(nanoseconds time) {
  while (time > nanoseconds(0) && !stop_ && !(options_.hurry && options_.hurry())) {
    const nanoseconds slice = std::min<nanoseconds>(time, kSlice);
    wait_(slice);
    waited_ += slice;
    time -= slice;
  }
}

void Pace::Spend(uint64_t bytes) {
  if (stop_ || (options_.hurry && options_.hurry())) return;
  if (options_.bytes_per_second > 0) {
    const nanoseconds now = clock_.Monotonic();
    const double rate = static_cast<double>(options_.bytes_per_second) / 1e9;
    debt_bytes_ =
        std::max(0.0, debt_bytes_ - static_cast<double>((now - debt_as_of_).count()) * rate);
    debt_as_of_ = now;
    debt_bytes_ += static_cast<double>(bytes);
    // A little may be owed, so that the wait is worth a system call.
    const auto owed = nanoseconds(static_cast<int64_t>(debt_bytes_ / rate));
    if (owed > kSlice) {
      Wait(owed);
      worked_since_ = clock_.Monotonic();
    }
  }
  const nanoseconds worked = clock_.Monotonic() - worked_since_;
  if (worked < kSlice / 4) return;
  if (options_.busy && options_.busy_cpu_share < 1 && options_.busy()) {
    const auto rest = nanoseconds(static_cast<int64_t>(static_cast<double>(worked.count()) *
                                                       (1 / options_.busy_cpu_share - 1)));
    // A long stretch means that the machine held us up, not that we worked.
    Wait(std::min<nanoseconds>(rest, std::chrono::seconds(1)));
  }
  worked_since_ = clock_.Monotonic();
}

}  // namespace basalt::storage
