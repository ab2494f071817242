// Random outages (random_outage.h), live against the oracle after every round, and simulated
// afterwards against the oracle in hindsight.
//
// BASALT_SLO_SEEDS=1000 plays that many; BASALT_SLO_SEED=7 plays that one.
#include "tests/engine/slo/random_outage.h"

#include <gtest/gtest.h>

#include <iterator>
#include <vector>

namespace basalt::slo {
namespace {

constexpr uint64_t kSeeds = 12;
// That have found something once. 162: an edge that was read before a gap over it had ended.
// 183: a late sample in a gap that had markers in it.
// 528: a restart between the halves of the scrape that ends a gap of markers. 1768: a series that
// is out of memory when its marker comes. 1993: markers taken for samples that show the interval.
constexpr uint64_t kKnown[] = {162, 183, 528, 1768, 1993};

TEST(RandomOutage, FiresAndResolvesWhereBruteForceSays) {
  const uint64_t only = FromEnvironment("BASALT_SLO_SEED", 0);
  const uint64_t count = FromEnvironment("BASALT_SLO_SEEDS", kSeeds);
  std::vector<uint64_t> seeds(std::begin(kKnown), std::end(kKnown));
  for (uint64_t seed = 1; seed <= count; ++seed) seeds.push_back(seed);
  if (only != 0) seeds = {only};
  size_t pages = 0;
  for (const uint64_t seed : seeds) {
    PlayOptions options;
    options.judge_every_round = FromEnvironment("BASALT_SLO_EVERY_ROUND", 0) != 0;
    Play play(options);
    PlayRandomOutage(seed, play);
    play.CompareSimulation();
    ASSERT_EQ(play.mismatch(), "") << "BASALT_SLO_SEED=" << seed;
    pages += play.pages();
  }
  EXPECT_TRUE(only != 0 || pages > 0) << "outages that page nobody show nothing";
}

}  // namespace
}  // namespace basalt::slo
