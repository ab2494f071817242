#include "query/number_format.h"

#include <charconv>
#include <cmath>
#include <string_view>

namespace basalt::query {
namespace {

// The longest decimal of a double has 309 digits before the point, or about 343 characters below 1.
constexpr size_t kMaxChars = 400;

std::string Convert(double value, std::chars_format format) {
  char buffer[kMaxChars];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value, format);
  return std::string(buffer, end);
}

bool IsSpecial(double value, std::string& out) {
  if (std::isnan(value)) {
    out = "NaN";
  } else if (std::isinf(value)) {
    out = value > 0 ? "+Inf" : "-Inf";
  } else {
    return false;
  }
  return true;
}

}  // namespace

std::string FormatDecimal(double value) {
  std::string out;
  if (IsSpecial(value, out)) return out;
  return Convert(value, std::chars_format::fixed);
}

std::string FormatShort(double value) {
  std::string out;
  if (IsSpecial(value, out)) return out;
  if (value == 0) return std::signbit(value) ? "-0" : "0";
  std::string scientific = Convert(value, std::chars_format::scientific);
  const size_t e = scientific.find('e');
  int exponent = 0;
  const char* digits = scientific.data() + e + 1;
  if (*digits == '+') ++digits;  // from_chars takes no plus sign
  std::from_chars(digits, scientific.data() + scientific.size(), exponent);
  // printf's %g decides by precision; for the shortest form Go takes 6 to decide, whatever the
  // number of digits.
  constexpr int kFirstScientificExponent = 6;
  if (exponent < -4 || exponent >= kFirstScientificExponent) return scientific;
  return Convert(value, std::chars_format::fixed);
}

}  // namespace basalt::query
