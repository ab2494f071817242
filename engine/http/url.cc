#include "engine/http/url.h"

#include "engine/base/labels.h"

namespace basalt::http {
namespace {

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Decodes into `out`; false, with the text from the bad '%' on in `bad`, if an escape is broken.
bool Unescape(std::string_view text, bool plus_is_space, std::string& out, std::string_view& bad) {
  out.clear();
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out.push_back(' ');
    } else if (text[i] != '%') {
      out.push_back(text[i]);
    } else {
      const int high = i + 2 < text.size() ? HexValue(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? HexValue(text[i + 2]) : -1;
      if (high < 0 || low < 0) {
        bad = text.substr(i, 3);
        return false;
      }
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  return true;
}

Status BadEscape(std::string_view bad) {
  std::string message = "invalid URL escape ";
  AppendQuoted(bad, message);
  return InvalidArgument(std::move(message));
}

}  // namespace

std::optional<std::string> DecodePath(std::string_view text) {
  std::string out;
  std::string_view bad;
  if (!Unescape(text, /*plus_is_space=*/false, out, bad)) return std::nullopt;
  return out;
}

std::string EncodeComponent(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      out.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return out;
}

Status Form::Parse(std::string_view encoded) {
  Status first_error;
  std::string name;
  std::string value;
  std::string_view bad;
  while (!encoded.empty()) {
    const size_t end = encoded.find('&');
    const std::string_view pair = encoded.substr(0, end);
    encoded = end == std::string_view::npos ? std::string_view() : encoded.substr(end + 1);
    if (pair.empty()) continue;
    if (pair.find(';') != std::string_view::npos) {
      if (first_error.ok()) first_error = InvalidArgument("invalid semicolon separator in query");
      continue;
    }
    const size_t equals = pair.find('=');
    const std::string_view raw_value =
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    if (!Unescape(pair.substr(0, equals), /*plus_is_space=*/true, name, bad) ||
        !Unescape(raw_value, /*plus_is_space=*/true, value, bad)) {
      if (first_error.ok()) first_error = BadEscape(bad);
      continue;
    }
    if (pairs_.size() == kMaxPairs) return InvalidArgument("form: more than 100000 parameters");
    pairs_.emplace_back(name, value);
  }
  return first_error;
}

std::string_view Form::Get(std::string_view name) const {
  for (const auto& [key, value] : pairs_) {
    if (key == name) return value;
  }
  return {};
}

bool Form::Has(std::string_view name) const {
  for (const auto& [key, value] : pairs_) {
    if (key == name) return true;
  }
  return false;
}

std::vector<std::string_view> Form::All(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const auto& [key, value] : pairs_) {
    if (key == name) values.push_back(value);
  }
  return values;
}

}  // namespace basalt::http
