#include "storage/parts/rollup.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "engine/base/kahan.h"
#include "engine/base/stale.h"
#include "storage/codec/keys.h"
#include "storage/codec/row_summary.h"

namespace basalt::storage {
namespace {

// All values so far are zeros: multiples of anything.
constexpr int32_t kAnyUnit = 1023;
enum Flag : uint8_t {
  kEndsStale = 1,
  kAnyStarts = 2,
  kHasNan = 4,
  kRawGone = 8,
  kBesideHistograms = 16
};

// The power of two of the lowest bit that is set; kNoSumUnit for what sums cannot be exact with.
int32_t UnitOf(double value) {
  if (value == 0) return std::signbit(value) ? kNoSumUnit : kAnyUnit;
  const auto bits = std::bit_cast<uint64_t>(value);
  const auto exponent = static_cast<int32_t>(bits >> 52 & 0x7FF);
  if (exponent == 0x7FF) return kNoSumUnit;
  uint64_t mantissa = bits & ((uint64_t{1} << 52) - 1);
  if (exponent > 0) mantissa |= uint64_t{1} << 52;
  return std::max(exponent, 1) - 1075 + std::countr_zero(mantissa);
}

bool Same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

void AddValue(int64_t time_ms, double value, StoredBucket& stored) {
  RollupBucket& b = stored.bucket;
  const int32_t unit = UnitOf(value);
  if (b.count == 0) {
    b.first_ms = time_ms;
    b.first = b.min = b.max = value;
    b.sum_unit = unit;
  } else {
    if (value < b.last) {
      ++b.resets;
      b.reset_sum += b.last;
    }
    if (!Same(value, b.last)) ++b.changes;
    if (value < b.min || std::isnan(b.min)) b.min = value;
    if (value > b.max || std::isnan(b.max)) b.max = value;
    b.sum_unit =
        b.sum_unit == kNoSumUnit || unit == kNoSumUnit ? kNoSumUnit : std::min(b.sum_unit, unit);
  }
  b.has_nan |= std::isnan(value);
  KahanAdd(value, b.sum, stored.carry);
  ++b.count;
  b.last_ms = time_ms;
  b.last = value;
}

}  // namespace

int64_t FirstInstantMs(int64_t end_ms, Resolution resolution, uint16_t day) {
  return std::max(end_ms - WidthMs(resolution) + 1, DayStartMs(day));
}

void RollupFold::Add(int64_t time_ms, double value, bool has_start) {
  const int64_t end_ms = BucketEndMs(time_ms, width_ms_);
  if (buckets_.empty() || buckets_.back().bucket.end_ms != end_ms) {
    buckets_.emplace_back().bucket.end_ms = end_ms;
  }
  StoredBucket& stored = buckets_.back();
  stored.bucket.ends_stale = IsStaleMarker(value);
  if (stored.bucket.ends_stale) return;
  stored.bucket.any_starts |= has_start;
  AddValue(time_ms, value, stored);
}

void RollupFold::AddSamples(std::span<const int64_t> time_ms, std::span<const double> values,
                            std::span<const int64_t> start_ms) {
  for (size_t i = 0; i < time_ms.size(); ++i) {
    Add(time_ms[i], values[i], !start_ms.empty() && start_ms[i] != kNoStartMs);
  }
}

void RollupFold::AddBucket(const StoredBucket& stored) {
  if (buckets_.empty() || buckets_.back().bucket.end_ms != stored.bucket.end_ms) {
    buckets_.push_back(stored);
    return;
  }
  // The second part of a bucket that ends at midnight: the one sample at that instant.
  StoredBucket& open = buckets_.back();
  open.raw_gone |= stored.raw_gone;
  open.beside_histograms |= stored.beside_histograms;
  open.bucket.ends_stale = stored.bucket.ends_stale;
  open.bucket.any_starts |= stored.bucket.any_starts;
  if (stored.bucket.count > 0) AddValue(stored.bucket.first_ms, stored.bucket.first, open);
}

RollupBucket RollupFold::Finished(size_t i) const {
  RollupBucket bucket = buckets_[i].bucket;
  if (bucket.count == 0) return bucket;
  if (!std::isinf(bucket.sum)) bucket.sum += buckets_[i].carry;
  if (bucket.sum_unit != kNoSumUnit &&
      !(bucket.count * std::max(std::fabs(bucket.min), std::fabs(bucket.max)) <
        std::ldexp(1.0, bucket.sum_unit + 53))) {
    bucket.sum_unit = kNoSumUnit;
  }
  return bucket;
}

void EncodeBuckets(std::span<const StoredBucket> buckets, Resolution resolution, uint16_t day,
                   std::vector<int64_t>& time_ms, std::vector<double>& columns) {
  const size_t n = buckets.size();
  time_ms.clear();
  columns.assign(kRollupColumns * n, 0);
  for (size_t i = 0; i < n; ++i) {
    const RollupBucket& b = buckets[i].bucket;
    time_ms.push_back(FirstInstantMs(b.end_ms, resolution, day));
    const auto put = [&](RollupColumn column, double value) {
      columns[static_cast<size_t>(column) * n + i] = value;
    };
    put(RollupColumn::kCount, b.count);
    put(RollupColumn::kFirst, b.first);
    put(RollupColumn::kLast, b.last);
    put(RollupColumn::kMin, b.min);
    put(RollupColumn::kMax, b.max);
    put(RollupColumn::kSum, b.sum);
    put(RollupColumn::kCarry, buckets[i].carry);
    if (b.count > 0) {
      put(RollupColumn::kFirstOffset, static_cast<double>(b.end_ms - b.first_ms));
      put(RollupColumn::kLastOffset, static_cast<double>(b.end_ms - b.last_ms));
    }
    put(RollupColumn::kUnit, b.sum_unit);
    put(RollupColumn::kResets, b.resets);
    put(RollupColumn::kResetSum, b.reset_sum);
    put(RollupColumn::kChanges, b.changes);
    put(RollupColumn::kFlags, (b.ends_stale ? kEndsStale : 0) | (b.any_starts ? kAnyStarts : 0) |
                                  (b.has_nan ? kHasNan : 0) | (buckets[i].raw_gone ? kRawGone : 0) |
                                  (buckets[i].beside_histograms ? kBesideHistograms : 0));
  }
}

Status DecodeBuckets(std::span<const int64_t> time_ms, std::span<const double> columns,
                     Resolution resolution, std::vector<StoredBucket>& out) {
  const size_t n = time_ms.size();
  if (columns.size() != n * kRollupColumns) return DataLoss("rollup: a series lacks columns");
  out.assign(n, {});
  const int64_t width = WidthMs(resolution);
  for (size_t i = 0; i < n; ++i) {
    const auto get = [&](RollupColumn column) {
      return columns[static_cast<size_t>(column) * n + i];
    };
    bool fits = true;
    // The bytes came from disk: what is no whole number in range must not be converted.
    const auto whole = [&](RollupColumn column, double least, double most) -> int64_t {
      const double value = get(column);
      fits = fits && value >= least && value <= most && std::trunc(value) == value;
      return fits ? static_cast<int64_t>(value) : 0;
    };
    RollupBucket& b = out[i].bucket;
    b.end_ms = BucketEndMs(time_ms[i], width);
    b.count = static_cast<uint32_t>(whole(RollupColumn::kCount, 0, UINT32_MAX));
    b.first = get(RollupColumn::kFirst);
    b.last = get(RollupColumn::kLast);
    b.min = get(RollupColumn::kMin);
    b.max = get(RollupColumn::kMax);
    b.sum = get(RollupColumn::kSum);
    out[i].carry = get(RollupColumn::kCarry);
    const int64_t first = whole(RollupColumn::kFirstOffset, 0, static_cast<double>(width));
    const int64_t last = whole(RollupColumn::kLastOffset, 0, static_cast<double>(width));
    b.first_ms = b.count > 0 ? b.end_ms - first : 0;
    b.last_ms = b.count > 0 ? b.end_ms - last : 0;
    b.sum_unit = static_cast<int32_t>(whole(RollupColumn::kUnit, INT32_MIN, INT32_MAX));
    b.resets = static_cast<uint32_t>(whole(RollupColumn::kResets, 0, UINT32_MAX));
    b.reset_sum = get(RollupColumn::kResetSum);
    b.changes = static_cast<uint32_t>(whole(RollupColumn::kChanges, 0, UINT32_MAX));
    const auto flags = static_cast<uint8_t>(whole(RollupColumn::kFlags, 0, 31));
    b.ends_stale = (flags & kEndsStale) != 0;
    b.any_starts = (flags & kAnyStarts) != 0;
    b.has_nan = (flags & kHasNan) != 0;
    out[i].raw_gone = (flags & kRawGone) != 0;
    out[i].beside_histograms = (flags & kBesideHistograms) != 0;
    if (!fits) return DataLoss("rollup: a column holds what it cannot");
  }
  return OkStatus();
}

}  // namespace basalt::storage
