#include "engine/ingest/otlp/any_value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace basalt::ingest::otlp {
namespace {

// As JSON numbers are usually written: plain for exponents -6..20, otherwise 1e-7, 1e+21.
std::string NumberText(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  std::array<char, 64> buffer;
  const double magnitude = std::fabs(value);
  const bool scientific = magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21);
  const auto format = scientific ? std::chars_format::scientific : std::chars_format::fixed;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, format).ptr;
  std::string text(buffer.data(), end);
  // "e-07" -> "e-7".
  const size_t size = text.size();
  if (scientific && size >= 4 && text[size - 4] == 'e' && text[size - 3] == '-' &&
      text[size - 2] == '0') {
    text.erase(size - 2, 1);
  }
  return text;
}

void AppendJsonText(std::string_view text, std::string& out) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '"':
      case '\\':
        out += '\\';
        out += c;
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        if (byte < 0x20 || c == '<' || c == '>' || c == '&') {
          out += "\\u00";
          out += kHex[byte >> 4U];
          out += kHex[byte & 15U];
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

void AppendJson(const AnyValue& value, std::string& out) {
  switch (value.kind) {
    case AnyValue::Kind::kEmpty:
      out += "null";
      return;
    case AnyValue::Kind::kString:
      return AppendJsonText(value.text, out);
    case AnyValue::Kind::kBytes:
      return AppendJsonText(Base64Of(value.text), out);
    case AnyValue::Kind::kList:
      out += '[';
      for (size_t i = 0; i < value.list.size(); ++i) {
        if (i > 0) out += ',';
        AppendJson(value.list[i], out);
      }
      out += ']';
      return;
    case AnyValue::Kind::kMap: {
      std::vector<const AnyValue::Entry*> sorted;
      for (const AnyValue::Entry& entry : value.map) sorted.push_back(&entry);
      std::sort(sorted.begin(), sorted.end(),
                [](const auto* a, const auto* b) { return a->key < b->key; });
      out += '{';
      for (size_t i = 0; i < sorted.size(); ++i) {
        if (i > 0) out += ',';
        AppendJsonText(sorted[i]->key, out);
        out += ':';
        AppendJson(sorted[i]->value, out);
      }
      out += '}';
      return;
    }
    default:
      out += ToText(value);
  }
}

}  // namespace

std::string ToText(const AnyValue& value) {
  switch (value.kind) {
    case AnyValue::Kind::kEmpty:
      return {};
    case AnyValue::Kind::kString:
      return std::string(value.text);
    case AnyValue::Kind::kBool:
      return value.flag ? "true" : "false";
    case AnyValue::Kind::kInt:
      return std::to_string(value.integer);
    case AnyValue::Kind::kDouble:
      return NumberText(value.number);
    case AnyValue::Kind::kBytes:
      return Base64Of(value.text);
    case AnyValue::Kind::kList:
    case AnyValue::Kind::kMap:
      break;
  }
  std::string out;
  AppendJson(value, out);
  return out;
}

std::string HexOf(std::string_view bytes) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += kHex[byte >> 4U];
    out += kHex[byte & 15U];
  }
  return out;
}

std::string Base64Of(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) {
      group = group << 8U | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (size_t k = 0; k < 4; ++k) {
      out += i + k > bytes.size() ? '=' : kDigits[group >> (18 - 6 * k) & 63U];
    }
  }
  return out;
}

}  // namespace basalt::ingest::otlp
