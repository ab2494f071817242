#include "engine/slo/sli_queries.h"

#include <memory>
#include <variant>

namespace basalt::slo {

Result<std::vector<SliSeries>> EngineQueries::Range(TenantId tenant, const std::string& promql,
                                                    int64_t first_ms, int64_t last_ms,
                                                    int64_t step_ms) {
  BASALT_TRY_ASSIGN(const std::shared_ptr<const storage::Snapshot> snapshot,
                    store_.reader().TakeSnapshot());
  query::QueryOptions options;
  options.no_cache = true;  // nobody else asks at these times
  BASALT_TRY_ASSIGN(const query::QueryResult result,
                    engine_.Range(*snapshot, tenant, promql, FromMs(first_ms), FromMs(last_ms),
                                  Duration(step_ms), options));
  std::vector<SliSeries> out;
  for (const query::Series& series : std::get<query::Matrix>(result.value)) {
    SliSeries one{series.labels, {}};
    one.points.reserve(series.floats.size());
    for (const query::FloatPoint& point : series.floats) {
      one.points.emplace_back(point.time_ms, point.value);
    }
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace basalt::slo
