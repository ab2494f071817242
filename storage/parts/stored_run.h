// storage/parts/stored_run.h -- a run of the manifest, and what all runs of a store share.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/base/mutex.h"
#include "storage/codec/keys.h"
#include "storage/parts/runs.h"

namespace basalt::storage {

// Directories of runs, the least recently used ones forgotten beyond `limit` bytes. Thread-safe.
class DirectoryCache {
 public:
  explicit DirectoryCache(size_t limit) : limit_(limit) {}
  std::shared_ptr<const RunDirectory> Find(uint32_t run) BASALT_EXCLUDES(mu_);  // null: not here
  void Keep(uint32_t run, std::shared_ptr<const RunDirectory> directory) BASALT_EXCLUDES(mu_);
  void Erase(uint32_t run) BASALT_EXCLUDES(mu_);
  [[nodiscard]] uint64_t bytes() const BASALT_EXCLUDES(mu_);

 private:
  struct Entry {
    std::shared_ptr<const RunDirectory> directory;
    std::list<uint32_t>::iterator place;
  };
  static size_t BytesOf(const RunDirectory& directory) {
    return sizeof(RunDirectory) + directory.capacity() * sizeof(SuperblockRef);
  }
  void EraseLocked(uint32_t run) BASALT_REQUIRES(mu_);

  const size_t limit_;
  mutable Mutex mu_;
  std::list<uint32_t> order_ BASALT_GUARDED_BY(mu_);  // most recently used first
  std::unordered_map<uint32_t, Entry> entries_ BASALT_GUARDED_BY(mu_);
  uint64_t bytes_ BASALT_GUARDED_BY(mu_) = 0;
};

// A dropped run's file that is still there, and the commit that dropped it.
struct DroppedRun {
  RunKey run;
  uint64_t epoch = 0;
  uint64_t bytes = 0;
};

// Outlives the store as long as a snapshot does: a run's last reader puts it on the list of what
// may be removed, and whoever commits next removes it.
struct RunsShared {
  explicit RunsShared(Database& db) : database(db) {}

  Database& database;
  Mutex mu;
  std::vector<DroppedRun> garbage BASALT_GUARDED_BY(mu);
  // Epochs of dropped runs whose files are there: on `garbage`, or held by readers.
  std::multiset<uint64_t> waiting BASALT_GUARDED_BY(mu);
  std::atomic<uint64_t> drop_epoch{0};
  DirectoryCache directories{kDirectoryCacheBytes};

  uint64_t waiting_bytes BASALT_GUARDED_BY(mu) = 0;  // of those, as far as is known

  void AddWaiting(uint64_t epoch, uint64_t bytes) BASALT_EXCLUDES(mu) {
    const MutexLock lock(mu);
    waiting.insert(epoch);
    waiting_bytes += bytes;
  }
  void AddGarbage(const DroppedRun& run) BASALT_EXCLUDES(mu) {
    const MutexLock lock(mu);
    garbage.push_back(run);
  }
};

// `meta`'s line of a quarantined block; the value is the reason.
std::string QuarantineKey(uint32_t run, size_t block);
bool ParseQuarantineKey(std::string_view key, uint32_t& run, size_t& block);

class StoredRun final : public Run {
 public:
  StoredRun(RunInfo info, std::shared_ptr<RunsShared> shared)
      : info_(info), shared_(std::move(shared)), shape_(info.shape) {}
  ~StoredRun() override {
    if (dropped_ == kNotDropped) return;
    shared_->directories.Erase(info_.number);
    shared_->AddGarbage(
        {{info_.partition, info_.day, info_.level, info_.number}, dropped_, info_.bytes});
  }

  // The manifest does not name it any more: when the last reader lets go, its file may go too.
  void MarkDropped(uint64_t epoch) {
    shared_->AddWaiting(epoch, info_.bytes);
    dropped_ = epoch;
  }

  // The manifest says so by now.
  void SetShape(uint64_t shape) { shape_ = shape; }

  [[nodiscard]] const RunInfo& info() const override { return info_; }
  [[nodiscard]] uint64_t shape() const override { return shape_; }
  [[nodiscard]] Result<std::shared_ptr<const RunDirectory>> Directory() const override
      BASALT_EXCLUDES(mu_);
  [[nodiscard]] Result<std::pair<size_t, size_t>> Find(const SeriesPlace& place) const override;
  using Run::Read;
  [[nodiscard]] Result<PinnedBytes> Read(size_t i, CacheUse use) const override
      BASALT_EXCLUDES(mu_);
  [[nodiscard]] bool IsChecked(size_t i) const override BASALT_EXCLUDES(mu_);
  void SetChecked(size_t i) const override BASALT_EXCLUDES(mu_);
  [[nodiscard]] Status Quarantine(size_t i, const Status& why) const override BASALT_EXCLUDES(mu_);
  bool Release(size_t i) const override BASALT_EXCLUDES(mu_);
  [[nodiscard]] std::map<size_t, std::string> Quarantined() const override BASALT_EXCLUDES(mu_);
  [[nodiscard]] std::string Describe(size_t i) const override BASALT_EXCLUDES(mu_);
  // As the manifest remembers it, before anybody reads.
  void LoadQuarantined(size_t i, std::string reason) BASALT_EXCLUDES(mu_);

 private:
  static constexpr uint64_t kNotDropped = UINT64_MAX;
  // The error of a quarantined block; ok if it is not.
  [[nodiscard]] Status WhyNotRead(size_t i) const BASALT_EXCLUDES(mu_);

  const RunInfo info_;
  const std::shared_ptr<RunsShared> shared_;
  std::atomic<uint64_t> shape_;
  std::atomic<uint64_t> dropped_{kNotDropped};
  mutable Mutex mu_;
  mutable std::map<size_t, std::string> quarantined_ BASALT_GUARDED_BY(mu_);  // with the reason
  mutable std::vector<bool> checked_ BASALT_GUARDED_BY(mu_);                  // by superblock
};

}  // namespace basalt::storage
