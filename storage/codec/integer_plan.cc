#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>

#include "engine/base/status.h"
#include "storage/codec/bit_pack.h"
#include "storage/codec/integer_column.h"
#include "storage/codec/row.h"

namespace basalt::storage {
namespace {

// Leaning on the row before must save this part of the bytes.
constexpr size_t kNeighbourGain = 16;

// Predictors whose estimate is within this part of the best one's are priced exactly.
constexpr double kCloseEnough = 1.06;

using Residuals =
    std::array<uint64_t, kMaxSamplesPerRow>;  // left uninitialised where it is declared

// Divides by the divisor of a column; a power of two, the usual one, by shifting.
class Divider {
 public:
  explicit Divider(uint64_t divisor)
      : divisor_(divisor), shift_(std::has_single_bit(divisor) ? std::countr_zero(divisor) : -1) {}
  [[nodiscard]] int64_t Exact(int64_t multiple) const {
    return shift_ >= 0 ? multiple >> shift_ : multiple / static_cast<int64_t>(divisor_);
  }
  [[nodiscard]] uint64_t ExactUnsigned(uint64_t multiple) const {
    return shift_ >= 0 ? multiple >> shift_ : multiple / divisor_;
  }

 private:
  uint64_t divisor_;
  int shift_;
};

// Calls `entry(position, step_before)` for each sample before an entry point: its distance from the
// base, divided.
template <typename Function>
void ForEachEntry(std::span<const int64_t> values, const IntegerPlan& plan, Function entry) {
  const Divider divider(plan.divisor);
  for (size_t i = kRowEntryInterval; i < values.size(); i += kRowEntryInterval) {
    const auto divided = [&](int64_t a, int64_t b) {
      return divider.Exact(static_cast<int64_t>(Difference(a, b)));
    };
    entry(divided(values[i - 1], plan.base), divided(values[i - 1], values[i - 2]));
  }
}

size_t HeaderBytes(const IntegerPlan& plan) {
  std::string header;  // stays inside the small-string buffer
  AppendVarint(ZigZag(plan.base), header);
  if (plan.method.divided) AppendVarint(plan.divisor, header);
  if (Runs(plan.method.predictor) && plan.method.predictor != Predictor::kDelta) {
    AppendVarint(ZigZag(plan.step), header);
  }
  return 1 + header.size();
}

// What a pass over the values finds out for all predictors.
struct Steps {
  int64_t low = 0;
  int64_t high = 0;
  int64_t smallest = 0;
  uint64_t divisor = 0;  // of all steps; 0 if they are all 0
};

uint64_t Magnitude(uint64_t step) { return static_cast<int64_t>(step) < 0 ? 0 - step : step; }

Steps Survey(std::span<const int64_t> values) {
  Steps steps{values[0], values[0], INT64_MAX, 0};
  for (size_t i = 1; i < values.size(); ++i) {
    steps.low = std::min(steps.low, values[i]);
    steps.high = std::max(steps.high, values[i]);
    const uint64_t step = Difference(values[i], values[i - 1]);
    steps.smallest = std::min(steps.smallest, static_cast<int64_t>(step));
    if (step == 0 || steps.divisor == 1) continue;
    const uint64_t magnitude = Magnitude(step);
    const uint64_t d = steps.divisor;
    if (d == 0 || (std::has_single_bit(d) ? magnitude & (d - 1) : magnitude % d) != 0)
      steps.divisor = std::gcd(d, magnitude);
  }
  // Differences of a range of 2^63 and more wrap, and a divisor of wrapped differences divides
  // nothing else.
  if (Difference(steps.high, steps.low) > static_cast<uint64_t>(INT64_MAX)) steps.divisor = 1;
  return steps;
}

// What residuals would take, about: the bits of those that are not 0, and where these are.
class Estimate {
 public:
  void Add(uint64_t residual) {
    zeros_ += residual == 0 ? 1 : 0;
    bits_ += BitWidth(residual);
  }
  [[nodiscard]] double Bits(size_t n) const {
    const auto total = static_cast<double>(n);
    const auto zeros = static_cast<double>(zeros_);
    const double present = total - zeros;
    double where = 0;
    if (zeros_ > 0) where += zeros * std::log2(total / zeros);
    if (present > 0) where += present * std::log2(total / present);
    return where + static_cast<double>(bits_);
  }

