// query/plan/grid.h -- the instants at which something is evaluated.
#pragma once

#include <cstddef>
#include <cstdint>

namespace basalt::query::plan {

// start, start + step, ... up to and including `end`. An instant query has one step and start ==
// end; a range query may have one step too without being instant (the order of results depends on
// it, as upstream).
struct Grid {
  int64_t start_ms = 0;
  int64_t end_ms = 0;
  int64_t step_ms = 1;  // never 0

  [[nodiscard]] bool empty() const { return end_ms < start_ms; }
  [[nodiscard]] bool instant() const { return start_ms == end_ms; }
  [[nodiscard]] size_t size() const {
    return empty() ? 0 : static_cast<size_t>((end_ms - start_ms) / step_ms) + 1;
  }
  [[nodiscard]] int64_t at(size_t step) const {
    return start_ms + static_cast<int64_t>(step) * step_ms;
  }
  [[nodiscard]] int64_t last_ms() const { return at(size() - 1); }
};

}  // namespace basalt::query::plan
