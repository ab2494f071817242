// Outages over the real write path and store (written_store.h), against the same oracle as those in
// memory: half of them on a disk, half of them on one in memory under a process that is killed.
//
// BASALT_SLO_STORE_SECONDS=600 plays random ones for so long; BASALT_SLO_SEED=7 plays that one;
// BASALT_SLO_STORE_SHAPES=1 plays every scripted one, too.
#include <gtest/gtest.h>

#include <chrono>
#include <iostream>
#include <string>

#include "engine/base/log.h"
#include "tests/engine/slo/random_outage.h"
#include "tests/engine/slo/written_store.h"

namespace basalt::slo {
namespace {

constexpr uint64_t kSeeds = 8;

class WritePath : public ::testing::Test {
 protected:
  void SetUp() override {
    // A line for each thing that a power cut interrupts would hide what matters.
    log::Configure(log::Level::kError, log::Format::kLogfmt);
  }
};

// Both kinds of plays (random_outage.h) on both kinds of disk.
Disk DiskOf(uint64_t seed) { return seed / 2 % 2 == 0 ? Disk::kReal : Disk::kSimulated; }

TEST_F(WritePath, RandomOutagesFireAndResolveWhereBruteForceSays) {
  const uint64_t only = FromEnvironment("BASALT_SLO_SEED", 0);
  const auto seconds = std::chrono::seconds(FromEnvironment("BASALT_SLO_STORE_SECONDS", 0));
  const auto until = std::chrono::steady_clock::now() + seconds;
  size_t pages = 0;
  uint64_t played = 0;
  const uint64_t first = only == 0 ? 1 : only;
  for (uint64_t seed = first; only == 0 || seed == only; ++seed) {
    if (played >= kSeeds && std::chrono::steady_clock::now() >= until) break;
    PlayOptions options;
    options.store = [seed](const FakeClock& clock) {
      return OpenWrittenStore(clock, DiskOf(seed), seed);
    };
    Play play(options);
    PlayRandomOutage(seed, play);
    play.CompareSimulation();
    ASSERT_EQ(play.mismatch(), "") << "BASALT_SLO_SEED=" << seed;
    pages += play.pages();
    ++played;
  }
  std::cout << played << " random outages over the write path, " << pages << " pages\n";
  EXPECT_TRUE(only != 0 || pages > 0) << "outages that page nobody show nothing";
}

class ShapeOverTheWritePath : public ::testing::TestWithParam<OutageShape> {};

TEST_P(ShapeOverTheWritePath, FiresAndResolvesWhereBruteForceSays) {
  if (FromEnvironment("BASALT_SLO_STORE_SHAPES", 0) == 0) {
    GTEST_SKIP() << "the long form: BASALT_SLO_STORE_SHAPES=1";
  }
  log::Configure(log::Level::kError, log::Format::kLogfmt);
  for (const Disk disk : {Disk::kReal, Disk::kSimulated}) {
    EXPECT_EQ(PlayOut(GetParam(),
                      [disk](const FakeClock& clock) { return OpenWrittenStore(clock, disk, 1); }),
              "");
  }
}

INSTANTIATE_TEST_SUITE_P(Table, ShapeOverTheWritePath, ::testing::ValuesIn(OutageShapes()),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace basalt::slo
