#include "storage/parts/deletes.h"

#include <gmock/gmock.h>

#include "tests/storage/parts/parts_fixture.h"

namespace basalt::storage {

static bool operator==(const TimeRange& a, const TimeRange& b) {
  return a.min_ms == b.min_ms && a.max_ms == b.max_ms;
}

namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr PartitionId kPartition{1};
constexpr int64_t kBegin = kDay * kMsPerDay;

class DeletesTest : public PartsFixture {
 protected:
  void SetUp() override {
    Open();
    masks_ = DeleteMasks::Open(*database_).value();
  }
  static DeleteMask Mask(uint64_t seq, TimeRange range, std::vector<uint32_t> ordinals) {
    DeleteMask mask;
    mask.partition = kPartition;
    mask.position = {0, seq};
    mask.range = range;
    for (const uint32_t o : ordinals) mask.ordinals.push_back(SeriesOrdinal{o});
    return mask;
  }
  // Saves into a commit that changes nothing else.
  void Save(uint64_t head_from) {
    RunCommit commit;
    masks_->Save(*store_->Snapshot(), {0, head_from}, commit.extra);
    ASSERT_TRUE(store_->Commit(std::move(commit)).ok());
    masks_->Saved();
  }
  std::vector<TimeRange> MasksOf(uint64_t applied, uint32_t ordinal) {
    std::vector<TimeRange> out;
    masks_->Snapshot(kPartition)->AppendMasks(LogPosition{0, applied}, SeriesOrdinal{ordinal}, out);
    return out;
  }
  std::unique_ptr<DeleteMasks> masks_;
};

TEST_F(DeletesTest, MaskOnlyWhatLiesBeforeThemAndOnlyTheirSeries) {
  masks_->Add(Mask(20, {5, 9}, {1, 3}));
  masks_->Add(Mask(10, {1, 2}, {3}));
  EXPECT_THAT(MasksOf(5, 3), ElementsAre(TimeRange{1, 2}, TimeRange{5, 9}));
  EXPECT_THAT(MasksOf(10, 3), ElementsAre(TimeRange{5, 9}));
  EXPECT_THAT(MasksOf(20, 3), IsEmpty());
  EXPECT_THAT(MasksOf(5, 1), ElementsAre(TimeRange{5, 9}));
  EXPECT_THAT(MasksOf(5, 2), IsEmpty());
  EXPECT_TRUE(masks_->Snapshot(PartitionId{2})->empty());
  EXPECT_EQ(masks_->Snapshot(kPartition)->newest(), (LogPosition{0, 20}));
}

TEST_F(DeletesTest, SpareRunsOutsideTheirRangeOrAfterThem) {
  masks_->Add(Mask(20, {kBegin + 100, kBegin + 200}, {1}));
  const auto snapshot = masks_->Snapshot(kPartition);
  RunInfo run;
  run.partition = kPartition;
  run.min_ms = kBegin;
  run.max_ms = kBegin + 100;
  run.deletes_applied = {0, 19};
  EXPECT_FALSE(snapshot->Spares(run));
  run.max_ms = kBegin + 99;
  EXPECT_TRUE(snapshot->Spares(run));
  run.max_ms = kBegin + 100;
  run.deletes_applied = {0, 20};
  EXPECT_TRUE(snapshot->Spares(run));
}

TEST_F(DeletesTest, TheSameRecordTwiceIsOneMask) {
  masks_->Add(Mask(20, {5, 9}, {1}));
  masks_->Add(Mask(20, {5, 9}, {1}));
  EXPECT_EQ(masks_->Snapshot(kPartition)->masks().size(), 1u);
}

TEST_F(DeletesTest, SurviveAReopenOnceSaved) {
  CommitRun("A", kDay, 10);
  masks_->Add(Mask(20, {kBegin, kBegin + 5}, {1, 70'000, 3'000'000'000}));
  Save(21);
  masks_ = DeleteMasks::Open(*database_).value();
  EXPECT_THAT(MasksOf(5, 3'000'000'000), ElementsAre(TimeRange{kBegin, kBegin + 5}));
  EXPECT_THAT(MasksOf(5, 70'000), ElementsAre(TimeRange{kBegin, kBegin + 5}));
}

TEST_F(DeletesTest, StayWhileARunOrTheHeadNeedsThemAndVanishThen) {
  const uint32_t a = CommitRun("A", kDay, 10);
  masks_->Add(Mask(20, {kBegin, kBegin + 5}, {1}));
  Save(21);  // run A is older than the delete
  EXPECT_EQ(masks_->Snapshot(kPartition)->masks().size(), 1u);
  RunCommit rewrite;
  rewrite.dropped = {a};
  rewrite.added.push_back(MakeRun(*store_, "B", kDay, 25));  // has it carried out
  ASSERT_TRUE(store_->Commit(std::move(rewrite)).ok());
  Save(20);  // the head may still hold samples from before it
  EXPECT_EQ(masks_->Snapshot(kPartition)->masks().size(), 1u);
  Save(21);
  EXPECT_TRUE(masks_->Snapshot(kPartition)->empty());
  EXPECT_TRUE(DeleteMasks::Open(*database_).value()->Snapshot(kPartition)->empty());
}

TEST_F(DeletesTest, ACommitThatFailedIsMadeUpByTheNext) {
  CommitRun("A", kDay, 10);
  masks_->Add(Mask(20, {kBegin, kBegin + 5}, {1}));
  WriteBatch lost;
  masks_->Save(*store_->Snapshot(), {0, 21}, lost);
  Save(21);
  EXPECT_EQ(DeleteMasks::Open(*database_).value()->Snapshot(kPartition)->masks().size(), 1u);
}

}  // namespace
}  // namespace basalt::storage
