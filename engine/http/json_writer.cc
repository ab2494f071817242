#include "engine/http/json_writer.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <utility>

namespace basalt::http {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";

// The shortest digits of a finite double other than 0, and where its point stands: 0.d1d2d3... *
// 10^point.
struct Digits {
  std::array<char, 24> text;
  int count = 0;
  int point = 0;
};

Digits ShortestDigits(double magnitude) {
  std::array<char, 32> scientific;
  const auto [end, ec] = std::to_chars(scientific.data(), scientific.data() + scientific.size(),
                                       magnitude, std::chars_format::scientific);
  Digits digits;
  const char* p = scientific.data();
  for (; p != end && *p != 'e'; ++p) {
    if (*p != '.') digits.text[static_cast<size_t>(digits.count++)] = *p;
  }
  int exponent = 0;
  const char* const number = p + (p[1] == '+' ? 2 : 1);
  std::from_chars(number, end, exponent);
  digits.point = exponent + 1;
  return digits;
}

// True, and `out` written, for what has no digits of its own.
bool AppendSpecial(double value, std::string& out) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value < 0 ? "-Inf" : "+Inf";
  } else {
    return false;
  }
  return true;
}

// Answers are mostly points, so these write into memory that is known to suffice: 20 digits, sign
// and a fraction of milliseconds; and of numbers from 1e-6 to 1e15 at most 17 digits behind a sign
// and seven zeros.
constexpr size_t kTimeBytes = 32;
constexpr size_t kPlainBytes = 32;

char* WriteTime(int64_t time_ms, char* to) {
  // Through unsigned, since -INT64_MIN is none.
  const uint64_t magnitude =
      time_ms < 0 ? 0 - static_cast<uint64_t>(time_ms) : static_cast<uint64_t>(time_ms);
  if (time_ms < 0) *to++ = '-';
  to = std::to_chars(to, to + kTimeBytes, magnitude / 1000).ptr;
  if (const auto ms = static_cast<unsigned>(magnitude % 1000); ms != 0) {
    *to++ = '.';
    *to++ = static_cast<char>('0' + ms / 100);
    *to++ = static_cast<char>('0' + ms / 10 % 10);
    *to++ = static_cast<char>('0' + ms % 10);
  }
  return to;
}

// The end of what was written; null, and nothing written that counts, for a number that is not
// plain: too large, too small, or none.
char* WritePlain(double value, char* to) {
  const double magnitude = std::fabs(value);
  if (!(magnitude < 1e15)) return nullptr;
  if (std::signbit(value)) *to++ = '-';
  // Most samples are small whole numbers.
  const auto whole = static_cast<int64_t>(magnitude);
  if (static_cast<double>(whole) == magnitude)
    return std::to_chars(to, to + kPlainBytes, whole).ptr;
  if (magnitude < 1e-6) return nullptr;
  // Below 2^53, so that these are the shortest digits; above, to_chars would print all.
  return std::to_chars(to, to + kPlainBytes, magnitude, std::chars_format::fixed).ptr;
}

void AppendFixed(double value, std::string& out) {
  std::array<char, kPlainBytes + 1> plain;
  if (char* const end = WritePlain(value, plain.data()); end != nullptr) {
    out.append(plain.data(), end);
    return;
  }
  if (std::signbit(value)) out.push_back('-');
  const double magnitude = std::fabs(value);
  // std::to_chars in fixed notation prints large numbers exactly; Go pads the shortest digits with
  // zeros.
  const Digits digits = ShortestDigits(magnitude);
  const std::string_view text(digits.text.data(), static_cast<size_t>(digits.count));
  if (digits.point <= 0) {
    out.append("0.").append(static_cast<size_t>(-digits.point), '0').append(text);
  } else if (digits.point >= digits.count) {
    out.append(text).append(static_cast<size_t>(digits.point - digits.count), '0');
  } else {
    const auto whole = static_cast<size_t>(digits.point);
    out.append(text.substr(0, whole)).append(".").append(text.substr(whole));
  }
}

void AppendScientific(double value, std::string& out) {
  if (std::signbit(value)) out.push_back('-');
  if (value == 0) {
    out += "0e+00";
    return;
  }
  const Digits digits = ShortestDigits(std::fabs(value));
  out.push_back(digits.text[0]);
  if (digits.count > 1)
    out.append(".").append(digits.text.data() + 1, static_cast<size_t>(digits.count - 1));
  std::array<char, 16> exponent;
  const int bytes = std::snprintf(exponent.data(), exponent.size(), "e%+03d", digits.point - 1);
  out.append(exponent.data(), static_cast<size_t>(bytes));
}

