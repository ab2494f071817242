// tools/query_metrics.h -- what the query engine says of itself.
#pragma once

#include "engine/base/metrics.h"
#include "query/engine.h"

namespace basalt::cli {

// basalt_query_result_cache_*: bytes, entries, hits, partial hits, misses, evictions. `engine` must
// outlive the registry's use.
void RegisterQueryMetrics(metrics::Registry& registry, const query::Engine& engine);

}  // namespace basalt::cli
