// storage/series_churn.h -- how many series appeared lately: a ring of minutes and one of hours.
// Private to storage.
#pragma once

#include <array>
#include <cstdint>

#include "engine/base/mutex.h"
#include "engine/base/time.h"

namespace basalt::storage {

// Thread-safe. Times are the store's clock's; one that goes back counts as the newest seen.
class SeriesChurn {
 public:
  void Add(Timestamp now, uint64_t created) BASALT_EXCLUDES(mu_) {
    const MutexLock lock(mu_);
    minutes_.Add(now.time_since_epoch() / std::chrono::minutes(1), created);
    hours_.Add(now.time_since_epoch() / std::chrono::hours(1), created);
  }
  // In the last 60 minutes, the current one included, and the last 24 hours likewise.
  [[nodiscard]] uint64_t LastHour(Timestamp now) BASALT_EXCLUDES(mu_) {
    const MutexLock lock(mu_);
    return minutes_.Sum(now.time_since_epoch() / std::chrono::minutes(1));
  }
  [[nodiscard]] uint64_t LastDay(Timestamp now) BASALT_EXCLUDES(mu_) {
    const MutexLock lock(mu_);
    return hours_.Sum(now.time_since_epoch() / std::chrono::hours(1));
  }

 private:
  template <size_t N>
  class Ring {
   public:
    void Add(int64_t number, uint64_t count) {
      MoveTo(number);
      counts_[Place(newest_)] += count;
    }
    uint64_t Sum(int64_t number) {
      MoveTo(number);
      uint64_t sum = 0;
      for (const uint64_t count : counts_) sum += count;
      return sum;
    }

   private:
    static size_t Place(int64_t number) {
      return static_cast<size_t>(static_cast<uint64_t>(number) % N);
    }
    void MoveTo(int64_t number) {
      if (number - newest_ >= static_cast<int64_t>(N)) {
        counts_.fill(0);
        newest_ = number;
      }
      for (; newest_ < number; counts_[Place(newest_)] = 0) ++newest_;
    }
    std::array<uint64_t, N> counts_{};
    int64_t newest_ = 0;
  };

  Mutex mu_;
  Ring<60> minutes_ BASALT_GUARDED_BY(mu_);
  Ring<24> hours_ BASALT_GUARDED_BY(mu_);
};

}  // namespace basalt::storage
