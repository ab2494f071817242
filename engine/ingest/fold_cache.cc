#include "engine/ingest/fold_cache.h"

#include <cstdlib>
#include <new>

namespace basalt::ingest {
namespace {

uint64_t Load(uint64_t& word) { return std::atomic_ref(word).load(std::memory_order_relaxed); }
void Store(uint64_t value, uint64_t& word) {
  std::atomic_ref(word).store(value, std::memory_order_relaxed);
}

}  // namespace

void FoldCache::Free::operator()(Entry* entries) const { std::free(entries); }

bool FoldCache::Find(const Hash128& fingerprint, SeriesId& id) const {
  Entry* const entries = entries_.load(std::memory_order_acquire);
  if (entries == nullptr) return false;
  const size_t set = fingerprint.high & (sets_.load(std::memory_order_relaxed) - 1);
  for (size_t i = set * kWays; i < (set + 1) * kWays; ++i) {
    const uint64_t mixed = Load(entries[i].mixed);
    const uint64_t member = Load(entries[i].member);
    if ((mixed ^ member) != fingerprint.low || (mixed | member) == 0) continue;
    id = {.hash = {.high = 0, .low = member}};
    return true;
  }
  return false;
}

void FoldCache::Add(const Hash128& fingerprint, FoldMember member) {
  if (owned_ == nullptr) {
    owned_.reset(static_cast<Entry*>(std::calloc(kMaxEntries, sizeof(Entry))));  // all free
    if (owned_ == nullptr) throw std::bad_alloc();
    entries_.store(owned_.get(), std::memory_order_release);
  }
  size_t sets = sets_.load(std::memory_order_relaxed);
  if (++added_ * 2 > sets * kWays && sets < kMaxSets) {
    sets *= 2;
    sets_.store(sets, std::memory_order_relaxed);
  }
  const auto id = static_cast<uint64_t>(member);
  const uint64_t mixed = fingerprint.low ^ id;
  const size_t first = (fingerprint.high & (sets - 1)) * kWays;
  Entry* place = &owned_[first + fingerprint.low % kWays];  // whose is taken if none is free
  for (size_t i = first; i < first + kWays; ++i) {
    if (owned_[i].mixed == mixed && owned_[i].member == id) return;
    if ((owned_[i].mixed | owned_[i].member) == 0) place = &owned_[i];
  }
  Store(id, place->member);
  Store(mixed, place->mixed);
}

void FoldCache::Clear() {
  if (owned_ == nullptr) return;
  const size_t used = sets_.load(std::memory_order_relaxed) * kWays;
  for (size_t i = 0; i < used; ++i) {
    Store(0, owned_[i].mixed);
    Store(0, owned_[i].member);
  }
  added_ = 0;
}

size_t FoldCache::memory_bytes() const {
  return owned_ == nullptr ? 0 : sets_.load(std::memory_order_relaxed) * kWays * sizeof(Entry);
}

}  // namespace basalt::ingest
