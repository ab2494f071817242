// query/engine.h -- PromQL text in, values out. The public face of query/.
//
// Semantics are those of Prometheus' main branch, experimental functions included. Nothing in here
// asks a clock what time it is: the time of evaluation is an argument (the clock below only
// measures how long a query has been running).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/status.h"
#include "engine/base/time.h"
#include "query/operator_stats.h"
#include "query/options.h"
#include "query/plan/grid.h"
#include "query/result_cache_stats.h"
#include "query/value.h"
#include "storage/reader.h"

namespace basalt::query {

class ResultCache;

struct QueryStats {
  // "totalQueryableSamples" of Prometheus: a window counts all its samples at each step, whether
  // they were read or told by summaries and flags. A histogram that was not read counts as one.
  uint64_t samples = 0;
  uint64_t samples_read = 0;     // read from storage
  uint64_t rows_summarized = 0;  // rows of storage answered from their summaries
  uint64_t blocks_opened = 0;    // superblocks of storage that were looked into
  uint64_t peak_samples = 0;
  uint64_t series_selected = 0;
  uint64_t steps = 0;
  uint64_t steps_cached = 0;  // of those, taken from the result cache
  std::chrono::nanoseconds parse{0};
  std::chrono::nanoseconds evaluate{0};  // selecting and reading included
  // With QueryOptions::trace: a line an operator, as the plan is described. Nothing if all steps
  // came from the cache.
  std::vector<OperatorStats> operators;
};

// Warnings say that the answer may not be what was meant, infos hint at mistakes in the query.
// Texts and positions
// ("... (1:5)") are Prometheus'. Each text once, in the order of evaluation; the API decides how
// many it shows.
struct QueryResult {
  Value value;
  std::vector<std::string> warnings;
  std::vector<std::string> infos;
  QueryStats stats;
};

// Prometheus' errorType.
enum class ErrorKind : uint8_t { kBadData, kExecution, kCanceled, kTimeout, kInternal };
// "bad_data", "execution", "canceled", "timeout", "internal".
std::string_view ErrorKindName(ErrorKind kind);
// The kind of an error returned by Engine: kInvalidArgument is bad_data (text, parameters),
// kCancelled canceled, kDeadlineExceeded timeout; what storage could not do is internal; everything
// else failed in execution.
ErrorKind ErrorKindOf(const Status& status);

// Thread-safe.
class Engine {
 public:
  explicit Engine(EngineOptions options);

  // Evaluates `query` at one instant. The value is of the expression's own type; a range selector
  // gives a Matrix. The messages of errors are Prometheus'; ErrorKindOf tells their type.
  [[nodiscard]] Result<QueryResult> Instant(const storage::Snapshot& snapshot, TenantId tenant,
                                            std::string_view query, Timestamp time,
                                            const QueryOptions& options = {}) const;

  // Evaluates at start, start + step, ... up to and including `end`. The value is always a Matrix.
  // kInvalidArgument also for step <= 0, end < start, and an expression that is neither scalar nor
  // vector.
  [[nodiscard]] Result<QueryResult> Range(const storage::Snapshot& snapshot, TenantId tenant,
                                          std::string_view query, Timestamp start, Timestamp end,
                                          Duration step, const QueryOptions& options = {}) const;

  // How a query would be evaluated, a line a step, the innermost indented the most: what is pushed
  // down, how many series each selector finds, and about how many samples it reads. Errors as
  // Range's; `start` == `end` explains an instant query.
  [[nodiscard]] Result<std::vector<std::string>> Explain(const storage::Snapshot& snapshot,
                                                         TenantId tenant, std::string_view query,
                                                         Timestamp start, Timestamp end,
                                                         Duration step,
                                                         const QueryOptions& options = {}) const;

  [[nodiscard]] const EngineOptions& options() const { return options_; }
  [[nodiscard]] ResultCacheStats CacheStats() const;

 private:
  [[nodiscard]] Result<QueryResult> CachedRangeQuery(const storage::Snapshot& snapshot,
                                                     TenantId tenant, std::string_view query,
                                                     const plan::Grid& grid,
                                                     const QueryOptions& options) const;

  void Keep(const std::string& key, const plan::Grid& grid, uint64_t stamp,
            const QueryResult& result) const;

  EngineOptions options_;
  std::shared_ptr<ResultCache> cache_;           // never null
  std::shared_ptr<std::atomic<uint64_t>> held_;  // samples, by all queries; never null
};

// kInvalidArgument, in the words of Prometheus' API, if a range query would give more than
// kMaxPointsPerSeries. `end` is not before `start`, `step` is above zero.
Status CheckResolution(Timestamp start, Timestamp end, Duration step);

}  // namespace basalt::query
