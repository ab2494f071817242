#include "storage/codec/kernels.h"

#include <atomic>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <string_view>

#include "engine/base/varint.h"

namespace basalt::storage {
namespace {

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

const Kernels kPlainKernels = {"plain", Sum, SumSigned, ToDoubles, ToIntegers, CountChanges};

const Kernels& ActiveKernels() { return *Active().load(std::memory_order_relaxed); }

void SetActiveKernels(const Kernels& kernels) {
  Active().store(&kernels, std::memory_order_relaxed);
}

}  // namespace basalt::storage
