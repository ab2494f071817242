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
  // From here on to_chars gives all digits, beyond the shortest that tell the double apart.
  constexpr double kEveryDigitCounts = 0x1p53;
  if (std::fabs(value) < kEveryDigitCounts) return Convert(value, std::chars_format::fixed);
  const std::string scientific = Convert(value, std::chars_format::scientific);
  const size_t e = scientific.find('e');
  int exponent = 0;  // has a plus sign, which from_chars does not take
  std::from_chars(scientific.data() + e + 2, scientific.data() + scientific.size(), exponent);
  size_t digits = 0;
  for (const char c : std::string_view(scientific).substr(0, e)) {
    if (c == '.') continue;
    out += c;
    if (c != '-') ++digits;
  }
  return out.append(static_cast<size_t>(exponent) + 1 - digits, '0');
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
