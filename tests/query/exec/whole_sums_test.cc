// Sums of whole numbers, beside the compensated addition that they stand for.
#include "query/exec/whole_sums.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "engine/base/kahan.h"

namespace basalt::query::exec {
namespace {

constexpr double kTwo53 = 0x1p53;

double SumOverTime(std::span<const double> values) {
  double sum = 0;
  double correction = 0;
  for (const double v : values) KahanAdd(v, sum, correction);
  return sum + correction;
}

struct TakeCase {
  std::string name;
  std::vector<double> values;
  bool taken;
};
class WholeSumsTake : public ::testing::TestWithParam<TakeCase> {};

TEST_P(WholeSumsTake, TakesWhatAddsWithoutRounding) {
  WholeSums sums;
  EXPECT_EQ(sums.Take(GetParam().values), GetParam().taken);
}

INSTANTIATE_TEST_SUITE_P(
    Table, WholeSumsTake,
    ::testing::Values(TakeCase{"nothing", {}, true}, TakeCase{"zeros", {0.0, -0.0}, true},
                      TakeCase{"negative", {-3, 5, -7}, true},
                      TakeCase{"a_fraction_at_the_end", {1, 2, 2.5}, false},
                      TakeCase{
                          "the_smallest", {1, std::numeric_limits<double>::denorm_min()}, false},
                      TakeCase{"nan", {1, std::nan("")}, false},
                      TakeCase{"infinity", {-std::numeric_limits<double>::infinity()}, false},
                      // Two of them come to 2^53, and one more would be lost.
                      TakeCase{"just_below", {kTwo53 / 4 - 1, kTwo53 / 4 - 1}, true},
                      TakeCase{"at_the_bound", {kTwo53 / 2, 1}, false},
                      TakeCase{"far_above", {1e300, -1e300}, false}),
    [](const auto& param) { return param.param.name; });

RC_GTEST_PROP(WholeSums, GivesTheBitsOfCompensatedAdditionInTheOrderOfTime, ()) {
  const auto bits = *rc::gen::inRange(1, 51);
  const auto whole = *rc::gen::container<std::vector<int64_t>>(
      rc::gen::inRange(-(int64_t{1} << bits), (int64_t{1} << bits) + 1));
  std::vector<double> values;
  for (const int64_t v : whole) values.push_back(v == 0 ? -0.0 : static_cast<double>(v));
  WholeSums sums;
  RC_PRE(sums.Take(values));
  for (size_t from = 0; from <= values.size(); ++from) {
    for (size_t to = from; to <= values.size(); ++to) {
      const double expected = SumOverTime(std::span(values).subspan(from, to - from));
      RC_ASSERT(std::bit_cast<uint64_t>(sums.Of(from, to)) == std::bit_cast<uint64_t>(expected));
    }
  }
}

}  // namespace
}  // namespace basalt::query::exec
