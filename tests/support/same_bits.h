// tests/support/same_bits.h -- equality of doubles by their bits: NaN payloads and the sign of zero
// count.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>

namespace basalt::testing {

inline bool SameBits(double a, double b) {
  return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
}
inline bool SameBits(std::span<const double> a, std::span<const double> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](double x, double y) { return SameBits(x, y); });
}

}  // namespace basalt::testing
