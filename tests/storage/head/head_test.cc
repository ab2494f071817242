#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/head/partition_head.h"
#include "tests/storage/head/head_fixture.h"

namespace basalt::storage {
namespace {

using basalt::testing::HeadTestBatch;
using basalt::testing::Listener;

class HeadTest : public ::testing::Test {
 protected:
  using FullGroups = std::array<uint64_t, HeadStats::kCountedLayers>;

  explicit HeadTest(uint32_t seal_samples = 120) : head_(PartitionId{0}, index_, seal_samples) {}

  ApplyCounts Apply(const std::vector<std::pair<int, int64_t>>& samples) {
    ApplyCounts counts;
    head_.Apply(HeadTestBatch(samples), {.lane = 0, .seq = ++seq_}, counts);
    return counts;
  }
  std::vector<int64_t> Times(uint32_t ordinal) {
    const uint64_t view = head_.OpenView();
    std::vector<SampleColumns> out;
    const std::array<SeriesOrdinal, 1> one{SeriesOrdinal{ordinal}};
    head_.Read(view, one, {}, DeleteSnapshot({}), out);
    head_.CloseView(view);
    return out[0].time_ms;
  }

  PartitionIndex index_{PartitionId{0}};
  PartitionHead head_;
  uint64_t seq_ = 0;
};

TEST_F(HeadTest, AGroupFreezesWhenASeriesIsFullAndNotBefore) {
  for (int i = 0; i < 120; ++i) Apply({{0, i}});
  EXPECT_EQ(head_.Stats().groups_full, (FullGroups{0, 0, 0, 0}));
  Apply({{0, 120}});
  EXPECT_EQ(head_.Stats().groups_full, (FullGroups{1, 0, 0, 0}));
  EXPECT_EQ(Times(0).size(), 121U);
}

TEST_F(HeadTest, AGroupGrowsByLayersUntilASealWantsIt) {
  for (int i = 0; i < 241; ++i) Apply({{0, i}});
  EXPECT_EQ(head_.Stats().groups_full, (FullGroups{1, 1, 0, 0}));
  EXPECT_TRUE(head_.Freeze({.full = true, .full_layers = 3}).groups.empty());
  head_.Drop();
  EXPECT_EQ(Times(0).size(), 241U);
  const FrozenPartition frozen = head_.Freeze({.full = true, .full_layers = 2});
  ASSERT_EQ(frozen.groups.size(), 1U);
  EXPECT_EQ(frozen.samples, 241U);
  SampleColumns samples;
  ReadFrozen(frozen.groups[0], 0, {}, DeleteSnapshot({}), samples);
  std::vector<int64_t> expected(241);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(samples.time_ms, expected);
  head_.Drop();
  EXPECT_TRUE(Times(0).empty());
}

TEST_F(HeadTest, TimesBeyondTheSharedOnesAreTheSamplesOwn) {
  // One series a time, so that no series fills while the list of times does.
  const auto count = static_cast<int>(kMaxSharedTimes) + 50;
  for (int i = 0; i < count; ++i) Apply({{i, 1000 + 7 * i}, {i, 1'000'000 + 11 * i}});
  for (int i = 0; i < count; ++i) {
    EXPECT_EQ(Times(static_cast<uint32_t>(i)),
              (std::vector<int64_t>{1000 + 7 * i, 1'000'000 + 11 * i}));
  }
}

TEST_F(HeadTest, LateListsAreFrozenAtTheirBoundAndLoseNothing) {
  Apply({{0, 1'000'000}});
  for (size_t i = 0; i < kMaxOpenLateSamples - 1; ++i)
    EXPECT_EQ(Apply({{0, static_cast<int64_t>(i)}}).late, 1U);
  EXPECT_EQ(head_.Stats().groups_full, (FullGroups{0, 0, 0, 0}));
  Apply({{0, 5000}});
  EXPECT_EQ(head_.Stats().groups_full, (FullGroups{1, 1, 1, 1})) << "at any depth of rows";
  Apply({{0, 5001}});
  EXPECT_EQ(Times(0).size(), kMaxOpenLateSamples + 2);
}

TEST_F(HeadTest, ALateSampleThatComesTwiceIsToldHoweverManyThereAre) {
  Apply({{0, 1'000'000}, {1, 1'000'000}});
  const int per_series = static_cast<int>(kMaxOpenLateSamples) / 2 - 1;
  for (int i = 0; i < per_series; ++i) {
    const int64_t time_ms = 977 * i;
    EXPECT_EQ(Apply({{0, time_ms}, {1, time_ms}}).late, 2U);
    if (i == per_series / 2) (void)Times(0);  // a reader in between
  }
  for (int i = 0; i < per_series; ++i) {
    const int64_t time_ms = 977 * i;
    const ApplyCounts again = Apply({{0, time_ms}, {1, time_ms}});
    EXPECT_EQ(again.identical, 2U) << i;
    EXPECT_EQ(again.late, 0U) << i;
  }
  EXPECT_EQ(Times(1).size(), static_cast<size_t>(per_series) + 1);
}

TEST_F(HeadTest, IdleSeriesLeaveMemoryAndComeBack) {
  const auto seal = [&] {
    (void)head_.Freeze({.everything = true});
    head_.Drop();
    head_.ForgetIdle();
    return head_.Stats().series;
  };
  Apply({{0, 1}, {1, 1}});
  head_.ForgetIdle();
  EXPECT_EQ(head_.Stats().series, 2U) << "they have samples";
  EXPECT_EQ(seal(), 2U) << "no time has passed";
  Apply({{0, kIdleAfter.count()}});
  EXPECT_EQ(seal(), 2U) << "a millisecond is missing";
  Apply({{0, kIdleAfter.count() + 1}});
  EXPECT_EQ(seal(), 1U);
  EXPECT_EQ(Apply({{1, kIdleAfter.count() + 2}, {0, kIdleAfter.count() + 3}}).created.size(), 0U);
  EXPECT_EQ(Times(1), (std::vector<int64_t>{kIdleAfter.count() + 2}));
  EXPECT_EQ(Times(0), (std::vector<int64_t>{kIdleAfter.count() + 3}));
  EXPECT_EQ(head_.Stats().series, 2U);
  // What is older than what has left memory may be late.
  EXPECT_EQ(Apply({{0, kIdleAfter.count() + 2}}).late, 1U);
}

TEST_F(HeadTest, AFirstSampleIsReportedLateIfRunsMayHaveANewerOne) {
  Apply({{0, 1}});
  (void)head_.Freeze({.everything = true});
  head_.Drop();
  Apply({{1, 1 + kIdleAfter.count()}});
  (void)head_.Freeze({.everything = true});
  head_.Drop();
  head_.ForgetIdle();
  EXPECT_EQ(Apply({{0, 1}}).late, 1U);
  EXPECT_EQ(Apply({{2, 1}}).late, 0U) << "a series that never was before";
  head_.SealedUpTo(5000);
  EXPECT_EQ(Apply({{3, 5000}}).late, 0U);
}

TEST_F(HeadTest, AViewOpenedBeforeASeriesLeftDoesNotSeeItComeBack) {
  Apply({{0, 1}, {1, 1 + kIdleAfter.count()}});
  (void)head_.Freeze({.everything = true});
  head_.Drop();
  const uint64_t view = head_.OpenView();
  head_.ForgetIdle();
  EXPECT_EQ(head_.Stats().series, 1U);
  Apply({{0, 2 + kIdleAfter.count()}});
  std::vector<SampleColumns> out;
  const std::array<SeriesOrdinal, 1> one{SeriesOrdinal{0}};
  head_.Read(view, one, {}, DeleteSnapshot({}), out);
  EXPECT_TRUE(out[0].empty());
  head_.CloseView(view);
}

TEST_F(HeadTest, ASeriesIsGivenUpAfterTwoHoursOfItsPartitionsTime) {
  Listener listener;
  Apply({{0, 0}, {1, 0}, {2, 0}});
  head_.Observe(&listener);
  Apply({{1, kIdleAfter.count() - 1}, {2, 1}});
  listener.said.clear();
  Apply({{1, kIdleAfter.count()}});
  EXPECT_EQ(listener.said, (std::vector<std::string>{"sample 1 7200000"})) << "2 is newer by one";
  Apply({{1, kIdleAfter.count() + kIdleSweep.count()}});
  EXPECT_EQ(listener.said.back(), "gone 2");
  Apply({{2, 5}});
  EXPECT_EQ(listener.said.at(listener.said.size() - 2), "series 2");
  EXPECT_EQ(listener.said.back(), "sample 2 5");
}

TEST_F(HeadTest, ASealThatFailedLeavesEverythingForTheNext) {
  Apply({{0, 1}});
  EXPECT_EQ(head_.OldestSeq(), 1U);
  EXPECT_EQ(head_.Freeze({.everything = true}).samples, 1U);
  EXPECT_EQ(head_.OldestSeq(), std::nullopt);
  Apply({{0, 2}});
  EXPECT_EQ(head_.OldestSeq(), 2U);
  head_.Keep();
  EXPECT_EQ(head_.OldestSeq(), 1U);
  EXPECT_EQ(head_.Freeze({.everything = true}).samples, 2U);
  head_.Drop();
  EXPECT_EQ(head_.Stats().samples, 0U);
  EXPECT_EQ(head_.Stats().sample_bytes, 0U);
}

TEST_F(HeadTest, SeriesThatAreNotTheirIdAreLeftOutWhole) {
  Apply({{0, 1}});
  IngestBatch batch = HeadTestBatch({{1, 5}});
  batch.series[0].ordinal = SeriesOrdinal{0};  // of another id
  batch.series[0].labels_bytes = 0;
  ApplyCounts counts;
  head_.Apply(batch, {.lane = 0, .seq = 2}, counts);
  EXPECT_EQ(counts.series_refused, 1U);
  batch.series[0].ordinal = SeriesOrdinal{7};  // never given
  head_.Apply(batch, {.lane = 0, .seq = 3}, counts);
  EXPECT_EQ(counts.series_refused, 2U);
  EXPECT_EQ(counts.accepted, 0U);
  EXPECT_EQ(Times(0), (std::vector<int64_t>{1}));
}

}  // namespace
}  // namespace basalt::storage
