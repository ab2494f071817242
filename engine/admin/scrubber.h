// engine/admin/scrubber.h -- reads the whole store now and then, and when asked, so that damage is
// found while a backup still has the bytes.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <thread>

#include "engine/base/clock.h"
#include "engine/base/metrics.h"
#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "storage/integrity.h"
#include "storage/store.h"

namespace basalt::admin {

// What the last scrub came to, or how far this one is.
struct ScrubState {
  bool running = false;
  Timestamp started{};   // of the one that runs, or ran last; zero: none since the start
  Timestamp finished{};  // zero: none has finished since the start
  storage::ScrubProgress progress;
  std::optional<storage::ScrubReport> report;  // of the last one that finished
  std::string error;                           // why the last one did not finish
};

// A thread of its own. Thread-safe.
class Scrubber {
 public:
  struct Options {
    Duration interval{0};           // between the end of one and the next; 0: only when asked
    uint64_t bytes_per_second = 0;  // 0: no bound
  };
  // `store`, `clock` and `registry` must outlive it; adds basalt_scrub_* to `registry`.
  Scrubber(storage::Store& store, const Clock& clock, metrics::Registry& registry, Options options);
  ~Scrubber();  // ends one that is under way
  Scrubber(const Scrubber&) = delete;
  Scrubber& operator=(const Scrubber&) = delete;

  // Begins one, unless one is under way.
  void Start() BASALT_EXCLUDES(mu_);
  [[nodiscard]] ScrubState State() const BASALT_EXCLUDES(mu_);

 private:
  void Run();
  void ScrubOnce() BASALT_EXCLUDES(mu_);

  storage::Store& store_;
  const Clock& clock_;
  const Options options_;
  metrics::Counter& runs_;
  metrics::Counter& bytes_;
  metrics::Gauge& running_;
  metrics::Gauge& damaged_;
  metrics::Gauge& finished_seconds_;

  std::atomic<bool> stop_{false};
  mutable Mutex mu_;
  CondVar wake_;
  bool wanted_ BASALT_GUARDED_BY(mu_) = false;
  ScrubState state_ BASALT_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace basalt::admin
