// engine/ingest/otlp/native_histogram.h -- OpenTelemetry's dense buckets as a native histogram's
// spans.
#pragma once

#include "engine/base/histogram.h"
#include "engine/base/status.h"
#include "engine/ingest/otlp/points.h"

namespace basalt::ingest::otlp {

// An exponential histogram. Scales above 8 are halved down to it, which is exact; below -4 there is
// no schema: kInvalidArgument. A point without a recorded value becomes a stale marker.
Result<NativeHistogram> FromExponential(const Point& point, Temporality temporality);

// A histogram with explicit bounds as one with custom buckets. kInvalidArgument if the counts do
// not fit the bounds.
Result<NativeHistogram> FromExplicitBounds(const Point& point, Temporality temporality);

// kInvalidArgument unless there are no buckets at all or one more than bounds, and bounds ascend.
Status CheckBounds(const Point& point);

}  // namespace basalt::ingest::otlp
