#include "storage/log/columns.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/log/change_column.h"
#include "tests/storage/log/batch_generator.h"

namespace basalt::storage {
namespace {

using basalt::testing::BatchGenerator;
using basalt::testing::SameBits;

RC_GTEST_PROP(Columns, IntegersComeBack, ()) {
  const auto values = *rc::gen::arbitrary<std::vector<int64_t>>();
  const auto small = *rc::gen::container<std::vector<uint32_t>>(rc::gen::inRange<uint32_t>(0, 5));
  std::string bytes;
  AppendIntColumn(std::span<const int64_t>(values), bytes);
  RC_ASSERT(bytes.size() <= MaxIntColumnBytes(values.size()));
  AppendIntColumn(std::span<const uint32_t>(small), bytes);
  VarintReader in(bytes);
  std::vector<int64_t> values_back(values.size());
  std::vector<uint32_t> small_back(small.size());
  RC_ASSERT(ReadIntColumn(in, std::span(values_back)) && ReadIntColumn(in, std::span(small_back)));
  RC_ASSERT(values_back == values && small_back == small && in.done());
}

RC_GTEST_PROP(Columns, DoublesComeBackBitForBit, ()) {
  BatchGenerator gen(*rc::gen::arbitrary<uint64_t>());
  std::vector<double> values(gen.Below(100));
  for (double& v : values) v = gen.Value();
  std::string bytes;
  AppendValueColumn(values, bytes);
  RC_ASSERT(bytes.size() <= 1 + values.size() * 8);
  VarintReader in(bytes);
  std::vector<double> back(values.size());
  RC_ASSERT(ReadValueColumn(in, std::span(back)) && in.done());
  RC_ASSERT(SameBits(values, back));
}

struct SizeCase {
  const char* name;
  std::vector<int64_t> values;
  size_t bytes;
};
class IntColumnSize : public ::testing::TestWithParam<SizeCase> {};
TEST_P(IntColumnSize, IsThatOfTheBestForm) {
  std::string bytes;
  AppendIntColumn(std::span<const int64_t>(GetParam().values), bytes);
  EXPECT_EQ(bytes.size(), GetParam().bytes);
}
std::vector<int64_t> Make(size_t n, int64_t (*f)(int64_t)) {
  std::vector<int64_t> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = f(static_cast<int64_t>(i));
  return values;
}
INSTANTIATE_TEST_SUITE_P(
    Table, IntColumnSize,
    ::testing::Values(
        SizeCase{"none", {}, 1},
        SizeCase{"counting", Make(1000, [](int64_t i) { return i; }), 1 + 2 + 1 + 2},
        SizeCase{"one_time", Make(1000, [](int64_t) { return int64_t{1'700'000'000'000}; }),
                 1 + 7 + 1 + 2},
        SizeCase{"every_fourth", Make(1000, [](int64_t i) { return i * 4; }), 1 + 2 + 1 + 2},
        SizeCase{"two_times_mixed", Make(1000, [](int64_t i) { return i * i % 7 % 2 * 15'000; }),
                 1 + 1 + 1 + 3 + 500},
        SizeCase{"small_steps", Make(400, [](int64_t i) { return i * 20 + i * i % 7; }), 1 + 400}),
    [](const auto& c) { return std::string(c.param.name); });

struct ValueCase {
  const char* name;
  double value;
  size_t bytes;  // of payload, after kinds
};
class ValueSize : public ::testing::TestWithParam<ValueCase> {};
TEST_P(ValueSize, IsThatOfItsKind) {
  // Eight ones first, so that the half byte of kind never loses against raw.
  std::vector<double> values(8, 1.0);
  values.push_back(GetParam().value);
  std::string bytes;
  AppendValueColumn(values, bytes);
  EXPECT_EQ(bytes.size(), 1 + 5 + 1 + GetParam().bytes);
  std::vector<double> back(values.size());
  VarintReader in(bytes);
  ASSERT_TRUE(ReadValueColumn(in, std::span(back)));
  EXPECT_TRUE(SameBits(values, back));
}
INSTANTIATE_TEST_SUITE_P(
    Table, ValueSize,
    ::testing::Values(ValueCase{"zero", 0.0, 0}, ValueCase{"same", 1.0, 0},
                      ValueCase{"minus_zero", -0.0, 3}, ValueCase{"near_the_last_integer", 2.0, 1},
                      ValueCase{"two_byte_integer", -20'000.0, 2},
                      ValueCase{"largest_integer", 9'007'199'254'740'991.0, 7},
                      ValueCase{"past_the_largest_integer", 9'007'199'254'740'992.0, 3},
                      ValueCase{"half", 0.5, 3},
                      ValueCase{"infinity", std::numeric_limits<double>::infinity(), 3},
                      ValueCase{"milliseconds", 12'345.678, 4},
                      ValueCase{"many_milliseconds", 1'700'000'000.123, 6},
                      ValueCase{"nanoseconds", 0.000'012'345, 6},
                      ValueCase{"pi", 3.141592653589793, 8}, ValueCase{"denormal", 5e-324, 8},
                      ValueCase{"stale", std::bit_cast<double>(uint64_t{0x7FF0'0000'0000'0002}),
                                8}),
    [](const auto& c) { return std::string(c.param.name); });

double AnyDouble(uint64_t bits) { return std::bit_cast<double>(bits); }

RC_GTEST_PROP(ChangeColumn, ComesBackBitForBitWhateverStoodBefore, ()) {
  BatchGenerator gen(*rc::gen::arbitrary<uint64_t>());
  const auto n = *rc::gen::inRange<size_t>(0, 300);
  std::vector<double> before(n);
  std::vector<double> values(n);
  for (size_t i = 0; i < n; ++i) {
    before[i] = gen.Coin() ? gen.Value() : AnyDouble(*rc::gen::arbitrary<uint64_t>());
    values[i] = gen.Below(3) == 0 ? before[i]
                : gen.Coin()      ? before[i] + static_cast<double>(gen.Below(1000)) / 100
                                  : gen.Value();
  }
  std::string bytes = "kept";
  AppendChangeColumn(values, before, bytes);
  RC_ASSERT(bytes.size() <= 4 + MaxChangeColumnBytes(n));
  VarintReader in(std::string_view(bytes).substr(4));
  std::vector<double> back(n, 99);
  RC_ASSERT(ReadChangeColumn(in, before, back));
  RC_ASSERT(in.done());
  for (size_t i = 0; i < n; ++i) RC_ASSERT(SameBits(values[i], back[i]));
  // Every shorter input is refused.
  for (size_t size = 0; size + 4 < bytes.size(); ++size) {
    VarintReader cut(std::string_view(bytes).substr(4, size));
    RC_ASSERT(!ReadChangeColumn(cut, before, back));
  }
}

struct ChangeSize {
  const char* name;
  double before;
  double value;
  size_t bytes;  // bit, kind and payload of a single change: 2 and the payload
};
class ChangeTakes : public ::testing::TestWithParam<ChangeSize> {};
TEST_P(ChangeTakes, TheBytesThatTheFormatSays) {
  const auto& c = GetParam();
  std::string bytes;
  AppendChangeColumn({&c.value, 1}, {&c.before, 1}, bytes);
  EXPECT_EQ(bytes.size(), c.bytes);
}
INSTANTIATE_TEST_SUITE_P(
    Table, ChangeTakes,
    ::testing::Values(ChangeSize{"nothing", 7, 7, 1}, ChangeSize{"to_zero", 7, 0, 2},
                      ChangeSize{"step_of_one", 1e12, 1e12 + 1, 3},
                      ChangeSize{"largest_in_one_byte", 1e12, 1e12 + 127, 3},
                      ChangeSize{"smallest_in_two", 1e12, 1e12 + 128, 4},
                      ChangeSize{"back_by_three_bytes", 1e12, 1e12 - 1'000'000, 5},
                      ChangeSize{"four_bytes", 0, 1e9, 6}, ChangeSize{"six_bytes", 0, 1e12, 8},
                      ChangeSize{"cents", 1234.56, 1234.57, 4},
                      ChangeSize{"milli_of_three_bytes", 0.5, 1000.1, 5},
                      ChangeSize{"nano", 0.000001, 0.0000012, 5},
                      ChangeSize{"minus_zero", 0.0, -0.0, 5},
                      ChangeSize{"a_few_ulps", 0.1234567890123, 0.12345678901230002, 6},
                      ChangeSize{"nan", 1, std::nan(""), 5},
                      ChangeSize{"any_bits", 1, -1.2345678901234567e-300, 10}),
    [](const auto& c) { return std::string(c.param.name); });

}  // namespace
}  // namespace basalt::storage
