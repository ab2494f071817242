// Backups: incremental, whole or not there, and back to the same bits.
#include "storage/backup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "storage/backup/backup_directory.h"
#include "storage/backup/manifest.h"
#include "tests/storage/store_model.h"
#include "tests/support/faulty_files.h"
#include "tests/support/simulated_disk.h"

namespace basalt::storage {
namespace {

using testing::DiskFault;
using ::testing::HasSubstr;
using testing::MakeFaultyFiles;
using testing::SimulatedDisk;
using testing::Survival;

constexpr int64_t kBegin = 1'700'000'000'000;

BackupFile FileOf(const std::string& path) {
  BackupFile file;
  file.path = path;
  file.bytes = 42;
  file.hash = {1, 0xABCDEF};
  file.modified_ns = -5;
  file.tail_hash = 77;
  return file;
}

// ---- manifest ----

TEST(BackupManifest, ComesBackAsItWas) {
  BackupManifest manifest;
  manifest.name = "20261123T040000.000Z-1a2b3c4d";
  manifest.taken_ms = kBegin;
  manifest.source = "/var/lib/with spaces";
  manifest.files = {FileOf("alerts.log"), FileOf("db/a name.sst")};
  const std::string text = EncodeManifest(manifest);
  const auto back = DecodeManifest(text);
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  EXPECT_EQ(back->name, manifest.name);
  EXPECT_EQ(back->taken_ms, manifest.taken_ms);
  EXPECT_EQ(back->source, manifest.source);
  EXPECT_EQ(back->files, manifest.files);
  // Any byte that differs, and any end that is missing, is seen.
  for (size_t i = 0; i < text.size(); ++i) {
    std::string other = text;
    other[i] = static_cast<char>(other[i] ^ 1);
    EXPECT_FALSE(DecodeManifest(other).ok()) << "byte " << i;
    EXPECT_FALSE(DecodeManifest(text.substr(0, i)).ok()) << "cut at " << i;
  }
}

TEST(BackupManifest, PathsThatLeaveTheDirectoryAreRefused) {
  for (const char* path : {"", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".", "a/./b"}) {
    std::string line;
    AppendFileLine(FileOf(path), line);
    line.pop_back();
    EXPECT_FALSE(ParseFileLine(line).ok()) << path;
  }
  std::string line;
  AppendFileLine(FileOf("a..b/..c"), line);
  line.pop_back();
  EXPECT_TRUE(ParseFileLine(line).ok());
}

TEST(BackupManifest, OfALaterVersionSaysSo) {
  const auto read = DecodeManifest("basalt-backup 2\nwhatever\n");
  EXPECT_EQ(read.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(read.status().message()), HasSubstr("later version"));
}

// ---- of a store ----

class BackupTest : public ::testing::Test {
 protected:
  StoreOptions Options(const std::string& directory) {
    StoreOptions options;
    options.directory = temp_.path(directory);
    options.partitions = 4;
    options.segment_bytes = 1u << 20;
    options.block_cache_bytes = 8u << 20;
    options.sync = SyncMode::kInterval;  // durability is not what these tests are about
    options.clock = &clock_;
    return options;
  }
  std::unique_ptr<Store> Open(const std::string& directory) {
    auto opened = Store::Open(Options(directory));
    EXPECT_TRUE(opened.ok()) << opened.status().ToString();
    return opened.ok() ? std::move(*opened) : nullptr;
  }
  void Write(Store& store, int rounds) {
    for (int i = 0; i < rounds; ++i) {
      for (const auto& request : work_.NextRequests()) {
        ASSERT_TRUE(store.Append(MakeBatches(store, request)).ok());
        for (const bool histograms : {false, true}) {
          for (const ModelWrite& write : request) {
            if (write.is_histogram == histograms) ApplyTo(model_, write);
          }
        }
      }
    }
  }
  std::string Check(const std::string& directory) {
    const auto store = Open(directory);
    if (store == nullptr) return "does not open";
    const auto found = ReadState(**store->reader().TakeSnapshot());
    return found.ok() ? Difference(model_, *found) : found.status().ToString();
  }
  BackupOptions Backup(const std::string& source) {
    return {.source = temp_.path(source), .directory = temp_.path("backups"), .clock = &clock_};
  }
  RestoreOptions Restore(const std::string& target, const std::string& name = "") {
    return {.directory = temp_.path("backups"), .name = name, .target = temp_.path(target)};
  }

