// engine/base/kahan.h -- summation with a running correction (Kahan's, in Neumaier's form), as
// PromQL's sums have it. One for all: what storage keeps of rows and what queries add must agree to
// the bit.
#pragma once

#include <cmath>

namespace basalt {

// Adds `increment` to `sum`; `correction` collects what rounding loses. The total is sum +
// correction.
inline void KahanAdd(double increment, double& sum, double& correction) {
  const double total = sum + increment;
  if (std::isinf(total)) {
    correction = 0;
  } else if (std::fabs(sum) >= std::fabs(increment)) {
    correction += (sum - total) + increment;
  } else {
    correction += (increment - total) + sum;
  }
  sum = total;
}

}  // namespace basalt
