// engine/ingest/otlp/delta_totals.h -- deltas as the running totals that they are increases of.
//
// The totals are what is stored: where a series ends (end, start and value of its newest sample) is
// all that is needed to go on, so nothing else is kept, a restart loses nothing, and the log's
// records say the same however often they are replayed. Semantics, and why this stands before the
// log: docs/0002-delta-to-cumulative.md.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/histogram.h"
#include "engine/base/mutex.h"
#include "engine/ingest/newest_sample.h"
#include "engine/ingest/report.h"
#include "storage/store.h"

namespace basalt::ingest::otlp {

// Thread-safe. `store` and `clock` must outlive it.
class DeltaTotals {
 public:
  // A delta that begins later than this after its series' end begins a new total.
  static constexpr Duration kMaxGap = std::chrono::hours(1);
  // Ends that are remembered; beyond it all are forgotten and found again in the store.
  static constexpr size_t kMaxSeries = 1'000'000;

  DeltaTotals(storage::Store& store, const Clock& clock) : store_(store), clock_(clock) {}

  // One request's way through, one after another: made under a lock that it holds until it is gone.
  // Convert; then have the store append; then Appended. Without Appended what was converted is
  // undone.
  class Turn {
   public:
    explicit Turn(DeltaTotals& totals) BASALT_NO_THREAD_SAFETY_ANALYSIS;
    ~Turn() BASALT_NO_THREAD_SAFETY_ANALYSIS;
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    // The samples and histograms of `batches` are deltas, from their start to their time; makes
    // totals of them. What was counted already is taken out: silently if it is the last one again,
    // otherwise reported (Reason::kDelta). kUnavailable: not now; an append before has failed and
    // is not settled.
    Status Convert(TenantId tenant, std::vector<storage::IngestBatch>& batches, Report& report);
    // The store has taken it; call the result when it is done, with whether it is stored.
    [[nodiscard]] std::function<void(bool stored)> Appended();

   private:
    DeltaTotals& totals_;
    bool appended_ = false;
  };

  [[nodiscard]] size_t series() const BASALT_EXCLUDES(mu_);

 private:
  struct End {
    int64_t start_ms = storage::kNoStartMs;  // of the total
    int64_t last_start_ms = storage::kNoStartMs;  // of the delta that was added last
    int64_t end_ms = INT64_MIN;                   // nothing yet
    double total = 0;
    std::shared_ptr<const NativeHistogram> histogram;  // then `total` means nothing
  };
  struct Undo {
    SeriesId id;
    std::optional<End> before;
  };
  // Between requests and the store's threads.
  struct UnderWay {
    Mutex mu;
    size_t appends BASALT_GUARDED_BY(mu) = 0;
    bool failed BASALT_GUARDED_BY(mu) = false;
  };
  enum class Verdict : uint8_t { kAdds, kBegins, kRepeats, kOverlaps };
  static Verdict Judge(const End& end, int64_t start_ms, int64_t time_ms);
  Status ConvertBatch(TenantId tenant, storage::IngestBatch& batch,
                      const storage::Snapshot*& snapshot, Report& report) BASALT_REQUIRES(mu_);
  // Where the series ends, by what is remembered or by the store.
  Result<End*> EndOf(TenantId tenant, const storage::IngestBatch& batch, uint32_t series,
                     int64_t since_ms) BASALT_REQUIRES(mu_);

  storage::Store& store_;
  const Clock& clock_;
  mutable Mutex mu_;
  absl::flat_hash_map<Hash128, End, Hash128Hash> ends_ BASALT_GUARDED_BY(mu_);
  std::vector<Undo> undo_ BASALT_GUARDED_BY(mu_);
  const std::shared_ptr<UnderWay> under_way_ = std::make_shared<UnderWay>();
};

// Adds exponential histograms of any two schemas, at the coarser one, and custom ones of the same
// bounds; integer counts. kInvalidArgument if they cannot be added: different bounds, or one of them
// has custom bounds.
Result<NativeHistogram> AddHistograms(const NativeHistogram& a, const NativeHistogram& b);

}  // namespace basalt::ingest::otlp
