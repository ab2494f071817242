#include "engine/slo/low_traffic.h"

#include <cmath>
#include <limits>

#include "engine/slo/message.h"

namespace basalt::slo {
namespace {

// The continued fraction of the incomplete beta function, by Lentz's method.
double BetaFraction(double a, double b, double x) {
  constexpr int kMaxSteps = 10'000;
  constexpr double kTiny = 1e-300;
  const auto away_from_zero = [](double v) { return std::abs(v) < kTiny ? kTiny : v; };
  double c = 1;
  double d = 1 / away_from_zero(1 - (a + b) * x / (a + 1));
  double result = d;
  for (int m = 1; m <= kMaxSteps; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away_from_zero(1 + even * d);
    c = away_from_zero(1 + even / c);
    result *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away_from_zero(1 + odd * d);
    c = away_from_zero(1 + odd / c);
    const double step = d * c;
    result *= step;
    if (std::abs(step - 1) < 4 * std::numeric_limits<double>::epsilon()) break;
  }
  return result;
}

double IncompleteBeta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
                                a * std::log(x) + b * std::log1p(-x));
  if (x < (a + 1) / (a + b + 2)) return front * BetaFraction(a, b, x) / a;
  return 1 - front * BetaFraction(b, a, 1 - x) / b;
}

}  // namespace

double BinomialTail(double bad, double total, double p) {
  if (bad <= 0) return 1;
  if (bad > total) return 0;
  return IncompleteBeta(bad, total - bad + 1, p);
}

bool IsEnough(const TrafficGuard& guard, const Counts& counts, int64_t scale,
              const Fraction& threshold) {
  if (guard.empty()) return true;
  const double bad = Events(counts.bad, scale);
  const double total = Events(counts.total, scale);
  if (bad < static_cast<double>(guard.min_bad) || total < static_cast<double>(guard.min_total)) {
    return false;
  }
  return guard.confidence <= 0 ||
         BinomialTail(bad, total, threshold.ToDouble()) <= 1 - guard.confidence;
}

}  // namespace basalt::slo
