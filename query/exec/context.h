// query/exec/context.h -- what one running query shares: its limits, its threads, and what must
// outlive its rows.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/executor.h"
#include "engine/base/ids.h"
#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "query/options.h"
#include "storage/reader.h"

namespace basalt::query::exec {

// Counted by atomics. Relaxed order throughout: totals matter, not who saw them when.
struct Counters {
  std::atomic<uint64_t> samples{0};
  std::atomic<uint64_t> samples_read{0};
  std::atomic<uint64_t> rows_summarized{0};
  std::atomic<uint64_t> blocks_opened{0};
  std::atomic<uint64_t> series_selected{0};
};

// Thread-safe. Lives for one query.
class QueryContext {
 public:
  // `held_by_all`: samples that all queries of the engine hold together; outlives this.
  QueryContext(const EngineOptions& options, const QueryOptions& query,
               const storage::Snapshot& snapshot, TenantId tenant,
               std::atomic<uint64_t>& held_by_all);
  ~QueryContext() { held_by_all_.fetch_sub(held(), std::memory_order_relaxed); }
  QueryContext(const QueryContext&) = delete;
  QueryContext& operator=(const QueryContext&) = delete;

  [[nodiscard]] const EngineOptions& options() const { return options_; }
  [[nodiscard]] const storage::Snapshot& snapshot() const { return snapshot_; }
  [[nodiscard]] TenantId tenant() const { return tenant_; }
  [[nodiscard]] int64_t lookback_ms() const { return lookback_ms_; }
  [[nodiscard]] Downsample downsample() const { return downsample_; }
  [[nodiscard]] Counters& counters() { return counters_; }

  // kCancelled or kDeadlineExceeded, beginning with Prometheus' words and, of a timeout, going on
  // with the limit and how to raise it, if the query must stop. `where` is
  // "query execution" or "expression evaluation". Cheap enough for every series; call it at least
  // every few thousand samples.
  [[nodiscard]] Status CheckRunning(const char* where = "expression evaluation") const;

  // Accounts samples held in memory. kResourceExhausted, naming the limit, beyond max_samples and
  // beyond what all queries together may hold.
  [[nodiscard]] Status Hold(uint64_t samples);
  void Release(uint64_t samples) {
    held_.fetch_sub(samples, std::memory_order_relaxed);
    held_by_all_.fetch_sub(samples, std::memory_order_relaxed);
  }
  [[nodiscard]] uint64_t held() const { return held_.load(std::memory_order_relaxed); }
  // Sets what is held now, when an operator is done with its inputs.
  [[nodiscard]] Status SetHeld(uint64_t samples);
  [[nodiscard]] uint64_t peak() const { return peak_.load(std::memory_order_relaxed); }

  // Rows point into selections, so these live as long as the query.
  void Keep(std::shared_ptr<const storage::Selection> selection) BASALT_EXCLUDES(mu_);

  // Runs task(0) .. task(n - 1), on this thread and up to options().parallelism others, and waits
  // for all of them. The error of the smallest index wins, so that it does not depend on threads.
  // No task starts after an error.
  [[nodiscard]] Status Parallel(size_t n, const std::function<Status(size_t)>& task);

 private:
  [[nodiscard]] Status TimedOut(const char* where) const;
  [[nodiscard]] Status CheckHeld(uint64_t held, uint64_t by_all);

  const EngineOptions& options_;
  const storage::Snapshot& snapshot_;
  const TenantId tenant_;
  const CancelToken* const cancel_;
  const int64_t lookback_ms_;
  const Downsample downsample_;
  const bool own_timeout_;  // the request's, not the configuration's
  const Duration timeout_;
  const std::chrono::nanoseconds deadline_;
  std::atomic<uint64_t>& held_by_all_;
  std::atomic<uint64_t> held_{0};
  std::atomic<uint64_t> peak_{0};
  Counters counters_;
  Mutex mu_;
  std::vector<std::shared_ptr<const storage::Selection>> selections_ BASALT_GUARDED_BY(mu_);
};

}  // namespace basalt::query::exec
