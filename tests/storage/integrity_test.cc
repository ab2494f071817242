// Damage: found, named, left out, remembered, and forgotten when the bytes are right again.
#include "storage/integrity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "storage/disk_guard.h"
#include "tests/storage/store_model.h"
#include "tests/support/faulty_files.h"
#include "tests/support/simulated_disk.h"

namespace basalt::storage {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kDay = 86'400'000;
constexpr int64_t kBegin = 1'700'006'400'000;  // midnight, 2023-11-15

// What a query sees: damaged blocks left out.
ModelState ReadAround(const Snapshot& snapshot, TimeRange range) {
  ModelState state;
  for (uint32_t p = 0; p < snapshot.partition_count(); ++p) {
    const auto selected =
        snapshot.Select(kDefaultTenant, static_cast<PartitionId>(p), {}, range, SIZE_MAX);
    EXPECT_TRUE(selected.ok());
    const auto cursor = (*selected)->Read(0, (*selected)->size(), {.range = range});
    SeriesColumns columns;
    while (true) {
      const auto more = cursor->Next(columns);
      if (more.status().code() == StatusCode::kDataLoss) continue;
      EXPECT_TRUE(more.ok()) << more.status().ToString();
      if (!more.ok() || !*more) break;
      for (size_t i = 0; i < columns.time_ms.size(); ++i) {
        state[(*selected)->labels(columns.series)][columns.time_ms[i]].bits =
            std::bit_cast<uint64_t>(columns.values[i]);
      }
    }
  }
  return state;
}

void Flip(const fs::path& path, uint64_t offset) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset));
  const char byte = static_cast<char>(file.get());
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(static_cast<char>(byte ^ 0x10));
}

// Two days of a few noisy series in one partition.
class IntegrityTest : public ::testing::Test {
 protected:
  StoreOptions Options() {
    StoreOptions options;
    options.directory = temp_.path("data");
    options.partitions = 1;
    options.segment_bytes = 1u << 20;
    options.block_cache_bytes = 8u << 20;
    options.sync = SyncMode::kInterval;  // durability is not what these tests are about
    options.clock = &clock_;
    options.retention_policy = retention_;
    return options;
  }
  // Buckets of five minutes of every series, beside the samples.
  void KeepBuckets() {
    retention_.rules = {{.tenant = std::nullopt,
                         .matchers = {},
                         .raw = std::chrono::hours(24 * 30),
                         .five_minutes = std::chrono::hours(24 * 365)}};
  }
  void Open() {
    auto opened = Store::Open(Options());
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    store_ = std::move(*opened);
  }
  void Close() {
    if (store_ == nullptr) return;
    ASSERT_TRUE(store_->Close().ok());
    store_.reset();
  }
  void Fill() {
    Open();
    std::mt19937_64 random(5);
    for (int day = 0; day < 2; ++day) {
      for (int i = 0; i < 600; i += 60) {
        std::vector<ModelWrite> writes;
        for (int j = 0; j < 60 * 20; ++j) {
          const int s = j % 20;
          writes.push_back({.labels = {{"__name__", "noise_" + std::to_string(s / 5)},
                                       {"instance", std::to_string(s)},
                                       {"job", "j"}},
                            .time_ms = kBegin + day * kDay + (i + j / 20) * 15'000,
                            .value = std::bit_cast<double>(random() >> 2)});
        }
        ASSERT_TRUE(store_->Append(MakeBatches(*store_, writes)).ok());
        for (const ModelWrite& write : writes) ApplyTo(model_, write);
      }
    }
    ASSERT_TRUE(store_->Settle().ok());
    Close();
  }
  // The files of samples: by far the largest; with fewer bytes, those of buckets too.
  std::vector<fs::path> BlockFiles(uint64_t least_bytes = 50'000) {
    std::vector<fs::path> out;
    for (const auto& entry : fs::directory_iterator(temp_.path("data") + "/db")) {
      if (entry.path().extension() == ".sst" && entry.file_size() > least_bytes)
        out.push_back(entry.path());
    }
    std::sort(out.begin(), out.end());
    return out;
  }
  // Days 0 and 1 as read, and what was warned of.
  ModelState ReadDay(int day, std::vector<std::string>& warnings) {
    const auto snapshot = *store_->reader().TakeSnapshot();
    const ModelState state = ReadAround(
        *snapshot, {.min_ms = kBegin + day * kDay, .max_ms = kBegin + (day + 1) * kDay - 1});
    warnings = snapshot->Warnings();
    return state;
  }
  ModelState Expected(int day) {
    return Clipped(model_,
                   {.min_ms = kBegin + day * kDay, .max_ms = kBegin + (day + 1) * kDay - 1});
  }

