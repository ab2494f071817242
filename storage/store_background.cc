// What the store does by itself: seal, rewrite, retention; and on demand: settle, checkpoint.
#include <algorithm>
#include <utility>

#include "engine/base/log.h"
#include "engine/base/time.h"
#include "storage/codec/keys.h"
#include "storage/head/seal.h"
#include "storage/parts/rewrite.h"
#include "storage/store_impl.h"

namespace basalt::storage {
namespace {

using std::chrono::nanoseconds;

constexpr nanoseconds kTickInterval = std::chrono::seconds(1);
// A full group waits this long for others to fill, so that a seal makes few big runs and not many
// small ones.
constexpr nanoseconds kFullGroupPatience = std::chrono::minutes(5);
// A group without samples that nobody wrote to for this long leaves memory.
constexpr Duration kForgetAfter = std::chrono::hours(1);

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
  report("seal failed; it will be tried again", SealWhatIsDue());
  report("retention failed; it will be tried again", ApplyRetention());
  report("rewrite failed; it will be tried again", RewriteDue(/*all=*/false));
  report("files of dropped runs stay", core_.runs->CollectGarbage());
}

// ---- seal ----

uint64_t StoreImpl::SeqOlderThan(Duration age) {
  const nanoseconds now = core_.options.clock->Monotonic();
  uint64_t found = 0;
  for (const auto& [seq, time] : marks_) {
    if (time + age > now) break;
    found = seq;
  }
  return found;
}

Status StoreImpl::SealWhatIsDue() {
  const MutexLock lock(seal_mu_);
  const StoreOptions& options = core_.options;
  const nanoseconds now = options.clock->Monotonic();
  const uint64_t head = core_.applied.watermark();
  if (marks_.empty() || marks_.back().first != head) marks_.emplace_back(head, now);
  // One mark older than every age asked about is enough.
  const Duration longest = std::max(options.seal_age, kForgetAfter);
  while (marks_.size() > 1 && marks_[1].second + longest <= now) marks_.pop_front();

  HeadStats total;
  for (const auto& partition : core_.partitions) {
    const HeadStats stats = partition->head->Stats();
    total.bytes += stats.bytes;
    total.groups_full += stats.groups_full;
    total.groups_filled += stats.groups_filled;
  }
  head_bytes_ = total.bytes;
  if (total.groups_full == 0) {
    full_since_ = nanoseconds(0);
  } else if (full_since_ == nanoseconds(0)) {
    full_since_ = now;
  }

  SealWish wish{.everything = false, .full = false, .older_than_seq = 0};
  const bool patience_over =
      full_since_ != nanoseconds(0) && now - full_since_ >= kFullGroupPatience;
  bool due = false;
  if (total.groups_full > 0 && (patience_over || total.groups_full * 2 >= total.groups_filled)) {
    wish.full = due = true;
  }
  // Marks say when a record was applied, so whatever is in front of an old one is old.
  if (const uint64_t old = SeqOlderThan(options.seal_age); old > 0) {
    wish.older_than_seq = old + 1;
    for (const auto& partition : core_.partitions) {
      const std::optional<uint64_t> oldest = partition->head->OldestSeq();
      due = due || (oldest.has_value() && *oldest <= old);
    }
  }
  const LogStats log = core_.log->Stats();
  if (log.segment_bytes > options.log_budget_bytes && log.segments > 1) {
    // The older half, so that rows of the newer half may still fill.
    const uint64_t first = core_.log->First().seq;
    wish.older_than_seq =
        std::max(wish.older_than_seq, first + (head + 1 - std::min(first, head + 1)) / 2 + 1);
    wish.full = due = true;
  }
  if (total.bytes > options.head_budget_bytes) wish.everything = due = true;
  return due ? Seal(wish) : OkStatus();
}

Status StoreImpl::Seal(const SealWish& wish) {
  // Read first: what is applied after it is newer than anything a group tells below.
  const uint64_t watermark = core_.applied.watermark();
  uint64_t replay_from = watermark + 1;
  // Should the commit fail, what is frozen now stays in the head, and with it the masks that it
  // needs.
  uint64_t head_from = watermark + 1;
  std::vector<FrozenPartition> frozen;
  for (const auto& partition : core_.partitions) {
    head_from = std::min(head_from, partition->head->OldestSeq().value_or(head_from));
    frozen.push_back(partition->head->Freeze(wish));
    if (const auto oldest = partition->head->OldestSeq(); oldest.has_value()) {
      replay_from = std::min(replay_from, *oldest);
    }
  }
  const auto keep = [this](const Status& status) {
    for (const auto& partition : core_.partitions) partition->head->Keep();
    return status.WithContext("seal");
  };

  RunCommit commit;
  for (size_t p = 0; p < frozen.size(); ++p) {
    const Partition& partition = *core_.partitions[p];
    if (frozen[p].groups.empty()) continue;
    const std::shared_ptr<const DeleteSnapshot> masks = core_.deletes->Snapshot(partition.id);
    Result<std::vector<FinishedRun>> written =
        WriteFrozen(frozen[p], partition.id, partition.index, *masks, sealed_to_[p], *core_.runs);
    if (!written.ok()) {
      return keep(written.status().WithContext("partition " + std::to_string(p)));
    }
    for (FinishedRun& run : *written) commit.added.push_back(std::move(run));
  }
  commit.replay_from = {{.lane = 0, .seq = replay_from}};
  for (const auto& partition : core_.partitions)
    commit.index.push_back(partition->index.PrepareFlush());
  commit.writers = core_.writers.All();
  core_.exemplars->Save(commit.extra);
  core_.metadata->Save(commit.extra);
  core_.deletes->Save(*core_.runs->Snapshot(), {.lane = 0, .seq = head_from}, commit.extra);
  const std::vector<IndexFlush> flushes = commit.index;
  if (Status status = core_.runs->Commit(std::move(commit)); !status.ok())
    return keep(std::move(status));

  for (size_t p = 0; p < core_.partitions.size(); ++p) {
    core_.partitions[p]->index.FlushCommitted(flushes[p]);
    if (!frozen[p].groups.empty()) sealed_to_[p] = std::max(sealed_to_[p], frozen[p].last);
  }
  core_.exemplars->Saved();
  core_.metadata->Saved();
  core_.deletes->Saved();
  {
    const WriterLock lock(core_.handover);
    for (const auto& partition : core_.partitions) partition->head->Drop();
  }
  full_since_ = nanoseconds(0);
  ++core_.counters.seals;
  if (const uint64_t idle = SeqOlderThan(kForgetAfter); idle > 0) {
    for (const auto& partition : core_.partitions) partition->head->ForgetIdle(idle);
  }
  return core_.log->Trim(replay_from - 1);
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
  if (const Status status = SealWhatIsDue(); !status.ok()) {
    BASALT_LOG(kError, "seal failed; it will be tried again", {"error", status.ToString()});
  }
}

Status StoreImpl::Settle() {
  const Visit visit(*this);
  BASALT_TRY(visit.status());
  {
    const MutexLock lock(seal_mu_);
    BASALT_TRY(Seal({.everything = true, .full = true, .older_than_seq = 0}).WithContext("settle"));
  }
  BASALT_TRY(ApplyRetention().WithContext("settle"));
  BASALT_TRY(RewriteDue(/*all=*/true).WithContext("settle"));
  // Ends the last segment, so that a seal of nothing new can give it back too.
  BASALT_TRY(core_.log->Settle().WithContext("settle"));
  {
    const MutexLock lock(seal_mu_);
    BASALT_TRY(Seal({.everything = true, .full = true, .older_than_seq = 0}).WithContext("settle"));
  }
  return core_.runs->CollectGarbage().WithContext("settle");
}

Status StoreImpl::Checkpoint(const std::string& directory) {
  const Visit visit(*this);
  BASALT_TRY(visit.status());
  Files& files = core_.options.files != nullptr ? *core_.options.files : PosixFiles();
  if (files.List(directory).ok()) return AlreadyExists("checkpoint: " + directory + " exists");
  // No commit and no trim in between: the log copied second begins where the database copied first
  // wants it.
  const MutexLock lock(seal_mu_);
  BASALT_TRY(files.CreateDirectories(directory).WithContext("checkpoint"));
  BASALT_TRY(core_.database->Checkpoint(directory + "/db").WithContext("checkpoint"));
  BASALT_TRY(files.CreateDirectories(directory + "/log").WithContext("checkpoint"));
  BASALT_TRY(core_.log->LinkInto(directory + "/log").WithContext("checkpoint"));
  return files.SyncDirectory(directory).WithContext("checkpoint");
}

}  // namespace basalt::storage
