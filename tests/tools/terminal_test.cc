#include "tools/terminal.h"

#include <gtest/gtest.h>

#include <cmath>

namespace basalt::cli {
namespace {

TEST(Table, PadsEveryColumnButTheLast) {
  EXPECT_EQ(Table({{"A", "B"}, {"long", "x"}, {"é", "yy"}}), "A     B\nlong  x\né     yy\n");
}

TEST(Sparkline, SpansFromLowestToHighestAndLeavesGaps) {
  const double nan = std::nan("");
  EXPECT_EQ(Sparkline(std::vector<double>{0, 7, nan, 3.5}), "▁█ ▅");
  EXPECT_EQ(Sparkline(std::vector<double>{2, 2}), "▅▅");
}

TEST(Resample, AveragesWhatFallsIntoAColumn) {
  EXPECT_EQ(Resample(std::vector<double>{1, 3, 5, 7}, 2), (std::vector<double>{2, 6}));
  EXPECT_EQ(Resample(std::vector<double>{1}, 5), (std::vector<double>{1}));
}

}  // namespace
}  // namespace basalt::cli
