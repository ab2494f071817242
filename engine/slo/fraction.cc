#include "engine/slo/fraction.h"

#include <algorithm>
#include <limits>

namespace basalt::slo {
namespace {

using Wide = Int128;

Wide Gcd(Wide a, Wide b) {
  while (b != 0) {
    const Wide rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

constexpr int kMaxDecimalDigits = 18;  // 10^18 < 2^63
constexpr int kMaxPrintedPlaces = 12;

}  // namespace

Result<Fraction> MakeFraction(Wide num, Wide den) {
  if (den == 0) return OutOfRange("fraction: division by zero");
  if (den < 0) {
    num = -num;
    den = -den;
  }
  const Wide common = Gcd(num < 0 ? -num : num, den);
  if (common > 1) {
    num /= common;
    den /= common;
  }
  constexpr Wide kMax = std::numeric_limits<int64_t>::max();
  if (num > kMax || num < -kMax || den > kMax) {
    return OutOfRange("fraction: numerator or denominator needs more than 63 bits");
  }
  return Fraction{static_cast<int64_t>(num), static_cast<int64_t>(den)};
}

Result<Fraction> Multiply(const Fraction& a, const Fraction& b) {
  return MakeFraction(static_cast<Wide>(a.num) * b.num, static_cast<Wide>(a.den) * b.den);
}

Result<Fraction> Subtract(const Fraction& a, const Fraction& b) {
  return MakeFraction(static_cast<Wide>(a.num) * b.den - static_cast<Wide>(b.num) * a.den,
                      static_cast<Wide>(a.den) * b.den);
}

Result<Fraction> ParseDecimal(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return InvalidArgument("\"" + std::string(text) + "\" " + std::string(why));
  };
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  int64_t num = 0;
  int64_t den = 1;
  int digits = 0;
  bool point = false;
  for (const char c : rest) {
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (c < '0' || c > '9') return bad("is not a plain decimal number such as 99.9");
    if (++digits > kMaxDecimalDigits) return bad("has more than 18 digits");
    num = num * 10 + (c - '0');
    if (point) den *= 10;
  }
  if (digits == 0) return bad("is not a plain decimal number such as 99.9");
  return MakeFraction(negative ? -num : num, den);
}

bool Less(const Fraction& a, const Fraction& b) {
  return static_cast<Wide>(a.num) * b.den < static_cast<Wide>(b.num) * a.den;
}

std::string ToString(const Fraction& f) {
  std::string out = f.num < 0 ? "-" : "";
  Wide rest = f.num < 0 ? -static_cast<Wide>(f.num) : static_cast<Wide>(f.num);
  out += std::to_string(static_cast<int64_t>(rest / f.den));
  rest %= f.den;
  if (rest == 0) return out;
  out += '.';
  for (int place = 0; rest != 0; ++place) {
    if (place == kMaxPrintedPlaces) return std::to_string(f.num) + "/" + std::to_string(f.den);
    rest *= 10;
    out += static_cast<char>('0' + static_cast<int>(rest / f.den));
    rest %= f.den;
  }
  return out;
}

}  // namespace basalt::slo
