#include "storage/codec/row_summary.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "engine/base/kahan.h"
#include "engine/base/stale.h"
#include "engine/base/status.h"
#include "storage/codec/decimal.h"
#include "storage/codec/kernels.h"

namespace basalt::storage {
namespace {

// Tells whether every order of adding gives the same bits: see the header.
class ExactSum {
 public:
  void Add(double value) {
    if (value == 0) {
      exact_ &= !std::signbit(value);
      return;
    }
    const auto bits = std::bit_cast<uint64_t>(value);
    const auto exponent = static_cast<int>(bits >> 52 & 0x7FF);
    if (exponent == 0x7FF) {
      exact_ = false;
      return;
    }
    // The place of the lowest bit that is set says what power of two the value is a multiple of.
    uint64_t mantissa = bits & ((uint64_t{1} << 52) - 1);
    if (exponent > 0) mantissa |= uint64_t{1} << 52;
    lowest_ = std::min(lowest_, std::max(exponent, 1) - 1075 + std::countr_zero(mantissa));
    magnitude_ += std::fabs(value);
  }
  [[nodiscard]] bool exact() const {
    if (!exact_ || lowest_ == kNoBit) return exact_;
    // The magnitudes' plain sum is itself exact as long as it stays below the limit; once rounded
    // it is above.
    return magnitude_ < std::ldexp(1.0, lowest_ + 53);
  }

 private:
  static constexpr int kNoBit = std::numeric_limits<int>::max();
  bool exact_ = true;
  int lowest_ = kNoBit;
  double magnitude_ = 0;
};

// Most rows are integers that add up exactly: no step of SummarizeRow depends on the one before
// then. False, and nothing is said, of other rows.
bool SummarizeIntegers(std::span<const int64_t> time_ms, std::span<const double> values,
                       RowSummary& s) {
  IntegerSummary integers;
  if (!ActiveKernels().summarize(values.data(), values.size(), &integers) ||
      !(integers.magnitude < 0x1p53)) {
    return false;
  }
  s.first_ms = time_ms.front();
  s.last_ms = time_ms.back();
  s.first = values.front();
  s.last = values.back();
  s.min = integers.min;
  s.max = integers.max;
  s.sum = integers.sum;
  s.count = static_cast<uint32_t>(values.size());
  s.exact_sum = true;
  s.has_resets = integers.falls > 0;
  if (integers.falls > RowSummary::kMaxResets) return true;
  for (size_t i = 1; s.resets < integers.falls; ++i) {
    if (values[i] < values[i - 1]) s.before_reset[s.resets++] = values[i - 1];
  }
  return true;
}

}  // namespace

RowSummary SummarizeRow(std::span<const int64_t> time_ms, std::span<const double> values,
                        std::span<const int64_t> start_ms) {
  BASALT_CHECK(time_ms.size() == values.size() &&
               (start_ms.empty() || start_ms.size() == values.size()));
  RowSummary s;
  if (start_ms.empty() && SummarizeIntegers(time_ms, values, s)) return s;
  double sum = 0;
  double correction = 0;
  ExactSum exact;
  size_t last = 0;
  size_t resets = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double value = values[i];
    if (IsStaleMarker(value)) {
      s.has_stale = true;
      continue;
    }
    if (s.count == 0) {
      s.first_ms = time_ms[i];
      s.first = s.min = s.max = value;
    } else {
      if (value < values[last] || (!start_ms.empty() && start_ms[i] != start_ms[last])) {
        if (resets < RowSummary::kMaxResets) s.before_reset[resets] = values[last];
        ++resets;
      }
      if (value < s.min || std::isnan(s.min)) s.min = value;
      if (value > s.max || std::isnan(s.max)) s.max = value;
    }
    s.has_nan |= std::isnan(value);
    KahanAdd(value, sum, correction);
    exact.Add(value);
    ++s.count;
    last = i;
  }
  if (s.count == 0) return s;
  s.last_ms = time_ms[last];
  s.last = values[last];
  s.sum = std::isinf(sum) ? sum : sum + correction;
  s.exact_sum = exact.exact();
  s.has_resets = resets > 0;
  if (resets <= RowSummary::kMaxResets) {
    s.resets = static_cast<uint32_t>(resets);
  } else {
    s.before_reset = {};
  }
  return s;
}

}  // namespace basalt::storage