  TemporaryDirectory temp_;
  ManualClock clock_{kBegin};
  Workload work_{7, kBegin};
  ModelState model_;
};

TEST_F(BackupTest, OfACheckpointTakenBesideWritesComesBackToTheSameBits) {
  auto store = Open("data");
  Write(*store, 60);
  ASSERT_TRUE(store->Settle().ok());
  Write(*store, 20);  // these are in the log only
  ASSERT_TRUE(store->Checkpoint(temp_.path("copy")).ok());
  const ModelState then = model_;
  Write(*store, 20);
  const auto taken = TakeBackup(Backup("copy"));
  ASSERT_TRUE(taken.ok()) << taken.status().ToString();
  EXPECT_GT(taken->files, 5U);
  EXPECT_EQ(taken->new_bytes, taken->bytes);
  const auto restored = RestoreBackup(Restore("restored"));
  ASSERT_TRUE(restored.ok()) << restored.status().ToString();
  EXPECT_EQ(restored->name, taken->name);
  model_ = then;
  EXPECT_EQ(Check("restored"), "");
}

TEST_F(BackupTest, ASecondOneCopiesOnlyWhatIsNewAndEachComesBack) {
  auto store = Open("data");
  Write(*store, 200);
  ASSERT_TRUE(store->Settle().ok());
  ASSERT_TRUE(store->Checkpoint(temp_.path("first")).ok());
  const auto first = TakeBackup(Backup("first"));
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  const ModelState then = model_;
  clock_.Advance(std::chrono::hours(1));
  Write(*store, 2);
  ASSERT_TRUE(store->Checkpoint(temp_.path("second")).ok());
  const auto second = TakeBackup(Backup("second"));
  ASSERT_TRUE(second.ok()) << second.status().ToString();
  EXPECT_LT(second->new_bytes, second->bytes / 2) << second->bytes;

  std::vector<std::string> damaged;
  const auto list = ListBackups(temp_.path("backups"), damaged);
  ASSERT_TRUE(list.ok());
  ASSERT_EQ(list->size(), 2U);
  EXPECT_EQ((*list)[0].name, first->name);
  EXPECT_EQ((*list)[1].new_bytes, second->new_bytes);
  EXPECT_EQ(ToMs((*list)[1].taken), kBegin + 3'600'000);
  const auto verified = VerifyBackup(temp_.path("backups"), "", nullptr);
  ASSERT_TRUE(verified.ok());
  EXPECT_EQ(*verified, std::vector<std::string>{});

  ASSERT_TRUE(RestoreBackup(Restore("newest")).ok());
  EXPECT_EQ(Check("newest"), "");
  ASSERT_TRUE(RestoreBackup(Restore("older", first->name)).ok());
  model_ = then;
  EXPECT_EQ(Check("older"), "");
}

TEST_F(BackupTest, OfTheSameAgainCopiesNothingAndReadsOnlyTheEnds) {
  {
    const auto store = Open("data");
    Write(*store, 50);
    ASSERT_TRUE(store->Settle().ok());
  }
  ASSERT_TRUE(TakeBackup(Backup("data")).ok());
  clock_.Advance(std::chrono::hours(1));
  const auto again = TakeBackup(Backup("data"));
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(again->new_bytes, 0U);
}

TEST_F(BackupTest, WhatAServerHasOpenIsRefusedWithTheWayOut) {
  const auto store = Open("data");
  const Status refused = TakeBackup(Backup("data")).status();
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("basalt backup --url"));
}

TEST_F(BackupTest, ADirectoryWithOtherThingsInItIsRefusedOnEitherEnd) {
  {
    const auto store = Open("data");
    Write(*store, 5);
  }
  std::filesystem::create_directories(temp_.path("backups"));
  std::ofstream(temp_.path("backups") + "/holiday.jpg") << "x";
  Status refused = TakeBackup(Backup("data")).status();
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition) << refused.ToString();
  EXPECT_THAT(std::string(refused.message()), HasSubstr("name an empty one"));
  EXPECT_EQ(TakeBackup(Backup("nothing")).status().code(), StatusCode::kNotFound);

