// query/result_cache.h -- answers of range queries, kept for the next refresh of the same panel.
//
// A dashboard asks the same query again and again over a window that moves on: all but the newest
// steps are known already. What is kept is the answer on its grid of steps; of it, the steps that
// no write or delete has touched since are still right, bit for bit, because the value at a step
// does not depend on which other steps are asked for (docs/0002-result-cache.md: which queries that
// does not hold for, and how changes are told).
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "engine/base/hash.h"
#include "engine/base/mutex.h"
#include "query/plan/grid.h"
#include "query/promql/ast.h"
#include "query/result_cache_stats.h"
#include "query/value.h"

namespace basalt::query {

// An answer on a grid, and the moment of the store that it was made at.
struct CachedRange {
  plan::Grid grid;
  uint64_t stamp = 0;
  Matrix matrix;  // floats only, sorted by labels
};

// Thread-safe. The least recently used answers go first.
class ResultCache {
 public:
  explicit ResultCache(size_t max_bytes) : max_bytes_(max_bytes) {}

  [[nodiscard]] std::shared_ptr<const CachedRange> Find(const std::string& key)
      BASALT_EXCLUDES(mu_);
  // Takes the place of what was there. An answer that would fill more than an eighth of the cache
  // is not kept.
  void Put(const std::string& key, std::shared_ptr<const CachedRange> range) BASALT_EXCLUDES(mu_);
  void Count(bool all, bool some) BASALT_EXCLUDES(mu_);
  [[nodiscard]] ResultCacheStats Stats() const BASALT_EXCLUDES(mu_);

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const CachedRange> range;
    size_t bytes = 0;
  };
  void Drop(std::list<Entry>::iterator entry) BASALT_REQUIRES(mu_);

  const size_t max_bytes_;
  mutable Mutex mu_;
  std::list<Entry> entries_ BASALT_GUARDED_BY(mu_);  // most recently used first
  absl::flat_hash_map<std::string, std::list<Entry>::iterator, StringHash, StringEq> by_key_
      BASALT_GUARDED_BY(mu_);
  ResultCacheStats stats_ BASALT_GUARDED_BY(mu_);
};

// How far the values of a query's steps look ahead of them (negative offsets), or none if they may
// depend on anything but the step and the samples before it: on the query's own start and end, on
// an @ time, or on which steps stand beside it.
std::optional<int64_t> CacheableLookahead(const promql::Expr& expr);

// The part of `range` whose steps lie in [from_ms, to_ms].
Matrix CutMatrix(const Matrix& range, int64_t from_ms, int64_t to_ms);
// Puts answers on neighbouring grids together; `later` begins after `earlier` ends. Both are sorted
// by labels, and so is the result.
Matrix JoinMatrices(Matrix earlier, Matrix later);

}  // namespace basalt::query
