// What the store does by itself: the ticks of seal, rewrite and retention; and on demand: settle,
// clean tombstones, checkpoint.
#include <algorithm>
#include <utility>

#include "engine/base/log.h"
#include "engine/base/time.h"
#include "storage/codec/keys.h"
#include "storage/store_impl.h"

namespace basalt::storage {

// ---- the maintenance thread ----

void StoreImpl::Tick() {
  MutexLock lock(tick_mu_);
  while (!stop_ticks_) {
    tick_wake_.WaitFor(lock, core_.options.tick);
    if (stop_ticks_) continue;
    lock.Unlock();
    // Here and not among the maintenance, which may be at a long seal.
    LookAtDisk();
    lock.Lock();
    if (stop_ticks_) continue;
    if (!posted_) {
      posted_ = true;
      lock.Unlock();
      Executor& pool =
          core_.options.background != nullptr ? *core_.options.background : *own_background_;
      const bool queued = pool.Post([this] {
        RunMaintenance();
        const MutexLock done(tick_mu_);
        posted_ = false;
        tick_done_.NotifyAll();
      });
      lock.Lock();
      if (!queued) posted_ = false;  // the pool is busy or stopping: the next tick tries again
    }
    if (!rewriting_ && !stop_ticks_) {
      rewriting_ = true;
      lock.Unlock();
      const bool queued = rewriter_->Post([this] {
        Report("rewrite failed; it will be tried again",
               RewriteDue(RewriteWish::kDue, /*waited_for=*/false));
        const MutexLock done(tick_mu_);
        rewriting_ = false;
        tick_done_.NotifyAll();
      });
      lock.Lock();
      if (!queued) rewriting_ = false;
    }
  }
}

void StoreImpl::LookAtDisk() {
  const auto database = [this] { return core_.database->TryWrite(); };
  // RocksDB stops writing by itself when a write of its own has failed, which nobody may be waiting
  // for.
  if (core_.database != nullptr) {
    const uint64_t errors = core_.database->background_errors();
    if (std::exchange(background_errors_, errors) != errors) NoteMayPass(database());
  }
  (void)disk_.Look(database);
}

void StoreImpl::NoteMayPass(const Status& status) {
  if (status.code() == StatusCode::kResourceExhausted || status.code() == StatusCode::kUnavailable)
    disk_.MayPass(status);
}

void StoreImpl::Report(std::string_view what, const Status& status) {
  if (status.ok() || status.code() == StatusCode::kCancelled) return;
  if (status.code() == StatusCode::kResourceExhausted) NoteMayPass(status);
  // A full or failing disk is said once, by the guard, and not every second.
  if (!disk_.Check().ok()) return;
  BASALT_LOG(kError, what, {"error", status.ToString()});
}

void StoreImpl::RunMaintenance() {
  Report("seal failed; it will be tried again", sealer_.SealDue());
  Report("retention failed; it will be tried again", ApplyRetention());
  Report("files of dropped runs stay", core_.runs->CollectGarbage());
  Report("purge receipts are not written", FinishPurges());
}

// ---- on demand ----

void StoreImpl::SealIfDue() {
  const Visit visit(*this);
  if (!visit.status().ok()) return;
  Report("seal failed; it will be tried again", sealer_.SealDue());
}

Status StoreImpl::Maintain() {
  const Visit visit(*this);
  BASALT_TRY(visit.status());
  BASALT_TRY(sealer_.SealDue().WithContext("maintain"));
  BASALT_TRY(ApplyRetention().WithContext("maintain"));
  BASALT_TRY(RewriteDue(RewriteWish::kDue, /*waited_for=*/true).WithContext("maintain"));
  BASALT_TRY(core_.runs->CollectGarbage().WithContext("maintain"));
  return FinishPurges().WithContext("maintain");
}

Status StoreImpl::Settle() {
  const Visit visit(*this);
  BASALT_TRY(visit.status());
  BASALT_TRY(sealer_.SealAll().WithContext("settle"));
  BASALT_TRY(ApplyRetention().WithContext("settle"));
  BASALT_TRY(RewriteDue(RewriteWish::kAll, /*waited_for=*/true).WithContext("settle"));
  // Ends the last segment, so that a seal of nothing new can give it back too.
  BASALT_TRY(core_.log->Settle().WithContext("settle"));
  BASALT_TRY(sealer_.SealAll().WithContext("settle"));
  BASALT_TRY(core_.runs->CollectGarbage().WithContext("settle"));
  BASALT_TRY(core_.database->Flush().WithContext("settle"));
  return FinishPurges().WithContext("settle");
}

Status StoreImpl::CleanTombstones() {
  const Visit visit(*this);
  BASALT_TRY(visit.status());
  BASALT_TRY(sealer_.SealAll().WithContext("clean tombstones"));
  BASALT_TRY(RewriteDue(RewriteWish::kPurge, /*waited_for=*/true).WithContext("clean tombstones"));
  // The log holds what was deleted until its segments go.
  BASALT_TRY(core_.log->Settle().WithContext("clean tombstones"));
  BASALT_TRY(sealer_.SealAll().WithContext("clean tombstones"));
  BASALT_TRY(core_.runs->CollectGarbage().WithContext("clean tombstones"));
  return FinishPurges().WithContext("clean tombstones");
}

Status StoreImpl::Checkpoint(const std::string& directory) {
  const Visit visit(*this);
  BASALT_TRY(visit.status());
  Files& files = core_.options.files != nullptr ? *core_.options.files : PosixFiles();
  if (files.List(directory).ok()) return AlreadyExists("checkpoint: " + directory + " exists");
  const Step step(core_.options, StoreStep::kCheckpoint);
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
