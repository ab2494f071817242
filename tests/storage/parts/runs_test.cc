#include "storage/parts/runs.h"

#include <gmock/gmock.h>
#include <rocksdb/convenience.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "tests/storage/parts/parts_fixture.h"

namespace basalt::storage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using RunsTest = PartsFixture;

TEST_F(RunsTest, ReadsBackWhatWasCommittedAlsoAfterAReopen) {
  Open();
  RunCommit commit;
  commit.added.push_back(MakeRun(*store_, "A", kDay, 10));
  commit.added.push_back(MakeRun(*store_, "B", kDay + 1, 10));
  const RunInfo expected = commit.added[0].info();
  commit.replay_from = {{0, 11}};
  commit.writers = {{{1, 2}, 77}};
  ASSERT_TRUE(store_->Commit(std::move(commit)).ok());
  for (const bool reopened : {false, true}) {
    if (reopened) {
      Close();
      Open();
    }
    EXPECT_THAT(Tags(*store_), ElementsAre("A", "B"));
    const auto snapshot = store_->Snapshot();
    const storage::Run& run = *snapshot->runs()[0];
    EXPECT_EQ(run.info(), expected);
    EXPECT_EQ(run.info().samples, 30u);
    EXPECT_EQ(run.info().min_ms, kDay * kMsPerDay);
    EXPECT_EQ(run.info().max_ms, kDay * kMsPerDay + 1002);
    EXPECT_EQ(run.Directory().value()->size(), 3u);
    EXPECT_EQ(run.Read(2).value().view(), "A2" + std::string(500, 'x'));
    EXPECT_THAT(store_->ReplayFrom(), ElementsAre(LogPosition{0, 11}));
    EXPECT_EQ(store_->Writers().value(), (std::vector<std::pair<Hash128, uint64_t>>{{{1, 2}, 77}}));
    EXPECT_EQ(store_->Stats().runs, 2u);
    EXPECT_EQ(store_->Stats().samples, 60u);
  }
  RunCommit forget;
  forget.writers = {{{1, 2}, 0}};
  ASSERT_TRUE(store_->Commit(std::move(forget)).ok());
  EXPECT_THAT(store_->Writers().value(), IsEmpty());
}

// What comes later in the order wins, so an older sample of A must not pass B's when A is
// rewritten.
TEST_F(RunsTest, ASealOfWhatAnotherLeftStaysBehindARewriteOfTheOther) {
  Open();
  const uint32_t sealed = CommitRun("A", kDay, 10);
  RunCommit rest;  // nothing was applied in between
  rest.added.push_back(MakeRun(*store_, "B", kDay, 10, PartitionId{1}, 3, 500, /*after=*/10));
  ASSERT_TRUE(store_->Commit(std::move(rest)).ok());
  EXPECT_THAT(Tags(*store_), ElementsAre("A", "B"));
  RunCommit rewrite;  // of A alone, with a higher number than B's
  rewrite.added.push_back(MakeRun(*store_, "R", kDay, 10));
  rewrite.dropped = {sealed};
  ASSERT_TRUE(store_->Commit(std::move(rewrite)).ok());
  EXPECT_THAT(Tags(*store_), ElementsAre("R", "B"));
}

