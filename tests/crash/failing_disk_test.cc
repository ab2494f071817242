// A disk that fails for some calls and then works again, as a cable or a path of a volume does:
// writers are told, queries go on, nothing acknowledged is lost, and the store takes writes again
// without being opened anew.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/log.h"
#include "tests/crash/crash_script.h"
#include "tests/support/faulty_env.h"
#include "tests/support/faulty_files.h"
#include "tests/support/simulated_disk.h"

namespace basalt::testing {
namespace {

using Clock = std::chrono::steady_clock;

// Of which files, and which calls.
struct Place {
  const char* name;
  const char* in_path;
  std::optional<DiskOp> only = std::nullopt;
};
class FailingDisk : public ::testing::TestWithParam<Place> {
 protected:
  void SetUp() override { log::Configure(log::Level::kError, log::Format::kLogfmt); }
};

TEST_P(FailingDisk, RefusesWritesWhileItFailsLosesNothingAndEndsByItself) {
  const uint64_t seed = storage::TestSeeds(1).front();
  // Each call of RocksDB's that fails takes it a quarter of a second.
  std::vector<uint64_t> lengths = {1, 2, 7};
  if (std::getenv("BASALT_FAULT_EVERY_CALL") != nullptr) lengths.push_back(40);
  for (const uint64_t times : lengths) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", " + std::to_string(times) + " calls");
    SimulatedDisk disk(seed);
    ASSERT_TRUE(disk.MakeDirectory("/disk/data").ok());
    const auto files = MakeFaultyFiles(disk);
    const auto env = MakeFaultyEnv(disk);
    storage::StoreOptions options = CrashOptions("/disk/data");
    options.files = files.get();
    options.env = env.get();
    auto opened = storage::Store::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    storage::Store& store = **opened;
    const auto state = [&] { return *ReadState(**(*opened)->reader().TakeSnapshot()); };
    CrashScript script(seed, times, 0);
    storage::ModelState model;
    const auto give_up = Clock::now() + std::chrono::seconds(60);
    uint64_t refused = 0;
    // As a sender does: again and again, and only then the next. Of one that was refused it is not
    // known whether it is there; a second time it changes nothing.
    const auto write = [&] {
      const CrashOperation operation = script.Next();
      Status status = Carry(store, operation);
      for (; !status.ok() && Clock::now() < give_up; status = Carry(store, operation)) {
        ASSERT_TRUE(status.code() == StatusCode::kUnavailable ||
                    status.code() == StatusCode::kResourceExhausted)
            << status.ToString();
        ++refused;
        // Queries go on; and with them whoever waits for the disk.
        ASSERT_TRUE((*opened)->reader().TakeSnapshot().ok());
        std::this_thread::yield();
      }
      ASSERT_TRUE(status.ok()) << "still refused: " << status.ToString();
      ApplyTo(model, operation);
    };
    for (int i = 0; i < 20; ++i) ASSERT_NO_FATAL_FAILURE(write());
    disk.Inject({.kind = DiskFault::kFail,
                 .at = 3,
                 .only = GetParam().only,
                 .in_path = GetParam().in_path,
                 .times = times});
    Status settled;
    for (int i = 0; Clock::now() < give_up; ++i) {
      ASSERT_NO_FATAL_FAILURE(write());
      if (i % 5 == 0) settled = store.Settle();
      if (i % 5 == 1) {
        ASSERT_EQ(storage::Difference(model, state()), "");
      }
      if (disk.faults() == times && i > 40 && settled.ok()) break;
    }
    EXPECT_EQ(disk.faults(), times) << "the test meets no such call";
    while (store.Stats().read_only && Clock::now() < give_up) std::this_thread::yield();
    EXPECT_FALSE(store.Stats().read_only) << store.Stats().read_only_reason;
    for (int i = 0; i < 20; ++i) ASSERT_NO_FATAL_FAILURE(write());
    settled = store.Settle();
    EXPECT_TRUE(settled.ok()) << settled.ToString();
    EXPECT_EQ(storage::Difference(model, state()), "");
    const storage::StoreStats stats = store.Stats();
    std::cout << GetParam().name << ", " << times << " calls: " << refused << " writes refused, "
              << stats.read_only_total << " times read-only\n";
    // And what it has written meanwhile is good: after a power cut that takes all that it may.
    disk.Restore(Survival::kNothing);
    opened->reset();
    opened = storage::Store::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    EXPECT_EQ(storage::Difference(model, state()), "") << "after the power was cut";
    ASSERT_TRUE((*opened)->Close().ok());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Places, FailingDisk,
    ::testing::Values(Place{"anything", ""}, Place{"log", "/data/log/"},
                      Place{"log_sync", "/data/log/", DiskOp::kSync},
                      Place{"database", "/data/db/"}, Place{"database_log", ".log", DiskOp::kWrite},
                      Place{"database_log_sync", ".log", DiskOp::kSync}, Place{"tables", ".sst"},
                      Place{"tables_sync", ".sst", DiskOp::kSync}, Place{"manifest", "/MANIFEST-"},
                      Place{"manifest_sync", "/MANIFEST-", DiskOp::kSync},
                      Place{"names", "", DiskOp::kSyncDirectory}),
    [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace basalt::testing
