#include "storage/codec/linear_column.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <random>
#include <vector>

namespace basalt::storage {
namespace {

struct Encoded {
  std::string head;
  std::string fields;
};

Encoded Encode(const std::vector<int64_t>& values) {
  Encoded e;
  AppendLinear(values, e.head, e.fields);
  return e;
}

std::vector<int64_t> Decode(const Encoded& e, size_t count) {
  std::vector<char> fields(e.fields.begin(), e.fields.end());
  fields.resize(fields.size() + kLinearPaddingBytes);
  VarintReader head(e.head);
  LinearColumn column;
  size_t at = 0;
  EXPECT_TRUE(ReadLinear(head, count, column) && head.done());
  EXPECT_TRUE(PlaceLinear({fields.data(), fields.size()}, count, at, column));
  EXPECT_EQ(at, e.fields.size());
  std::vector<int64_t> out(count);
  for (size_t i = 0; i < count; ++i) out[i] = column[i];
  return out;
}

RC_GTEST_PROP(LinearColumn, EveryEntryComesBack, ()) {
  std::mt19937_64 random(*rc::gen::arbitrary<uint64_t>());
  std::vector<int64_t> values(*rc::gen::inRange<size_t>(0, 300));
  const auto bits = static_cast<unsigned>(random() % 65);
  const uint64_t slope = random() % 2 == 0 ? random() % 1000 : random();
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<int64_t>(i * slope + (bits == 0 ? 0 : random() >> (64 - bits)));
  }
  RC_ASSERT(Decode(Encode(values), values.size()) == values);
}

TEST(LinearColumn, StraightLinesHaveNoFields) {
  std::vector<int64_t> line;
  for (int64_t i = 0; i < 1000; ++i) line.push_back(17 + 1003 * i);
  EXPECT_TRUE(Encode(line).fields.empty());
  EXPECT_TRUE(Encode(std::vector<int64_t>(1000, 5)).fields.empty());
  EXPECT_TRUE(Encode({}).fields.empty());
}

TEST(LinearColumn, RejectsWhatDoesNotFit) {
  LinearColumn column;
  size_t at = 0;
  const std::string wide("\x00\x00\x41", 3);
  VarintReader too_wide(wide);
  EXPECT_FALSE(ReadLinear(too_wide, 1, column));
  VarintReader cut(std::string_view(wide).substr(0, 2));
  EXPECT_FALSE(ReadLinear(cut, 1, column));
  const std::string eight("\x00\x00\x08", 3);
  VarintReader good(eight);
  ASSERT_TRUE(ReadLinear(good, 10, column));
  EXPECT_FALSE(PlaceLinear(std::string(25, 'x'), 10, at, column));
  EXPECT_TRUE(PlaceLinear(std::string(26, 'x'), 10, at, column));
}

}  // namespace
}  // namespace basalt::storage
