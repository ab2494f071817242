#include "engine/base/hash.h"

#include <xxhash.h>

#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace basalt {

Hash128 HashBytes128(std::string_view bytes) {
  const XXH128_hash_t h = XXH3_128bits(bytes.data(), bytes.size());
  return {h.high64, h.low64};
}

Hash128 HashBytes128(std::string_view bytes, uint64_t seed) {
  const XXH128_hash_t h = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {h.high64, h.low64};
}

uint64_t HashBytes64(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

namespace {

void StoreBig64(uint64_t v, std::byte* out) {
  for (int i = 7; i >= 0; --i, v >>= 8) out[i] = static_cast<std::byte>(v & 0xFF);
}

uint64_t LoadBig64(const std::byte* in) {
  uint64_t v = 0;
  for (int i = 0; i < 8; ++i) v = v << 8 | std::to_integer<uint64_t>(in[i]);
  return v;
}

}  // namespace

void StoreBigEndian(const Hash128& hash, std::span<std::byte, 16> out) {
  StoreBig64(hash.high, out.data());
  StoreBig64(hash.low, out.data() + 8);
}

Hash128 LoadHash128(std::span<const std::byte, 16> in) {
  return {LoadBig64(in.data()), LoadBig64(in.data() + 8)};
}

uint32_t Crc32c(std::span<const std::byte> bytes, uint32_t crc) {
  const std::byte* p = bytes.data();
  size_t n = bytes.size();
  crc = ~crc;
#if defined(__SSE4_2__)
  uint64_t wide = crc;
  for (; n >= 8; p += 8, n -= 8) {
    uint64_t word = 0;
    std::memcpy(&word, p, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  crc = static_cast<uint32_t>(wide);
  for (; n > 0; ++p, --n) crc = _mm_crc32_u8(crc, std::to_integer<uint8_t>(*p));
#else
  for (; n > 0; ++p, --n) {
    crc ^= std::to_integer<uint32_t>(*p);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (0x82F63B78U & (0U - (crc & 1U)));
  }
#endif
  return ~crc;
}

}  // namespace basalt
