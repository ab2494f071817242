// tests/query/script/classic_to_native.h -- load_with_nhcb: classic histograms as native ones with
// custom buckets.
#pragma once

#include <vector>

#include "engine/base/status.h"
#include "tests/query/script/script.h"

namespace basalt::query::script {

// The native histograms that the series of `load` whose names end in _bucket, _count and _sum make
// up, a value for each interval, omitted where there is nothing. kInvalidArgument if counts are not
// cumulative or do not agree.
Result<std::vector<LoadedSeries>> ClassicToNative(const Load& load);

}  // namespace basalt::query::script
