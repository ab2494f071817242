#include "query/promql/text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <system_error>

namespace basalt::promql {
namespace {

constexpr char32_t kMaxRune = 0x10FFFF;
constexpr char kHexDigits[] = "0123456789abcdef";

bool IsSurrogate(char32_t code) { return code >= 0xD800 && code <= 0xDFFF; }

void AppendHex(char32_t code, int digits, std::string& out) {
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4)
    out += kHexDigits[(code >> static_cast<unsigned>(shift)) & 0xFU];
}

// One rune between quotes of the kind `quote`.
void AppendEscapedRune(char32_t code, char quote, std::string& out) {
  if (code == static_cast<char32_t>(quote) || code == U'\\') {
    out += '\\';
    out += static_cast<char>(code);
    return;
  }
  if (IsPrintable(code)) {
    AppendUtf8(code, out);
    return;
  }
  // The escapes that have a letter, \a to \r, are neighbours in ASCII.
  constexpr std::string_view kLetters = "abtnvfr";
  if (code >= 0x07 && code <= 0x0D) {
    out += '\\';
    out += kLetters[code - 0x07];
  } else if (code < 0x20 || code == 0x7F) {
    out += "\\x";
    AppendHex(code, 2, out);
  } else if (code < 0x10000) {
    out += "\\u";
    AppendHex(code, 4, out);
  } else {
    out += "\\U";
    AppendHex(code, 8, out);
  }
}

unsigned HexValue(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  return static_cast<unsigned>((c | 0x20) - 'a') + 10U;
}

// Reads `count` digits of the given base at `i`, moving it on. The lexer has checked them.
char32_t ReadEscapeDigits(std::string_view body, size_t& i, int count, unsigned base) {
  char32_t value = 0;
  for (; count > 0 && i < body.size(); --count, ++i) value = value * base + HexValue(body[i]);
  return value;
}

// The integer that Go's base-0 rules read, if `token` is one that fits 64 bits with sign.
std::optional<int64_t> ParseInteger(std::string_view token) {
  unsigned base = 10;
  size_t i = 0;
  bool digit_before = false;  // an underscore may follow a digit or a base prefix only
  if (token.size() > 2 && token[0] == '0' && (token[1] == 'x' || token[1] == 'X')) {
    base = 16;
    i = 2;
    digit_before = true;
  } else if (token.size() > 1 && token[0] == '0') {
    base = 8;
    i = 1;
    digit_before = true;
  }
  uint64_t value = 0;
  for (; i < token.size(); ++i) {
    const char c = token[i];
    if (c == '_') {
      if (!digit_before) return std::nullopt;
      digit_before = false;
      continue;
    }
    const bool alpha = (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (!(c >= '0' && c <= '9') && !alpha) return std::nullopt;
    const unsigned digit = HexValue(c);
    if (digit >= base) return std::nullopt;
    if (value > (std::numeric_limits<uint64_t>::max() - digit) / base) return std::nullopt;
    value = value * base + digit;
    digit_before = true;
  }
  if (!digit_before || token.empty()) return std::nullopt;
  if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  return static_cast<int64_t>(value);
}

// A decimal's underscores are left out; none if one does not stand between two digits.
std::optional<std::string> WithoutUnderscores(std::string_view token) {
  const auto digit_at = [&](size_t i) {
    return i < token.size() && token[i] >= '0' && token[i] <= '9';
  };
  std::string out;
  out.reserve(token.size());
  for (size_t i = 0; i < token.size(); ++i) {
    if (token[i] != '_') {
      out += token[i];
    } else if (i == 0 || !digit_at(i - 1) || !digit_at(i + 1)) {
      return std::nullopt;
    }
  }
  return out;
}

bool EqualsIgnoringCase(std::string_view a, std::string_view lower) {
  if (a.size() != lower.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if ((a[i] | 0x20) != lower[i]) return false;
  return true;
}

// For a decimal that std::from_chars finds out of range: is it too large (true) or too close to
// zero?
bool IsHuge(std::string_view token) {
  const size_t e = token.find_first_of("eE");
  const std::string_view mantissa = token.substr(0, e);
  // The exponent decides unless the mantissa alone has hundreds of digits.
  if (e != std::string_view::npos && token[e + 1] == '-') return false;
  if (e != std::string_view::npos) return true;
  return mantissa.find_first_of("123456789") < mantissa.find('.');
}

// The decimal digits of the shortest representation, and the power of ten of the first one.
struct Shortest {
  std::string digits;
  int exponent = 0;  // value = d.ddd * 10^exponent
};

Shortest ShortestDigits(double magnitude) {
  std::array<char, 32> buffer;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), magnitude,
                                          std::chars_format::scientific);
  const std::string_view text(buffer.data(), static_cast<size_t>(end - buffer.data()));
  const size_t e = text.find('e');
  Shortest result;
  for (const char c : text.substr(0, e))
    if (c != '.') result.digits += c;
  const bool negative = text[e + 1] == '-';
  for (const char c : text.substr(e + 2)) result.exponent = result.exponent * 10 + (c - '0');
  if (negative) result.exponent = -result.exponent;
  return result;
}

std::optional<std::string> FormatSpecial(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return std::nullopt;
}

std::string LayOutFixed(const Shortest& shortest, bool negative) {
  std::string out = negative ? "-" : "";
  const int count = static_cast<int>(shortest.digits.size());
  if (shortest.exponent < 0) {
    out += "0.";
    out.append(static_cast<size_t>(-shortest.exponent - 1), '0');
    out += shortest.digits;
    return out;
  }
  const int whole = shortest.exponent + 1;
  out += shortest.digits.substr(0, static_cast<size_t>(whole));
  if (count <= whole) {
    out.append(static_cast<size_t>(whole - count), '0');
  } else {
    out += '.';
    out += shortest.digits.substr(static_cast<size_t>(whole));
  }
  return out;
}

}  // namespace

