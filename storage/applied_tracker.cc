#include "storage/applied_tracker.h"

namespace basalt::storage {

void AppliedTracker::Start(uint64_t seq) {
  const MutexLock lock(mu_);
  watermark_ = seq;
}

void AppliedTracker::Finish(uint64_t seq) {
  const MutexLock lock(mu_);
  if (seq != watermark_ + 1) {
    ahead_.insert(seq);
    return;
  }
  ++watermark_;
  while (!ahead_.empty() && *ahead_.begin() == watermark_ + 1) {
    ahead_.erase(ahead_.begin());
    ++watermark_;
  }
  if (waiting_ > 0) risen_.NotifyAll();
}

uint64_t AppliedTracker::watermark() const {
  const MutexLock lock(mu_);
  return watermark_;
}

bool AppliedTracker::WaitFor(uint64_t seq, std::chrono::nanoseconds timeout) const {
  const auto until = std::chrono::steady_clock::now() + timeout;
  MutexLock lock(mu_);
  ++waiting_;
  while (watermark_ < seq) {
    const auto left = until - std::chrono::steady_clock::now();
    if (left <= std::chrono::nanoseconds(0)) break;
    risen_.WaitFor(lock, left);
  }
  --waiting_;
  return watermark_ >= seq;
}

}  // namespace basalt::storage
