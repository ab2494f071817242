// engine/ingest/otlp/histogram_sum.h -- the sum of two native histograms, for deltas that become
// totals.
#pragma once

#include "engine/base/histogram.h"
#include "engine/base/status.h"

namespace basalt::ingest::otlp {

// Adds integer histograms: exponential ones of any two schemas at the coarser one, with the wider
// zero bucket (as the native histogram specification has it); custom ones of the same bounds. The
// reset hint is `a`'s. kInvalidArgument if they cannot be added: float counts, different bounds.
Result<NativeHistogram> AddHistograms(const NativeHistogram& a, const NativeHistogram& b);

}  // namespace basalt::ingest::otlp
