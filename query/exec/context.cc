#include "query/exec/context.h"

#include <algorithm>
#include <string>
#include <utility>

#include "query/promql/durations.h"

namespace basalt::query::exec {
namespace {

// Work that threads take by index. Outlives the call that made it if the executor starts a helper
// late; such a helper finds nothing left to do and touches no task.
struct Shared {
  explicit Shared(size_t n, const std::function<Status(size_t)>* f) : count(n), task(f) {}

  const size_t count;
  const std::function<Status(size_t)>* const task;
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  Mutex mu;
  CondVar idle;
  size_t busy BASALT_GUARDED_BY(mu) = 0;
  bool closed BASALT_GUARDED_BY(mu) = false;
  size_t error_index BASALT_GUARDED_BY(mu) = SIZE_MAX;
  Status error BASALT_GUARDED_BY(mu);

  void Work() BASALT_EXCLUDES(mu) {
    {
      MutexLock lock(mu);
      if (closed) return;
      ++busy;
    }
    while (!failed.load(std::memory_order_relaxed)) {
      const size_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= count) break;
      Status status = (*task)(i);
      if (status.ok()) continue;
      failed.store(true, std::memory_order_relaxed);
      MutexLock lock(mu);
      if (i < error_index) {
        error_index = i;
        error = std::move(status);
      }
    }
    MutexLock lock(mu);
    --busy;
    if (busy == 0) idle.NotifyAll();
  }

  Status Finish() BASALT_EXCLUDES(mu) {
    MutexLock lock(mu);
    closed = true;
    while (busy != 0) idle.Wait(lock);
    return error;
  }
};

}  // namespace

QueryContext::QueryContext(const EngineOptions& options, const QueryOptions& query,
                           const storage::Snapshot& snapshot, TenantId tenant,
                           std::atomic<uint64_t>& held_by_all)
    : options_(options),
      snapshot_(snapshot),
      tenant_(tenant),
      cancel_(query.cancel),
      lookback_ms_((query.lookback.count() > 0 ? query.lookback : options.lookback).count()),
      downsample_(query.downsample),
      own_timeout_(query.timeout.count() > 0 && query.timeout < options.timeout),
      timeout_(query.timeout.count() > 0 ? query.timeout : options.timeout),
      deadline_(options.clock->Monotonic() + timeout_),
      held_by_all_(held_by_all) {}

Status QueryContext::CheckRunning(const char* where) const {
  if (cancel_ != nullptr && cancel_->cancelled())
    return Cancelled(std::string("query was canceled in ") + where);
  if (options_.clock->Monotonic() >= deadline_) return TimedOut(where);
  return OkStatus();
}

// Upstream's words first, for those who look for them.
Status QueryContext::TimedOut(const char* where) const {
  const std::string after =
      std::string("query timed out in ") + where + " after " + promql::FormatDuration(timeout_);
  return DeadlineExceeded(
      own_timeout_
          ? after + ", the request's timeout; ask for less, or give it more"
          : after + ", the limit query.timeout; ask for fewer series or steps, or raise it");
}

Status QueryContext::CheckHeld(uint64_t held, uint64_t by_all) {
  uint64_t peak = peak_.load(std::memory_order_relaxed);
  while (held > peak && !peak_.compare_exchange_weak(peak, held, std::memory_order_relaxed)) {
  }
  if (options_.memory_bytes != 0 && by_all > options_.memory_bytes / kBytesPerSample) {
    return ResourceExhausted(
        "the queries that run now would together hold more than " +
        std::to_string(options_.memory_bytes) +
        " bytes of samples, the limit query.memory; try again later, ask for less, or raise it");
  }
  if (held <= options_.max_samples) return OkStatus();
  return ResourceExhausted(
      "query processing would load too many samples into memory in query execution: more than " +
      std::to_string(options_.max_samples) +
      ", the limit query.max_samples; ask for fewer series or steps, or raise it");
}

Status QueryContext::Hold(uint64_t samples) {
  const uint64_t by_all = held_by_all_.fetch_add(samples, std::memory_order_relaxed) + samples;
  return CheckHeld(held_.fetch_add(samples, std::memory_order_relaxed) + samples, by_all);
}

Status QueryContext::SetHeld(uint64_t samples) {
  const uint64_t before = held_.exchange(samples, std::memory_order_relaxed);
  // Unsigned: what is subtracted was added before.
  const uint64_t change = samples - before;
  const uint64_t by_all = held_by_all_.fetch_add(change, std::memory_order_relaxed) + change;
  return CheckHeld(samples, by_all);
}

void QueryContext::Keep(std::shared_ptr<const storage::Selection> selection) {
  MutexLock lock(mu_);
  selections_.push_back(std::move(selection));
}

Status QueryContext::Parallel(size_t n, const std::function<Status(size_t)>& task) {
  const size_t helpers =
      options_.executor == nullptr || n < 2 ? 0 : std::min(options_.parallelism, n - 1);
  if (helpers == 0) {
    for (size_t i = 0; i < n; ++i) BASALT_TRY(task(i));
    return OkStatus();
  }
  const auto shared = std::make_shared<Shared>(n, &task);
  for (size_t i = 0; i < helpers; ++i) {
    if (!options_.executor->Post([shared] { shared->Work(); }))
      break;  // full: this thread does it all
  }
  shared->Work();
  return shared->Finish();
}

}  // namespace basalt::query::exec
