// query/exec/whole_sums.h -- sums of whole numbers over any windows, each at once.
//
// Counts of things, bytes and goroutines are whole numbers. While no sum of theirs reaches 2^53
// every addition is exact, so upstream's compensated one, in the order of time, gives the very bits
// that any other way gives: here differences of running totals, a subtraction a window however long
// it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace basalt::query::exec {

// One thread. Keeps its memory from one series to the next.
class WholeSums {
 public:
  // False if some value is not a whole number (NaN and infinities are none), or if sums might be
  // rounded: count * the largest magnitude has to stay below 2^53. About two instructions a value.
  [[nodiscard]] bool Take(std::span<const double> values);
  // After a Take that was true: the sum of values [from, to); 0, and never -0, of none.
  [[nodiscard]] double Of(size_t from, size_t to) const {
    return static_cast<double>(totals_[to] - totals_[from]);
  }

 private:
  std::vector<int64_t> totals_;  // of the values before each
};

}  // namespace basalt::query::exec
