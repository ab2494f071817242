// engine/base/hash.h -- the hashes whose values reach the disk or the wire. XXH3, seed 0, never to
// change.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

namespace basalt {

// 128 bits, compared as one big number (high first). Stored big-endian, so that byte order is
// numeric order.
struct Hash128 {
  uint64_t high = 0;
  uint64_t low = 0;
  friend auto operator<=>(const Hash128&, const Hash128&) = default;
};

Hash128 HashBytes128(std::string_view bytes);
Hash128 HashBytes128(std::string_view bytes, uint64_t seed);
uint64_t HashBytes64(std::string_view bytes);

void StoreBigEndian(const Hash128& hash, std::span<std::byte, 16> out);
Hash128 LoadHash128(std::span<const std::byte, 16> in);

// CRC32C (Castagnoli), continued from `crc` (0 to begin). Hardware instruction where there is one.
// Debian's RocksDB computes it in software at 1.2 GB/s (design/stack.md B.2), so we do not borrow
// its.
uint32_t Crc32c(std::span<const std::byte> bytes, uint32_t crc = 0);

// Transparent functors: absl's string-keyed maps cannot look up a std::string_view in Debian's
// build.
struct StringHash {
  using is_transparent = void;  // NOLINT(readability-identifier-naming): the standard's name
  size_t operator()(std::string_view s) const { return HashBytes64(s); }
};
struct StringEq {
  using is_transparent = void;  // NOLINT(readability-identifier-naming): the standard's name
  bool operator()(std::string_view a, std::string_view b) const { return a == b; }
};

// For tables keyed by a value that already is a good hash.
struct Hash128Hash {
  size_t operator()(const Hash128& h) const { return h.low; }
};

}  // namespace basalt
