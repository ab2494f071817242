// storage/store_impl.h -- the Store. Private to storage/*.cc; one file a subject: store.cc (open,
// close, statistics), store_append.cc (the way in), store_background.cc (ticks, settle,
// checkpoint), store_rewrite.cc (rewrite, purge), store_retention.cc, store_integrity.cc (scrub,
// quarantine); sealer.cc seals.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/base/mutex.h"
#include "storage/disk_guard.h"
#include "storage/parts/pace.h"
#include "storage/parts/rewrite_plan.h"
#include "storage/retention_rules.h"
#include "storage/sealer.h"
#include "storage/store_core.h"
#include "storage/store_reader.h"

namespace basalt::storage {

class StoreImpl final : public Store {
 public:
  explicit StoreImpl(const StoreOptions& options)
      : core_(options),
        reader_(core_),
        sealer_(core_),
        disk_(options.files != nullptr ? *options.files : PosixFiles(), options.directory,
              {.reserve_bytes = options.disk_reserve_bytes,
               .resume_bytes = options.disk_resume_bytes}) {}
  ~StoreImpl() override {
    (void)Close();
    BASALT_CHECK(core_.snapshots.WaitForNone({}) == 0, "a snapshot outlives its store");
  }

  Status Start();

  void Append(std::vector<IngestBatch> batches, AppendDone done) override;
  [[nodiscard]] uint64_t LastSequence(const Hash128& writer) const override {
    return core_.writers.Last(writer);
  }
  Result<LogPosition> Delete(const DeleteRequest& request) override;
  Status Settle() override;
  Status CleanTombstones() override;
  [[nodiscard]] std::vector<PurgeReceipt> PurgeReceipts() const override {
    return core_.receipts->All();
  }
  [[nodiscard]] Result<PurgeReceipt> FindPurgeReceipt(LogPosition id) const override {
    return core_.receipts->Find(id);
  }
  Status SetRetention(const RetentionPolicy& policy) override BASALT_EXCLUDES(retention_mu_);
  void SealIfDue() override;
  Status Maintain() override;
  Status Checkpoint(const std::string& directory) override;
  Result<ScrubReport> Scrub(const ScrubOptions& options) override;
  [[nodiscard]] std::vector<Damage> Quarantine() const override;
  void Observe(ApplyObserver* observer, const std::function<void(PartitionId)>& at_cut) override;
  [[nodiscard]] Labels LabelsOf(PartitionId partition, SeriesOrdinal ordinal) const override {
    const PartitionIndex& index = core_.partitions[static_cast<size_t>(partition)]->index;
    return static_cast<uint32_t>(ordinal) < index.series_count() ? index.labels(ordinal) : Labels();
  }
  [[nodiscard]] SeriesId IdOf(PartitionId partition, SeriesOrdinal ordinal) const override {
    const PartitionIndex& index = core_.partitions[static_cast<size_t>(partition)]->index;
    return static_cast<uint32_t>(ordinal) < index.series_count() ? index.id(ordinal) : SeriesId();
  }
  [[nodiscard]] const Reader& reader() const override { return reader_; }
  [[nodiscard]] Resolver& resolver() override { return *core_.resolver; }
  [[nodiscard]] StoreStats Stats() const override;
  Status Close() override;

 private:
  struct PendingAppend;
  struct PendingDelete;
  // Keeps Close waiting while something on demand is under way.
  class Visit {
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

  // ---- open (store.cc)
  Status OpenFiles();
  Status LoadPartitions();
  Status Replay();
  // ---- close (store.cc)
  void SealForGood();

  // ---- append (store_append.cc)
  // What the log's own checks cannot know: ids, placement, times, histograms.
  Status CheckBatches(const std::vector<IngestBatch>& batches) const;
  Status CheckSeries(const IngestBatch& batch) const;
  // Counts an append or a delete as under way; an error if none may begin.
  Status Enter(size_t bytes) BASALT_EXCLUDES(state_mu_);
  void Leave(size_t bytes) BASALT_EXCLUDES(state_mu_);
  void Logged(const std::shared_ptr<PendingAppend>& pending, const Status& status);
  // A write has failed; whether that may pass.
  void NoteMayPass(const Status& status);
  // What the log has said of a write.
  void NoteLog(const Status& status);

  // ---- integrity (store_integrity.cc)
  Status ScrubLog(ScrubPace& pace, ScrubReport& report);

  // Samples of days that retention has dropped already leave the batches before they are logged
  // (DESIGN decision 5); returns how many.
  uint64_t LeaveOutTooOld(std::vector<IngestBatch>& batches) BASALT_EXCLUDES(retention_mu_);
  // Refuses a delete that would cut a bucket whose samples are gone (store_retention.cc).
  Status CheckWholeBuckets(const DeleteRequest& request) const;

  // ---- background (store_background.cc)
  void Tick();  // on a thread of its own: looks at the disk, posts what is due
  void LookAtDisk();
  // Logs an error of something that will be tried again; takes note of a full disk.
  void Report(std::string_view what, const Status& status);
  void RunMaintenance();

