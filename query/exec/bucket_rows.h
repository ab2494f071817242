// query/exec/bucket_rows.h -- rows of a fragment out of the buckets of a rollup, in place of
// samples (../docs/0005-rollups.md).
//
// A window is a row of whole buckets: its end moves to the bucket border before it, and its length
// is cut to a multiple of the width. Where neither changes anything, most functions give the bits
// that the samples would (storage/parts/docs/0003-rollups.md has the table).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "query/exec/float_rows.h"
#include "query/exec/matrix.h"
#include "query/plan/plan.h"
#include "storage/reader.h"

namespace basalt::query::exec {

// One thread. One per task.
class BucketRowEvaluator {
 public:
  // Whether buckets tell what the fragment asks.
  static bool Supports(const plan::FragmentPlan& plan);

  // `plan` and `input` must outlive it; Supports(plan); the grid is not empty; no kRaw.
  BucketRowEvaluator(const plan::FragmentPlan& plan, const plan::FragmentInput& input,
                     storage::Resolution resolution);

  // What Selection::ReadRollup is to show.
  [[nodiscard]] storage::TimeRange range() const;
  // True if some window is not the one that was asked for.
  [[nodiscard]] bool moved() const;

  // What a series comes to; no kinds: it has no value. Borrowed until the next call.
  FloatRow Evaluate(std::span<const storage::RollupBucket> buckets);

  // Some value so far may differ from that of the samples in its last bits: sums that are rounded,
  // counters that say when they were started.
  [[nodiscard]] bool rounded() const { return rounded_; }
  // Samples that the windows so far stood for.
  [[nodiscard]] uint64_t samples() const { return samples_; }

 private:
  using Window = std::span<const storage::RollupBucket>;

  [[nodiscard]] int64_t EndOf(size_t step) const;
  [[nodiscard]] int64_t BorderOf(size_t step) const;
  [[nodiscard]] Cell Value(Window window, int64_t end_ms);
  [[nodiscard]] Cell Latest(Window window, int64_t end_ms) const;
  [[nodiscard]] Cell Sum(Window window, bool average);
  [[nodiscard]] Cell Rate(Window window, int64_t end_ms);

  const plan::FragmentPlan& plan_;
  const plan::FragmentInput& input_;
  const int64_t width_ms_;
  const int64_t asked_ms_;  // the range or lookback that was asked for
  const int64_t reach_ms_;  // what it came to
  bool rounded_ = false;
  uint64_t samples_ = 0;
  std::vector<CellKind> kinds_;
  std::vector<double> values_;
  std::vector<double> lost_;  // what each reset of a window took away
};

}  // namespace basalt::query::exec
