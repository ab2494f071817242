// query/exec/histogram_ops.h -- arithmetic on native histograms.
//
// Two histograms are first brought to one layout: the coarser schema, the wider zero bucket, or,
// with custom bounds, the bounds that both have. Semantics: the Prometheus native histogram
// specification, sections on PromQL.
#pragma once

#include <optional>

#include "engine/base/kahan.h"
#include "query/float_histogram.h"

namespace basalt::query::exec {

// What an operation has to say beside its result.
struct HistogramOutcome {
  // One has exponential and the other custom buckets. The left operand is then as it was.
  bool incompatible = false;
  // One says that the counter was reset, the other that it was not.
  bool reset_collision = false;
  // Custom bounds differed, so only those in common are left.
  bool bounds_reconciled = false;
};

// a += b, a -= b. Empty buckets may be left: Compact() removes them.
HistogramOutcome Add(FloatHistogram& a, const FloatHistogram& b);
HistogramOutcome Subtract(FloatHistogram& a, const FloatHistogram& b);
using basalt::KahanAdd;  // of doubles, beside the one of histograms below
// a += b with Kahan's correction in `correction`, a histogram of a's layout, made on the first
// call.
HistogramOutcome KahanAdd(FloatHistogram& a, const FloatHistogram& b,
                          std::optional<FloatHistogram>& correction);

// Counts, sum and buckets times or by `factor`. A negative one makes it a gauge; division by zero
// drops all buckets.
void Multiply(FloatHistogram& h, double factor);
void Divide(FloatHistogram& h, double divisor);

// Leaves out empty buckets; spans come out as few as possible.
void Compact(FloatHistogram& h);
// The same in a lower resolution. `schema` <= h.schema, exponential both.
FloatHistogram WithSchema(const FloatHistogram& h, int32_t schema);
// True if `h` cannot have grown out of `previous` without a reset: a bucket or count shrank, or the
// layout got finer. Hints that say so, or the contrary, are believed.
bool DetectReset(const FloatHistogram& h, const FloatHistogram& previous);
// The same data: bits of counts and sum, and the same buckets, empty ones included.
bool SameHistogram(const FloatHistogram& a, const FloatHistogram& b);
bool HasOverflow(const FloatHistogram& h);
// `h </ bound` (upper) and `h >/ bound`: drops the observations above or below, interpolating in
// the bucket that the bound cuts; count and sum are then estimated from the buckets left.
void TrimBuckets(FloatHistogram& h, double bound, bool upper);

// How much of the bucket's width lies below `value`, 0..1; `value` is strictly inside and the
// bounds are finite.
double FractionBelow(const HistogramBucket& bucket, double value, bool linear);

}  // namespace basalt::query::exec
