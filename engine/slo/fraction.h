// engine/slo/fraction.h -- exact numbers for objectives, thresholds and coefficients.
//
// SLOs are decided in integers (DESIGN decision 12): "99.9" is 999/1000, never the double next to
// it. A tool that computes 14.4 * (1 - 0.999) in doubles pages at an error ratio of exactly 1.44 %.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/status.h"

namespace basalt::slo {

__extension__ typedef __int128 Int128;  // products of two 64-bit numbers

// num/den in lowest terms, den > 0. A value type.
struct Fraction {
  int64_t num = 0;
  int64_t den = 1;
  [[nodiscard]] double ToDouble() const {
    return static_cast<double>(num) / static_cast<double>(den);
  }
  friend bool operator==(const Fraction&, const Fraction&) = default;
};

// num/den reduced. kOutOfRange if den is 0 or the result does not fit in 64 bits.
Result<Fraction> MakeFraction(Int128 num, Int128 den);
// Both: kOutOfRange if the result does not fit.
Result<Fraction> Multiply(const Fraction& a, const Fraction& b);
Result<Fraction> Subtract(const Fraction& a, const Fraction& b);

// A plain decimal: digits with an optional sign and point, such as "99.95". At most 18 digits, no
// exponent. kInvalidArgument says what is wrong with it.
Result<Fraction> ParseDecimal(std::string_view text);

// a < b, exactly.
bool Less(const Fraction& a, const Fraction& b);

// part/whole > threshold for whole > 0, exactly: the one comparison that alerts hang on.
inline bool RatioExceeds(int64_t part, int64_t whole, const Fraction& threshold) {
  return static_cast<Int128>(part) * threshold.den > static_cast<Int128>(whole) * threshold.num;
}

// "14.4" or, where the decimal does not end within 12 places, "43/3".
std::string ToString(const Fraction& f);

}  // namespace basalt::slo
