#include "query/exec/whole_sums.h"

#include <algorithm>
#include <cmath>

namespace basalt::query::exec {
namespace {

// Adding it leaves no place for a fraction, as long as the other summand is below 2^51.
constexpr double kNoFraction = 0x1.8p52;
constexpr double kExactBelow = 0x1p53;

// No branch a value, one a block: most columns of fractions are given up after the first.
bool AllWholeAndBelow(std::span<const double> values, double limit) {
  constexpr size_t kBlock = 64;
  for (size_t begin = 0; begin < values.size(); begin += kBlock) {
    const size_t end = std::min(begin + kBlock, values.size());
    uint64_t fails = 0;
    for (size_t i = begin; i < end; ++i) {
      const double v = values[i];
      const double whole = (v + kNoFraction) - kNoFraction;
      fails |= uint64_t{0} - static_cast<uint64_t>(!(whole == v));
      fails |= uint64_t{0} - static_cast<uint64_t>(!(std::fabs(v) < limit));
    }
    if (fails != 0) return false;
  }
  return true;
}

}  // namespace

bool WholeSums::Take(std::span<const double> values) {
  const double limit = kExactBelow / static_cast<double>(std::max<size_t>(values.size(), 1));
  if (!AllWholeAndBelow(values, limit)) return false;
  totals_.resize(values.size() + 1);
  int64_t total = 0;
  totals_[0] = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    total += static_cast<int64_t>(values[i]);
    totals_[i + 1] = total;
  }
  return true;
}

}  // namespace basalt::query::exec
