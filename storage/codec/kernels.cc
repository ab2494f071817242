#include "storage/codec/kernels.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <string_view>

#include "engine/base/varint.h"

namespace basalt::storage {
namespace {

constexpr uint32_t kDearest = 1U << 26;

void Sum(const uint64_t* residuals, size_t n, uint64_t start, uint64_t step, int64_t* out) {
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<int64_t>(start += step + residuals[i]);
}

void SumSigned(const uint64_t* residuals, size_t n, uint64_t start, uint64_t step, int64_t* out) {
  for (size_t i = 0; i < n; ++i) {
    start += step + static_cast<uint64_t>(UnZigZag(residuals[i]));
    out[i] = static_cast<int64_t>(start);
  }
}

void ToDoubles(const int64_t* integers, size_t n, double divisor, double* out) {
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<double>(integers[i]) / divisor;
}

bool ToIntegers(const double* values, size_t n, int64_t* out) {
  bool fit = true;
  for (size_t i = 0; i < n; ++i) {
    if (!(std::fabs(values[i]) < 0x1p51)) return false;
    out[i] = static_cast<int64_t>(values[i]);
    fit &=
        std::bit_cast<uint64_t>(static_cast<double>(out[i])) == std::bit_cast<uint64_t>(values[i]);
  }
  return fit;
}

size_t CountChanges(const double* values, size_t n) {
  size_t changes = 0;
  for (size_t i = 1; i < n; ++i)
    changes += std::bit_cast<uint64_t>(values[i]) != std::bit_cast<uint64_t>(values[i - 1]) ? 1 : 0;
  return changes;
}

void Survey(const int64_t* values, size_t n, int64_t* steps, StepSurvey* out) {
  StepSurvey s{.low = values[0], .high = values[0], .smallest = INT64_MAX};
  steps[0] = 0;
  for (size_t i = 1; i < n; ++i) {
    s.low = std::min(s.low, values[i]);
    s.high = std::max(s.high, values[i]);
    steps[i] = static_cast<int64_t>(static_cast<uint64_t>(values[i]) -
                                    static_cast<uint64_t>(values[i - 1]));
    s.smallest = std::min(s.smallest, steps[i]);
  }
  *out = s;
}

void ZigZagAll(const int64_t* integers, size_t n, uint64_t* out) {
  for (size_t i = 0; i < n; ++i) out[i] = ZigZag(integers[i]);
}

uint64_t Nonzero(const uint64_t* values, size_t n, uint64_t* all) {
  uint64_t bits = 0;
  *all = 0;
  for (size_t i = 0; i < n; ++i) {
    *all |= values[i];
    bits |= uint64_t{values[i] != 0} << i;
  }
  return bits;
}

size_t Price(const uint16_t* counts, size_t pairs, const int16_t* prices, uint32_t* costs) {
  std::fill_n(costs, kPricedTables, 0);
  for (size_t t = 0; t < 2 * pairs; ++t) {
    if (counts[t] == 0) continue;
    const int16_t* const of = prices + t / 2 * 2 * kPricedTables + t % 2;
    for (size_t i = 0; i < kPricedTables; ++i)
      costs[i] += uint32_t{counts[t]} * static_cast<uint32_t>(of[2 * i]);
  }
  size_t best = 0;
  for (size_t i = 1; i < kPricedTables; ++i) {
    if (std::min(costs[i], kDearest) < std::min(costs[best], kDearest)) best = i;
  }
  return best;
}

bool Summarize(const double* values, size_t n, IntegerSummary* out) {
  IntegerSummary s{.min = HUGE_VAL, .max = -HUGE_VAL};
  for (size_t i = 0; i < n; ++i) {
    int64_t integer = 0;
    if (!ToIntegers(values + i, 1, &integer)) return false;
    s.min = std::min(s.min, values[i]);
    s.max = std::max(s.max, values[i]);
    s.sum += values[i];
    s.magnitude += std::fabs(values[i]);
    s.falls += i > 0 && values[i] < values[i - 1] ? 1 : 0;
  }
  *out = s;
  return true;
}

const Kernels* Choose() {
  const char* wanted =
      std::getenv("BASALT_CODEC");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  if (wanted != nullptr && std::string_view(wanted) == "plain") return &kPlainKernels;
  const Kernels* avx2 = Avx2Kernels();
  return avx2 != nullptr ? avx2 : &kPlainKernels;
}

std::atomic<const Kernels*>& Active() {
  static std::atomic<const Kernels*> active(Choose());
  return active;
}

}  // namespace

const Kernels kPlainKernels = {"plain", Sum,       SumSigned, ToDoubles, ToIntegers, CountChanges,
                               Survey,  ZigZagAll, Nonzero,   Price,     Summarize};

const Kernels& ActiveKernels() { return *Active().load(std::memory_order_relaxed); }

void SetActiveKernels(const Kernels& kernels) {
  Active().store(&kernels, std::memory_order_relaxed);
}

}  // namespace basalt::storage
