// storage/codec/bit_pack.h -- unsigned integers of equal width, packed; the innermost kernel of the
// codec.
//
// Little-endian bit order: value i occupies bits [i * width, (i + 1) * width) of the byte string,
// low bit first. The functions over blocks are the seam for AVX2 kernels; these stay as their
// reference.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace basalt::storage {

static_assert(std::endian::native == std::endian::little, "the codec loads its words as they lie");

// Values share a width by 64s: then a block of any width begins and ends on a word.
inline constexpr size_t kPackBlock = 64;

inline uint64_t LoadWord(const char* p) {
  uint64_t word = 0;
  std::memcpy(&word, p, sizeof word);
  return word;
}

constexpr unsigned BitWidth(uint64_t v) { return static_cast<unsigned>(std::bit_width(v)); }
constexpr size_t PackedBytes(size_t count, unsigned width) { return (count * width + 7) / 8; }
constexpr uint64_t LowMask(unsigned width) {
  return width >= 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1;
}

// Appends PackedBytes(values.size(), width) bytes. Each value fits in `width` bits (0..64).
void PackBits(std::span<const uint64_t> values, unsigned width, std::string& out);

// Reads out.size() values of `width` (0..64) bits; `in` is at least PackedBytes long and nothing
// past that is read.
void UnpackBits(std::string_view in, unsigned width, std::span<uint64_t> out);

}  // namespace basalt::storage
