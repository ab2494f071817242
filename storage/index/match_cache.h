// storage/index/match_cache.h -- which values of a label an expression matches, remembered across
// queries.
//
// The values of a label only grow, so what was found stays found: the next query asks about the new
// values only. Both =~ and !~ of one expression share an entry.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/mutex.h"
#include "storage/index/matcher.h"
#include "storage/index/tables.h"

namespace basalt::storage::index_internal {

struct NameIndex;

// Positions in NameIndex::pairs, rising.
class MatchSet {
 public:
  MatchSet(std::shared_ptr<const std::vector<uint32_t>> positions, size_t count)
      : positions_(std::move(positions)), count_(count) {}
  [[nodiscard]] std::span<const uint32_t> positions() const {
    return std::span(*positions_).first(count_);
  }

 private:
  std::shared_ptr<const std::vector<uint32_t>> positions_;
  size_t count_;
};

// Thread-safe.
class MatchCache {
 public:
  // Bounds of one partition's cache; the least recently used goes first.
  static constexpr size_t kMaxSets = 64;
  static constexpr size_t kMaxBytes = 2u << 20;
  // Labels with fewer values are asked anew each time.
  static constexpr size_t kMinValues = 64;

  // Those of the first `count` values of `name` that the pattern of `matcher`, before negation,
  // matches. Takes no lock while it asks.
  [[nodiscard]] MatchSet Matching(const Tables& tables, const NameIndex& name, size_t count,
                                  const CompiledMatcher& matcher) BASALT_EXCLUDES(mu_);
  [[nodiscard]] size_t bytes() const BASALT_EXCLUDES(mu_);
  // How many values have been asked since the cache was made.
  [[nodiscard]] uint64_t values_asked() const BASALT_EXCLUDES(mu_);

 private:
  struct Entry {
    const NameIndex* name = nullptr;
    std::string pattern;
    size_t asked = 0;  // of the name's values
    std::shared_ptr<const std::vector<uint32_t>> positions;
    [[nodiscard]] size_t bytes() const {
      return sizeof(Entry) + pattern.size() + positions->size() * sizeof(uint32_t);
    }
  };
  // The entry, moved to the front, or the end.
  std::list<Entry>::iterator Find(const NameIndex& name, const std::string& pattern)
      BASALT_REQUIRES(mu_);
  void Keep(Entry entry) BASALT_EXCLUDES(mu_);

  mutable Mutex mu_;
  std::list<Entry> entries_ BASALT_GUARDED_BY(mu_);  // most recently used first
  size_t bytes_ BASALT_GUARDED_BY(mu_) = 0;
  uint64_t values_asked_ BASALT_GUARDED_BY(mu_) = 0;
};

}  // namespace basalt::storage::index_internal