// How many bytes a well-formed UTF-8 sequence at the beginning of `text` has; 0 if there is none
// (RFC 3629).
size_t Utf8Length(std::string_view text) {
  const auto at = [text](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto tail = [&at](size_t i) { return (at(i) & 0xC0U) == 0x80U; };
  const unsigned lead = at(0);
  if (lead >= 0xC2 && lead <= 0xDF) return tail(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const bool overlong = lead == 0xE0 && at(1) < 0xA0;
    const bool surrogate = lead == 0xED && at(1) >= 0xA0;
    return tail(1) && tail(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const bool overlong = lead == 0xF0 && at(1) < 0x90;
    const bool beyond = lead == 0xF4 && at(1) >= 0x90;
    return tail(1) && tail(2) && tail(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

// Everything that may stand in a JSON string as it is and is one byte long.
constexpr bool IsPlain(char c) {
  return c >= 0x20 && c != '"' && c != '\\' && static_cast<unsigned char>(c) < 0x80;
}

void AppendEscape(char c, std::string& out) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default: {
      const auto byte = static_cast<unsigned char>(c);
      out.append("\\u00").append({kHex[byte >> 4], kHex[byte & 15]});
    }
  }
}

void AppendEscaped(std::string_view text, std::string& out) {
  while (!text.empty()) {
    size_t plain = 0;
    while (plain < text.size() && IsPlain(text[plain])) ++plain;
    out.append(text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) return;
    if (static_cast<unsigned char>(text.front()) < 0x80) {
      AppendEscape(text.front(), out);
      text.remove_prefix(1);
      continue;
    }
    const size_t length = Utf8Length(text);
    out.append(length > 0 ? text.substr(0, length) : std::string_view("\xEF\xBF\xBD"));
    text.remove_prefix(std::max<size_t>(length, 1));
  }
}

template <typename T>
void AppendInteger(T value, std::string& out) {
  std::array<char, 24> text;
  const auto [end, ec] = std::to_chars(text.data(), text.data() + text.size(), value);
  out.append(text.data(), end);
}

}  // namespace

void AppendGoFloat(double value, std::string& out) {
  const double magnitude = std::fabs(value);
  if (magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21)) {
    AppendGoFloatScientific(value, out);
  } else {
    AppendGoFloatFixed(value, out);
  }
}

void AppendGoFloatFixed(double value, std::string& out) {
  if (!AppendSpecial(value, out)) AppendFixed(value, out);
}

void AppendGoFloatScientific(double value, std::string& out) {
  if (!AppendSpecial(value, out)) AppendScientific(value, out);
}

void AppendRfc3339(Timestamp time, std::string& out) {
  if (time == Timestamp{}) {
    out += "0001-01-01T00:00:00Z";
    return;
  }
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  std::array<char, 64> text;
  int bytes = std::snprintf(
      text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
      static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
      static_cast<int>(clock.seconds().count()));
  out.append(text.data(), static_cast<size_t>(bytes));
  if (const auto ms = static_cast<int>(clock.subseconds().count()); ms != 0) {
    bytes = std::snprintf(text.data(), text.size(), ".%03d", ms);
    while (text[static_cast<size_t>(bytes - 1)] == '0') --bytes;  // Go drops zeros at the end
    out.append(text.data(), static_cast<size_t>(bytes));
  }
  out.push_back('Z');
}

void JsonWriter::Separate() {
  if (comma_) out_->push_back(',');
  comma_ = true;
}

void JsonWriter::Open(char bracket) {
  Separate();
  out_->push_back(bracket);
  comma_ = false;
}

void JsonWriter::Shut(char bracket) {
  out_->push_back(bracket);
  comma_ = true;
}

void JsonWriter::Key(std::string_view key) {
  String(key);
  out_->push_back(':');
  comma_ = false;
}

void JsonWriter::String(std::string_view text) {
  Separate();
  out_->push_back('"');
  AppendEscaped(text, *out_);
  out_->push_back('"');
}

void JsonWriter::Int(int64_t value) {
  Separate();
  AppendInteger(value, *out_);
}

void JsonWriter::Uint(uint64_t value) {
  Separate();
  AppendInteger(value, *out_);
}

void JsonWriter::Float(double value) {
  Separate();
  AppendGoFloat(std::isfinite(value) ? value : 0, *out_);
}

void JsonWriter::Raw(std::string_view json) {
  Separate();
  out_->append(json);
}

void JsonWriter::SampleValue(double value) {
  Separate();
  out_->push_back('"');
  AppendGoFloat(value, *out_);
  out_->push_back('"');
}

void JsonWriter::SampleTime(int64_t time_ms) {
  Separate();
  std::array<char, kTimeBytes> text;
  out_->append(text.data(), WriteTime(time_ms, text.data()));
}

void JsonWriter::Point(int64_t time_ms, double value) {
  std::array<char, kTimeBytes + kPlainBytes + 8> text;
  char* to = text.data();
  if (std::exchange(comma_, true)) *to++ = ',';
  *to++ = '[';
  to = WriteTime(time_ms, to);
  *to++ = ',';
  *to++ = '"';
  if (char* const end = WritePlain(value, to); end != nullptr) {
    to = end;
  } else {
    out_->append(text.data(), to);
    to = text.data();
    AppendGoFloat(value, *out_);
  }
  *to++ = '"';
  *to++ = ']';
  out_->append(text.data(), to);
}

void JsonWriter::Time(Timestamp time) {
  Separate();
  out_->push_back('"');
  AppendRfc3339(time, *out_);
  out_->push_back('"');
}

void JsonWriter::LabelSet(const Labels& labels) {
  BeginObject();
  for (const Label& label : labels) Field(label.name, label.value);
  EndObject();
}

}  // namespace basalt::http
