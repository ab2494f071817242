#include "storage/resolver.h"

#include <algorithm>
#include <bit>

#include "engine/base/status.h"
#include "engine/base/varint.h"
#include "storage/resolver_table.h"

namespace basalt::storage {
namespace {

void AppendLabel(const LabelView& label, std::string& out) {
  AppendVarint(label.name.size(), out);
  out.append(label.name);
  AppendVarint(label.value.size(), out);
  out.append(label.value);
}

}  // namespace

void AppendCanonicalLabels(std::span<const LabelView> sorted, std::string& out) {
  for (const LabelView& label : sorted) AppendLabel(label, out);
}

PartitionId MetadataPartition(std::string_view metric, uint32_t partition_count) {
  if (partition_count == 1) return PartitionId{0};
  return static_cast<PartitionId>(HashBytes128(metric).high >>
                                  (64 - std::countr_zero(partition_count)));
}

// ---- Resolver::Table ----

namespace {

// Where a fingerprint's search begins: its lower half scaled to the number of slots, which is no
// power of two, so that a table need not double to grow.
size_t HomeSlot(uint64_t low, size_t slots) {
  return static_cast<size_t>((low & 0xFFFF'FFFF) * slots >> 32);
}

}  // namespace

Resolver::Table::Table(size_t max_entries)
    : max_entries_(max_entries),
      index_bits_(static_cast<int>(std::bit_width(max_entries))),
      pages_((max_entries + kPageEntries - 1) / kPageEntries) {}

uint32_t Resolver::Table::FindLocked(Shard& shard, const Hash128& fingerprint) {
  const size_t count = shard.slots.size();
  if (count == 0) return kNone;
  const uint32_t wanted = SlotOf(fingerprint.low, 0);
  for (size_t i = HomeSlot(fingerprint.low, count);; i = i + 1 == count ? 0 : i + 1) {
    const uint32_t slot = shard.slots[i];
    if (slot == kNone) return kNone;
    if (SameTag(slot, wanted) && at(IndexOf(slot)).Is(fingerprint)) return IndexOf(slot);
  }
}

uint32_t Resolver::Table::Find(const Hash128& fingerprint) {
  Shard& shard = ShardOf(fingerprint);
  const MutexLock lock(shard.mu);
  return FindLocked(shard, fingerprint);
}

void Resolver::Table::Place(std::vector<uint32_t>& slots, uint64_t low, uint32_t slot) {
  size_t i = HomeSlot(low, slots.size());
  while (slots[i] != kNone) i = i + 1 == slots.size() ? 0 : i + 1;
  slots[i] = slot;
}

void Resolver::Table::Grow(Shard& shard) {
  std::vector<uint32_t> slots(std::max<size_t>(64, shard.slots.size() * 3 / 2), kNone);
  for (const uint32_t slot : shard.slots) {
    if (slot != kNone) Place(slots, at(IndexOf(slot)).low, slot);
  }
  shard.slots = std::move(slots);
}

uint32_t Resolver::Table::NewEntry() {
  size_t index = size_.load(std::memory_order_relaxed);
  do {
    if (index >= max_entries_) return kNone;
  } while (!size_.compare_exchange_weak(index, index + 1, std::memory_order_relaxed));
  std::atomic<Entry*>& page = pages_[index / kPageEntries];
  if (page.load(std::memory_order_acquire) == nullptr) {
    const MutexLock lock(pages_mu_);
    if (page.load(std::memory_order_relaxed) == nullptr) {
      owned_.push_back(std::make_unique<Entry[]>(kPageEntries));
      page.store(owned_.back().get(), std::memory_order_release);
    }
  }
  return static_cast<uint32_t>(index);
}

uint32_t Resolver::Table::Insert(const Hash128& fingerprint, const SeriesHandle& handle) {
  Shard& shard = ShardOf(fingerprint);
  const MutexLock lock(shard.mu);
  if (const uint32_t found = FindLocked(shard, fingerprint); found != kNone) return found;
  const uint32_t index = NewEntry();
  if (index == kNone) return kNone;
  Entry& entry = at(index);
  entry.low = fingerprint.low;
  entry.middle = static_cast<uint32_t>(fingerprint.high);
  entry.high = static_cast<uint16_t>(fingerprint.high >> 32);
  entry.ordinal = handle.ordinal;
  entry.partition = handle.partition;
  if ((shard.used + 1) * 20 > shard.slots.size() * 17) Grow(shard);  // 85 % full
  Place(shard.slots, fingerprint.low, SlotOf(fingerprint.low, index));
  ++shard.used;
  return index;
}

void Resolver::Table::Await(const SeriesId& id, const Hash128& fingerprint) {
  Awaited& awaited = awaited_[id.hash.high % kShards];
  const MutexLock lock(awaited.mu);
  const auto [begin, end] = awaited.fingerprints.equal_range(id.hash);
  if (std::any_of(begin, end, [&](const auto& entry) { return entry.second == fingerprint; })) {
    return;
  }
  if (awaited.fingerprints.size() >= kMaxAwaited) awaited.fingerprints.clear();
  awaited.fingerprints.emplace(id.hash, fingerprint);
}

std::vector<Hash128> Resolver::Table::AwaitedOf(const SeriesId& id) {
  std::vector<Hash128> fingerprints;
  Awaited& awaited = awaited_[id.hash.high % kShards];
  const MutexLock lock(awaited.mu);
  const auto [begin, end] = awaited.fingerprints.equal_range(id.hash);
  for (auto it = begin; it != end; ++it) fingerprints.push_back(it->second);
  return fingerprints;
}

void Resolver::Table::Learn(const SeriesHandle& handle) {
  std::vector<Hash128> fingerprints;
  {
    Awaited& awaited = awaited_[handle.id.hash.high % kShards];
    const MutexLock lock(awaited.mu);
    const auto [begin, end] = awaited.fingerprints.equal_range(handle.id.hash);
    for (auto it = begin; it != end; ++it) fingerprints.push_back(it->second);
    awaited.fingerprints.erase(begin, end);
  }
  for (const Hash128& fingerprint : fingerprints) Insert(fingerprint, handle);
}

size_t Resolver::Table::memory_bytes() {
  size_t bytes = pages_.size() * sizeof(pages_[0]);
  {
    const MutexLock lock(pages_mu_);
    bytes += owned_.size() * kPageEntries * sizeof(Entry);
  }
  for (Shard& shard : shards_) {
    const MutexLock lock(shard.mu);
    bytes += shard.slots.capacity() * sizeof(uint32_t);
  }
  for (Awaited& awaited : awaited_) {
    const MutexLock lock(awaited.mu);
    bytes += awaited.fingerprints.size() * (2 * sizeof(Hash128) + 2 * sizeof(void*));
  }
  return bytes;
}

// ---- Resolver ----

Resolver::Resolver(const ResolverOptions& options, const SeriesFinder& finder)
    : partitions_(options.partitions),
      max_fingerprints_(options.max_fingerprints),
      finder_(finder),
      table_(std::make_shared<Table>(options.max_fingerprints)) {
  BASALT_CHECK(std::has_single_bit(partitions_) && partitions_ <= 65536);
  BASALT_CHECK(max_fingerprints_ > 0 && max_fingerprints_ <= Table::kMaxEntries);
}

Resolver::~Resolver() = default;

std::shared_ptr<Resolver::Table> Resolver::table() const {
  const MutexLock lock(mu_);
  return table_;
}

std::shared_ptr<Resolver::Table> Resolver::TableWithRoom() {
  const MutexLock lock(mu_);
  if (table_->full()) table_ = std::make_shared<Table>(max_fingerprints_);
  return table_;
}

void Resolver::Learn(PartitionId partition, const SeriesId& id, SeriesOrdinal ordinal) {
  table()->Learn({partition, ordinal, id});
}

std::vector<Hash128> Resolver::Awaited(const SeriesId& id) const { return table()->AwaitedOf(id); }

size_t Resolver::fingerprints() const { return table()->size(); }
size_t Resolver::memory_bytes() const { return table()->memory_bytes(); }

}  // namespace basalt::storage
