// Runs that come and go, and writes beside them, on a disk that fails at any of their calls.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "engine/base/log.h"
#include "tests/storage/parts/parts_fixture.h"
#include "tests/support/faulty_env.h"
#include "tests/support/simulated_disk.h"

namespace basalt::storage {
namespace {

using basalt::testing::DiskFault;
using basalt::testing::SimulatedDisk;
using Clock = std::chrono::steady_clock;

class FailingChanges : public PartsFixture {
 protected:
  void SetUp() override {
    log::Configure(log::Level::kError, log::Format::kLogfmt);
    ASSERT_TRUE(disk_.MakeDirectory("/disk").ok());
    options_.env = env_.get();
    database_ = Database::Open(options_).value();
    store_ = RunStore::Open(*database_).value();
  }
  void TearDown() override {
    StopWriting();
    store_.reset();
    database_.reset();  // before the disk
  }

  void StartWriting() {
    writer_ = std::thread([this] {
      for (int i = 0; !done_; ++i) {
        WriteBatch batch;
        batch.Put(Family::kMetadata, "key", std::to_string(i));
        (void)database_->Write(std::move(batch), true);
      }
    });
  }
  void StopWriting() {
    done_ = true;
    if (writer_.joinable()) writer_.join();
  }

  Result<FinishedRun> TryRun(uint64_t last) {
    BASALT_TRY_ASSIGN(RunWriter writer, store_->NewRun(PartitionId{1}, kDay, kSealLevel));
    SuperblockInput block;
    block.place = PlaceOf(1, 0);
    block.last_place = PlaceOf(1, 5);
    block.min_ms = kDay * kMsPerDay;
    block.max_ms = block.min_ms + 1000;
    block.samples = 10;
    block.bytes = "bytes";
    BASALT_TRY(writer.Add(block));
    return writer.Finish({0, last - 1}, {0, last}, {0, last});
  }

  std::set<uint32_t> Runs() const {
    std::set<uint32_t> out;
    for (const auto& run : store_->Snapshot()->runs()) out.insert(run->info().number);
    return out;
  }

  SimulatedDisk disk_{1};
  const std::unique_ptr<rocksdb::Env, basalt::testing::EnvDeleter> env_ =
      basalt::testing::MakeFaultyEnv(disk_);
  DatabaseOptions options_ = Options("/disk/db");

 private:
  std::atomic<bool> done_{false};
  std::thread writer_;
};

// RocksDB recovers from a failed write in a thread of its own. It must not meet a MANIFEST that
// another thread could not change meanwhile.
TEST_F(FailingChanges, RunsComeAndGoWhileAnotherThreadWrites) {
  const char* const text = std::getenv("BASALT_FAULT_ROUNDS");
  const int rounds = text == nullptr ? 60 : std::atoi(text);
  StartWriting();
  uint64_t last = 10;
  uint64_t refused = 0;
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const auto give_up = Clock::now() + std::chrono::seconds(20);
    disk_.Inject({.kind = DiskFault::kFail,
                  .at = 1 + static_cast<uint64_t>(round) % 16,
                  .in_path = round % 2 == 0 ? "/MANIFEST-" : "/disk/db/",
                  .times = 1 + static_cast<uint64_t>(round) % 5});
    // Until what failed is over, and a run has come and another gone since.
    for (Status status = Unavailable("not yet"); !status.ok();) {
      ASSERT_LT(Clock::now(), give_up) << status.ToString();
      Result<FinishedRun> run = TryRun(++last);
      status = run.status();
      if (!run.ok()) continue;
      RunCommit commit;
      const uint32_t number = run->info().number;
      const std::set<uint32_t> before = Runs();
      if (!before.empty()) commit.dropped.push_back(*before.begin());
      commit.added.push_back(*std::move(run));
      status = store_->Commit(std::move(commit));
      if (!status.ok()) {
        ++refused;
        EXPECT_EQ(Runs(), before) << status.ToString();
        continue;
      }
      EXPECT_EQ(Runs(), std::set<uint32_t>{number});
      status = store_->CollectGarbage();
    }
  }
  StopWriting();
  EXPECT_GT(refused, 0U);
  // What it says is there, is.
  disk_.ClearFault();
  const std::set<uint32_t> runs = Runs();
  store_.reset();
  ASSERT_TRUE(database_->Close().ok());
  database_ = Database::Open(options_).value();
  store_ = RunStore::Open(*database_).value();
  EXPECT_EQ(Runs(), runs);
}

}  // namespace
}  // namespace basalt::storage
