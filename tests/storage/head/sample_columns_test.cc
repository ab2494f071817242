#include "storage/head/sample_columns.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "tests/storage/head/any_value.h"

namespace basalt::storage {
namespace {

using basalt::testing::Bits;

RC_GTEST_PROP(MergeByPrecedence, LaterPartsWin, ()) {
  std::vector<SampleColumns> parts(*rc::gen::inRange<size_t>(0, 5));
  std::map<int64_t, std::pair<uint64_t, int64_t>> expected;
  for (SampleColumns& part : parts) {
    const auto times = *rc::gen::container<std::set<int64_t>>(rc::gen::inRange<int64_t>(0, 60));
    for (const int64_t t : times) {
      const double value = *rc::gen::arbitrary<double>();
      const int64_t start = *rc::gen::inRange<int64_t>(0, 3);
      part.Add(t, value, start);
      expected[t] = {Bits(value), start};
    }
  }
  SampleColumns out;
  MergeByPrecedence(parts, out);
  RC_ASSERT(out.size() == expected.size());
  size_t i = 0;
  for (const auto& [t, sample] : expected) {
    RC_ASSERT(out.time_ms[i] == t);
    RC_ASSERT(Bits(out.values[i]) == sample.first);
    RC_ASSERT(out.StartAt(i) == sample.second);
    ++i;
  }
}

TEST(SampleColumns, ClipAndEraseKeepTheColumnsTogether) {
  SampleColumns columns;
  for (int64_t t = 0; t < 10; ++t) columns.Add(t, static_cast<double>(t), t == 5 ? 1 : kNoStartMs);
  columns.Clip({.min_ms = 2, .max_ms = 7});
  const std::vector<TimeRange> masks{{.min_ms = 3, .max_ms = 4}};
  columns.Erase(masks);
  EXPECT_EQ(columns.time_ms, (std::vector<int64_t>{2, 5, 6, 7}));
  EXPECT_EQ(columns.values, (std::vector<double>{2, 5, 6, 7}));
  EXPECT_EQ(columns.start_ms, (std::vector<int64_t>{kNoStartMs, 1, kNoStartMs, kNoStartMs}));
}

}  // namespace
}  // namespace basalt::storage
