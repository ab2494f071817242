// engine/ingest/otlp/delta_totals.h -- deltas as the running totals that they are increases of.
//
// The totals are what is stored: where a series ends (time, start and value of its newest sample)
// is all that is needed to go on. So nothing else is kept, a restart or a kill loses nothing, and
// the log's records come to the same however often they are replayed. Semantics, and why this
// stands before the log: engine/ingest/docs/0002-delta-to-cumulative.md.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/hash.h"
#include "engine/base/histogram.h"
#include "engine/base/mutex.h"
#include "engine/ingest/report.h"
#include "storage/store.h"

namespace basalt::ingest::otlp {

// Thread-safe. `store` and `clock` must outlive it.
class DeltaTotals {
 public:
  // A delta that ends later than this after its series begins a new total.
  static constexpr Duration kMaxGap = std::chrono::hours(1);
  // Ends that are remembered; beyond it all are forgotten, and found again in the store.
  static constexpr size_t kMaxSeries = 1'000'000;

  DeltaTotals(storage::Store& store, const Clock& clock) : store_(store), clock_(clock) {}

  // Takes totals on their way to the store. False: they did not get there. Otherwise `stored` must
  // be called once, by any thread, maybe before this returns.
  using Append = std::function<bool(std::vector<storage::IngestBatch> totals,
                                    std::function<void(bool is_stored)> stored)>;

  // The samples and histograms of `deltas` are deltas, from their start to their time; `append` is
  // called once, with the totals that they come to. Requests pass one after another, so that totals
  // stand in the log in the order in which they rose. The newest delta of a series, sent again,
  // comes to the total that it came to before; all else that overlaps what is counted is taken out
  // and reported (Reason::kDelta). kUnavailable: `append` was not called, send it again; an append
  // before has failed, and others are still under way.
  Status Pass(TenantId tenant, std::vector<storage::IngestBatch> deltas, Report& report,
              const Append& append) BASALT_EXCLUDES(mu_);

  [[nodiscard]] size_t series() const BASALT_EXCLUDES(mu_);

 private:
  // Where a series ends.
  struct End {
    int64_t start_ms = storage::kNoStartMs;       // of the total
    int64_t last_start_ms = storage::kNoStartMs;  // of the delta that came last; as far as known
    int64_t end_ms = INT64_MIN;                   // nothing yet
    double total = 0;
    std::shared_ptr<const NativeHistogram> histogram;  // then `total` means nothing
  };
  // Of appends, for the store's threads.
  struct UnderWay {
    Mutex mu;
    size_t appends BASALT_GUARDED_BY(mu) = 0;
    bool failed BASALT_GUARDED_BY(mu) = false;
  };
  using Ends = absl::flat_hash_map<Hash128, End, Hash128Hash>;
  class Conversion;  // of one request
  // What the store says of series that are not remembered.
  struct Found {
    uint64_t generation = 0;
    Ends ends;
  };
  // Ends of the series of `deltas` that are not remembered. The store is read without the lock: a
  // request whose series are known does not wait for another's disk.
  Result<Found> FindUnknown(TenantId tenant, const std::vector<storage::IngestBatch>& deltas)
      BASALT_EXCLUDES(mu_);
  [[nodiscard]] Result<End> ReadEnd(TenantId tenant, const storage::IngestBatch& batch,
                                    uint32_t series, int64_t time_ms) const;
  // Pass, with what the store said of the others.
  Status PassFound(std::vector<storage::IngestBatch> deltas, const Ends& found, Report& report,
                   const Append& append) BASALT_REQUIRES(mu_);
  // Forgets all ends if an append has failed. kUnavailable while others are under way.
  Status Settle() BASALT_REQUIRES(mu_);

  storage::Store& store_;
  const Clock& clock_;
  mutable Mutex mu_;
  Ends ends_ BASALT_GUARDED_BY(mu_);
  uint64_t generation_ BASALT_GUARDED_BY(mu_) = 0;  // how often all were forgotten
  const std::shared_ptr<UnderWay> under_way_ = std::make_shared<UnderWay>();
};

}  // namespace basalt::ingest::otlp
