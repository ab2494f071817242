// engine/slo/low_traffic.h -- when few events are too few to page for: with 40 requests an hour one
// error is 2.5 % of them, and no outage.
#pragma once

#include "engine/slo/fraction.h"
#include "engine/slo/slots.h"

namespace basalt::slo {

// What the long window has to show besides a ratio above the threshold. Zeros ask for nothing.
struct TrafficGuard {
  int64_t min_bad = 0;    // bad events
  int64_t min_total = 0;  // events
  // In [0, 1): the chance that a service which just meets the threshold shows fewer bad events has
  // to be at least this (the one-sided Clopper-Pearson bound of the ratio is above the threshold).
  double confidence = 0;

  [[nodiscard]] bool empty() const { return min_bad <= 0 && min_total <= 0 && confidence <= 0; }
};

// `scale`: amounts per event, besides kAmountPerEvent (LinearSli::scale).
bool IsEnough(const TrafficGuard& guard, const Counts& counts, int64_t scale,
              const Fraction& threshold);

// P(X >= bad) for X of `total` events that are each bad with probability p.
double BinomialTail(double bad, double total, double p);

}  // namespace basalt::slo
