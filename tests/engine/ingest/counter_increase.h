// tests/engine/ingest/counter_increase.h -- what sums of counters are held against.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>

namespace basalt::testing {

// The increase of a counter over all of its samples (value by time), as PromQL's resets have it.
inline double CounterIncrease(const std::map<int64_t, double>& samples) {
  double increase = 0;
  double last = NAN;
  for (const auto& [ms, value] : samples) {
    if (!std::isnan(last)) increase += value < last ? value : value - last;
    last = value;
  }
  return increase;
}

}  // namespace basalt::testing
