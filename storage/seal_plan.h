// storage/seal_plan.h -- which partition is sealed next, and why: a decision from numbers alone.
// Private to storage/*.cc.
//
// Triggers shape bytes, never answers (DESIGN). What they aim at: rows as long as seal_samples,
// memory and log inside their budgets, and never all partitions at once. While all heads together
// are small, rows grow to several times seal_samples (`FullLayers`): fewer and larger copies are
// written (docs/0001-seal-depth.md). Otherwise partitions take turns by *phases*: the first seal of
// partition p after open is due when its rows are p/P full, so that from then on the partitions
// come due one after another, the head holds half of what it could, and the log and the disk see P
// small seals instead of one burst.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "storage/head/partition_head.h"

namespace basalt::storage {

// A partition's head.
struct PartitionFill {
  HeadStats head;
  std::optional<uint64_t> oldest_seq;  // that its samples need for replay
  bool phased = false;                 // has been sealed since open
  bool patience_over = false;          // has had full groups for kFullGroupPatience
};

struct SealLimits {
  uint32_t seal_samples = 120;
  uint64_t head_samples = 0;     // FullLayers
  size_t head_budget_bytes = 0;  // HeadStats::sample_bytes of all partitions
  size_t log_budget_bytes = 0;
};

struct LogFill {
  uint64_t bytes = 0;
  uint64_t segments = 0;
  uint64_t first_seq = 1;
  uint64_t head_seq = 0;
  uint64_t old_seq = 0;         // records up to this one are older than seal_age; 0: none
  uint64_t nearly_old_seq = 0;  // the same for kNearlyOld of it
};

enum class SealReason : uint8_t { kHeadBudget, kLogBudget, kAge, kFull, kPhase };
std::string_view SealReasonName(SealReason reason);

struct SealOrder {
  size_t partition = 0;
  SealWish wish;
  SealReason reason = SealReason::kFull;
};

// Full groups wait this long for others to fill, so that a seal makes few big runs.
inline constexpr std::chrono::minutes kFullGroupPatience(5);
// A group is full when it has at most so many full layers: rows of 480 samples, which are the two
// hours of seal_age at a scrape every 15 s. Longer ones gain little, and would wait in vain.
inline constexpr uint32_t kMostFullLayers = HeadStats::kCountedLayers;
// What is older than this share of seal_age goes along when something of its partition is too old,
// so that groups which were sealed together stay together.
inline constexpr double kNearlyOld = 0.75;
// A phase is not worth rows shorter than this share of seal_samples...
inline constexpr uint32_t kShortestPhase = 4;
// ... nor any at all when rows are shorter than this.
inline constexpr uint32_t kMinPhasedSamples = 32;
// A seal for the head's budget gives back at least this share of it; otherwise it would only chop
// rows up.
inline constexpr size_t kLeastRelief = 64;

// How many layers of `seal_samples` each a group fills before it is full, so that all partitions
// together hold about `head_samples` samples at most then: 1..kMostFullLayers.
uint32_t FullLayers(std::span<const PartitionFill> partitions, const SealLimits& limits);

// The most urgent of what is due; nullopt if nothing is. The caller carries it out and asks again
// with new numbers.
std::optional<SealOrder> NextSeal(std::span<const PartitionFill> partitions, const LogFill& log,
                                  const SealLimits& limits);

}  // namespace basalt::storage