  std::filesystem::remove(temp_.path("backups") + "/holiday.jpg");
  std::filesystem::create_directories(temp_.path("empty"));
  EXPECT_EQ(TakeBackup(Backup("empty")).status().code(), StatusCode::kNotFound);
  ASSERT_TRUE(TakeBackup(Backup("data")).ok());
  refused = RestoreBackup(Restore("data")).status();
  EXPECT_EQ(refused.code(), StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("move the old data away"));
  refused = RestoreBackup(Restore("other", "no-such")).status();
  EXPECT_EQ(refused.code(), StatusCode::kNotFound);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("it has 2023"));
  EXPECT_EQ(RestoreBackup(Restore("other", "../x")).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(BackupTest, AnInterruptedRestoreIsRefusedByTheStoreAndGoesOn) {
  {
    const auto store = Open("data");
    Write(*store, 60);
    ASSERT_TRUE(store->Settle().ok());
  }
  const auto first = TakeBackup(Backup("data"));
  ASSERT_TRUE(first.ok());
  RestoreOptions restore = Restore("restored");
  std::atomic<bool> cancel{false};
  restore.cancel = &cancel;
  restore.on_progress = [&](const BackupProgress& progress) {
    cancel = progress.files_done == progress.files_total / 2;
  };
  EXPECT_EQ(RestoreBackup(restore).status().code(), StatusCode::kCancelled);
  const auto refused = Store::Open(Options("restored"));
  EXPECT_EQ(refused.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("basalt restore"));
  EXPECT_EQ(VerifyDirectory(temp_.path("restored"), {}).status().code(),
            StatusCode::kFailedPrecondition);
  uint64_t copied = 0;
  uint64_t total = 0;
  restore.cancel = nullptr;
  restore.on_progress = [&](const BackupProgress& progress) {
    copied = progress.bytes_copied;
    total = progress.bytes_total;
  };
  ASSERT_TRUE(RestoreBackup(restore).ok());
  EXPECT_LT(copied, total) << "what was there already was copied again";
  EXPECT_EQ(Check("restored"), "");
}

TEST_F(BackupTest, ADamagedBlobIsNamedAndNotRestored) {
  {
    const auto store = Open("data");
    Write(*store, 60);
    ASSERT_TRUE(store->Settle().ok());
  }
  ASSERT_TRUE(TakeBackup(Backup("data")).ok());
  std::filesystem::path largest;
  for (const auto& entry : std::filesystem::directory_iterator(temp_.path("backups") + "/blobs")) {
    if (largest.empty() || entry.file_size() > std::filesystem::file_size(largest))
      largest = entry.path();
  }
  {
    std::fstream file(largest, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(100);
    const char byte = static_cast<char>(file.get());
    file.seekp(100);
    file.put(static_cast<char>(byte ^ 4));
  }
  const auto verified = VerifyBackup(temp_.path("backups"), "", nullptr);
  ASSERT_TRUE(verified.ok());
  ASSERT_EQ(verified->size(), 1U);
  EXPECT_THAT(verified->front(), HasSubstr(largest.filename().string()));
  const Status restored = RestoreBackup(Restore("restored")).status();
  EXPECT_EQ(restored.code(), StatusCode::kDataLoss);
  EXPECT_THAT(std::string(restored.message()), HasSubstr(largest.filename().string()));
  EXPECT_FALSE(Store::Open(Options("restored")).ok());
  std::filesystem::remove(largest);
  EXPECT_THAT(std::string(RestoreBackup(Restore("restored")).status().message()),
              HasSubstr("is gone"));
  // The next backup brings the blob again.
  clock_.Advance(std::chrono::hours(1));
  ASSERT_TRUE(TakeBackup(Backup("data")).ok());
  std::filesystem::remove_all(temp_.path("restored"));
  ASSERT_TRUE(RestoreBackup(Restore("restored")).ok());
  EXPECT_EQ(Check("restored"), "");
}

TEST_F(BackupTest, PruningKeepsWhatIsAskedForAndFreesTheRest) {
  auto store = Open("data");
  for (int i = 0; i < 5; ++i) {
    Write(*store, 20);
    ASSERT_TRUE(store->Settle().ok());
    ASSERT_TRUE(store->Checkpoint(temp_.path("copy" + std::to_string(i))).ok());
    ASSERT_TRUE(TakeBackup(Backup("copy" + std::to_string(i))).ok());
    clock_.Advance(std::chrono::hours(24));
  }
  PruneOptions prune{.directory = temp_.path("backups"), .clock = &clock_};
  EXPECT_EQ(PruneBackups(prune).status().code(), StatusCode::kInvalidArgument);
  prune.keep_last = 1;
  prune.keep_within = std::chrono::hours(49);  // the last two, a day and two days old
  prune.dry_run = true;
  auto pruned = PruneBackups(prune);
  ASSERT_TRUE(pruned.ok()) << pruned.status().ToString();
  EXPECT_EQ(pruned->removed.size(), 3U);
  const uint64_t would_free = pruned->freed_bytes;
  EXPECT_GT(would_free, 0U);
  std::vector<std::string> damaged;
  EXPECT_EQ(ListBackups(temp_.path("backups"), damaged)->size(), 5U) << "only told";
  prune.dry_run = false;
  pruned = PruneBackups(prune);
  ASSERT_TRUE(pruned.ok());
  EXPECT_EQ(pruned->kept, 2U);
  EXPECT_EQ(pruned->freed_bytes, would_free);
  EXPECT_EQ(ListBackups(temp_.path("backups"), damaged)->size(), 2U);
  EXPECT_EQ(*VerifyBackup(temp_.path("backups"), "", nullptr), std::vector<std::string>{});
  ASSERT_TRUE(RestoreBackup(Restore("restored")).ok());
  EXPECT_EQ(Check("restored"), "");
}

TEST_F(BackupTest, NothingIsPrunedBesideAManifestThatCannotBeRead) {
  {
    const auto store = Open("data");
    Write(*store, 5);
  }
  ASSERT_TRUE(TakeBackup(Backup("data")).ok());
  clock_.Advance(std::chrono::hours(1));
  ASSERT_TRUE(TakeBackup(Backup("data")).ok());
  std::ofstream(temp_.path("backups") + "/backups/20200101T000000Z-00000000.manifest") << "torn";
  const auto pruned = PruneBackups({.directory = temp_.path("backups"), .keep_last = 1});
  EXPECT_EQ(pruned.status().code(), StatusCode::kDataLoss) << pruned.status().ToString();
  std::vector<std::string> damaged;
  EXPECT_EQ(ListBackups(temp_.path("backups"), damaged)->size(), 2U);
  EXPECT_EQ(damaged.size(), 1U);
}

// ---- interrupted at every call ----

// Something like a data directory, on a disk in memory.
void MakeSource(Files& files, const std::string& root, char version) {
  for (const std::string& directory : std::vector<std::string>{root, root + "/db", root + "/log"})
    ASSERT_TRUE(files.CreateDirectories(directory).ok());
  const std::map<std::string, std::string> contents = {
      {"db/CURRENT", "MANIFEST-000001"},
      {"db/000007.sst", std::string(70'000, 's')},
      {std::string("db/00000") + version + ".sst", std::string(3000, version)},
      {"log/00000000000000000001.seg", std::string(500, version)},
      {"LOCK", ""},
      {"db/LOG", "chatter"}};
  for (const auto& [path, text] : contents) {
    auto file = files.Open(root + "/" + path, OpenMode::kCreate);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->Write(0, std::as_bytes(std::span(text.data(), text.size()))).ok());
    ASSERT_TRUE((*file)->SyncData().ok());
  }
  for (const std::string& directory : std::vector<std::string>{root, root + "/db", root + "/log"})
    ASSERT_TRUE(files.SyncDirectory(directory).ok());
}

std::map<std::string, std::string> Read(Files& files, const std::string& root) {
  std::map<std::string, std::string> out;
  const auto paths = ListTree(files, root, [](const std::string&) { return false; });
  if (!paths.ok()) return out;
  for (const std::string& path : *paths) {
    const auto text = ReadSmallFile(files, root + "/" + path);
    out[path] = text.ok() ? *text : text.status().ToString();
  }
  return out;
}

struct FaultCase {
  const char* name;
  DiskFault::Kind kind;
};
class BackupFault : public ::testing::TestWithParam<FaultCase> {};

// The earlier backup stays good, the later one is there whole or not at all, and taking it again
// works; the same for restoring it.
TEST_P(BackupFault, AtAnyCallHarmsNoEarlierBackupAndIsMadeGoodByTheNextTry) {
  uint64_t interrupted = 0;
  for (uint64_t n = 1;; ++n) {
    SCOPED_TRACE("call " + std::to_string(n));
    SimulatedDisk disk(n);
    const auto files = MakeFaultyFiles(disk);
    ASSERT_TRUE(disk.MakeDirectory("/d").ok());
    MakeSource(*files, "/d/one", '1');
    MakeSource(*files, "/d/two", '2');
    ManualClock clock(kBegin);
    const auto options = [&](const std::string& source) {
      return BackupOptions{
          .source = source, .directory = "/d/backups", .clock = &clock, .files = files.get()};
    };
    ASSERT_TRUE(TakeBackup(options("/d/one")).ok());
    clock.Advance(std::chrono::hours(1));

    disk.Inject({.kind = GetParam().kind, .at = n});
    auto second = TakeBackup(options("/d/two"));
    const bool done = second.ok();
    RestoreOptions restore{
        .directory = "/d/backups", .name = "", .target = "/d/new", .files = files.get()};
    const bool restored = done && RestoreBackup(restore).ok();
    const bool hit = !done || !restored;
    interrupted += hit ? 1 : 0;
    if (!disk.powered()) disk.Restore(Survival::kAnything);
    disk.ClearFault();

    std::vector<std::string> damaged;
    const auto list = ListBackups("/d/backups", damaged, files.get());
    ASSERT_TRUE(list.ok()) << list.status().ToString();
    EXPECT_EQ(damaged, std::vector<std::string>{});
    ASSERT_GE(list->size(), done ? 2U : 1U);
    EXPECT_EQ(*VerifyBackup("/d/backups", "", nullptr, files.get()), std::vector<std::string>{});
    if (!done) {
      clock.Advance(std::chrono::hours(1));
      second = TakeBackup(options("/d/two"));
      ASSERT_TRUE(second.ok()) << second.status().ToString();
    }
    const auto again = RestoreBackup(restore);
    if (restored) {
      EXPECT_EQ(again.status().code(), StatusCode::kAlreadyExists);
    } else {
      // A cut as the marker went may leave a target that is whole.
      ASSERT_TRUE(again.ok() || again.status().code() == StatusCode::kAlreadyExists)
          << again.status().ToString();
    }
    auto expected = Read(*files, "/d/two");
    expected.erase("LOCK");
    expected.erase("db/LOG");
    EXPECT_EQ(Read(*files, "/d/new"), expected);
    restore.target = "/d/old";
    restore.name = list->front().name;
    ASSERT_TRUE(RestoreBackup(restore).ok());
    expected = Read(*files, "/d/one");
    expected.erase("LOCK");
    expected.erase("db/LOG");
    EXPECT_EQ(Read(*files, "/d/old"), expected);
    if (!hit) break;
  }
  EXPECT_GT(interrupted, 20U);
}

INSTANTIATE_TEST_SUITE_P(Kinds, BackupFault,
                         ::testing::Values(FaultCase{"fail", DiskFault::kFail},
                                           FaultCase{"full", DiskFault::kFull},
                                           FaultCase{"short", DiskFault::kShort},
                                           FaultCase{"power_cut", DiskFault::kPowerCut}),
                         [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace basalt::storage
