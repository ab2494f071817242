#include "engine/admin/scrubber.h"

#include <utility>

#include "engine/base/log.h"

namespace basalt::admin {

Scrubber::Scrubber(storage::Store& store, const Clock& clock, metrics::Registry& registry,
                   Options options)
    : store_(store),
      clock_(clock),
      options_(options),
      runs_(registry.AddCounter("basalt_scrub_runs_total", "Scrubs that have finished.")),
      bytes_(registry.AddCounter("basalt_scrub_bytes_total", "Bytes read and checked by scrubs.")),
      running_(registry.AddGauge("basalt_scrub_running", "1 while a scrub is under way.")),
      damaged_(registry.AddGauge("basalt_scrub_damaged",
                                 "What the last finished scrub found that does not check.")),
      finished_seconds_(registry.AddGauge(
          "basalt_scrub_last_finished_timestamp_seconds",
          "When the last scrub finished, in seconds since 1970; 0: none since the start.")) {
  thread_ = std::thread([this] { Run(); });
}

Scrubber::~Scrubber() {
  stop_ = true;
  {
    const MutexLock lock(mu_);
    wake_.NotifyAll();
  }
  thread_.join();
}

void Scrubber::Start() {
  const MutexLock lock(mu_);
  // So that whoever asks right after sees it run.
  if (!state_.running) {
    state_.running = true;
    state_.started = clock_.Now();
    state_.progress = {};
    state_.error.clear();
    wanted_ = true;
  }
  wake_.NotifyAll();
}

ScrubState Scrubber::State() const {
  const MutexLock lock(mu_);
  return state_;
}

void Scrubber::Run() {
  auto last = clock_.Monotonic();
  while (!stop_) {
    {
      MutexLock lock(mu_);
      if (!wanted_) {
        if (stop_) return;  // asked under the lock, or its notice could be missed
        const auto due = last + options_.interval - clock_.Monotonic();
        const bool periodic = options_.interval > Duration(0);
        if (!periodic) {
          wake_.Wait(lock);
        } else if (due > std::chrono::nanoseconds(0)) {
          wake_.WaitFor(lock, due);
        } else if (!state_.running) {
          state_.running = wanted_ = true;
          state_.started = clock_.Now();
          state_.progress = {};
          state_.error.clear();
        }
        continue;
      }
      wanted_ = false;
    }
    ScrubOnce();
    last = clock_.Monotonic();
  }
}

void Scrubber::ScrubOnce() {
  running_.Set(1);
  uint64_t counted = 0;
  storage::ScrubOptions options;
  options.bytes_per_second = options_.bytes_per_second;
  options.cancel = &stop_;
  options.on_progress = [&](const storage::ScrubProgress& progress) {
    bytes_.Add(progress.bytes_done - counted);
    counted = progress.bytes_done;
    const MutexLock lock(mu_);
    state_.progress = progress;
  };
  Result<storage::ScrubReport> report = store_.Scrub(options);
  running_.Set(0);
  const MutexLock lock(mu_);
  state_.running = false;
  if (!report.ok()) {
    state_.error = report.status().ToString();
    if (report.status().code() != StatusCode::kCancelled) {
      BASALT_LOG(kError, "a scrub did not finish", {"error", state_.error});
    }
    return;
  }
  state_.finished = clock_.Now();
  state_.progress = report->progress;
  runs_.Add();
  damaged_.Set(static_cast<double>(report->damage_total));
  finished_seconds_.Set(static_cast<double>(ToMs(state_.finished)) * 1e-3);
  state_.report = *std::move(report);
}

}  // namespace basalt::admin
