// storage/resolver_table.h -- Resolver's table: fingerprints in the order they were first met.
// Private to resolver.cc and batch_builder.cc.
//
// An entry never moves and, once published, never changes but for `next`, so following a prediction
// takes no lock: a load, a compare of 14 bytes. Only a miss takes the lock of one of 64 shards of
// the hash index. An entry is 24 bytes and its place in the hash index 4.7 to 7: the series' id is
// the index's to tell, by the ordinal.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <memory>
#include <unordered_map>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/ids.h"
#include "engine/base/mutex.h"
#include "storage/resolver.h"

namespace basalt::storage {

// AppendCanonical of engine/base/labels.h for a span.
void AppendCanonicalLabels(std::span<const LabelView> sorted, std::string& out);

// Where a metric family's metadata lives: it belongs to no target.
PartitionId MetadataPartition(std::string_view metric, uint32_t partition_count);

// Equal bytes on the wire mean another series for another tenant. The default tenant's stay as they
// are.
inline Hash128 TenantFingerprint(TenantId tenant, const Hash128& raw) {
  return {raw.high ^ static_cast<uint64_t>(tenant) * 0x9E37'79B9'7F4A'7C15U, raw.low};
}

class Resolver::Table {
 public:
  static constexpr uint32_t kNone = 0xFFFF'FFFF;
  static constexpr size_t kMaxEntries = (size_t{1} << 31) - 1;

  struct Entry {
    uint64_t low = 0;  // of the fingerprint, with the next two: 112 bits
    uint32_t middle = 0;
    SeriesOrdinal ordinal = kUnknownOrdinal;
    std::atomic<uint32_t> next{kNone};  // the entry that followed this one last time
    PartitionId partition{0};
    uint16_t high = 0;

    [[nodiscard]] bool Is(const Hash128& fingerprint) const {
      return low == fingerprint.low && middle == static_cast<uint32_t>(fingerprint.high) &&
             high == static_cast<uint16_t>(fingerprint.high >> 32);
    }
  };
  static_assert(sizeof(Entry) == 24);

  explicit Table(size_t max_entries);

  // `index` came from this table.
  [[nodiscard]] Entry& at(uint32_t index) {
    return pages_[index / kPageEntries].load(std::memory_order_acquire)[index % kPageEntries];
  }
  // kNone if it is not there.
  [[nodiscard]] uint32_t Find(const Hash128& fingerprint);
  // kNone if the table is full. The same fingerprint twice: the entry of the first time.
  uint32_t Insert(const Hash128& fingerprint, const SeriesHandle& handle);

  // The fingerprint of a series that has no ordinal yet.
  void Await(const SeriesId& id, const Hash128& fingerprint);
  void Learn(const SeriesHandle& handle);
  std::vector<Hash128> AwaitedOf(const SeriesId& id);

  [[nodiscard]] bool full() const { return size() >= max_entries_; }
  [[nodiscard]] size_t size() const { return size_.load(std::memory_order_relaxed); }
  [[nodiscard]] size_t memory_bytes();

 private:
  static constexpr size_t kPageEntries = 4096;
  static constexpr size_t kShards = 64;
  // New series whose fingerprints wait for Learn, a shard. Requests that failed leave some behind;
  // past the bound a shard forgets them all and the series pays one more decoding.
  static constexpr size_t kMaxAwaited = 16'384;

  // Open addressing over entry indexes. What bits an index leaves free in its slot are a tag, so
  // that hardly any entry is looked at in vain and the table may be rather full.
  struct Shard {
    Mutex mu;
    std::vector<uint32_t> slots BASALT_GUARDED_BY(mu);
    size_t used BASALT_GUARDED_BY(mu) = 0;
  };
  struct Awaited {
    Mutex mu;
    std::unordered_multimap<Hash128, Hash128, Hash128Hash> fingerprints
        BASALT_GUARDED_BY(mu);  // by id
  };

  // Its uppermost bits choose the shard; the lower ones the place in it; those between are tags.
  Shard& ShardOf(const Hash128& fingerprint) {
    return shards_[fingerprint.low >> (64 - std::countr_zero(kShards))];
  }
  [[nodiscard]] uint32_t SlotOf(uint64_t low, uint32_t index) const {
    return static_cast<uint32_t>(low >> 32) << index_bits_ | index;
  }
  [[nodiscard]] bool SameTag(uint32_t a, uint32_t b) const { return (a ^ b) >> index_bits_ == 0; }
  [[nodiscard]] uint32_t IndexOf(uint32_t slot) const {
    return slot & ((uint32_t{1} << index_bits_) - 1);
  }
  uint32_t FindLocked(Shard& shard, const Hash128& fingerprint) BASALT_REQUIRES(shard.mu);
  void Grow(Shard& shard) BASALT_REQUIRES(shard.mu);
  static void Place(std::vector<uint32_t>& slots, uint64_t low, uint32_t slot);
  [[nodiscard]] uint32_t NewEntry();

  const size_t max_entries_;
  const int index_bits_;  // kNone's index bits are no entry's
  std::atomic<size_t> size_{0};
  std::vector<std::atomic<Entry*>> pages_;
  Mutex pages_mu_;
  std::vector<std::unique_ptr<Entry[]>> owned_ BASALT_GUARDED_BY(pages_mu_);
  std::array<Shard, kShards> shards_;
  std::array<Awaited, kShards> awaited_;
};

}  // namespace basalt::storage
