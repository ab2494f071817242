#include "storage/seal_plan.h"

#include <gtest/gtest.h>

#include <vector>

namespace basalt::storage {
namespace {

constexpr SealLimits kLimits{
    .seal_samples = 120, .head_budget_bytes = 64u << 20, .log_budget_bytes = 64u << 20};

PartitionFill Fill(uint64_t samples_a_series) {
  PartitionFill fill;
  fill.head.filled_series = 1000;
  fill.head.groups_filled = 10;
  fill.head.samples = samples_a_series * 1000;
  fill.head.sample_bytes = fill.head.samples;
  fill.oldest_seq = 1;
  fill.phased = true;
  return fill;
}

TEST(SealPlan, NothingIsDueWhileRowsFillInsideTheBudgets) {
  const std::vector<PartitionFill> partitions(4, Fill(119));
  EXPECT_FALSE(NextSeal(partitions, {.head_seq = 100}, kLimits).has_value());
  EXPECT_FALSE(NextSeal({}, {}, kLimits).has_value());
}

TEST(SealPlan, AFirstSealIsDueByPhaseSoThatPartitionsTakeTurns) {
  std::vector<PartitionFill> partitions(4, Fill(0));
  for (PartitionFill& fill : partitions) fill.phased = false;
  std::vector<uint64_t> sealed_at(4);
  for (uint64_t scrape = 1; scrape < 120; ++scrape) {
    for (PartitionFill& fill : partitions) fill.head.samples += 1000;
    size_t sealed = 0;
    while (const auto order = NextSeal(partitions, {}, kLimits)) {
      EXPECT_EQ(order->reason, SealReason::kPhase);
      EXPECT_TRUE(order->wish.everything);
      sealed_at[order->partition] = scrape;
      partitions[order->partition].head.samples = 0;
      partitions[order->partition].phased = true;
      ++sealed;
    }
    EXPECT_LE(sealed, 1U) << "at scrape " << scrape;
  }
  EXPECT_EQ(sealed_at, (std::vector<uint64_t>{30, 60, 90, 0}));
}

TEST(SealPlan, ShortRowsAreNotPhased) {
  std::vector<PartitionFill> partitions(4, Fill(4));
  for (PartitionFill& fill : partitions) fill.phased = false;
  SealLimits limits = kLimits;
  limits.seal_samples = kMinPhasedSamples - 1;
  EXPECT_FALSE(NextSeal(partitions, {}, limits).has_value());
}

TEST(SealPlan, FullGroupsWaitForHalfOfTheOthersOrForPatience) {
  std::vector<PartitionFill> partitions(2, Fill(100));
  partitions[1].head.groups_full[0] = 4;
  EXPECT_FALSE(NextSeal(partitions, {}, kLimits).has_value());
  partitions[1].patience_over = true;
  EXPECT_EQ(NextSeal(partitions, {}, kLimits)->partition, 1U);
  partitions[1].patience_over = false;
  partitions[1].head.groups_full[0] = 5;
  const auto order = NextSeal(partitions, {}, kLimits);
  EXPECT_EQ(order->partition, 1U);
  EXPECT_EQ(order->reason, SealReason::kFull);
  EXPECT_TRUE(order->wish.full && !order->wish.everything);
}

// 4 partitions of 1000 series each: a layer of all of them is 480,000 samples.
SealLimits WithRoomFor(uint64_t head_samples) {
  SealLimits limits = kLimits;
  limits.head_samples = head_samples;
  return limits;
}

TEST(SealPlan, RowsGrowAsLongAsAllHeadsTogetherHaveRoom) {
  const std::vector<PartitionFill> partitions(4, Fill(1));
  EXPECT_EQ(FullLayers(partitions, WithRoomFor(0)), 1U);
  EXPECT_EQ(FullLayers(partitions, WithRoomFor(959'999)), 1U);
  EXPECT_EQ(FullLayers(partitions, WithRoomFor(960'000)), 2U);
  EXPECT_EQ(FullLayers(partitions, WithRoomFor(4 * 480'000)), kMostFullLayers);
  EXPECT_EQ(FullLayers(partitions, WithRoomFor(1'000'000'000)), kMostFullLayers);
  EXPECT_EQ(FullLayers({}, WithRoomFor(0)), 1U);
}

TEST(SealPlan, WithRoomAGroupIsFullWhenItHasSoManyLayersAndNoPartitionIsPhased) {
  std::vector<PartitionFill> partitions(4, Fill(119));
  for (PartitionFill& fill : partitions) fill.phased = false;
  const SealLimits limits = WithRoomFor(2 * 480'000);
  EXPECT_FALSE(NextSeal(partitions, {}, limits).has_value());
  for (PartitionFill& fill : partitions) fill.head.groups_full = {10, 4, 0, 0};
  EXPECT_FALSE(NextSeal(partitions, {}, limits).has_value());
  partitions[2].head.groups_full = {10, 5, 0, 0};
  const auto order = NextSeal(partitions, {}, limits);
  EXPECT_EQ(order->partition, 2U);
  EXPECT_EQ(order->reason, SealReason::kFull);
  EXPECT_EQ(order->wish.full_layers, 2U);
}

TEST(SealPlan, WhatIsNearlyOldGoesAlongWithWhatIsTooOld) {
  std::vector<PartitionFill> partitions(1, Fill(10));
  partitions[0].oldest_seq = 81;
  EXPECT_FALSE(NextSeal(partitions, {.head_seq = 100, .old_seq = 80, .nearly_old_seq = 90}, kLimits)
                   .has_value());
  partitions[0].oldest_seq = 80;
  const auto order =
      NextSeal(partitions, {.head_seq = 100, .old_seq = 80, .nearly_old_seq = 90}, kLimits);
  EXPECT_EQ(order->reason, SealReason::kAge);
  EXPECT_EQ(order->wish.older_than_seq, 91U);
}

TEST(SealPlan, OldSamplesAreSealedAndNewOnesStay) {
  std::vector<PartitionFill> partitions(2, Fill(10));
  partitions[0].oldest_seq = 51;
  partitions[1].oldest_seq = 50;
  const auto order = NextSeal(partitions, {.head_seq = 100, .old_seq = 50}, kLimits);
  EXPECT_EQ(order->partition, 1U);
  EXPECT_EQ(order->reason, SealReason::kAge);
  EXPECT_EQ(order->wish.older_than_seq, 51U);
  EXPECT_FALSE(order->wish.full || order->wish.everything);
}

TEST(SealPlan, AnExceededHeadBudgetTakesTheLargestPartitionUntilItFits) {
  std::vector<PartitionFill> partitions(4, Fill(50));
  partitions[2].head.sample_bytes = 40u << 20;
  partitions[3].head.sample_bytes = 30u << 20;
  const auto order = NextSeal(partitions, {}, kLimits);
  EXPECT_EQ(order->partition, 2U);
  EXPECT_EQ(order->reason, SealReason::kHeadBudget);
  EXPECT_TRUE(order->wish.everything);
  partitions[2].head.sample_bytes = 0;
  EXPECT_FALSE(NextSeal(partitions, {}, kLimits).has_value());
  // One byte more than the budget is over it; the budget itself is not.
  for (PartitionFill& fill : partitions) fill.head.sample_bytes = 16u << 20;
  EXPECT_FALSE(NextSeal(partitions, {}, kLimits).has_value());
  ++partitions[1].head.sample_bytes;
  EXPECT_EQ(NextSeal(partitions, {}, kLimits)->partition, 1U);
}

TEST(SealPlan, ABudgetThatNoSealCanMeetDoesNotChopRowsUp) {
  SealLimits limits = kLimits;
  limits.head_budget_bytes = 1000;
  std::vector<PartitionFill> partitions(128, Fill(1));
  for (PartitionFill& fill : partitions) fill.head.sample_bytes = 1000 / kLeastRelief - 1;
  EXPECT_FALSE(NextSeal(partitions, {}, limits).has_value());
  partitions[7].head.sample_bytes = 1000 / kLeastRelief;
  EXPECT_EQ(NextSeal(partitions, {}, limits)->partition, 7U);
}

TEST(SealPlan, AnExceededLogBudgetTakesWhatPinsItsOlderHalf) {
  std::vector<PartitionFill> partitions(3, Fill(50));
  partitions[0].oldest_seq = 160;
  partitions[1].oldest_seq = 120;
  partitions[2].oldest_seq = 110;
  const LogFill log{.bytes = (64u << 20) + 1, .segments = 3, .first_seq = 100, .head_seq = 199};
  const auto order = NextSeal(partitions, log, kLimits);
  EXPECT_EQ(order->partition, 2U);
  EXPECT_EQ(order->reason, SealReason::kLogBudget);
  EXPECT_EQ(order->wish.older_than_seq, 151U);
  // Nothing of the older half is pinned: sealing would not free a segment.
  partitions[1].oldest_seq = partitions[2].oldest_seq = std::nullopt;
  EXPECT_FALSE(NextSeal(partitions, log, kLimits).has_value());
}

}  // namespace
}  // namespace basalt::storage
