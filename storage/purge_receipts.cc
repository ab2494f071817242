#include "storage/purge_receipts.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <utility>

#include "engine/base/hash.h"
#include "engine/base/time.h"
#include "engine/base/varint.h"
#include "storage/parts/meta_keys.h"

namespace basalt::storage {
namespace {

constexpr uint64_t kReceiptVersion = 0;

std::string Name(LogPosition id) { return std::to_string(id.lane) + "-" + std::to_string(id.seq); }

}  // namespace

std::string PurgeReceipts::Key(LogPosition id) {
  std::string key(kReceiptPrefix);
  AppendBigEndian(id.lane, 2, key);
  AppendBigEndian(id.seq, 8, key);
  return key;
}

std::string PurgeReceipts::Encode(const Entry& entry) {
  const PurgeReceipt& r = entry.receipt;
  std::string out;
  AppendVarint(kReceiptVersion, out);
  AppendVarint(static_cast<uint8_t>(r.state), out);
  AppendVarint(ZigZag(r.requested_ms), out);
  AppendVarint(ZigZag(r.purged_ms), out);
  AppendVarint(r.series, out);
  AppendVarint(r.samples, out);
  AppendVarint(r.bytes_freed, out);
  AppendVarint(entry.ids_sum.high, out);
  AppendVarint(entry.ids_sum.low, out);
  AppendVarint(entry.partitions.size(), out);
  for (const uint16_t p : entry.partitions) AppendVarint(p, out);
  AppendVarint(entry.record.size(), out);
  out += entry.record;
  return out;
}

Result<PurgeReceipts::Entry> PurgeReceipts::Decode(std::string_view key, std::string_view value) {
  Entry entry;
  PurgeReceipt& r = entry.receipt;
  key.remove_prefix(kReceiptPrefix.size());
  uint64_t lane = 0;
  if (key.size() != 10 || !ReadBigEndian(key.substr(0, 2), 2, lane) ||
      !ReadBigEndian(key.substr(2), 8, r.id.seq)) {
    return DataLoss("meta: key of a purge receipt does not parse");
  }
  r.id.lane = static_cast<uint16_t>(lane);
  VarintReader in(value);
  uint64_t version = 0;
  uint64_t state = 0;
  uint64_t partitions = 0;
  bool ok = in.Read(version) && version == kReceiptVersion && in.Read(state) &&
            state <= static_cast<uint64_t>(PurgeState::kPurged) && in.ReadSigned(r.requested_ms) &&
            in.ReadSigned(r.purged_ms) && in.Read(r.series) && in.Read(r.samples) &&
            in.Read(r.bytes_freed) && in.Read(entry.ids_sum.high) && in.Read(entry.ids_sum.low) &&
            in.Read(partitions) && partitions <= in.remaining();
  for (uint64_t i = 0; ok && i < partitions; ++i) {
    uint64_t p = 0;
    ok = in.Read(p) && p <= UINT16_MAX;
    entry.partitions.insert(static_cast<uint16_t>(p));
  }
  std::string_view record;
  const auto damaged = [&] {
    return DataLoss("meta: purge receipt " + Name(r.id) + " does not parse");
  };
  if (!ok || !in.ReadString(record) || !in.done()) return damaged();
  Result<DeleteRecord> decoded = DecodeDelete(record);
  if (!decoded.ok()) return damaged();
  r.state = static_cast<PurgeState>(state);
  r.tenant = decoded->tenant;
  r.any_of = std::move(decoded->any_of);
  r.range = decoded->range;
  entry.record = record;
  entry.on_disk = OnDisk::kYes;
  return entry;
}

Result<std::unique_ptr<PurgeReceipts>> PurgeReceipts::Open(const Database& database,
                                                           const Clock& clock) {
  std::unique_ptr<PurgeReceipts> made(new PurgeReceipts(clock));
  const MutexLock lock(made->mu_);  // the lambda runs under it, which the analysis cannot see
  BASALT_TRY(database.ForEach(Family::kMeta, kReceiptPrefix,
                              [&](std::string_view key, std::string_view value)
                                  BASALT_NO_THREAD_SAFETY_ANALYSIS -> Status {
                                    BASALT_TRY_ASSIGN(Entry entry, Decode(key, value));
                                    const LogPosition id = entry.receipt.id;
                                    made->entries_.emplace(id, std::move(entry));
                                    return OkStatus();
                                  }));
  return made;
}

void PurgeReceipts::Applied(const DeleteRecord& record, LogPosition position, PartitionId partition,
                            std::span<const SeriesId> ids) {
  const MutexLock lock(mu_);
  const auto [it, created] = entries_.try_emplace(position);
  Entry& entry = it->second;
  if (created) {
    entry.receipt.id = position;
    entry.receipt.tenant = record.tenant;
    entry.receipt.any_of = record.any_of;
    entry.receipt.range = record.range;
    entry.receipt.requested_ms = ToMs(clock_.Now());
    // It was encoded once already, in the log.
    BASALT_CHECK(EncodeDelete(record, entry.record).ok(), "a delete of the log does not encode");
  }
  if (!entry.partitions.insert(static_cast<uint16_t>(partition)).second) return;
  entry.receipt.series += ids.size();
  for (const SeriesId& id : ids) {
    std::array<std::byte, 16> bytes{};
    StoreBigEndian(id.hash, bytes);
    const Hash128 hash = HashBytes128({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    entry.ids_sum.high += hash.high;
    entry.ids_sum.low += hash.low;
  }
  entry.on_disk = OnDisk::kNo;
}

void PurgeReceipts::Account(const std::map<LogPosition, uint64_t>& removed, uint64_t bytes_freed,
                            bool undo) {
  uint64_t total = 0;
  for (const auto& [id, samples] : removed) total += samples;
  for (const auto& [id, samples] : removed) {
    const auto it = entries_.find(id);
    if (it == entries_.end() || total == 0) continue;
    const auto share =
        static_cast<uint64_t>(static_cast<double>(bytes_freed) * static_cast<double>(samples) /
                              static_cast<double>(total));
    PurgeReceipt& receipt = it->second.receipt;
    receipt.samples += undo ? 0 - samples : samples;
    receipt.bytes_freed += undo ? 0 - share : share;
  }
}

void PurgeReceipts::CarriedOut(const std::map<LogPosition, uint64_t>& removed, uint64_t bytes_freed,
                               WriteBatch& batch) {
  const MutexLock lock(mu_);
  Account(removed, bytes_freed, /*undo=*/false);
  for (const auto& [id, samples] : removed) {
    const auto it = entries_.find(id);
    if (it != entries_.end()) batch.Put(Family::kMeta, Key(id), Encode(it->second));
  }
}

void PurgeReceipts::Undo(const std::map<LogPosition, uint64_t>& removed, uint64_t bytes_freed) {
  const MutexLock lock(mu_);
  Account(removed, bytes_freed, /*undo=*/true);
}

void PurgeReceipts::Save(WriteBatch& batch) {
  const MutexLock lock(mu_);
  for (auto& [id, entry] : entries_) {
    if (entry.on_disk == OnDisk::kYes) continue;
    batch.Put(Family::kMeta, Key(id), Encode(entry));
    entry.on_disk = OnDisk::kBeingSaved;
  }
}

void PurgeReceipts::Saved() {
  const MutexLock lock(mu_);
  for (auto& [id, entry] : entries_) {
    if (entry.on_disk == OnDisk::kBeingSaved) entry.on_disk = OnDisk::kYes;
  }
}

std::vector<LogPosition> PurgeReceipts::Pending() const {
  const MutexLock lock(mu_);
  std::vector<LogPosition> out;
  for (const auto& [id, entry] : entries_) {
    if (entry.receipt.state == PurgeState::kPending) out.push_back(id);
  }
  return out;
}

Timestamp PurgeReceipts::Requested(LogPosition id) const {
  const MutexLock lock(mu_);
  const auto it = entries_.find(id);
  return it == entries_.end() ? Timestamp{} : FromMs(it->second.receipt.requested_ms);
}

uint64_t PurgeReceipts::NoteEpoch(LogPosition id, uint64_t epoch) {
  const MutexLock lock(mu_);
  const auto it = entries_.find(id);
  if (it == entries_.end()) return epoch;
  if (it->second.unlink_epoch == UINT64_MAX) it->second.unlink_epoch = epoch;
  return it->second.unlink_epoch;
}

Status PurgeReceipts::Purged(const std::vector<LogPosition>& ids, Database& database) {
  if (ids.empty()) return OkStatus();
  const int64_t now_ms = ToMs(clock_.Now());
  WriteBatch batch;
  std::vector<Entry> done;
  {
    const MutexLock lock(mu_);
    for (const LogPosition id : ids) {
      const auto it = entries_.find(id);
      if (it == entries_.end()) continue;
      Entry entry = it->second;
      entry.receipt.state = PurgeState::kPurged;
      entry.receipt.purged_ms = now_ms;
      entry.on_disk = OnDisk::kYes;
      batch.Put(Family::kMeta, Key(id), Encode(entry));
      done.push_back(std::move(entry));
    }
  }
  BASALT_TRY(database.Write(std::move(batch), true));
  WriteBatch forgotten;
  {
    const MutexLock lock(mu_);
    for (Entry& entry : done) entries_[entry.receipt.id] = std::move(entry);
    for (auto it = entries_.begin(); it != entries_.end() && entries_.size() > kMaxPurgeReceipts;) {
      if (it->second.receipt.state == PurgeState::kPending) {
        ++it;
        continue;
      }
      forgotten.Delete(Family::kMeta, Key(it->first));
      it = entries_.erase(it);
    }
  }
  return forgotten.empty() ? OkStatus() : database.Write(std::move(forgotten), false);
}

PurgeReceipt PurgeReceipts::Shown(const Entry& entry) {
  PurgeReceipt receipt = entry.receipt;
  std::string facts = Name(receipt.id) + '\n' + entry.record;
  AppendVarint(receipt.series, facts);
  AppendVarint(entry.ids_sum.high, facts);
  AppendVarint(entry.ids_sum.low, facts);
  receipt.digest = HashBytes128(facts);
  return receipt;
}

std::vector<PurgeReceipt> PurgeReceipts::All() const {
  const MutexLock lock(mu_);
  std::vector<PurgeReceipt> out;
  for (const auto& [id, entry] : entries_) out.push_back(Shown(entry));
  std::reverse(out.begin(), out.end());
  return out;
}

Result<PurgeReceipt> PurgeReceipts::Find(LogPosition id) const {
  const MutexLock lock(mu_);
  const auto it = entries_.find(id);
  if (it == entries_.end()) return NotFound("no delete at " + Name(id));
  return Shown(it->second);
}

}  // namespace basalt::storage
