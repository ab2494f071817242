#include "storage/codec/keys.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace basalt::storage {
namespace {

BlockKey AnyKey() {
  using rc::gen::arbitrary;
  // Small numbers as often as large ones, so that keys share prefixes.
  const auto number = [](uint32_t most) {
    return *rc::gen::oneOf(rc::gen::inRange<uint32_t>(0, 3), rc::gen::element(most - 1, most));
  };
  BlockKey key;
  key.run.partition = PartitionId{static_cast<uint16_t>(number(0xFFFF))};
  key.run.day = static_cast<uint16_t>(number(0xFFFF));
  key.run.level = static_cast<uint8_t>(number(0xFF));
  key.run.run = number(UINT32_MAX);
  key.tenant = TenantId{number(UINT32_MAX)};
  key.metric = number(UINT32_MAX);
  key.group = number(UINT32_MAX);
  key.row = static_cast<uint16_t>(number(0xFFFF));
  return key;
}

bool Contains(const KeyRange& range, const std::string& key) {
  return range.begin <= key && (range.end.empty() || key < range.end);
}

TEST(BlockKey, IsTheBytesThatDesignDrew) {
  const std::string bytes = EncodeBlockKey({.run = {PartitionId{0x0102}, 0x0304, 0x05, 0x06070809},
                                            .tenant = TenantId{0x0A0B0C0D},
                                            .metric = 0x0E0F1011,
                                            .group = 0x12131415,
                                            .row = 0x1617});
  std::string expected;
  for (int i = 1; i <= 0x17; ++i) expected += static_cast<char>(i);
  EXPECT_EQ(bytes, expected);
  EXPECT_EQ(bytes.size(), kBlockKeyBytes);
}

RC_GTEST_PROP(BlockKey, ByteOrderIsKeyOrderAndDecodeInvertsEncode, ()) {
  const BlockKey a = AnyKey();
  const BlockKey b = AnyKey();
  RC_ASSERT((EncodeBlockKey(a) <=> EncodeBlockKey(b)) == (a <=> b));
  RC_ASSERT(DecodeBlockKey(EncodeBlockKey(a)).value() == a);
}

RC_GTEST_PROP(BlockKey, ARunsRangeHoldsExactlyItsKeys, ()) {
  const BlockKey of = AnyKey();
  const BlockKey key = AnyKey();
  const std::string bytes = EncodeBlockKey(key);
  RC_ASSERT(Contains(RunRange(of.run), bytes) == (key.run == of.run));
}

TEST(BlockKey, OfAnotherLengthIsDataLoss) {
  const std::string good = EncodeBlockKey({});
  EXPECT_EQ(DecodeBlockKey("").status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(DecodeBlockKey(good.substr(1)).status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(DecodeBlockKey(good + "x").status().code(), StatusCode::kDataLoss);
}

TEST(DayOf, CutsAtMidnightUtcAndKnowsItsBounds) {
  EXPECT_EQ(DayOf(0).value(), 0);
  EXPECT_EQ(DayOf(kMsPerDay - 1).value(), 0);
  EXPECT_EQ(DayOf(kMsPerDay).value(), 1);
  EXPECT_EQ(DayOf(DayStartMs(20'000)).value(), 20'000);
  EXPECT_EQ(DayOf((kMaxDay + 1) * kMsPerDay - 1).value(), kMaxDay);
  EXPECT_EQ(DayOf((kMaxDay + 1) * kMsPerDay).status().code(), StatusCode::kOutOfRange);
  EXPECT_EQ(DayOf(-1).status().code(), StatusCode::kOutOfRange);
}

}  // namespace
}  // namespace basalt::storage
