// storage/store_impl.h -- the Store. Private to storage/*.cc; one file a subject: store.cc (open,
// close, statistics), store_append.cc (the way in), store_background.cc (rewrite, retention,
// settle, checkpoint); sealer.cc seals.
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
#include "storage/sealer.h"
#include "storage/store_core.h"
#include "storage/store_reader.h"

namespace basalt::storage {

class StoreImpl final : public Store {
 public:
  explicit StoreImpl(const StoreOptions& options)
      : core_(options), reader_(core_), sealer_(core_) {}
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
  void SealIfDue() override;
  Status Checkpoint(const std::string& directory) override;
  void Observe(ApplyObserver* observer, const std::function<void(PartitionId)>& at_cut) override;
  [[nodiscard]] const Reader& reader() const override { return reader_; }
  [[nodiscard]] Resolver& resolver() override { return *core_.resolver; }
  [[nodiscard]] StoreStats Stats() const override;
  Status Close() override;

 private:
  struct PendingAppend;
  struct PendingDelete;
  class Visit;

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
  void SetLogHealth(const Status& status) BASALT_EXCLUDES(state_mu_);

  // ---- background (store_background.cc)
  void Tick();  // once a second, on the maintenance thread: posts what is due
  void RunMaintenance();
  Status RewriteDue(bool all) BASALT_EXCLUDES(rewrite_mu_);
  Status ApplyRetention();

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
  std::string read_only_reason_ BASALT_GUARDED_BY(state_mu_);  // empty: writable
  Status close_status_ BASALT_GUARDED_BY(state_mu_);

  SegmentSeries segment_series_;  // used inside LogEntry::Write only

  Mutex rewrite_mu_;
  std::atomic<bool> stop_rewrites_{false};

  Mutex tick_mu_;
  CondVar tick_wake_;
  bool stop_ticks_ BASALT_GUARDED_BY(tick_mu_) = false;
  bool posted_ BASALT_GUARDED_BY(tick_mu_) = false;  // a maintenance task is queued or running
  std::thread ticker_;
  std::unique_ptr<ThreadPool> own_background_;
};

}  // namespace basalt::storage
