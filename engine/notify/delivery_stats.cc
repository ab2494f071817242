#include "engine/notify/delivery_stats.h"

#include <algorithm>
#include <cmath>

namespace basalt::notify {

void DeliveryTimes::Observe(uint64_t ns) {
  const double seconds = static_cast<double>(ns) * 1e-9;
  const auto* at = std::lower_bound(kDeliveryBounds.begin(), kDeliveryBounds.end(), seconds);
  ++buckets[static_cast<size_t>(at - kDeliveryBounds.begin())];
  ++count;
  sum_ns += ns;
  slowest_ns = std::max(slowest_ns, ns);
}

double DeliveryTimes::Quantile(double share) const {
  if (count == 0) return 0;
  const double wanted = share * static_cast<double>(count);
  double seen = 0;
  for (size_t i = 0; i < kDeliveryBounds.size(); ++i) {
    seen += static_cast<double>(buckets[i]);
    // The slowest says more than a bound beyond it.
    if (seen >= wanted) return std::min(kDeliveryBounds[i], static_cast<double>(slowest_ns) * 1e-9);
  }
  return static_cast<double>(slowest_ns) * 1e-9;
}

}  // namespace basalt::notify
