// storage/parts/rollup.h -- samples to buckets, and buckets to the columns of a rollup run.
//
// What a bucket is and what may be computed from it: storage/reader.h, docs/0003-rollups.md. In a
// run each series has kRollupColumns rows over one time column, in the order of RollupColumn; a
// row's times are the buckets' first instants, end - width + 1 ms.
//
// A bucket that ends at midnight is left-open like all others, so the sample *at* midnight belongs
// to it, and that sample is in the next day's run. There it makes a bucket of its own, at the day's
// first instant; RollupFold puts the two together as if they had never been apart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/status.h"
#include "storage/reader.h"

namespace basalt::storage {

enum class RollupColumn : uint8_t {
  kCount,
  kFirst,
  kLast,
  kMin,
  kMax,
  kSum,
  kCarry,        // what rounding took from kSum so far
  kFirstOffset,  // end_ms - first_ms
  kLastOffset,
  kUnit,
  kResets,
  kResetSum,
  kChanges,
  kFlags,
};
inline constexpr size_t kRollupColumns = 14;

// A bucket with what only storage needs.
struct StoredBucket {
  RollupBucket bucket;
  double carry = 0;       // bucket.sum is the plain sum here; RollupFold::Finish adds the two
  bool raw_gone = false;  // its samples are not kept any more
  bool beside_histograms = false;  // the series has native histograms on that day, in no bucket
};

// The end of the bucket that a time (>= 0) lies in.
constexpr int64_t BucketEndMs(int64_t time_ms, int64_t width_ms) {
  return (time_ms + width_ms - 1) / width_ms * width_ms;
}

// The first instant of a bucket's part in a day: what its rows have for a time, and what tells
// whether a delete covers it.
int64_t FirstInstantMs(int64_t end_ms, Resolution resolution, uint16_t day);

// Folds samples, or buckets of neighbouring days, into buckets. One thread; reused by Clear.
class RollupFold {
 public:
  explicit RollupFold(Resolution resolution) : width_ms_(WidthMs(resolution)) {}

  void Clear() { buckets_.clear(); }
  // In strictly rising time; `start_ms` may be empty.
  void AddSamples(std::span<const int64_t> time_ms, std::span<const double> values,
                  std::span<const int64_t> start_ms);
  void Add(int64_t time_ms, double value, bool has_start);
  // A bucket as a run had it; behind all samples added so far.
  void AddBucket(const StoredBucket& stored);
  [[nodiscard]] std::span<const StoredBucket> stored() const { return buckets_; }
  // What readers see of bucket `i`.
  [[nodiscard]] RollupBucket Finished(size_t i) const;

 private:
  int64_t width_ms_;
  std::vector<StoredBucket> buckets_;
};

// Buckets of one series and day as columns; all vectors are overwritten. `columns` holds
// kRollupColumns times buckets.size() values, column by column.
void EncodeBuckets(std::span<const StoredBucket> buckets, Resolution resolution, uint16_t day,
                   std::vector<int64_t>& time_ms, std::vector<double>& columns);
// The reverse. kDataLoss if the shape does not fit.
Status DecodeBuckets(std::span<const int64_t> time_ms, std::span<const double> columns,
                     Resolution resolution, std::vector<StoredBucket>& out);

}  // namespace basalt::storage