  TemporaryDirectory temp_;
  ManualClock clock_{kBegin + 3 * kDay};
  RetentionPolicy retention_;
  std::unique_ptr<Store> store_;
  ModelState model_;
};

size_t Samples(const ModelState& state) {
  size_t n = 0;
  for (const auto& [labels, series] : state) n += series.size();
  return n;
}

TEST_F(IntegrityTest, ADamagedBlockOfARollupIsWarnedOfToo) {
  KeepBuckets();
  Fill();
  size_t damaged = 0;
  const auto files = BlockFiles(10'000);
  EXPECT_EQ(files.size(), 4U);
  for (const fs::path& file : files) {
    const uint64_t at = fs::file_size(file) / 3;
    Flip(file, at);
    Open();
    auto snapshot = *store_->reader().TakeSnapshot();
    auto selected =
        snapshot->Select(kDefaultTenant, PartitionId{0}, {}, TimeRange{}, SIZE_MAX).value();
    auto cursor =
        selected->ReadRollup(0, selected->size(), Resolution::kFiveMinutes, TimeRange{}).value();
    RollupColumns columns;
    std::set<std::string> said;
    uint64_t samples = 0;
    while (true) {
      const auto more = cursor->Next(columns);
      if (!more.ok()) {
        said.emplace(more.status().message());
        continue;
      }
      if (!*more) break;
      for (const RollupBucket& bucket : columns.buckets) samples += bucket.count;
    }
    const auto warnings = snapshot->Warnings();
    EXPECT_EQ(std::set(warnings.begin(), warnings.end()), said) << file;
    EXPECT_EQ(samples, Samples(model_)) << "what the block said is computed from samples";
    damaged += said.empty() ? 0 : 1;
    cursor.reset();
    selected.reset();
    snapshot.reset();
    Close();
    Flip(file, at);
    if (HasFailure()) return;
  }
  EXPECT_EQ(damaged, 2U) << "a rollup a day; the samples are not asked";
}

TEST_F(IntegrityTest, ADamagedBlockIsLeftOutNamedAndRememberedUntilItReadsWellAgain) {
  Fill();
  const auto files = BlockFiles();
  ASSERT_EQ(files.size(), 2U);  // a run a day
  Flip(files[0], 40'000);
  Open();
  std::vector<std::string> warnings;
  // The first question about the day meets the damage; all that is shown is right.
  std::vector<int> damaged_days;
  for (int day = 0; day < 2; ++day) {
    const ModelState found = ReadDay(day, warnings);
    const ModelState expected = Expected(day);
    for (const auto& [labels, series] : found) {
      for (const auto& [time, sample] : series) {
        ASSERT_TRUE(expected.at(labels).contains(time));
        ASSERT_EQ(sample, expected.at(labels).at(time));
      }
    }
    if (Samples(found) == Samples(expected)) {
      EXPECT_THAT(warnings, IsEmpty()) << "of a day that is whole";
    } else {
      EXPECT_GT(Samples(found), Samples(expected) / 2) << "only a block or two of it are gone";
      ASSERT_FALSE(warnings.empty());
      EXPECT_THAT(warnings[0], HasSubstr("partition 0 day 2023-11-1" + std::to_string(5 + day)));
      EXPECT_THAT(warnings[0], HasSubstr("are left out"));
      damaged_days.push_back(day);
    }
  }
  ASSERT_EQ(damaged_days.size(), 1U);
  const int day = damaged_days[0];
  // RocksDB's block, which is what a checksum covers, may hold two of ours.
  const uint64_t blocks = store_->Stats().damaged_blocks;
  EXPECT_GE(blocks, 1U);
  EXPECT_LE(blocks, 2U);
  const auto quarantine = store_->Quarantine();
  ASSERT_EQ(quarantine.size(), blocks);
  EXPECT_EQ(quarantine[0].file, "db/" + files[0].filename().string());
  ASSERT_TRUE(quarantine[0].block.has_value());
  EXPECT_THAT(quarantine[0].block->first_metric, HasSubstr("noise_"));
  EXPECT_GE(quarantine[0].block->range.min_ms, kBegin + day * kDay);
  EXPECT_GT(quarantine[0].block->samples, 0U);

  // After a restart it is known before anybody reads, and said in the same words.
  Close();
  Open();
  EXPECT_EQ(store_->Stats().damaged_blocks, blocks);
  std::vector<std::string> again;
  (void)ReadDay(day, again);
  ASSERT_EQ(again.size(), blocks);
  (void)ReadDay(1 - day, again);
  EXPECT_THAT(again, IsEmpty());

  // A scrub names it too, and nothing else.
  auto report = store_->Scrub({});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->damage_total, blocks);
  EXPECT_EQ(report->released, 0U);

  // The bytes are put right, as from a backup.
  Close();
  Flip(files[0], 40'000);
  Open();
  EXPECT_EQ(store_->Stats().damaged_blocks, blocks);
  report = store_->Scrub({});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->damage_total, 0U);
  EXPECT_EQ(report->released, blocks);
  EXPECT_EQ(store_->Stats().damaged_blocks, 0U);
  for (int d = 0; d < 2; ++d) {
    EXPECT_EQ(Difference(Expected(d), ReadDay(d, warnings)), "");
    EXPECT_THAT(warnings, IsEmpty());
  }
  Close();
  Open();
  EXPECT_EQ(store_->Stats().damaged_blocks, 0U);
}

TEST_F(IntegrityTest, AScrubFindsWhatNobodyHasRead) {
  Fill();
  const auto files = BlockFiles();
  Open();
  auto report = store_->Scrub({});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->damage_total, 0U);
  EXPECT_GT(report->progress.blocks, 5U);
  EXPECT_GE(report->progress.bytes_done, fs::file_size(files[0]) + fs::file_size(files[1]));
  EXPECT_EQ(report->progress.files_done, report->progress.files_total);
  Flip(files[1], 30'000);  // under its hands
  report = store_->Scrub({});
  ASSERT_TRUE(report.ok());
  ASSERT_GE(report->damage_total, 1U);
  for (const Damage& damage : report->damage) {
    EXPECT_EQ(damage.file, "db/" + files[1].filename().string());
  }
  EXPECT_EQ(store_->Quarantine().size(), report->damage_total);
}

TEST_F(IntegrityTest, AScrubKeepsToItsRateAndEndsWhenAsked) {
  Fill();
  Open();
  const auto begun = std::chrono::steady_clock::now();
  const auto report = store_->Scrub({.bytes_per_second = 2u << 20});
  ASSERT_TRUE(report.ok());
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  EXPECT_GE(took.count(), 0.9 * static_cast<double>(report->progress.bytes_done) / (2u << 20));
  std::atomic<bool> cancel{true};
  EXPECT_EQ(store_->Scrub({.bytes_per_second = 1, .cancel = &cancel}).status().code(),
            StatusCode::kCancelled);
  // One that would take for ever does not hold up closing.
  std::atomic<bool> running{false};
  std::thread slow([&] {
    ScrubOptions options{.bytes_per_second = 1};
    options.on_progress = [&](const ScrubProgress&) { running = true; };
    EXPECT_EQ(store_->Scrub(options).status().code(), StatusCode::kCancelled);
  });
  while (!running) std::this_thread::yield();
  EXPECT_EQ(store_->Scrub({}).status().code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(store_->Close().ok());
  slow.join();
  store_.reset();
}

TEST_F(IntegrityTest, VerifyOfAWholeDirectoryFindsNothingAndWritesNothing) {
  Fill();
  const auto look = [&] {
    std::map<std::string, std::pair<fs::file_time_type, uint64_t>> out;
    for (const auto& entry : fs::recursive_directory_iterator(temp_.path("data"))) {
      out[entry.path().string()] = {entry.last_write_time(),
                                    entry.is_regular_file() ? entry.file_size() : 0};
    }
    return out;
  };
  const auto before = look();
  const auto report = VerifyDirectory(temp_.path("data"), {});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->damage_total, 0U) << report->damage[0].file << ": " << report->damage[0].what;
  EXPECT_THAT(report->notes, IsEmpty());
  EXPECT_GT(report->progress.blocks, 5U);
  EXPECT_EQ(look(), before);
}

TEST_F(IntegrityTest, VerifyNamesTheFileWhateverKindItIs) {
  Fill();
  Open();
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(store_
                    ->Append(MakeBatches(*store_, {{.labels = {{"__name__", "late"}, {"job", "j"}},
                                                    .time_ms = kBegin + i,
                                                    .value = 1}}))
                    .ok());
  }
  Close();
  size_t kinds = 0;
  for (const auto& entry : fs::recursive_directory_iterator(temp_.path("data"))) {
    const std::string name = entry.path().filename();
    if (!entry.is_regular_file() || entry.file_size() < 200) continue;
    if (!name.ends_with(".sst") && !name.ends_with(".seg") && !name.starts_with("MANIFEST") &&
        !name.ends_with(".log")) {
      continue;
    }
    SCOPED_TRACE(entry.path().string());
    ++kinds;
    Flip(entry.path(), 100);
    const auto report = VerifyDirectory(temp_.path("data"), {});
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    EXPECT_GE(report->damage_total, 1U);
    bool named = false;
    for (const Damage& damage : report->damage) {
      named = named || (damage.file + damage.what).find(name) != std::string::npos;
    }
    EXPECT_TRUE(named) << (report->damage.empty() ? "" : report->damage[0].what);
    Flip(entry.path(), 100);
  }
  EXPECT_GE(kinds, 4U);
  const auto report = VerifyDirectory(temp_.path("data"), {});
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->damage_total, 0U);
}

