// What was acknowledged survives a power cut: only what was synced is there afterwards, and of the
// rest any part.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <random>
#include <thread>
#include <vector>

#include "engine/base/log.h"
#include "tests/crash/crash_script.h"
#include "tests/support/faulty_env.h"
#include "tests/support/faulty_files.h"
#include "tests/support/simulated_disk.h"

namespace basalt::testing {
namespace {

using Progress = CrashLedger::Progress;

// A store on a disk in memory.
class PowerCut : public ::testing::Test {
 protected:
  void SetUp()
      override {  // The faults are what the test is about; a line for each hides what matters.
    log::Configure(log::Level::kError, log::Format::kLogfmt);
  }

  static storage::StoreOptions Options(storage::Files& files, rocksdb::Env& env) {
    storage::StoreOptions options = CrashOptions("/disk/data");
    options.files = &files;
    options.env = &env;
    return options;
  }

  // Writes from all writers, with seals going on, until each has failed or done `operations`.
  static std::vector<Progress> WriteUntilItFails(storage::Store& store, uint64_t seed,
                                                 uint64_t round, uint64_t operations) {
    std::vector<Progress> progress(kCrashWriters);
    std::atomic<int> writing{kCrashWriters};
    std::vector<std::thread> threads;
    for (int w = 0; w < kCrashWriters; ++w) {
      threads.emplace_back([&, w] {
        CrashScript script(seed, round, w);
        Progress& mine = progress[static_cast<size_t>(w)];
        while (mine.acknowledged < operations) {
          ++mine.attempted;
          if (!Carry(store, script.Next()).ok()) break;
          ++mine.acknowledged;
        }
        --writing;
      });
    }
    threads.emplace_back([&] {
      std::mt19937_64 random(seed + round);
      while (writing > 0) {
        if (random() % 3 == 0) {
          (void)store.Settle();  // fails once the power is gone
        } else {
          store.SealIfDue();
        }
      }
    });
    for (std::thread& thread : threads) thread.join();
    return progress;
  }
};

TEST_F(PowerCut, WhatWasAcknowledgedSurvivesAPowerCutAnywhere) {
  const char* rounds_text = std::getenv("BASALT_CRASH_ROUNDS");
  const uint64_t rounds = rounds_text == nullptr ? 30 : std::strtoull(rounds_text, nullptr, 10);
  const uint64_t seed = storage::TestSeeds(1).front();
  std::mt19937_64 random(seed);
  uint64_t operations = 0;
  uint64_t cut_while_opening = 0;
  constexpr uint64_t kRoundsPerDisk = 6;
  for (uint64_t first = 0; first < rounds; first += kRoundsPerDisk) {
    SimulatedDisk disk(seed + first);
    ASSERT_TRUE(disk.MakeDirectory("/disk/data").ok());
    const auto files = MakeFaultyFiles(disk);
    const auto env = MakeFaultyEnv(disk);
    CrashLedger ledger(seed);
    for (uint64_t round = first; round < std::min(first + kRoundsPerDisk, rounds); ++round) {
      SCOPED_TRACE("seed " + std::to_string(seed) + " round " + std::to_string(round));
      std::vector<Progress> progress(kCrashWriters);
      // Sometimes while opening, mostly somewhere in the work.
      disk.Inject(
          {.kind = DiskFault::kPowerCut, .at = 1 + random() % (random() % 4 == 0 ? 60 : 1500)});
      {
        auto opened = storage::Store::Open(Options(*files, *env));
        if (opened.ok()) {
          progress = WriteUntilItFails(**opened, seed, round, 400);
        } else {
          ++cut_while_opening;
        }
      }
      for (const Progress& p : progress) operations += p.acknowledged;
      disk.Restore();
      disk.ClearFault();
      auto opened = storage::Store::Open(Options(*files, *env));
      ASSERT_TRUE(opened.ok()) << opened.status().ToString();
      ASSERT_EQ(ledger.Check(**opened, round, progress), "");
      if (random() % 2 == 0) {
        const Status settled = (*opened)->Settle();
        ASSERT_TRUE(settled.ok()) << settled.ToString();
        ASSERT_EQ(ledger.CheckUnchanged(**opened), "") << "after settling";
      }
      ASSERT_TRUE((*opened)->Close().ok());
    }
  }
  std::cout << rounds << " rounds, " << operations << " acknowledged operations, "
            << cut_while_opening << " cuts while opening\n";
  EXPECT_GT(operations, rounds);
}

TEST_F(PowerCut, AFullDiskRefusesLosesNothingAndEndsByItself) {
  const uint64_t seed = storage::TestSeeds(1).front();
  SimulatedDisk disk(seed);
  ASSERT_TRUE(disk.MakeDirectory("/disk/data").ok());
  const auto files = MakeFaultyFiles(disk);
  const auto env = MakeFaultyEnv(disk);
  auto opened = storage::Store::Open(Options(*files, *env));
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  CrashScript script(seed, 0, 0);
  storage::ModelState model;
  // Room for some more, but not for all.
  for (int i = 0; i < 20; ++i) {
    const CrashOperation operation = script.Next();
    ASSERT_TRUE(Carry(**opened, operation).ok());
    ApplyTo(model, operation);
  }
  disk.SetCapacity(1);
  Status refused;
  CrashOperation under_way;
  for (int i = 0; i < 10'000 && refused.ok(); ++i) {
    under_way = script.Next();
    refused = Carry(**opened, under_way);
    if (refused.ok()) ApplyTo(model, under_way);
  }
  ASSERT_EQ(refused.code(), StatusCode::kResourceExhausted) << refused.ToString();
  EXPECT_TRUE((*opened)->Stats().read_only);
  EXPECT_NE((*opened)->Stats().read_only_reason, "");
  EXPECT_FALSE((*opened)->Settle().ok());
  const auto state = [&] { return *ReadState(**(*opened)->reader().TakeSnapshot()); };
  EXPECT_EQ(storage::Difference(model, state()), "") << "while full";

  disk.SetCapacity(UINT64_MAX);
  // The retry is the client's; what the first try left behind must not matter.
  Status again = Carry(**opened, under_way);
  for (int i = 0; i < 1000 && !again.ok(); ++i) again = Carry(**opened, under_way);
  ASSERT_TRUE(again.ok()) << again.ToString();
  ApplyTo(model, under_way);
  EXPECT_FALSE((*opened)->Stats().read_only);
  EXPECT_EQ(storage::Difference(model, state()), "");
  const Status settled = (*opened)->Settle();
  EXPECT_TRUE(settled.ok()) << settled.ToString();
  EXPECT_EQ(storage::Difference(model, state()), "");
  ASSERT_TRUE((*opened)->Close().ok());
  opened->reset();
  opened = storage::Store::Open(Options(*files, *env));
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  EXPECT_EQ(storage::Difference(model, state()), "") << "after reopening";
}

}  // namespace
}  // namespace basalt::testing