Rune DecodeRune(std::string_view text) {
  if (text.empty()) return {};
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  size_t width = 0;
  char32_t code = 0;
  if (first >= 0xC2 && first <= 0xDF) {
    width = 2;
    code = first & 0x1FU;
  } else if (first >= 0xE0 && first <= 0xEF) {
    width = 3;
    code = first & 0x0FU;
  } else if (first >= 0xF0 && first <= 0xF4) {
    width = 4;
    code = first & 0x07U;
  }
  if (width == 0 || text.size() < width) return {kRuneError, 1};
  for (size_t i = 1; i < width; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return {kRuneError, 1};
    code = code << 6U | (byte(i) & 0x3FU);
  }
  const bool overlong = (width == 3 && code < 0x800) || (width == 4 && code < 0x10000);
  if (overlong || IsSurrogate(code) || code > kMaxRune) return {kRuneError, 1};
  return {code, static_cast<int>(width)};
}

void AppendUtf8(char32_t code, std::string& out) {
  if (code > kMaxRune || IsSurrogate(code)) code = kRuneError;
  const auto put = [&](char32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0U | code >> 6U);
    put(0x80U | (code & 0x3FU));
  } else if (code < 0x10000) {
    put(0xE0U | code >> 12U);
    put(0x80U | (code >> 6U & 0x3FU));
    put(0x80U | (code & 0x3FU));
  } else {
    put(0xF0U | code >> 18U);
    put(0x80U | (code >> 12U & 0x3FU));
    put(0x80U | (code >> 6U & 0x3FU));
    put(0x80U | (code & 0x3FU));
  }
}

void AppendGoQuoted(std::string_view text, std::string& out) {
  out += '"';
  while (!text.empty()) {
    const Rune rune = DecodeRune(text);
    if (rune.code == kRuneError && rune.width == 1) {
      out += "\\x";
      AppendHex(static_cast<unsigned char>(text[0]), 2, out);
    } else {
      AppendEscapedRune(rune.code, '"', out);
    }
    text.remove_prefix(static_cast<size_t>(rune.width));
  }
  out += '"';
}

std::string GoQuoted(std::string_view text) {
  std::string out;
  AppendGoQuoted(text, out);
  return out;
}

std::string GoQuotedRune(char32_t code) {
  if (code > kMaxRune || IsSurrogate(code)) code = kRuneError;
  std::string out = "'";
  AppendEscapedRune(code, '\'', out);
  return out += '\'';
}

