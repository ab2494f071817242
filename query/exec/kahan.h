// query/exec/kahan.h -- summation with a running correction (Kahan's, in Neumaier's form), as
// PromQL's sums have it.
#pragma once

#include <cmath>

namespace basalt::query::exec {

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

}  // namespace basalt::query::exec
