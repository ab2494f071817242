#include "engine/base/hash.h"

#include <gtest/gtest.h>

#include <string>

#include "engine/base/varint.h"

namespace basalt {
namespace {

std::span<const std::byte> Bytes(std::string_view s) {
  return std::as_bytes(std::span(s.data(), s.size()));
}

TEST(Crc32c, MatchesTheRfc3720Vectors) {
  EXPECT_EQ(Crc32c(Bytes("123456789")), 0xE3069283U);
  EXPECT_EQ(Crc32c(Bytes(std::string(32, '\0'))), 0x8A9136AAU);
  EXPECT_EQ(Crc32c(Bytes(std::string(32, '\xff'))), 0x62A8AB43U);
}

TEST(Crc32c, CanBeContinued) {
  const std::string text = "the quick brown fox jumps";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(Crc32c(Bytes(text.substr(cut)), Crc32c(Bytes(text.substr(0, cut)))),
              Crc32c(Bytes(text)));
  }
}

TEST(Hash128, IsFrozen) {
  // On disk in ids and placement: if this fails, every data directory becomes unreadable.
  const Hash128 h = HashBytes128("basalt");
  std::array<std::byte, 16> bytes{};
  StoreBigEndian(h, bytes);
  EXPECT_EQ(LoadHash128(bytes), h);
  EXPECT_EQ(h.high, 0xbd85a95758558607ULL);
  EXPECT_EQ(h.low, 0x49bbd8643a31ee27ULL);
}

TEST(Varint, RoundTripsAndRejectsWhatDoesNotFit) {
  for (const uint64_t v :
       {uint64_t{0}, uint64_t{127}, uint64_t{128}, uint64_t{1} << 63, ~uint64_t{0}}) {
    std::string out;
    AppendVarint(v, out);
    EXPECT_LE(out.size(), kMaxVarintBytes);
    VarintReader in(out);
    uint64_t back = 0;
    EXPECT_TRUE(in.Read(back));
    EXPECT_EQ(back, v);
    EXPECT_TRUE(in.done());
    VarintReader cut(std::string_view(out).substr(0, out.size() - 1));
    EXPECT_FALSE(cut.Read(back));
  }
  VarintReader too_big("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02");
  uint64_t v = 0;
  EXPECT_FALSE(too_big.Read(v));
  for (const int64_t s : {int64_t{0}, int64_t{-1}, INT64_MIN, INT64_MAX})
    EXPECT_EQ(UnZigZag(ZigZag(s)), s);
}

}  // namespace
}  // namespace basalt
