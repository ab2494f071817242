#include "tools/query_metrics.h"

#include <string>
#include <vector>

namespace basalt::cli {

void RegisterQueryMetrics(metrics::Registry& registry, const query::Engine& engine) {
  registry.AddCollector([&engine](std::vector<metrics::Family>& out) {
    const query::ResultCacheStats stats = engine.CacheStats();
    const auto add = [&out](const char* what, const char* help, metrics::Type type, uint64_t v) {
      metrics::AppendValue(out, std::string("basalt_query_result_cache_") + what, help, type,
                           static_cast<double>(v));
    };
    add("bytes", "Answers of range queries that are kept.", metrics::Type::kGauge, stats.bytes);
    add("entries", "How many those are.", metrics::Type::kGauge, stats.entries);
    add("hits_total", "Range queries of which all steps were known.", metrics::Type::kCounter,
        stats.hits);
    add("partial_hits_total", "Range queries of which some steps were known.",
        metrics::Type::kCounter, stats.partial_hits);
    add("misses_total", "Range queries that were evaluated whole.", metrics::Type::kCounter,
        stats.misses);
    add("evicted_total", "Answers that made room for others.", metrics::Type::kCounter,
        stats.evicted);
  });
}

}  // namespace basalt::cli
