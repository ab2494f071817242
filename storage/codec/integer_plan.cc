#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>

#include "engine/base/status.h"
#include "storage/codec/bit_pack.h"
#include "storage/codec/integer_column.h"
#include "storage/codec/kernels.h"
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
  StepSurvey of;  // `smallest` is divided once the divisor is known
  uint64_t divisor = 0;
  std::array<int64_t, kMaxSamplesPerRow> step;  // to each value from the one before, divided
};

uint64_t Magnitude(uint64_t step) { return static_cast<int64_t>(step) < 0 ? 0 - step : step; }

// Of all steps; 0 if they are all 0.
uint64_t DivisorOf(std::span<const int64_t> steps) {
  uint64_t d = 0;
  for (const int64_t step : steps) {
    if (step == 0) continue;
    const uint64_t magnitude = Magnitude(static_cast<uint64_t>(step));
    if (d == 0 || (std::has_single_bit(d) ? magnitude & (d - 1) : magnitude % d) != 0)
      d = std::gcd(d, magnitude);
    if (d == 1) break;
  }
  return d;
}

void Survey(std::span<const int64_t> values, Steps& steps) {
  ActiveKernels().survey(values.data(), values.size(), steps.step.data(), &steps.of);
  const auto used = std::span(steps.step).first(values.size());
  // Differences of a range of 2^63 and more wrap, and a divisor of wrapped differences divides
  // nothing else.
  const bool wraps = Difference(steps.of.high, steps.of.low) > static_cast<uint64_t>(INT64_MAX);
  steps.divisor = wraps ? 1 : DivisorOf(used);
  if (steps.divisor <= 1) return;
  const Divider divider(steps.divisor);
  for (int64_t& step : used) step = divider.Exact(step);
  steps.of.smallest = divider.Exact(steps.of.smallest);
}

