#include "storage/codec/bit_pack.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace basalt::storage {
namespace {

// The format's definition, bit by bit: what every kernel must agree with.
std::vector<uint64_t> UnpackSlowly(const std::string& bytes, unsigned width, size_t count) {
  std::vector<uint64_t> out(count, 0);
  for (size_t bit = 0; bit < count * width; ++bit) {
    const auto set =
        static_cast<uint64_t>(static_cast<unsigned char>(bytes[bit / 8]) >> (bit % 8) & 1);
    out[bit / width] |= set << (bit % width);
  }
  return out;
}

TEST(BitPack, EveryWidthAndCountComesBackAndMatchesTheDefinition) {
  std::mt19937_64 random(1);
  for (unsigned width = 0; width <= 64; ++width) {
    for (const size_t count : {0, 1, 2, 7, 63, 64, 65, 127, 128, 200}) {
      std::vector<uint64_t> values(count);
      for (uint64_t& v : values) v = random() & LowMask(width);
      std::string bytes = "x";  // packing appends
      PackBits(values, width, bytes);
      ASSERT_EQ(bytes.size(), 1 + PackedBytes(count, width)) << width << " " << count;
      // A copy without slack, so that the address sanitizer sees any read past the end.
      const std::vector<char> exact(bytes.begin() + 1, bytes.end());
      std::vector<uint64_t> out(count, ~uint64_t{0});
      UnpackBits({exact.data(), exact.size()}, width, out);
      ASSERT_EQ(out, values) << width << " " << count;
      ASSERT_EQ(UnpackSlowly(bytes.substr(1), width, count), values) << width << " " << count;
    }
  }
}

}  // namespace
}  // namespace basalt::storage
