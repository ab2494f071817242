// What was acknowledged survives a power cut: only what was synced is there afterwards, and of the
// rest any part.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <random>
#include <thread>
#include <vector>

#include "engine/base/log.h"
#include "engine/base/mutex.h"
#include "storage/integrity.h"
#include "tests/crash/crash_script.h"
#include "tests/crash/step_table.h"
#include "tests/support/faulty_env.h"
#include "tests/support/faulty_files.h"
#include "tests/support/simulated_disk.h"

namespace basalt::testing {
namespace {

using Progress = CrashLedger::Progress;

// From here on no step may be left out; and from there on it is the long form, which counts.
constexpr uint64_t kManyRounds = 200;
constexpr uint64_t kLongRounds = 1000;

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
  // `checkpoint`: where the last one was taken, if any.
  static std::vector<Progress> WriteUntilItFails(storage::Store& store, uint64_t seed,
                                                 uint64_t round, uint64_t operations,
                                                 std::string* checkpoint) {
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
      for (int i = 0; writing > 0; ++i) {
        (void)WriteWhatRetentionDrops(store, i);
        if (random() % 8 == 0) {
          const std::string copy = "/disk/copy-" + std::to_string(round) + "-" + std::to_string(i);
          const Status taken = store.Checkpoint(copy);
          if (taken.ok()) *checkpoint = copy;
          if (!taken.ok()) std::cout << taken.ToString() << "\n";
        } else if (random() % 3 == 0) {
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
  uint64_t checkpoints = 0;
  StepTable steps;
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
      std::string checkpoint;
      Mutex mu;
      std::array<bool, kCrashSteps> powered{};
      // Sometimes while opening, mostly somewhere in the work.
      disk.Inject(
          {.kind = DiskFault::kPowerCut, .at = 1 + random() % (random() % 4 == 0 ? 60 : 1500)});
      // Most rounds end in the middle of the step that was interrupted least so far.
      const bool in_step = random() % 4 != 0;
      const size_t wanted = steps.Rarest(kBackupStep);
      uint64_t left = 1 + random() % 3;
      // Short steps change the disk once or twice, and others change it meanwhile.
      const DiskFault soon{.kind = DiskFault::kPowerCut,
                           .at = 1 + random() % (random() % 3 == 0 ? 6 : 1)};
      if (in_step) disk.ClearFault();
      {
        storage::StoreOptions options = Options(*files, *env);
        // A step that ends without power, and began with it, was interrupted.
        powered = {};
        options.on_step = [&](const storage::StepEvent& event) {
          const auto s = static_cast<size_t>(event.step);
          const MutexLock lock(mu);
          if (!event.begins && powered[s] && !disk.powered()) ++steps.interrupted[s];
          powered[s] = event.begins && disk.powered();
          if (in_step && s == wanted && event.begins && left > 0 && --left == 0) disk.Inject(soon);
        };
        auto opened = storage::Store::Open(options);
        if (opened.ok()) {
          progress = WriteUntilItFails(**opened, seed, round, 400, &checkpoint);
        } else {
          ++cut_while_opening;
        }
      }
      for (const Progress& p : progress) operations += p.acknowledged;
      // Those that never ended: a commit that fails tells no end of its step.
      for (size_t s = 0; s < kCrashSteps; ++s) {
        if (powered[s] && !disk.powered()) ++steps.interrupted[s];
      }
      disk.Restore();
      disk.ClearFault();
      auto opened = storage::Store::Open(Options(*files, *env));
      ASSERT_TRUE(opened.ok()) << opened.status().ToString();
      ASSERT_EQ(ledger.Check(**opened, round, progress), "");
      // A checkpoint that was answered for is whole, whatever the power did afterwards.
      if (!checkpoint.empty()) {
        const auto verified = storage::VerifyDirectory(checkpoint, {}, files.get(), env.get());
        ASSERT_TRUE(verified.ok()) << verified.status().ToString();
        ASSERT_EQ(verified->damage_total, 0U)
            << checkpoint << ": " << verified->damage[0].file << ": " << verified->damage[0].what;
        ++checkpoints;
      }
      if (random() % 2 == 0) {
        const Status settled = (*opened)->Settle();
        ASSERT_TRUE(settled.ok()) << settled.ToString();
        ASSERT_EQ(ledger.CheckUnchanged(**opened), "") << "after settling";
      }
      ASSERT_TRUE((*opened)->Close().ok());
    }
  }
  std::cout << rounds << " rounds, " << operations << " acknowledged operations, "
            << cut_while_opening << " cuts while opening, " << checkpoints
            << " checkpoints found whole; " << steps.Text() << "\n";
  EXPECT_GT(operations, rounds);
  // Backups are made of files that are not on this disk: kill_test interrupts those.
  if (rounds >= kManyRounds) {
    EXPECT_GE(steps.interrupted[steps.Rarest(kBackupStep)],
              rounds >= kLongRounds ? kLeastInterrupted : 1)
        << steps.Text();
  }
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
  EXPECT_EQ((*opened)->Stats().read_only_total, 1U);
  EXPECT_NE((*opened)->Stats().read_only_reason, "");
  EXPECT_FALSE((*opened)->Settle().ok());
  const auto state = [&] { return *ReadState(**(*opened)->reader().TakeSnapshot()); };
  EXPECT_EQ(storage::Difference(model, state()), "") << "while full";

  disk.SetCapacity(UINT64_MAX);
  // The mode ends by itself: nobody has to write for it.
  while ((*opened)->Stats().read_only) std::this_thread::yield();
  // The retry is the client's; what the first try left behind must not matter.
  const Status again = Carry(**opened, under_way);
  ASSERT_TRUE(again.ok()) << again.ToString();
  ApplyTo(model, under_way);
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

// One fault at the n-th change of the disk, for every n of a small scenario (by default: some).
struct FaultKind {
  const char* name;
  DiskFault::Kind kind;
  bool stays = false;  // until the store is closed
};
class FaultAtAnyCall : public PowerCut, public ::testing::WithParamInterface<FaultKind> {};

// What was acknowledged is found, nothing else is, and what failed was an error.
TEST_P(FaultAtAnyCall, LosesNothingThatWasAcknowledged) {
  const bool all = std::getenv("BASALT_FAULT_EVERY_CALL") != nullptr;
  const uint64_t seed = storage::TestSeeds(1).front();
  const auto scenario = [&](storage::Store& store, Progress& progress) {
    CrashScript script(seed, 0, 0);
    const auto write = [&](int operations) {
      for (int i = 0; i < operations; ++i) {
        // One that failed may be there or not; what comes after it would hide which.
        if (progress.attempted != progress.acknowledged) return;
        ++progress.attempted;
        if (Carry(store, script.Next()).ok()) ++progress.acknowledged;
      }
    };
    write(8);
    store.SealIfDue();
    write(6);
    (void)store.Settle();
    write(6);
    (void)store.Checkpoint("/disk/copy");
    (void)WriteWhatRetentionDrops(store, 1);
    (void)store.Settle();
    write(4);
    (void)store.Close();
  };
  uint64_t calls = 0;
  for (uint64_t n = 0, step = 1; n <= calls; n += step) {
    SCOPED_TRACE("seed " + std::to_string(seed) + " call " + std::to_string(n));
    SimulatedDisk disk(seed);
    ASSERT_TRUE(disk.MakeDirectory("/disk/data").ok());
    const auto files = MakeFaultyFiles(disk);
    const auto env = MakeFaultyEnv(disk);
    storage::StoreOptions options = Options(*files, *env);
    options.tick = std::chrono::hours(1);  // only what the scenario does
    std::vector<Progress> progress(kCrashWriters);
    if (n != 0) disk.Inject({.kind = GetParam().kind, .at = n, .sticky = GetParam().stays});
    {
      auto opened = storage::Store::Open(options);
      if (opened.ok()) scenario(**opened, progress[0]);
    }
    if (n == 0) {  // without a fault: how many calls there are
      calls = disk.changes();
      ASSERT_EQ(progress[0].acknowledged, 24U);
      if (!all) step = calls / 12 + 1;
    }
    disk.ClearFault();
    if (!disk.powered()) disk.Restore();
    auto opened = storage::Store::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    CrashLedger ledger(seed);
    ASSERT_EQ(ledger.Check(**opened, 0, progress), "");
    const Status settled = (*opened)->Settle();
    ASSERT_TRUE(settled.ok()) << settled.ToString();
    ASSERT_EQ(ledger.CheckUnchanged(**opened), "") << "after settling";
    ASSERT_TRUE((*opened)->Close().ok());
  }
  std::cout << GetParam().name << ": " << calls << " calls" << (all ? ", all of them" : ", some")
            << "\n";
  EXPECT_GT(calls, 100U);
}

INSTANTIATE_TEST_SUITE_P(Kinds, FaultAtAnyCall,
                         ::testing::Values(FaultKind{"fail", DiskFault::kFail},
                                           FaultKind{"full", DiskFault::kFull},
                                           FaultKind{"full_for_long", DiskFault::kFull, true},
                                           FaultKind{"short", DiskFault::kShort},
                                           FaultKind{"power_cut", DiskFault::kPowerCut}),
                         [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace basalt::testing
