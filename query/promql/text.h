// query/promql/text.h -- the small pieces of text handling that PromQL takes over from Go: quoting,
// runes, numbers. Error messages and printed expressions are compared with upstream's letter by
// letter, so these follow Go's rules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/status.h"

namespace basalt::promql {

inline constexpr char32_t kRuneError = 0xFFFD;  // what an invalid byte decodes to, one byte wide

struct Rune {
  char32_t code = kRuneError;
  int width = 0;  // bytes; 0 at the end of the text
};
// The rune at the start of `text`. Invalid UTF-8 gives {kRuneError, 1}.
Rune DecodeRune(std::string_view text);
void AppendUtf8(char32_t code, std::string& out);

// Letters, marks, numbers, punctuation, symbols and the ASCII space.
bool IsPrintable(char32_t code);

// A double-quoted string as Go's %q writes it: invalid bytes as \xNN, what is not printable as
// \uNNNN.
void AppendGoQuoted(std::string_view text, std::string& out);
std::string GoQuoted(std::string_view text);
// %q of a rune: 'ä', '\'', '\u200b'. A code that is no valid rune is shown as '�'.
std::string GoQuotedRune(char32_t code);
// %#U of a rune: U+0071 'q'.
std::string GoUnicode(char32_t code);
// The first `runes` runes of `text`.
std::string_view FirstRunes(std::string_view text, size_t runes);

// What a single-, double- or back-quoted literal stands for. `literal` has passed the lexer.
std::string Unquote(std::string_view literal);

// A number token: integers in Go's notations (0x1F, 017, 1_000), decimal floats, inf and nan in any
// case. kInvalidArgument: `strconv.ParseFloat: parsing "0x": invalid syntax` or `...: value out of
// range`.
Result<double> ParseNumber(std::string_view token);

// Shortest digits that give the same double, without exponent: 0.000001, 100000000000000000000,
// +Inf, NaN.
std::string FormatFixed(double value);
// The same with an exponent below 1e-4 and from 1e21 on, as Go's %v.
std::string FormatGeneral(double value);
// With exactly three decimals.
std::string FormatThreeDecimals(double value);

}  // namespace basalt::promql
