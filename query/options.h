// query/options.h -- what an engine and a single query can be told.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "engine/base/clock.h"
#include "engine/base/executor.h"
#include "engine/base/time.h"

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
// A time and a value.
inline constexpr uint64_t kBytesPerSample = 16;
// What one range query may return per series; Prometheus' API has the same bound and error.
inline constexpr int64_t kMaxPointsPerSeries = 11'000;

struct EngineOptions {
  // How far back a selector looks for a sample.
  Duration lookback = kDefaultLookback;
  // Wall time that one query may take.
  Duration timeout = kDefaultQueryTimeout;
  // Samples that one query may hold at a time, inputs and outputs, as Prometheus counts them.
  uint64_t max_samples = kDefaultMaxSamples;
  // Bytes of samples (kBytesPerSample each) that all queries of the engine may hold together; 0: as
  // many as each one may by itself.
  uint64_t memory_bytes = 0;
  // Series that one selector may match.
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
  // Start timestamps stored with samples tell rate(), increase(), irate() and resets() of counter
  // resets.
  bool use_start_timestamps = true;
  // Aggregate inside the partitions where that is exact. Off: the plain plan, which tests compare
  // with.
  bool push_down = true;
  // Bytes of answers of range queries that are kept for the next refresh (result_cache.h); 0: none.
  size_t result_cache_bytes = 0;
  // Evaluate float rows by the fused kernels and from summaries. Off: the general way, a window at
  // a time, which tests compare with.
  bool fuse = true;
};

// Whether rollups may stand for samples (docs/0005-rollups.md).
enum class Downsample : uint8_t {
  kExact,  // only where samples are gone and windows are whole buckets
  kAuto,   // wherever rollups are long kept: windows move to whole buckets. Said in infos.
};

// Set for one query. Zeros and nulls mean the engine's own.
struct QueryOptions {
  Duration lookback{0};
  Duration timeout{0};
  const CancelToken* cancel = nullptr;
  // Neither look at kept answers nor keep this one.
  bool no_cache = false;
  // Measure what each operator takes (QueryStats::operators).
  bool trace = false;
  Downsample downsample = Downsample::kExact;
};

}  // namespace basalt::query
