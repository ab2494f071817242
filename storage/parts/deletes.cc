#include "storage/parts/deletes.h"

#include <algorithm>
#include <string>
#include <utility>

#include "engine/base/varint.h"
#include "storage/parts/meta_keys.h"

namespace basalt::storage {

namespace {

constexpr uint64_t kDeleteVersion = 0;

std::string MaskKey(const DeleteMask& mask) {
  std::string key(kDeletePrefix);
  AppendBigEndian(static_cast<uint16_t>(mask.partition), 2, key);
  AppendBigEndian(mask.position.lane, 2, key);
  AppendBigEndian(mask.position.seq, 8, key);
  return key;
}

std::string EncodeMask(const DeleteMask& mask) {
  std::string out;
  AppendVarint(kDeleteVersion, out);
  AppendVarint(ZigZag(mask.range.min_ms), out);
  AppendVarint(ZigZag(mask.range.max_ms), out);
  AppendVarint(mask.ordinals.size(), out);
  uint32_t before = 0;
  for (const SeriesOrdinal ordinal : mask.ordinals) {
    AppendVarint(static_cast<uint32_t>(ordinal) - before, out);
    before = static_cast<uint32_t>(ordinal);
  }
  return out;
}

Result<DeleteMask> DecodeMask(std::string_view key, std::string_view value) {
  DeleteMask mask;
  key.remove_prefix(kDeletePrefix.size());
  uint64_t partition = 0;
  uint64_t lane = 0;
  uint64_t version = 0;
  uint64_t count = 0;
  VarintReader in(value);
  if (key.size() != 12 || !ReadBigEndian(key.substr(0, 2), 2, partition) ||
      !ReadBigEndian(key.substr(2, 2), 2, lane) ||
      !ReadBigEndian(key.substr(4), 8, mask.position.seq)) {
    return DataLoss("meta: key of a delete does not parse");
  }
  mask.partition = static_cast<PartitionId>(partition);
  mask.position.lane = static_cast<uint16_t>(lane);
  const auto damaged = [&] {
    return DataLoss("meta: delete at " + std::to_string(mask.position.seq) + " of partition " +
                    std::to_string(partition) + " does not parse");
  };
  if (!in.Read(version) || version != kDeleteVersion || !in.ReadSigned(mask.range.min_ms) ||
      !in.ReadSigned(mask.range.max_ms) || !in.Read(count) || count > in.remaining()) {
    return damaged();
  }
  mask.ordinals.reserve(count);
  uint64_t ordinal = 0;
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t delta = 0;
    if (!in.Read(delta) || delta > UINT32_MAX - ordinal) return damaged();
    ordinal += delta;
    mask.ordinals.push_back(static_cast<SeriesOrdinal>(ordinal));
  }
  if (!in.done()) return damaged();
  return mask;
}

bool Overlaps(const TimeRange& range, const RunInfo& run) {
  return range.min_ms <= run.max_ms && range.max_ms >= run.min_ms;
}

bool Touches(const DeleteMask& mask, const RunInfo& run) {
  return mask.partition == run.partition && run.deletes_applied < mask.position &&
         Overlaps(mask.range, run);
}

}  // namespace

void DeleteSnapshot::AppendMasks(LogPosition applied, SeriesOrdinal ordinal,
                                 std::vector<TimeRange>& out) const {
  for (const std::shared_ptr<const DeleteMask>& mask : masks_) {
    if (applied < mask->position &&
        std::binary_search(mask->ordinals.begin(), mask->ordinals.end(), ordinal)) {
      out.push_back(mask->range);
    }
  }
}

void DeleteSnapshot::AppendDeleted(const RunInfo& run, SeriesOrdinal ordinal,
                                   std::vector<DeletedRange>& out) const {
  for (const std::shared_ptr<const DeleteMask>& mask : masks_) {
    if (run.deletes_applied < mask->position &&
        std::binary_search(mask->ordinals.begin(), mask->ordinals.end(), ordinal)) {
      out.push_back({mask->range, mask->position});
    }
  }
}

bool DeleteSnapshot::Spares(const RunInfo& run) const {
  return std::none_of(masks_.begin(), masks_.end(),
                      [&](const auto& mask) { return Touches(*mask, run); });
}

