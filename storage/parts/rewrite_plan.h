// storage/parts/rewrite_plan.h -- which runs are due to be rewritten. Pure; the rewriting itself is
// in rewrite.h, the reasons in docs/0002-rewrite.md.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "engine/base/ids.h"
#include "storage/parts/runs.h"
#include "storage/reader.h"

namespace basalt::storage {

// While a day is open, this many sealed runs are merged into one: rows of 120 samples then become
// rows of 1920, which no later merge needs to touch.
inline constexpr size_t kOpenDayRuns = 16;
// What comes late for a closed day waits until there are so many runs of it, or until it is this
// share of the day.
inline constexpr size_t kLateRuns = 4;
inline constexpr uint64_t kLateShare = 8;
// Runs whose rows are this long on average are not merged again for the sake of what comes late.
// 480 is what a head with room seals at 15 s (storage/seal_plan.h), less what series that come and
// go cost.
inline constexpr uint64_t kLongRowSamples = 448;

enum class RewriteReason : uint8_t { kMerge, kPurge, kRetention };

// One rewrite of one partition and day.
struct RewriteTask {
  PartitionId partition{0};
  uint16_t day = 0;
  std::vector<uint32_t> runs = {};  // of samples; neighbours in precedence
  // False: `runs` stay, and only rollups are made of them.
  bool write_raw = true;
  bool only_filter = false;                      // `write_raw` for retention's sake alone
  std::vector<uint32_t> rollups = {};            // to be replaced
  std::array<bool, kResolutionCount> make = {};  // rollups to be made; [0] is not used
  uint64_t shape = 0;                            // what the new runs will be as
  RewriteReason reason = RewriteReason::kMerge;
};

// What retention says of a day, all series taken together.
struct DayShape {
  uint64_t shape = 0;  // over all resolutions; 0: every sample and no rollup
  bool raw_filtered = false;
  std::array<bool, kResolutionCount> rollups = {};  // whether any series has them
};

struct RewritePolicy {
  // Days before this one are closed.
  uint16_t closed_before = 0;
  // Everything that is not yet one run a day is due (settle).
  bool all = false;
  std::function<DayShape(uint16_t day)> shape = {};  // null: every sample, no rollup
  std::function<bool(const RunInfo& run)> must_go =
      {};  // a delete in it has waited long enough; null: none
};

// What is due, oldest day first; one task at most for a partition and day.
std::vector<RewriteTask> PlanRewrites(const RunsSnapshot& runs, const RewritePolicy& policy);

}  // namespace basalt::storage