 private:
  size_t zeros_ = 0;
  size_t bits_ = 0;
};

using Estimates = std::array<Estimate, 6>;  // by predictor

Estimates EstimateAll(std::span<const int64_t> values, const Steps& steps,
                      std::span<const int64_t> reference) {
  Estimates all;
  const Divider divider(steps.divisor);
  const auto of = [&](Predictor p) -> Estimate& { return all[static_cast<size_t>(p)]; };
  const auto step_at = [&](size_t i) {
    return static_cast<uint64_t>(
        divider.Exact(static_cast<int64_t>(Difference(values[i], values[i - 1]))));
  };
  const auto smallest = static_cast<uint64_t>(divider.Exact(steps.smallest));
  uint64_t before = step_at(1);
  of(Predictor::kFrame).Add(divider.ExactUnsigned(Difference(values[0], steps.low)));
  for (size_t i = 1; i < values.size(); ++i) {
    const uint64_t step = step_at(i);
    of(Predictor::kFrame).Add(divider.ExactUnsigned(Difference(values[i], steps.low)));
    of(Predictor::kDelta).Add(ZigZag(static_cast<int64_t>(step)));
    of(Predictor::kRising).Add(step - smallest);
    of(Predictor::kSecondDelta).Add(ZigZag(static_cast<int64_t>(step - before)));
    before = step;
  }
  if (reference.empty()) return all;
  for (size_t i = 1; i < values.size(); ++i) {
    const uint64_t beside = Difference(reference[i], reference[i - 1]);
    of(Predictor::kNeighbour)
        .Add(ZigZag(static_cast<int64_t>(Difference(values[i], values[i - 1]) - beside)));
  }
  return all;
}

}  // namespace

IntegerPlan PlanIntegers(std::span<const int64_t> values, const PlanOptions& options) {
  BASALT_CHECK(!values.empty() && values.size() <= kMaxSamplesPerRow, "integer column: count");
  IntegerPlan best;
  best.base = values[0];
  best.bytes = HeaderBytes(best);
  if (values.size() == 1) return best;
  const Steps steps = Survey(values);
  if (steps.low == steps.high) return best;
  const Divider divider(steps.divisor);
  const auto reference =
      options.reference.size() == values.size() ? options.reference : std::span<const int64_t>();

  const Estimates estimates = EstimateAll(values, steps, reference);
  std::array<double, std::tuple_size_v<Estimates>> bits{};
  double least = 1e300;
  for (size_t p = static_cast<size_t>(Predictor::kFrame); p < bits.size(); ++p) {
    if (p == static_cast<size_t>(Predictor::kNeighbour) && reference.empty()) continue;
    bits[p] = estimates[p].Bits(values.size());
    least = std::min(least, bits[p]);
  }

  Residuals residuals;
  best.bytes = SIZE_MAX;
  const auto attempt = [&](Predictor predictor) {
    if (bits[static_cast<size_t>(predictor)] > least * kCloseEnough) return;
    IntegerPlan plan;
    plan.method.predictor = predictor;
    plan.method.divided = steps.divisor != 1 && predictor != Predictor::kNeighbour;
    if (plan.method.divided) plan.divisor = steps.divisor;
    plan.base = predictor == Predictor::kFrame ? steps.low : values[0];
    if (predictor == Predictor::kRising) plan.step = divider.Exact(steps.smallest);
    if (predictor == Predictor::kSecondDelta)
      plan.step = divider.Exact(static_cast<int64_t>(Difference(values[1], values[0])));
    plan.entry_points = options.entry_points;
    const auto used = std::span(residuals).first(values.size());
    ComputeResiduals(values, plan, reference, used);
    plan.stream = PlanStream(
        used, {IsChunked(predictor, values.size(), options.entry_points), options.entropy});
    plan.method.coder = plan.stream.coder;
    plan.bytes = HeaderBytes(plan) + plan.stream.bytes;
    const bool leans = predictor == Predictor::kNeighbour && best.bytes != SIZE_MAX;
    const size_t handicap = leans ? best.bytes / kNeighbourGain : 0;
    if (plan.bytes + handicap < best.bytes) best = plan;
  };
  for (const Predictor predictor :
       {Predictor::kFrame, Predictor::kDelta, Predictor::kRising, Predictor::kSecondDelta}) {
    attempt(predictor);
  }
  if (!reference.empty()) attempt(Predictor::kNeighbour);
  return best;
}

void ComputeResiduals(std::span<const int64_t> values, const IntegerPlan& plan,
                      std::span<const int64_t> reference, std::span<uint64_t> out) {
  const Divider divider(plan.divisor);
  const auto step = [&](size_t i) {
    return divider.Exact(static_cast<int64_t>(Difference(values[i], values[i - 1])));
  };
  out[0] = 0;
  switch (plan.method.predictor) {
    case Predictor::kConstant:
      break;
    case Predictor::kFrame:
      for (size_t i = 0; i < values.size(); ++i) {
        out[i] = divider.ExactUnsigned(Difference(values[i], plan.base));
      }
      break;
    case Predictor::kDelta:
      for (size_t i = 1; i < values.size(); ++i) out[i] = ZigZag(step(i));
      break;
    case Predictor::kRising:
      for (size_t i = 1; i < values.size(); ++i) out[i] = Difference(step(i), plan.step);
      break;
    case Predictor::kSecondDelta: {
      int64_t before = plan.step;
      for (size_t i = 1; i < values.size(); ++i) {
        const int64_t now = step(i);
        out[i] = ZigZag(static_cast<int64_t>(Difference(now, before)));
        before = now;
      }
      break;
    }
    case Predictor::kNeighbour:
      for (size_t i = 1; i < values.size(); ++i) {
        const uint64_t beside = Difference(reference[i], reference[i - 1]);
        out[i] = ZigZag(static_cast<int64_t>(Difference(values[i], values[i - 1]) - beside));
      }
      break;
  }
}

void AppendIntegers(std::span<const int64_t> values, const IntegerPlan& plan,
                    std::span<const int64_t> reference, std::string& out) {
  AppendVarint(ZigZag(plan.base), out);
  if (plan.method.predictor == Predictor::kConstant) return;
  if (plan.method.divided) AppendVarint(plan.divisor, out);
  if (plan.method.predictor == Predictor::kRising ||
      plan.method.predictor == Predictor::kSecondDelta) {
    AppendVarint(ZigZag(plan.step), out);
  }
  const bool chunked = IsChunked(plan.method.predictor, values.size(), plan.entry_points);
  if (chunked && Runs(plan.method.predictor)) {
    int64_t before = 0;
    ForEachEntry(values, plan, [&](int64_t position, int64_t step) {
      AppendVarint(ZigZag(static_cast<int64_t>(Difference(position, before))), out);
      before = position;
      if (plan.method.predictor == Predictor::kSecondDelta) AppendVarint(ZigZag(step), out);
    });
  }
  Residuals residuals;
  const auto used = std::span(residuals).first(values.size());
  ComputeResiduals(values, plan, reference, used);
  AppendStream(used, plan.stream, chunked, out);
}

}  // namespace basalt::storage
