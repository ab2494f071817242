// engine/slo/slo_watch.h -- SLO files that change are read again, without anybody asking.
//
// Looks every kWatchInterval at names, sizes, times and inodes of the files (a directory's as
// LoadSloFiles takes them). A change is acted on once the next look finds the same: an editor or a
// `git pull` may be halfway. What goes wrong is for the callback to tell; the last good ones go on.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/mutex.h"
#include "engine/base/time.h"

namespace basalt::slo {

inline constexpr Duration kWatchInterval = std::chrono::seconds(2);

// What tells one state of the files from another; files that cannot be read are part of it.
uint64_t StampOf(const std::vector<std::string>& paths);

// Thread-safe. Calls back on a thread of its own, one at a time.
class SloWatch {
 public:
  // `paths` gives what is to be looked at now; `changed` reads it again. Starts at once.
  SloWatch(std::function<std::vector<std::string>()> paths, std::function<void()> changed,
           Duration interval = kWatchInterval);
  ~SloWatch();  // stops, after a callback that is under way
  SloWatch(const SloWatch&) = delete;
  SloWatch& operator=(const SloWatch&) = delete;

  // One look. True: it has called back. For the thread, and for tests instead of it.
  bool Look();

 private:
  void Run();

  const std::function<std::vector<std::string>()> paths_;
  const std::function<void()> changed_;
  const Duration interval_;
  Mutex look_mu_;
  uint64_t acted_on_ BASALT_GUARDED_BY(look_mu_) = 0;
  uint64_t last_ BASALT_GUARDED_BY(look_mu_) = 0;
  Mutex mu_;
  CondVar wake_;
  bool stopping_ BASALT_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace basalt::slo