TEST_F(RunsTest, FindsTheSuperblocksThatMayHoldASeries) {
  Open();
  RunWriter writer = store_->NewRun(PartitionId{0}, kDay, kSealLevel).value();
  const auto add = [&](SeriesPlace first, uint16_t row, SeriesPlace last) {
    SuperblockInput block;
    block.place = first;
    block.row = row;
    block.last_place = last;
    block.samples = 1;
    block.bytes = "x";
    ASSERT_TRUE(writer.Add(block).ok());
  };
  add(PlaceOf(1, 1), 0, PlaceOf(2, 3));
  add(PlaceOf(2, 3), 7, PlaceOf(2, 3));
  add(PlaceOf(2, 3), 9, PlaceOf(5, 0));
  add(PlaceOf(5, 1), 0, PlaceOf(5, 2));
  add(PlaceOf(1, 0, TenantId{1}), 0, PlaceOf(1, 0, TenantId{1}));
  RunCommit commit;
  commit.added.push_back(writer.Finish({}, {0, 1}, {}).value());
  ASSERT_TRUE(store_->Commit(std::move(commit)).ok());
  const auto snapshot = store_->Snapshot();
  const storage::Run& run = *snapshot->runs()[0];
  const auto find = [&](SeriesPlace place) { return run.Find(place).value(); };
  EXPECT_EQ(find(PlaceOf(1, 0)), (std::pair<size_t, size_t>{0, 0}));
  EXPECT_EQ(find(PlaceOf(1, 1)), (std::pair<size_t, size_t>{0, 1}));
  EXPECT_EQ(find(PlaceOf(2, 2)), (std::pair<size_t, size_t>{0, 1}));
  EXPECT_EQ(find(PlaceOf(2, 3)), (std::pair<size_t, size_t>{0, 3}));
  EXPECT_EQ(find(PlaceOf(4, 9)), (std::pair<size_t, size_t>{2, 3}));
  EXPECT_EQ(find(PlaceOf(5, 2)), (std::pair<size_t, size_t>{3, 4}));
  EXPECT_EQ(find(PlaceOf(1, 0, TenantId{1})), (std::pair<size_t, size_t>{4, 5}));
  EXPECT_EQ(find(PlaceOf(9, 9, TenantId{9})), (std::pair<size_t, size_t>{5, 5}));
}

TEST_F(RunsTest, ListsOverlappingRunsOfAPartitionInPrecedence) {
  Open();
  CommitRun("late", kDay, 30);
  CommitRun("early", kDay, 10);
  CommitRun("other partition", kDay, 20, PartitionId{2});
  CommitRun("next day", kDay + 1, 5);
  const auto snapshot = store_->Snapshot();
  const auto last_of = [&](TimeRange range) {
    std::vector<uint64_t> out;
    for (const auto& run : snapshot->Overlapping(PartitionId{1}, range)) {
      out.push_back(run->info().last.seq);
    }
    return out;
  };
  const int64_t begin = kDay * kMsPerDay;
  EXPECT_THAT(last_of({}), ElementsAre(10, 30, 5));
  EXPECT_THAT(last_of({begin, begin}), ElementsAre(10, 30));
  EXPECT_THAT(last_of({begin + 1002, begin + 1002}), ElementsAre(10, 30));
  EXPECT_THAT(last_of({begin + 1003, begin + 2000}), IsEmpty());
  EXPECT_THAT(snapshot->Overlapping(PartitionId{0}, {}), IsEmpty());
}

TEST_F(RunsTest, RefusesWhatIsNotInOrderAndAnEmptyRun) {
  Open();
  RunWriter writer = store_->NewRun(PartitionId{1}, kDay, kSealLevel).value();
  EXPECT_EQ(writer.Finish({}, {}, {}).status().code(), StatusCode::kInvalidArgument);
  SuperblockInput block;
  block.place = block.last_place = PlaceOf(2, 1);
  block.samples = 1;
  block.bytes = "x";
  ASSERT_TRUE(writer.Add(block).ok());
  EXPECT_EQ(writer.Add(block).code(), StatusCode::kInternal);
  block.row = 1;
  EXPECT_TRUE(writer.Add(block).ok());
  block.place = PlaceOf(1, 1);
  EXPECT_EQ(writer.Add(block).code(), StatusCode::kInternal);
}

