// query/engine.h -- PromQL text in, values out. The public face of query/.
//
// Semantics are those of Prometheus' main branch, experimental functions included. Nothing in here
// asks a clock what time it is: the time of evaluation is an argument (the clock below only
// measures how long a query has been running).
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/executor.h"
#include "engine/base/ids.h"
#include "engine/base/status.h"
#include "engine/base/time.h"
#include "query/value.h"
#include "storage/reader.h"

namespace basalt::query {

// Stops a running query from another thread. Thread-safe. Looked at at least every few thousand
// samples.
class CancelToken {
 public:
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> cancelled_{false};
};

inline constexpr Duration kDefaultLookback = std::chrono::minutes(5);
inline constexpr Duration kDefaultQueryTimeout = std::chrono::minutes(2);
inline constexpr uint64_t kDefaultMaxSamples = 50'000'000;
// What one range query may return per series; Prometheus' API has the same bound and error.
inline constexpr int64_t kMaxPointsPerSeries = 11'000;

struct EngineOptions {
  // How far back a selector looks for a sample.
  Duration lookback = kDefaultLookback;
  // Wall time that one query may take.
  Duration timeout = kDefaultQueryTimeout;
  // Samples that one query may hold at a time, inputs and outputs, as Prometheus counts them.
  uint64_t max_samples = kDefaultMaxSamples;
  // Series that one selector may match in one partition.
  size_t max_series = 10'000'000;
  // Steps of a subquery that names none.
  Duration default_subquery_step = std::chrono::minutes(1);
  // Further threads that a query may use; the calling thread always works too. Null: only the
  // calling thread. Answers are the same bits for any number of threads. Must outlive the engine.
  Executor* executor = nullptr;
  // How many tasks one query may keep in `executor` at a time.
  size_t parallelism = 1;
  // Measures `timeout`.
  const Clock* clock = &SystemClock();
  // Behaviour that Prometheus has behind feature flags.
  bool delayed_name_removal = true;
  bool use_start_timestamps = false;
};

// Set for one query. Zeros and nulls mean the engine's own.
struct QueryOptions {
  Duration lookback{0};
  Duration timeout{0};
  const CancelToken* cancel = nullptr;
};

struct QueryStats {
  uint64_t samples =
      0;  // "totalQueryableSamples" of Prometheus: a window counts all its samples at each step
  uint64_t samples_read = 0;  // read from storage
  uint64_t peak_samples = 0;
  uint64_t series_selected = 0;
  uint64_t steps = 0;
  std::chrono::nanoseconds parse{0};
  std::chrono::nanoseconds evaluate{0};  // selecting and reading included
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

  [[nodiscard]] const EngineOptions& options() const { return options_; }

 private:
  EngineOptions options_;
};

// kInvalidArgument, in the words of Prometheus' API, if a range query would give more than
// kMaxPointsPerSeries.
Status CheckResolution(Timestamp start, Timestamp end, Duration step);

}  // namespace basalt::query