LogPosition DeleteSnapshot::newest() const {
  return masks_.empty() ? LogPosition{} : masks_.back()->position;
}

Result<std::unique_ptr<DeleteMasks>> DeleteMasks::Open(const Database& database) {
  std::unique_ptr<DeleteMasks> made(new DeleteMasks());
  const MutexLock lock(made->mu_);  // the lambda runs under it, which the analysis cannot see
  BASALT_TRY(database.ForEach(Family::kMeta, kDeletePrefix,
                              [&](std::string_view key, std::string_view value)
                                  BASALT_NO_THREAD_SAFETY_ANALYSIS -> Status {
                                    BASALT_TRY_ASSIGN(DeleteMask mask, DecodeMask(key, value));
                                    made->AddLocked(std::move(mask), OnDisk::kYes);
                                    return OkStatus();
                                  }));
  return made;
}

void DeleteMasks::AddLocked(DeleteMask mask, OnDisk on_disk) {
  PartitionMasks& partition = partitions_[mask.partition];
  const auto at = std::lower_bound(
      partition.masks.begin(), partition.masks.end(), mask.position,
      [](const auto& have, const LogPosition& position) { return have->position < position; });
  if (at != partition.masks.end() && (*at)->position == mask.position) return;
  partition.on_disk.insert(partition.on_disk.begin() + (at - partition.masks.begin()), on_disk);
  partition.masks.insert(at, std::make_shared<const DeleteMask>(std::move(mask)));
  partition.Publish();
}

void DeleteMasks::Add(DeleteMask mask) {
  const MutexLock lock(mu_);
  AddLocked(std::move(mask), OnDisk::kNo);
}

std::shared_ptr<const DeleteSnapshot> DeleteMasks::Snapshot(PartitionId partition) const {
  static const auto none =
      std::make_shared<const DeleteSnapshot>(std::vector<std::shared_ptr<const DeleteMask>>());
  const MutexLock lock(mu_);
  const auto it = partitions_.find(partition);
  return it == partitions_.end() ? none : it->second.snapshot;
}

void DeleteMasks::Save(const RunsSnapshot& runs, LogPosition head_from, WriteBatch& batch) {
  const MutexLock lock(mu_);
  for (auto& [id, partition] : partitions_) {
    std::vector<std::shared_ptr<const DeleteMask>> kept;
    std::vector<OnDisk> kept_on_disk;
    for (size_t i = 0; i < partition.masks.size(); ++i) {
      const DeleteMask& mask = *partition.masks[i];
      const bool head_needs = mask.position.lane != head_from.lane || mask.position >= head_from;
      const bool run_needs =
          std::any_of(runs.runs().begin(), runs.runs().end(),
                      [&](const auto& run) { return Touches(mask, run->info()); });
      if (!head_needs && !run_needs) {
        // Should the batch be lost, the mask comes back at the next open and masks nothing.
        batch.Delete(Family::kMeta, MaskKey(mask));
        continue;
      }
      if (partition.on_disk[i] != OnDisk::kYes) {
        batch.Put(Family::kMeta, MaskKey(mask), EncodeMask(mask));
        partition.on_disk[i] = OnDisk::kBeingSaved;
      }
      kept.push_back(partition.masks[i]);
      kept_on_disk.push_back(partition.on_disk[i]);
    }
    if (kept.size() == partition.masks.size()) continue;
    partition.masks = std::move(kept);
    partition.on_disk = std::move(kept_on_disk);
    partition.Publish();
  }
}

bool DeleteMasks::Masks(LogPosition position) const {
  const MutexLock lock(mu_);
  return std::any_of(partitions_.begin(), partitions_.end(), [&](const auto& entry) {
    return std::any_of(entry.second.masks.begin(), entry.second.masks.end(),
                       [&](const auto& mask) { return mask->position == position; });
  });
}

void DeleteMasks::Saved() {
  const MutexLock lock(mu_);
  for (auto& [id, partition] : partitions_) {
    std::replace(partition.on_disk.begin(), partition.on_disk.end(), OnDisk::kBeingSaved,
                 OnDisk::kYes);
  }
}

}  // namespace basalt::storage
