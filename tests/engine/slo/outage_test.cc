// The evaluator against an independent computation, over scripted outages (outage_shapes.cc).
#include "tests/engine/slo/outage.h"

#include <gtest/gtest.h>

namespace basalt::slo {
namespace {

class Outage : public ::testing::TestWithParam<OutageShape> {};

TEST_P(Outage, FiresAndResolvesWhereBruteForceSays) { EXPECT_EQ(PlayOut(GetParam()), ""); }

TEST_P(Outage, PublishesTheSameIfEveryRoundIsJudged) {
  EXPECT_EQ(PublishedBy(GetParam(), false), PublishedBy(GetParam(), true));
}

INSTANTIATE_TEST_SUITE_P(Table, Outage, ::testing::ValuesIn(OutageShapes()),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace basalt::slo
