// storage/store_step.h -- the steps in the middle of which a test may stop the store.
//
// This is the whole list. kill_test stops a process in each of them and counts how often
// (tests/crash/step_table.h); power_cut_test cuts the power in each. A step that does work for
// another is told with that work: the ingestion of a purge is another place than that of a seal.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace basalt::storage {

enum class StoreStep : uint8_t {
  kSeal,        // all of it: freeze, write, the steps of a commit, drop, trim
  kIngest,      // of a commit: files that are written enter the database
  kIndexFlush,  // then the index blocks are written, not synced
  kMetaCommit,  // then the one synced batch that makes it so
  kCollect,     // then files that nobody needs any more are removed
  kTrim,        // segments of the log are unlinked
  kRewrite,     // all of it: read, write, the steps of a commit
  kDelete,      // from before the log until it is applied
  kRetention,   // days are dropped: the steps of a commit
  kReceipt,     // receipts of deletes that are carried out are written; once a tick
  kCheckpoint,  // database and log are linked
};
inline constexpr std::array<std::string_view, 11> kStoreStepNames = {
    "seal",    "ingest", "index flush", "meta commit", "collect",   "trim",
    "rewrite", "delete", "retention",   "receipt",     "checkpoint"};
inline constexpr size_t kStoreSteps = kStoreStepNames.size();
static_assert(kStoreSteps == static_cast<size_t>(StoreStep::kCheckpoint) + 1);

// On whose behalf.
enum class StoreWork : uint8_t { kOther, kSeal, kRewrite, kPurge, kRollup, kRetention };
inline constexpr std::array<std::string_view, 6> kStoreWorkNames = {"other", "seal",   "rewrite",
                                                                    "purge", "rollup", "retention"};
static_assert(kStoreWorkNames.size() == static_cast<size_t>(StoreWork::kRetention) + 1);

// A step of a commit that fails begins and does not end.
struct StepEvent {
  StoreStep step = StoreStep::kSeal;
  bool begins = false;
  StoreWork work = StoreWork::kOther;

  friend bool operator==(const StepEvent&, const StepEvent&) = default;
};
// "purge: ingest ends".
inline std::string ToString(const StepEvent& event) {
  return std::string(kStoreWorkNames[static_cast<size_t>(event.work)]) + ": " +
         std::string(kStoreStepNames[static_cast<size_t>(event.step)]) +
         (event.begins ? " begins" : " ends");
}

// Called on the thread that does the work, which waits.
using StepHook = std::function<void(const StepEvent&)>;

}  // namespace basalt::storage
