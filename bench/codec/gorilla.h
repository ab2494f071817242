// bench/codec/gorilla.h -- the XOR coder of Facebook's Gorilla (VLDB 2015, section 4.1.2), as the
// measure that everybody knows.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace basalt::bench {

// Appends the values (at least one) as Gorilla writes them: 64 bits, then per value '0' if it
// repeats, '10' and the bits of the window before, or '11', 5 bits of leading zeros, 6 of length.
void EncodeGorilla(std::span<const double> values, std::string& out);

// Decodes what EncodeGorilla wrote; `in` is trusted, and kGorillaPadding bytes behind it are
// readable.
inline constexpr size_t kGorillaPadding = 16;
void DecodeGorilla(std::string_view in, std::span<double> out);

}  // namespace basalt::bench