TEST_F(RunsTest, LeavesNoFileOfARunThatWasNotCommitted) {
  Open();
  const std::string incoming = directory_ + "/incoming";
  {
    const RunWriter abandoned = store_->NewRun(PartitionId{1}, kDay, kSealLevel).value();
    const FinishedRun finished = MakeRun(*store_, "A");
    EXPECT_EQ(FilesIn(incoming), 2u);
  }
  EXPECT_EQ(FilesIn(incoming), 0u);
  CommitRun("B");
  EXPECT_EQ(FilesIn(incoming), 0u);
}

TEST_F(RunsTest, DropsWholeDaysAndTheirFiles) {
  Open();
  CommitRun("A", kDay);
  CommitRun("B", kDay + 1);
  CommitRun("C", kDay + 1, 10, PartitionId{2});
  CommitRun("D", kDay + 2);
  EXPECT_EQ(BlockFiles(*database_), 4u);
  EXPECT_EQ(store_->DropDaysBefore(kDay).value(), 0u);
  EXPECT_EQ(store_->DropDaysBefore(kDay + 2).value(), 3u);
  EXPECT_THAT(Tags(*store_), ElementsAre("D"));
  EXPECT_EQ(BlockFiles(*database_), 1u);
  Close();
  Open();
  EXPECT_THAT(Tags(*store_), ElementsAre("D"));
  EXPECT_EQ(store_->Stats().orphans_removed, 0u);
}

TEST_F(RunsTest, KeepsADroppedRunForAsLongAsSomebodyReadsIt) {
  Open();
  CommitRun("A", kDay);
  CommitRun("B", kDay + 1);
  auto snapshot = store_->Snapshot();
  ASSERT_EQ(store_->DropDaysBefore(kDay + 1).value(), 1u);
  ASSERT_TRUE(store_->CollectGarbage().ok());
  EXPECT_EQ(BlockFiles(*database_), 2u);
  EXPECT_EQ(snapshot->runs()[0]->Read(1).value().view(), "A1" + std::string(500, 'x'));
  snapshot.reset();
  ASSERT_TRUE(store_->CollectGarbage().ok());
  EXPECT_EQ(BlockFiles(*database_), 1u);
}

TEST_F(RunsTest, ACommitThatDropsARunAlreadyGoneChangesNothing) {
  Open();
  const uint32_t a = CommitRun("A", kDay);
  ASSERT_EQ(store_->DropDaysBefore(kDay + 1).value(), 1u);
  RunCommit commit;
  commit.added.push_back(MakeRun(*store_, "B"));
  commit.dropped = {a};
  EXPECT_EQ(store_->Commit(std::move(commit)).code(), StatusCode::kAborted);
  EXPECT_THAT(Tags(*store_), IsEmpty());
  EXPECT_EQ(FilesIn(directory_ + "/incoming"), 0u);
}

TEST_F(RunsTest, NeverUsesARunNumberTwice) {
  Open();
  const uint32_t a = CommitRun("A", kDay);
  ASSERT_EQ(store_->DropDaysBefore(kDay + 1).value(), 1u);
  Close();
  Open();
  EXPECT_GT(CommitRun("B", kDay), a);
}

