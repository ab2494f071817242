#include "engine/ingest/fair_queue.h"

#include <utility>

namespace basalt::ingest {

bool FairQueue::Post(TenantId tenant, Task task) {
  const MutexLock lock(mu_);
  const auto found = waiting_.find(tenant);
  const size_t own = found == waiting_.end() ? 0 : found->second.size();
  if (own >= max_queued_ - queued_) return false;
  // As many runs as tasks; which task a run takes is decided when it runs, after this lock.
  if (!pool_.Post([this] { RunOne(); })) return false;
  std::deque<Task>& queue = found == waiting_.end() ? waiting_[tenant] : found->second;
  if (queue.empty()) turns_.push_back(tenant);
  queue.push_back(std::move(task));
  ++queued_;
  return true;
}

void FairQueue::RunOne() {
  Task task;
  {
    const MutexLock lock(mu_);
    const TenantId tenant = turns_.front();
    turns_.pop_front();
    const auto found = waiting_.find(tenant);
    task = std::move(found->second.front());
    found->second.pop_front();
    --queued_;
    if (found->second.empty()) {
      waiting_.erase(found);  // tenants come and go; their queues must not stay
    } else {
      turns_.push_back(tenant);
    }
  }
  task();
}

bool FairQueue::HasRoom(TenantId tenant) const {
  const MutexLock lock(mu_);
  const auto found = waiting_.find(tenant);
  return (found == waiting_.end() ? 0 : found->second.size()) < max_queued_ - queued_;
}

size_t FairQueue::queued() const {
  const MutexLock lock(mu_);
  return queued_;
}

}  // namespace basalt::ingest