TEST_F(IntegrityTest, VerifyOfWhatAServerHasOpenIsRefusedWithTheWayOut) {
  Fill();
  Open();
  const auto refused = VerifyDirectory(temp_.path("data"), {});
  EXPECT_EQ(refused.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("basalt verify --url"));
  EXPECT_EQ(VerifyDirectory(temp_.path("nothing"), {}).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(VerifyDirectory(temp_.path(), {}).status().code(), StatusCode::kNotFound);
}

// ---- a full disk ----

Status AllWell() { return OkStatus(); }

TEST(DiskGuard, BecomesReadOnlyBelowTheReserveAndEndsAboveTheSecondThreshold) {
  testing::SimulatedDisk disk(1);
  ASSERT_TRUE(disk.MakeDirectory("/d").ok());
  const auto files = testing::MakeFaultyFiles(disk);
  DiskGuard guard(*files, "/d", {.reserve_bytes = 10u << 20, .resume_bytes = 20u << 20});
  EXPECT_EQ(guard.Look(AllWell), DiskGuard::Change::kNone);
  disk.SetCapacity(10u << 20);  // at the reserve is enough
  EXPECT_EQ(guard.Look(AllWell), DiskGuard::Change::kNone);
  disk.SetCapacity((10u << 20) - 1);
  EXPECT_EQ(guard.Look(AllWell), DiskGuard::Change::kReadOnly);
  EXPECT_EQ(guard.Check().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(guard.State().reason, HasSubstr("less than the reserve of 10 MiB"));
  EXPECT_EQ(guard.Look(AllWell), DiskGuard::Change::kNone);
  disk.SetCapacity((20u << 20) - 1);  // no flapping in between
  EXPECT_EQ(guard.Look(AllWell), DiskGuard::Change::kNone);
  EXPECT_FALSE(guard.Check().ok());
  disk.SetCapacity(20u << 20);
  EXPECT_EQ(guard.Look(AllWell), DiskGuard::Change::kWritableAgain);
  EXPECT_TRUE(guard.Check().ok());
  EXPECT_EQ(guard.State().times, 1U);
  EXPECT_EQ(guard.State().free_bytes, 20u << 20);
  EXPECT_THAT(*files->List("/d"), IsEmpty()) << "the trial leaves nothing";
}

TEST(DiskGuard, AWriteThatFailedEndsTheModeOnlyWhenATrialSucceeds) {
  testing::SimulatedDisk disk(1);
  ASSERT_TRUE(disk.MakeDirectory("/d").ok());
  const auto files = testing::MakeFaultyFiles(disk);
  DiskGuard guard(*files, "/d", {});
  guard.MayPass(ResourceExhausted("write x: No space left on device"));
  // There is room by what the disk says, as with a quota; writing fails.
  disk.Inject({.kind = testing::DiskFault::kFull,
               .at = 1,
               .sticky = true,
               .only = testing::DiskOp::kWrite});
  EXPECT_EQ(guard.Look(AllWell), DiskGuard::Change::kNone);
  EXPECT_THAT(guard.State().reason, HasSubstr("write x: No space left"));
  disk.ClearFault();
  const auto not_yet = [] { return ResourceExhausted("the database has not found out yet"); };
  EXPECT_EQ(guard.Look(not_yet), DiskGuard::Change::kNone);
  EXPECT_EQ(guard.Look(AllWell), DiskGuard::Change::kWritableAgain);
  // What has failed for good stays so.
  guard.Failed(DataLoss("the log has failed"));
  EXPECT_EQ(guard.Look(AllWell), DiskGuard::Change::kNone);
  EXPECT_EQ(guard.Check().code(), StatusCode::kDataLoss);
}

TEST(DiskGuard, ADiskThatFailsIsTriedLessAndLessOftenAndAtLeastEveryEighthLook) {
  testing::SimulatedDisk disk(1);
  ASSERT_TRUE(disk.MakeDirectory("/d").ok());
  const auto files = testing::MakeFaultyFiles(disk);
  DiskGuard guard(*files, "/d", {});
  guard.MayPass(Unavailable("sync x: Input/output error"));
  EXPECT_EQ(guard.Check().code(), StatusCode::kUnavailable);
  EXPECT_THAT(guard.State().reason, HasSubstr("writes succeed on the disk of /d: sync x"));
  std::vector<int> trials;
  for (int look = 0; look < 32; ++look) {
    EXPECT_EQ(guard.Look([&] {
      trials.push_back(look);
      return Unavailable("still");
    }),
              DiskGuard::Change::kNone);
  }
  EXPECT_THAT(trials, ElementsAre(0, 2, 6, 14, 22, 30));
  int looks = 1;
  while (guard.Look(AllWell) != DiskGuard::Change::kWritableAgain) ++looks;
  EXPECT_LE(looks, static_cast<int>(kMostLooksBetweenTrials));
  // The next time it begins anew.
  guard.MayPass(Unavailable("sync x: Input/output error"));
  EXPECT_EQ(guard.Look(AllWell), DiskGuard::Change::kWritableAgain);
  EXPECT_EQ(guard.State().times, 2U);
}

}  // namespace
}  // namespace basalt::storage
