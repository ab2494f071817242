// storage/purge_receipts.h -- what became of each delete (store.h, PurgeReceipt). Private to
// storage/*.cc.
//
// A receipt is born when a delete record is applied, or applied again by replay, so it is as
// durable as the record; it is written with the commits that carry the delete out, in the same
// batch, so its counts are those of what really happened. Key and value: storage/docs/keys.md.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/ids.h"
#include "engine/base/mutex.h"
#include "engine/base/status.h"
#include "storage/log/record.h"
#include "storage/parts/database.h"
#include "storage/store.h"

namespace basalt::storage {

// Thread-safe. `clock` must outlive it.
class PurgeReceipts {
 public:
  // kDataLoss naming the key that does not parse.
  static Result<std::unique_ptr<PurgeReceipts>> Open(const Database& database, const Clock& clock);

  // One partition has applied the delete; `ids` are the series it matched there. The same
  // (position, partition) twice is one, so replay is harmless.
  void Applied(const DeleteRecord& record, LogPosition position, PartitionId partition,
               std::span<const SeriesId> ids) BASALT_EXCLUDES(mu_);
  // A run is about to be replaced: so many samples of each delete are not in its successor, which
  // is smaller by `bytes_freed`. Puts the receipts into the batch of that commit. After an error of
  // the commit call Undo with the same.
  void CarriedOut(const std::map<LogPosition, uint64_t>& removed, uint64_t bytes_freed,
                  WriteBatch& batch) BASALT_EXCLUDES(mu_);
  void Undo(const std::map<LogPosition, uint64_t>& removed, uint64_t bytes_freed)
      BASALT_EXCLUDES(mu_);
  // Writes what is not yet on disk into the batch of the next commit; call Saved once it is
  // durable.
  void Save(WriteBatch& batch) BASALT_EXCLUDES(mu_);
  void Saved() BASALT_EXCLUDES(mu_);

  // Receipts that are not purged, oldest first.
  [[nodiscard]] std::vector<LogPosition> Pending() const BASALT_EXCLUDES(mu_);
  // When it was asked for; {} for an unknown one.
  [[nodiscard]] Timestamp Requested(LogPosition id) const BASALT_EXCLUDES(mu_);
  // No mask of it is left; files dropped until commit `epoch` may still hold it. Returns the epoch
  // that was noted first.
  uint64_t NoteEpoch(LogPosition id, uint64_t epoch) BASALT_EXCLUDES(mu_);
  // No file holds any of it: writes that down, durably.
  Status Purged(const std::vector<LogPosition>& ids, Database& database) BASALT_EXCLUDES(mu_);

  [[nodiscard]] std::vector<PurgeReceipt> All() const BASALT_EXCLUDES(mu_);  // newest first
  [[nodiscard]] Result<PurgeReceipt> Find(LogPosition id) const BASALT_EXCLUDES(mu_);

 private:
  enum class OnDisk : uint8_t { kNo, kBeingSaved, kYes };
  struct Entry {
    PurgeReceipt receipt;  // its digest is made when asked for
    std::string record;    // EncodeDelete's bytes
    Hash128 ids_sum;       // of the matched series' hashes, whatever their order
    std::set<uint16_t> partitions;
    uint64_t unlink_epoch = UINT64_MAX;  // not kept over restarts: then only orphans wait
    OnDisk on_disk = OnDisk::kNo;
  };
  explicit PurgeReceipts(const Clock& clock) : clock_(clock) {}
  static std::string Key(LogPosition id);
  static std::string Encode(const Entry& entry);
  static Result<Entry> Decode(std::string_view key, std::string_view value);
  static PurgeReceipt Shown(const Entry& entry);
  void Account(const std::map<LogPosition, uint64_t>& removed, uint64_t bytes_freed, bool undo)
      BASALT_REQUIRES(mu_);

  const Clock& clock_;
  mutable Mutex mu_;
  std::map<LogPosition, Entry> entries_ BASALT_GUARDED_BY(mu_);
};

}  // namespace basalt::storage