// What residuals would take, about: the bits of those that are not 0, and where these are.
class Estimate {
 public:
  BASALT_KERNEL_BODY void Add(uint64_t residual) {
    zeros_ += residual == 0 ? 1 : 0;
    bits_ += static_cast<size_t>(std::bit_width(residual));
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

struct Estimated {
  Estimates by_predictor;
  size_t values = 0;  // of which they speak
};

// Long columns are judged by windows of so many values, which make up about kJudgedValues.
constexpr size_t kWindow = 32;
constexpr size_t kJudgedValues = 160;

BASALT_KERNEL_BODY void EstimateWindow(std::span<const int64_t> values, const Steps& steps,
                                       std::span<const int64_t> reference, size_t begin, size_t end,
                                       Estimates& all) {
  const Divider divider(steps.divisor);
  Estimates some = all;  // in registers
  const auto of = [&](Predictor p) -> Estimate& { return some[static_cast<size_t>(p)]; };
  int64_t before = begin > 1 ? steps.step[begin - 1] : steps.step[1];
  for (size_t i = begin; i < end; ++i) {
    const int64_t step = steps.step[i];
    of(Predictor::kFrame).Add(divider.ExactUnsigned(Difference(values[i], steps.of.low)));
    of(Predictor::kDelta).Add(ZigZag(step));
    of(Predictor::kRising).Add(Difference(step, steps.of.smallest));
    of(Predictor::kSecondDelta).Add(ZigZag(static_cast<int64_t>(Difference(step, before))));
    before = step;
  }
  for (size_t i = begin; i < end && !reference.empty(); ++i) {
    const uint64_t beside = Difference(reference[i], reference[i - 1]);
    of(Predictor::kNeighbour)
        .Add(ZigZag(static_cast<int64_t>(Difference(values[i], values[i - 1]) - beside)));
  }
  all = some;
}

BASALT_KERNEL_BODY Estimated EstimateBody(std::span<const int64_t> values, const Steps& steps,
                                          std::span<const int64_t> reference) {
  Estimated result;
  const size_t stride = std::max<size_t>(1, values.size() / kJudgedValues) * kWindow;
  for (size_t begin = 0; begin < values.size(); begin += stride) {
    const size_t first = std::max<size_t>(begin, 1);
    const size_t end = std::min(begin + kWindow, values.size());
    EstimateWindow(values, steps, reference, first, end, result.by_predictor);
    result.values += end - first;
  }
  return result;
}

Estimated EstimatePlain(std::span<const int64_t> values, const Steps& steps,
                        std::span<const int64_t> reference) {
  return EstimateBody(values, steps, reference);
}
#if BASALT_HAS_AVX2
// The bits of a number are one instruction there.
BASALT_TARGET_AVX2 Estimated EstimateLzcnt(std::span<const int64_t> values, const Steps& steps,
                                           std::span<const int64_t> reference) {
  return EstimateBody(values, steps, reference);
}
#endif

Estimated EstimateAll(std::span<const int64_t> values, const Steps& steps,
                      std::span<const int64_t> reference) {
#if BASALT_HAS_AVX2
  if (&ActiveKernels() != &kPlainKernels) return EstimateLzcnt(values, steps, reference);
#endif
  return EstimatePlain(values, steps, reference);
}

// `steps` are divided as the plan says.
void ResidualsOf(std::span<const int64_t> values, const IntegerPlan& plan,
                 std::span<const int64_t> steps, std::span<const int64_t> reference,
                 std::span<uint64_t> out) {
  const size_t n = values.size();
  const auto zigzag = ActiveKernels().zigzag;
  switch (plan.method.predictor) {
    case Predictor::kConstant:
      break;
    case Predictor::kFrame: {
      for (size_t i = 0; i < n; ++i) out[i] = Difference(values[i], plan.base);
      if (plan.divisor == 1) return;
      const Divider divider(plan.divisor);
      for (size_t i = 0; i < n; ++i) out[i] = divider.ExactUnsigned(out[i]);
      return;
    }
    case Predictor::kDelta:
      zigzag(steps.data(), n, out.data());
      break;
    case Predictor::kRising:
      for (size_t i = 1; i < n; ++i) out[i] = Difference(steps[i], plan.step);
      break;
    case Predictor::kSecondDelta:
      for (size_t i = 2; i < n; ++i) out[i] = Difference(steps[i], steps[i - 1]);
      if (n > 1) out[1] = Difference(steps[1], plan.step);
      out[0] = 0;
      zigzag(reinterpret_cast<const int64_t*>(out.data()), n, out.data());
      break;
    case Predictor::kNeighbour:
      for (size_t i = 1; i < n; ++i)
        out[i] = Difference(values[i], values[i - 1]) - Difference(reference[i], reference[i - 1]);
      out[0] = 0;
      zigzag(reinterpret_cast<const int64_t*>(out.data()), n, out.data());
      break;
  }
  out[0] = 0;
}

}  // namespace

IntegerPlan PlanIntegers(std::span<const int64_t> values, const PlanOptions& options) {
  BASALT_CHECK(!values.empty() && values.size() <= kMaxSamplesPerRow, "integer column: count");
  IntegerPlan best;
  best.base = values[0];
  best.bytes = HeaderBytes(best);
  if (values.size() == 1) return best;
  Steps steps;
  Survey(values, steps);
  if (steps.of.low == steps.of.high) return best;
  const auto reference =
      options.reference.size() == values.size() ? options.reference : std::span<const int64_t>();

  const Estimated estimates = EstimateAll(values, steps, reference);
  std::array<double, std::tuple_size_v<Estimates>> bits{};
  double least = 1e300;
  for (size_t p = static_cast<size_t>(Predictor::kFrame); p < bits.size(); ++p) {
    if (p == static_cast<size_t>(Predictor::kNeighbour) && reference.empty()) continue;
    bits[p] = estimates.by_predictor[p].Bits(estimates.values);
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
    plan.base = predictor == Predictor::kFrame ? steps.of.low : values[0];
    if (predictor == Predictor::kRising) plan.step = steps.of.smallest;
    if (predictor == Predictor::kSecondDelta) plan.step = steps.step[1];
    plan.entry_points = options.entry_points;
    const auto used = std::span(residuals).first(values.size());
    ResidualsOf(values, plan, steps.step, reference, used);
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
  std::array<int64_t, kMaxSamplesPerRow> steps;
  if (Runs(plan.method.predictor)) {
    const Divider divider(plan.divisor);
    for (size_t i = 1; i < values.size(); ++i)
      steps[i] = static_cast<int64_t>(Difference(values[i], values[i - 1]));
    steps[0] = 0;
    if (plan.divisor != 1) {
      for (int64_t& step : std::span(steps).first(values.size())) step = divider.Exact(step);
    }
  }
  ResidualsOf(values, plan, steps, reference, out);
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
