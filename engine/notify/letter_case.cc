#include "engine/notify/letter_case.h"

#include <locale.h>  // NOLINT(modernize-deprecated-headers): newlocale is POSIX, not C++
#include <wctype.h>  // NOLINT(modernize-deprecated-headers): towlower_l likewise

#include <algorithm>
#include <cstdint>

#include "engine/base/labels.h"

namespace basalt::notify {
namespace {

locale_t UnicodeLocale() {
  static const locale_t locale = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", locale_t{});
  return locale;  // lives as long as the process
}

// The letter at the beginning of `text`, which is taken off it; U+FFFD for a byte that is none.
char32_t TakeLetter(std::string_view& text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (length > text.size() || !IsValidUtf8(text.substr(0, length))) {
    text.remove_prefix(1);
    return 0xFFFD;
  }
  char32_t letter = length == 1 ? lead : lead & (0xFFU >> (length + 1));
  for (size_t i = 1; i < length; ++i)
    letter = letter << 6 | (static_cast<unsigned char>(text[i]) & 0x3FU);
  text.remove_prefix(length);
  return letter;
}

void AppendLetter(char32_t letter, std::string& out) {
  if (letter < 0x80) {
    out += static_cast<char>(letter);
    return;
  }
  const int more = letter < 0x800 ? 1 : letter < 0x10000 ? 2 : 3;
  const uint32_t lead = more == 1 ? 0xC0 : more == 2 ? 0xE0 : 0xF0;
  out += static_cast<char>(lead | letter >> (6 * more));
  for (int i = more - 1; i >= 0; --i) out += static_cast<char>(0x80 | (letter >> (6 * i) & 0x3F));
}

template <typename Change>
std::string Changed(std::string_view text, Change change) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) AppendLetter(change(TakeLetter(text)), out);
  return out;
}

}  // namespace

std::string LowerCase(std::string_view text) {
  const locale_t locale = UnicodeLocale();
  return Changed(text, [&](char32_t c) -> char32_t {
    if (locale != locale_t{})
      return static_cast<char32_t>(::towlower_l(static_cast<wint_t>(c), locale));
    return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
  });
}

std::string UpperCase(std::string_view text) {
  const locale_t locale = UnicodeLocale();
  return Changed(text, [&](char32_t c) -> char32_t {
    if (locale != locale_t{})
      return static_cast<char32_t>(::towupper_l(static_cast<wint_t>(c), locale));
    return c >= 'a' && c <= 'z' ? c - ('a' - 'A') : c;
  });
}

}  // namespace basalt::notify
