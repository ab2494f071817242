// engine/slo/sli_queries.h -- what polled SLIs need of a query engine.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "engine/slo/sample_store.h"
#include "query/engine.h"

namespace basalt::slo {

struct SliSeries {
  Labels labels;
  std::vector<std::pair<int64_t, double>> points;  // time in ms, value; by time; floats only
};

// Thread-safe.
class SliQueries {
 public:
  virtual ~SliQueries() = default;
  // `promql` at first, first + step, ... up to last, over everything acknowledged so far.
  virtual Result<std::vector<SliSeries>> Range(TenantId tenant, const std::string& promql,
                                               int64_t first_ms, int64_t last_ms,
                                               int64_t step_ms) = 0;
};

// The real one. Borrows both.
class EngineQueries final : public SliQueries {
 public:
  EngineQueries(const query::Engine& engine, const SampleStore& store)
      : engine_(engine), store_(store) {}
  Result<std::vector<SliSeries>> Range(TenantId tenant, const std::string& promql, int64_t first_ms,
                                       int64_t last_ms, int64_t step_ms) override;

 private:
  const query::Engine& engine_;
  const SampleStore& store_;
};

}  // namespace basalt::slo
