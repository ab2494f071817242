// storage/codec/decimal.h -- doubles as integers, exactly or not at all.
#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace basalt::storage {

// Powers of ten up to 10^22 are doubles without rounding; 14 digits after the point are what a
// double of a metric has.
inline constexpr int kMaxDecimalPower = 14;
inline constexpr std::array<double, kMaxDecimalPower + 1> kPowersOfTen = {
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14};

inline bool SameBits(double a, double b) {
  return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
}

// The integer that is the same number, if there is one: not for -0, fractions, NaN, and from 2^63
// on.
inline bool AsInteger(double value, int64_t& integer) {
  if (!(std::fabs(value) < 0x1p63)) return false;
  integer = static_cast<int64_t>(value);
  return SameBits(static_cast<double>(integer), value);
}

// std::llrint, which is a call for the sake of errno. `value` is below 2^63 in magnitude.
inline int64_t RoundToInteger(double value) {
#if defined(__SSE2__)
  return _mm_cvtsd_si64(_mm_set_sd(value));
#else
  return std::llrint(value);
#endif
}

// integer / 10^power is correctly rounded, so that every decimal number of up to 15 digits that was
// parsed from text comes back bit for bit; whatever does not is told by trying. (Multiplying by
// 10^-power would lose many of them.)
inline double FromDecimal(int64_t integer, int power) {
  return static_cast<double>(integer) / kPowersOfTen[power];
}
inline bool AsDecimal(double value, int power, int64_t& integer) {
  const double scaled = value * kPowersOfTen[power];
  if (!(std::fabs(scaled) < 0x1p53)) return false;
  integer = RoundToInteger(scaled);
  return SameBits(FromDecimal(integer, power), value);
}

// Order-preserving bits: of two numbers the smaller one has the smaller integer; neighbours differ
// by 1. NaNs lie at the ends. A bijection.
inline int64_t AsOrdered(double value) {
  const auto bits = std::bit_cast<int64_t>(value);
  return bits ^ static_cast<int64_t>(static_cast<uint64_t>(bits >> 63) >> 1);
}
inline double FromOrdered(int64_t ordered) {
  return std::bit_cast<double>(ordered ^
                               static_cast<int64_t>(static_cast<uint64_t>(ordered >> 63) >> 1));
}

}  // namespace basalt::storage
