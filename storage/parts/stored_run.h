// storage/parts/stored_run.h -- a run of the manifest, and what all runs of a store share.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/base/mutex.h"
#include "storage/codec/keys.h"
#include "storage/parts/runs.h"

namespace basalt::storage {

// Outlives the store as long as a snapshot does: a run's last reader puts it on the list of what
// may be removed, and whoever commits next removes it.
struct RunsShared {
  explicit RunsShared(Database& db) : database(db) {}

  Database& database;
  Mutex mu;
  std::vector<RunKey> garbage BASALT_GUARDED_BY(mu);
  std::deque<std::string> damage BASALT_GUARDED_BY(mu);  // at most kMaxDamageNames
  std::atomic<uint64_t> damaged_blocks{0};

  void AddGarbage(const RunKey& run) BASALT_EXCLUDES(mu) {
    const MutexLock lock(mu);
    garbage.push_back(run);
  }
  void AddDamage(std::string what) BASALT_EXCLUDES(mu) {
    ++damaged_blocks;
    const MutexLock lock(mu);
    if (damage.size() == kMaxDamageNames) damage.pop_front();
    damage.push_back(std::move(what));
  }
};

class StoredRun final : public Run {
 public:
  StoredRun(RunInfo info, std::shared_ptr<RunsShared> shared)
      : info_(info), shared_(std::move(shared)) {}
  ~StoredRun() override {
    if (dropped_) shared_->AddGarbage({info_.partition, info_.day, info_.level, info_.number});
  }

  // The manifest does not name it any more: when the last reader lets go, its file may go too.
  void MarkDropped() { dropped_ = true; }

  [[nodiscard]] const RunInfo& info() const override { return info_; }
  [[nodiscard]] Result<std::span<const SuperblockRef>> Directory() const override
      BASALT_EXCLUDES(mu_);
  [[nodiscard]] Result<std::pair<size_t, size_t>> Find(const SeriesPlace& place) const override;
  [[nodiscard]] Result<PinnedBytes> Read(size_t i) const override BASALT_EXCLUDES(mu_);
  [[nodiscard]] bool IsChecked(size_t i) const override BASALT_EXCLUDES(mu_);
  void SetChecked(size_t i) const override BASALT_EXCLUDES(mu_);
  [[nodiscard]] Status Quarantine(size_t i, const Status& why) const override BASALT_EXCLUDES(mu_);
  [[nodiscard]] std::string Describe(size_t i) const override;

 private:
  static constexpr size_t kDirectoryBlock = SIZE_MAX;  // stands for it in `quarantined_`
  [[nodiscard]] bool Quarantined(size_t i) const BASALT_EXCLUDES(mu_);

  const RunInfo info_;
  const std::shared_ptr<RunsShared> shared_;
  std::atomic<bool> dropped_{false};
  mutable Mutex mu_;
  // Once read it stays as it is, so spans of it may leave the lock.
  mutable std::optional<std::vector<SuperblockRef>> directory_ BASALT_GUARDED_BY(mu_);
  mutable std::set<size_t> quarantined_ BASALT_GUARDED_BY(mu_);
  mutable std::vector<bool> checked_ BASALT_GUARDED_BY(mu_);  // by superblock
};

}  // namespace basalt::storage