std::string GoUnicode(char32_t code) {
  std::string hex;
  for (char32_t rest = code; rest != 0; rest >>= 4U)
    hex.insert(hex.begin(), "0123456789ABCDEF"[rest & 0xFU]);
  std::string out = "U+";
  if (hex.size() < 4) out.append(4 - hex.size(), '0');
  out += hex;
  if (IsPrintable(code)) {
    out += " '";
    AppendUtf8(code, out);
    out += '\'';
  }
  return out;
}

std::string_view FirstRunes(std::string_view text, size_t runes) {
  size_t bytes = 0;
  for (; runes > 0 && bytes < text.size(); --runes)
    bytes += static_cast<size_t>(DecodeRune(text.substr(bytes)).width);
  return text.substr(0, bytes);
}

std::string Unquote(std::string_view literal) {
  const std::string_view body = literal.substr(1, literal.size() - 2);
  if (literal[0] == '`' || body.find('\\') == std::string_view::npos) return std::string(body);
  std::string out;
  out.reserve(body.size());
  for (size_t i = 0; i < body.size();) {
    const char c = body[i++];
    if (c != '\\' || i == body.size()) {
      out += c;
      continue;
    }
    const char escape = body[i++];
    constexpr std::string_view kLetters = "abfnrtv";
    constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v";
    if (const size_t at = kLetters.find(escape); at != std::string_view::npos) {
      out += kMeanings[at];
    } else if (escape == 'x') {
      out += static_cast<char>(ReadEscapeDigits(body, i, 2, 16));  // a byte, not a rune
    } else if (escape == 'u') {
      AppendUtf8(ReadEscapeDigits(body, i, 4, 16), out);
    } else if (escape == 'U') {
      AppendUtf8(ReadEscapeDigits(body, i, 8, 16), out);
    } else if (escape >= '0' && escape <= '7') {
      --i;
      out += static_cast<char>(ReadEscapeDigits(body, i, 3, 8));
    } else {
      out += escape;  // backslash or the quote itself
    }
  }
  return out;
}

Result<double> ParseNumber(std::string_view token) {
  if (const std::optional<int64_t> integer = ParseInteger(token))
    return static_cast<double>(*integer);
  if (EqualsIgnoringCase(token, "inf")) return std::numeric_limits<double>::infinity();
  if (EqualsIgnoringCase(token, "nan")) return std::numeric_limits<double>::quiet_NaN();
  const auto fail = [&](std::string_view why) {
    return InvalidArgument("strconv.ParseFloat: parsing " + GoQuoted(token) + ": " +
                           std::string(why));
  };
  const std::optional<std::string> digits = WithoutUnderscores(token);
  if (!digits.has_value()) return fail("invalid syntax");
  // from_chars would take a sign and the words "inf" and "nan"; the lexer never puts these into a
  // number.
  double value = 0;
  const char* const end = digits->data() + digits->size();
  const auto [rest, error] = std::from_chars(digits->data(), end, value);
  if (error == std::errc::invalid_argument || rest != end) return fail("invalid syntax");
  if (error == std::errc::result_out_of_range) {
    if (IsHuge(*digits)) return fail("value out of range");
    return 0.0;
  }
  return value;
}

std::string FormatFixed(double value) {
  if (auto special = FormatSpecial(value)) return *std::move(special);
  return LayOutFixed(ShortestDigits(std::fabs(value)), std::signbit(value));
}

std::string FormatGeneral(double value) {
  if (auto special = FormatSpecial(value)) return *std::move(special);
  const Shortest shortest = ShortestDigits(std::fabs(value));
  if (shortest.exponent >= -4 && shortest.exponent < 21)
    return LayOutFixed(shortest, std::signbit(value));
  std::string out = std::signbit(value) ? "-" : "";
  out += shortest.digits[0];
  if (shortest.digits.size() > 1) {
    out += '.';
    out += shortest.digits.substr(1);
  }
  const int magnitude = std::abs(shortest.exponent);
  out += shortest.exponent < 0 ? "e-" : "e+";
  if (magnitude < 10) out += '0';
  return out += std::to_string(magnitude);
}

std::string FormatThreeDecimals(double value) {
  if (auto special = FormatSpecial(value)) return *std::move(special);
  std::array<char, 400> buffer;  // 309 digits, sign, point, decimals
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                          std::chars_format::fixed, 3);
  return std::string(buffer.data(), end);
}

}  // namespace basalt::promql
