// engine/ingest/fair_queue.h -- work of many tenants on one pool of threads, so that none waits for
// another's.
//
// A queue a tenant, served in turns. The places in all queues together are bounded, and a tenant
// may take as many as are left free by all: one alone gets half of them, two a third each, and
// whoever comes next still finds room (dynamic thresholds, Choudhury and Hahne 1998).
#pragma once

#include <cstddef>
#include <deque>
#include <unordered_map>

#include "engine/base/executor.h"
#include "engine/base/ids.h"
#include "engine/base/mutex.h"

namespace basalt::ingest {

// Thread-safe. `pool` must outlive it, and have run or dropped what was posted before it goes; it
// must take `max_queued` tasks beside others', and not run them inside Post.
class FairQueue {
 public:
  FairQueue(Executor& pool, size_t max_queued) : pool_(pool), max_queued_(max_queued) {}
  FairQueue(const FairQueue&) = delete;
  FairQueue& operator=(const FairQueue&) = delete;

  // Runs `task` when it is its tenant's turn. False, and `task` is dropped, if the tenant has its
  // share of places already or the pool is stopping.
  [[nodiscard]] bool Post(TenantId tenant, Task task) BASALT_EXCLUDES(mu_);
  // Whether Post would find a place for this tenant now.
  [[nodiscard]] bool HasRoom(TenantId tenant) const BASALT_EXCLUDES(mu_);
  [[nodiscard]] size_t queued() const BASALT_EXCLUDES(mu_);

 private:
  // The next tenant's oldest task.
  void RunOne() BASALT_EXCLUDES(mu_);

  Executor& pool_;
  const size_t max_queued_;
  mutable Mutex mu_;
  std::unordered_map<TenantId, std::deque<Task>> waiting_ BASALT_GUARDED_BY(mu_);
  std::deque<TenantId> turns_ BASALT_GUARDED_BY(mu_);  // each that has tasks, once
  size_t queued_ BASALT_GUARDED_BY(mu_) = 0;
};

}  // namespace basalt::ingest
