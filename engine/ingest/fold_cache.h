// engine/ingest/fold_cache.h -- members of the cardinality firewall by the fingerprint of their
// label bytes, so that a series that is folded again costs no decoding of its labels.
//
// A cache: what it has forgotten is decoded and told again. 16 bytes an entry, two entries a
// member, kMaxEntries for all tenants; not part of the 24 bytes that a member costs (fold_table.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/ingest/fold_table.h"
#include "storage/resolver.h"

namespace basalt::ingest {

// Find is thread-safe and takes no lock; all else is for one thread at a time.
class FoldCache final : public storage::SeriesAside {
 public:
  static constexpr size_t kMaxEntries = 1u << 20;  // 16 MiB

  // `id`: only its low half, the member.
  bool Find(const Hash128& fingerprint, SeriesId& id) const override;
  void Add(const Hash128& fingerprint, FoldMember member);
  // So that no member is found that the table has forgotten.
  void Clear();

  // Whether anything was ever added: whether Find can find something.
  [[nodiscard]] bool in_use() const { return entries_.load(std::memory_order_acquire) != nullptr; }
  [[nodiscard]] size_t memory_bytes() const;

 private:
  static constexpr size_t kWays = 4;  // entries that a fingerprint may stand in: a cache line
  static constexpr size_t kFirstSets = 64;
  static constexpr size_t kMaxSets = kMaxEntries / kWays;
  // Read and written as atomics. Either word tells the other, so an entry that is read while it is
  // written fits nobody. Both 0: free.
  struct Entry {
    uint64_t mixed;  // fingerprint.low ^ member
    uint64_t member;
  };

  // All of the address space at once, of which only the first `sets_` are touched: growing moves
  // nothing that is being read. Entries of other sets are then told again.
  struct Free {
    void operator()(Entry* entries) const;
  };
  std::unique_ptr<Entry[], Free> owned_;
  std::atomic<Entry*> entries_{nullptr};  // null: none was added yet
  std::atomic<size_t> sets_{kFirstSets};
  size_t added_ = 0;  // since the last Clear or growth
};

}  // namespace basalt::ingest
