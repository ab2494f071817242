// What a process killed between two steps of a commit leaves behind. The hook copies the directory
// as it stands at that moment: everything written, nothing closed.
#include <gmock/gmock.h>

#include <filesystem>

#include "storage/index/index.h"
#include "storage/parts/index_source.h"
#include "storage/parts/meta_keys.h"
#include "storage/resolver.h"
#include "tests/storage/parts/parts_fixture.h"

namespace basalt::storage {
namespace {

using testing::ElementsAre;

class CommitCrash : public PartsFixture, public testing::WithParamInterface<CommitStep> {
 protected:
  static void Insert(PartitionIndex& index, const std::string& job) {
    std::string canonical;
    AppendCanonical(Labels{{"__name__", "up"}, {"job", job}}, canonical);
    const auto ordinal =
        index.Insert(kDefaultTenant, MakeSeriesId(kDefaultTenant, canonical), canonical).value();
    index.MarkActive(ordinal, kDay);
  }
  // The second commit: two runs for one, a new series, everything else moved on.
  static RunCommit Second(RunStore& store, PartitionIndex& index) {
    Insert(index, "second");
    RunCommit commit;
    commit.added.push_back(MakeRun(store, "B", kDay, 20));
    commit.added.push_back(MakeRun(store, "C", kDay + 1, 20));
    commit.dropped = {store.Snapshot()->runs()[0]->info().number};
    commit.replay_from = {{0, 21}};
    commit.index.push_back(index.PrepareFlush());
    commit.writers = {{{7, 7}, 2}};
    commit.extra.Put(Family::kExemplars, "key", "second");
    return commit;
  }
};

TEST_P(CommitCrash, LosesNothingAndDoublesNothing) {
  Open();
  PartitionIndex index{PartitionId{1}};
  Insert(index, "first");
  RunCommit first;
  first.added.push_back(MakeRun(*store_, "A", kDay, 10));
  first.replay_from = {{0, 11}};
  first.index.push_back(index.PrepareFlush());
  first.writers = {{{7, 7}, 1}};
  first.extra.Put(Family::kExemplars, "key", "first");
  const IndexFlush first_flush = first.index[0];
  ASSERT_TRUE(store_->Commit(std::move(first)).ok());
  index.FlushCommitted(first_flush);

  const std::string copy = root_ + "/crashed";
  store_->SetCommitHook([&](CommitStep step) {
    if (step == GetParam())
      std::filesystem::copy(directory_, copy, std::filesystem::copy_options::recursive);
  });
  ASSERT_TRUE(store_->Commit(Second(*store_, index)).ok());

  const bool committed = GetParam() >= CommitStep::kCommitted;
  auto database = Database::Open(Options(copy)).value();
  auto store = RunStore::Open(*database).value();
  EXPECT_EQ(FilesIn(copy + "/incoming"), 0u);
  const bool orphans =
      GetParam() == CommitStep::kIngested || GetParam() == CommitStep::kIndexFlushed;
  EXPECT_EQ(store->Stats().orphans_removed, orphans                                ? 2u
                                            : GetParam() == CommitStep::kCommitted ? 1u
                                                                                   : 0u);
  ASSERT_TRUE(store->CollectGarbage().ok());
  EXPECT_EQ(BlockFiles(*database), committed ? 2u : 1u);
  const auto expect = [&](bool second) {
    EXPECT_EQ(Tags(*store),
              second ? (std::vector<std::string>{"B", "C"}) : std::vector<std::string>{"A"});
    EXPECT_THAT(store->ReplayFrom(), ElementsAre(LogPosition{0, second ? 21u : 11u}));
    EXPECT_EQ(store->Counts(PartitionId{1}).series, second ? 2u : 1u);
    EXPECT_EQ(store->Writers().value()[0].second, second ? 2u : 1u);
    EXPECT_EQ(database->Get(Family::kExemplars, "key").value(), second ? "second" : "first");
    PartitionIndex loaded{PartitionId{1}};
    ASSERT_TRUE(loaded.Load(*MakeIndexSource(*database), store->Counts(PartitionId{1})).ok());
    EXPECT_EQ(loaded.Stats().series, second ? 2u : 1u);
    EXPECT_EQ(loaded.ActiveCount({0, INT64_MAX}), second ? 2u : 1u);
  };
  expect(committed);
  if (committed) return;

  // Replay brings the same again; now it goes through, and a further open finds it whole.
  PartitionIndex replayed{PartitionId{1}};
  ASSERT_TRUE(replayed.Load(*MakeIndexSource(*database), store->Counts(PartitionId{1})).ok());
  ASSERT_TRUE(store->Commit(Second(*store, replayed)).ok());
  expect(true);
  store.reset();
  database.reset();
  database = Database::Open(Options(copy)).value();
  store = RunStore::Open(*database).value();
  EXPECT_EQ(store->Stats().orphans_removed, 0u);
  EXPECT_EQ(BlockFiles(*database), 2u);
  expect(true);
}

INSTANTIATE_TEST_SUITE_P(EveryStep, CommitCrash,
                         testing::Values(CommitStep::kWritten, CommitStep::kIngested,
                                         CommitStep::kIndexFlushed, CommitStep::kCommitted,
                                         CommitStep::kCollected),
                         [](const auto& tested) {
                           return "step_" + std::to_string(static_cast<int>(tested.param));
                         });

}  // namespace
}  // namespace basalt::storage
