// query/result_cache_stats.h -- what the result cache has done since the engine was made.
#pragma once

#include <cstdint>

namespace basalt::query {

struct ResultCacheStats {
  uint64_t bytes = 0;    // held now
  uint64_t entries = 0;  // likewise
  uint64_t hits = 0;     // queries of which all steps were known
  uint64_t partial_hits = 0;
  uint64_t misses = 0;
  uint64_t evicted = 0;
};

}  // namespace basalt::query