TEST_F(RunsTest, NamesAndCountsADamagedBlockAndReadsTheOthers) {
  Open();
  {
    RunCommit commit;
    commit.added.push_back(MakeRun(*store_, "A", kDay, 10, PartitionId{3}, 8, 40'000));
    ASSERT_TRUE(store_->Commit(std::move(commit)).ok());
  }
  Close();
  // Flip a byte inside block 4, wherever RocksDB has put it.
  size_t flipped = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    if (entry.path().extension() != ".sst") continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)),
                            std::istreambuf_iterator<char>());
    const size_t at = bytes.find("A4x");
    if (at == std::string::npos) continue;
    file.seekp(static_cast<std::streamoff>(at) + 1000);
    file.put('y');
    ++flipped;
  }
  ASSERT_EQ(flipped, 1u);
  Open();
  const auto snapshot = store_->Snapshot();
  const storage::Run& run = *snapshot->runs()[0];
  for (int attempt = 0; attempt < 2; ++attempt) {
    for (size_t i = 0; i < 8; ++i) {
      const auto bytes = run.Read(i);
      if (i == 4) {
        EXPECT_EQ(bytes.status().code(), StatusCode::kDataLoss);
        EXPECT_THAT(std::string(bytes.status().message()),
                    HasSubstr("partition 3 day 2024-10-04 run 1 block 4"));
      } else {
        ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
      }
    }
  }
  EXPECT_EQ(store_->Stats().damaged_blocks, 1u);
  EXPECT_EQ(run.Quarantined().size(), 1u);
  EXPECT_THAT(store_->FileOf(run.info()), HasSubstr(".sst"));
  // A reader that finds damage inside another block says so the same way.
  EXPECT_EQ(run.Quarantine(5, DataLoss("superblock: checksum")).message(),
            "partition 3 day 2024-10-04 run 1 block 5 is damaged: its samples from "
            "2024-10-04T00:00:00Z to 2024-10-04T00:00:01Z are left out, and values that they "
            "replaced show again (superblock: checksum)");
  EXPECT_EQ(run.Read(5).status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(store_->Stats().damaged_blocks, 2u);
  // It is remembered, and goes with the run.
  Close();
  Open();
  EXPECT_EQ(store_->Stats().damaged_blocks, 2u);
  EXPECT_EQ(store_->Snapshot()->runs()[0]->Read(5).status().code(), StatusCode::kDataLoss);
  EXPECT_TRUE(store_->Snapshot()->runs()[0]->Release(5));
  EXPECT_FALSE(store_->Snapshot()->runs()[0]->Release(5));
  RunCommit drop;
  drop.dropped = {1};
  ASSERT_TRUE(store_->Commit(std::move(drop)).ok());
  EXPECT_EQ(store_->Stats().damaged_blocks, 0u);
  size_t lines = 0;
  ASSERT_TRUE(database_
                  ->ForEach(Family::kMeta, "Q",
                            [&](std::string_view, std::string_view) {
                              ++lines;
                              return OkStatus();
                            })
                  .ok());
  EXPECT_EQ(lines, 0u);
}

TEST_F(RunsTest, SaysSoWhenAFileOfTheManifestIsGone) {
  Open();
  const uint32_t number = CommitRun("A");
  ASSERT_TRUE(rocksdb::DeleteFilesInRanges(database_->rocks().db.get(),
                                           database_->rocks().handle(Family::kBlocks), nullptr, 0)
                  .ok());
  rocksdb::RangePtr everything(nullptr, nullptr);
  ASSERT_TRUE(rocksdb::DeleteFilesInRanges(database_->rocks().db.get(),
                                           database_->rocks().handle(Family::kBlocks), &everything,
                                           1)
                  .ok());
  store_.reset();
  const Status status = RunStore::Open(*database_).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("run " + std::to_string(number)));
}

TEST_F(RunsTest, ReadsBesideCommits) {
  Open();
  CommitRun("A", kDay, 1);
  std::atomic<bool> done = false;
  std::thread reader([&] {
    while (!done) {
      const auto snapshot = store_->Snapshot();
      ASSERT_EQ(snapshot->runs().size(), 1u);
      for (size_t i = 0; i < 3; ++i) ASSERT_TRUE(snapshot->runs()[0]->Read(i).ok());
    }
  });
  for (uint64_t last = 2; last < 30; ++last) {
    RunCommit commit;
    commit.dropped = {store_->Snapshot()->runs()[0]->info().number};
    commit.added.push_back(MakeRun(*store_, "B", kDay, last));
    ASSERT_TRUE(store_->Commit(std::move(commit)).ok());
  }
  done = true;
  reader.join();
  ASSERT_TRUE(store_->CollectGarbage().ok());
  EXPECT_EQ(BlockFiles(*database_), 1u);
}

}  // namespace
}  // namespace basalt::storage