  // ---- rewrite (store_rewrite.cc)
  enum class RewriteWish : uint8_t {
    kDue,    // what the background does
    kPurge,  // and every delete, now
    kAll,    // everything that is not one rewritten run a day
  };
  Status RewriteDue(RewriteWish wish, bool waited_for) BASALT_EXCLUDES(rewrite_mu_);
  Status RewriteOne(RewriteTask& task, const RetentionRules& rules, int64_t now_ms, Pace* pace)
      BASALT_REQUIRES(rewrite_mu_);
  // Lets go of what a task need not do, since no series of its day wants it. False: nothing is
  // left.
  Result<bool> Narrow(RewriteTask& task, const RetentionRules& rules, int64_t now_ms)
      BASALT_REQUIRES(rewrite_mu_);
  // The rule of a series; remembered, since series do not change.
  uint8_t RuleOf(const RetentionRules& rules, PartitionId partition, SeriesOrdinal ordinal)
      BASALT_REQUIRES(rewrite_mu_);
  // Receipts whose last file is gone become kPurged.
  Status FinishPurges();
  [[nodiscard]] bool IsBusy() const BASALT_EXCLUDES(state_mu_);

  // ---- retention (store_retention.cc)
  Status ApplyRetention() BASALT_EXCLUDES(retention_mu_, dropping_mu_);
  void RefreshKeptFrom(int64_t now_ms) BASALT_REQUIRES(retention_mu_);
  Status DropForSize(const RetentionRules& rules, int64_t now_ms);
  [[nodiscard]] std::shared_ptr<const RetentionRules> Rules() const BASALT_EXCLUDES(retention_mu_);
  // Days before this one get no samples any more, but for late ones.
  [[nodiscard]] uint16_t ClosedBefore(bool head_is_empty) const;

  StoreCore core_;
  StoreReader reader_;
  Sealer sealer_;
  bool started_ = false;  // replay is done: the head is all there

  mutable Mutex state_mu_;
  CondVar state_changed_;
  bool closing_ BASALT_GUARDED_BY(state_mu_) = false;
  bool closed_ BASALT_GUARDED_BY(state_mu_) = false;
  uint64_t under_way_ BASALT_GUARDED_BY(state_mu_) = 0;  // appends and deletes
  size_t bytes_in_flight_ BASALT_GUARDED_BY(state_mu_) = 0;
  Status close_status_ BASALT_GUARDED_BY(state_mu_);
  DiskGuard disk_;
  uint64_t background_errors_ = 0;  // of the database, as of the last tick
  std::atomic<bool> scrubbing_{false};
  std::atomic<bool> stop_scrub_{false};

  SegmentSeries segment_series_;  // used inside LogEntry::Write only

  Mutex rewrite_mu_;
  std::atomic<bool> stop_rewrites_{false};
  std::atomic<int> waiting_for_rewrites_{0};  // somebody does: no holding back
  std::shared_ptr<const RetentionRules> rules_of_cache_ BASALT_GUARDED_BY(rewrite_mu_);
  // For which rules and day everything was sealed before samples became buckets.
  std::pair<const RetentionRules*, int64_t> sealed_for_ BASALT_GUARDED_BY(rewrite_mu_){nullptr, 0};
  std::vector<std::vector<uint8_t>> rule_cache_
      BASALT_GUARDED_BY(rewrite_mu_);  // by partition, by ordinal

  Mutex dropping_mu_;  // held by ApplyRetention; taken before retention_mu_
  // What the index was told last: telling it goes over all series.
  uint16_t index_kept_from_ BASALT_GUARDED_BY(dropping_mu_) = 0;
  mutable Mutex retention_mu_;
  std::shared_ptr<const RetentionRules> rules_ BASALT_GUARDED_BY(retention_mu_);
  uint16_t dropped_before_ BASALT_GUARDED_BY(retention_mu_) = 0;  // days, for want of room
  bool over_budget_ BASALT_GUARDED_BY(retention_mu_) = false;     // was said in the log
  std::atomic<int64_t> kept_from_ms_{INT64_MIN};  // no rule drops a sample at or after this
  std::atomic<int64_t> kept_as_of_day_{0};        // when that was found out

  Mutex tick_mu_;
  CondVar tick_wake_;  // the ticker's: it is to stop. Nothing else, or it would tick without a rest
  CondVar tick_done_;  // Close's: a task is done
  bool stop_ticks_ BASALT_GUARDED_BY(tick_mu_) = false;
  bool posted_ BASALT_GUARDED_BY(tick_mu_) = false;     // a maintenance task is queued or running
  bool rewriting_ BASALT_GUARDED_BY(tick_mu_) = false;  // likewise, on the thread for rewrites
  std::thread ticker_;
  std::unique_ptr<ThreadPool> own_background_;
  // Rewrites are held back by waiting, so they have a thread that nobody else waits for.
  std::unique_ptr<ThreadPool> rewriter_;
};

}  // namespace basalt::storage
