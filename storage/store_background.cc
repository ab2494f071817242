// What the store does by itself: rewrite, retention; and on demand: settle, checkpoint.
#include <algorithm>
#include <utility>

#include "engine/base/log.h"
#include "engine/base/time.h"
#include "storage/codec/keys.h"
#include "storage/parts/rewrite.h"
#include "storage/store_impl.h"

namespace basalt::storage {
namespace {

using std::chrono::nanoseconds;

constexpr nanoseconds kTickInterval = std::chrono::seconds(1);

}  // namespace

// ---- the maintenance thread ----

void StoreImpl::Tick() {
  MutexLock lock(tick_mu_);
  while (!stop_ticks_) {
    tick_wake_.WaitFor(lock, kTickInterval);
    if (stop_ticks_ || posted_) continue;
    posted_ = true;
    lock.Unlock();
    Executor& pool =
        core_.options.background != nullptr ? *core_.options.background : *own_background_;
    const bool queued = pool.Post([this] {
      RunMaintenance();
      const MutexLock done(tick_mu_);
      posted_ = false;
      tick_wake_.NotifyAll();
    });
    lock.Lock();
    if (!queued) posted_ = false;  // the pool is busy or stopping: the next tick tries again
  }
}

void StoreImpl::RunMaintenance() {
  const auto report = [](std::string_view what, const Status& status) {
    if (!status.ok() && status.code() != StatusCode::kCancelled) {
      BASALT_LOG(kError, what, {"error", status.ToString()});
    }
  };
  report("seal failed; it will be tried again", sealer_.SealDue());
  report("retention failed; it will be tried again", ApplyRetention());
  report("rewrite failed; it will be tried again", RewriteDue(/*all=*/false));
  report("files of dropped runs stay", core_.runs->CollectGarbage());
}

// ---- rewrite and retention ----

Status StoreImpl::RewriteDue(bool all) {
  const MutexLock lock(rewrite_mu_);
  const int64_t today = ToMs(core_.options.clock->Now()) / kMsPerDay;
  RewritePolicy policy;
  policy.closed_before = static_cast<uint16_t>(std::clamp<int64_t>(today, 0, kMaxDay));
  policy.all = all;
  for (const RewriteTask& task : PlanRewrites(*core_.runs->Snapshot(), policy)) {
    if (stop_rewrites_) return Cancelled("rewrite: the store is closing");
    const std::shared_ptr<const DeleteSnapshot> masks = core_.deletes->Snapshot(task.partition);
    const Result<RewriteResult> done =
        Rewrite(*core_.runs, task, core_.at(task.partition).index, *masks, stop_rewrites_);
    // Retention may have dropped a run meanwhile; then there is nothing left to do here.
    if (!done.ok() && done.status().code() == StatusCode::kAborted) continue;
    if (!done.ok()) return done.status().WithContext("rewrite");
    ++core_.counters.rewrites;
  }
  return OkStatus();
}

Status StoreImpl::ApplyRetention() {
  if (core_.options.retention == Duration(0)) return OkStatus();
  const int64_t oldest_ms = ToMs(core_.options.clock->Now() - core_.options.retention);
  if (oldest_ms < kMsPerDay) return OkStatus();
  // The day in which the oldest sample to be kept lies stays whole.
  const auto first_kept = static_cast<uint16_t>(std::min<int64_t>(oldest_ms / kMsPerDay, kMaxDay));
  BASALT_TRY_ASSIGN(const size_t dropped, core_.runs->DropDaysBefore(first_kept));
  if (dropped == 0) return OkStatus();
  core_.changes.Record(INT64_MIN);  // whoever keeps answers must ask again
  BASALT_LOG(kInfo, "retention dropped runs", {"runs", dropped}, {"first_day_kept", first_kept});
  for (const auto& partition : core_.partitions) {
    (void)partition->strand.Post(
        [p = partition.get(), first_kept] { p->index.DropDaysBefore(first_kept); });
  }
  return OkStatus();
}

// ---- on demand ----

// Keeps Close waiting while something on demand is under way.
class StoreImpl::Visit {
 public:
  explicit Visit(StoreImpl& store) : store_(store), status_(store.Enter(0)) {}
  ~Visit() {
    if (status_.ok()) store_.Leave(0);
  }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;
  [[nodiscard]] const Status& status() const { return status_; }

 private:
  StoreImpl& store_;
  const Status status_;
};

void StoreImpl::SealIfDue() {
  const Visit visit(*this);
  if (!visit.status().ok()) return;
  if (const Status status = sealer_.SealDue(); !status.ok()) {
    BASALT_LOG(kError, "seal failed; it will be tried again", {"error", status.ToString()});
  }
}

Status StoreImpl::Settle() {
  const Visit visit(*this);
  BASALT_TRY(visit.status());
  BASALT_TRY(sealer_.SealAll().WithContext("settle"));
  BASALT_TRY(ApplyRetention().WithContext("settle"));
  BASALT_TRY(RewriteDue(/*all=*/true).WithContext("settle"));
  // Ends the last segment, so that a seal of nothing new can give it back too.
  BASALT_TRY(core_.log->Settle().WithContext("settle"));
  BASALT_TRY(sealer_.SealAll().WithContext("settle"));
  return core_.runs->CollectGarbage().WithContext("settle");
}

Status StoreImpl::Checkpoint(const std::string& directory) {
  const Visit visit(*this);
  BASALT_TRY(visit.status());
  Files& files = core_.options.files != nullptr ? *core_.options.files : PosixFiles();
  if (files.List(directory).ok()) return AlreadyExists("checkpoint: " + directory + " exists");
  // No commit and no trim in between: the log copied second begins where the database copied first
  // wants it.
  const Status status = sealer_.WhileIdle([&]() -> Status {
    BASALT_TRY(files.CreateDirectories(directory));
    BASALT_TRY(core_.database->Checkpoint(directory + "/db"));
    BASALT_TRY(files.CreateDirectories(directory + "/log"));
    BASALT_TRY(core_.log->LinkInto(directory + "/log"));
    return files.SyncDirectory(directory);
  });
  return status.WithContext("checkpoint");
}

}  // namespace basalt::storage
