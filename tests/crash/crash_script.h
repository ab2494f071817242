// tests/crash/crash_script.h -- what a writer does in a round before it is stopped, and what may be
// found afterwards.
//
// A writer has series of its own and waits for each answer before it goes on. So after a crash its
// series must hold exactly what its acknowledged operations made of them, or that and the one
// operation that was under way.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <variant>
#include <vector>

#include "storage/store.h"
#include "tests/storage/store_model.h"

namespace basalt::testing {

struct CrashDelete {
  storage::MatcherSet matchers;
  storage::TimeRange range;
};
using CrashOperation = std::variant<std::vector<storage::ModelWrite>, CrashDelete>;

// The operations of one writer in one round; the same for the same numbers in any process.
class CrashScript {
 public:
  CrashScript(uint64_t seed, uint64_t round, int writer);
  CrashOperation Next();

 private:
  const int writer_;
  storage::Workload work_;
  std::deque<std::vector<storage::ModelWrite>> queue_;
};

inline constexpr int kCrashWriters = 3;

storage::StoreOptions CrashOptions(const std::string& directory);

// A sample older than CrashOptions' retention, in a series of its own that no ledger knows: so that
// retention always has something to drop. `i`: any number that rises.
Status WriteWhatRetentionDrops(storage::Store& store, int i);

// Carries it out, waiting. An error: the store refused.
Status Carry(storage::Store& store, const CrashOperation& operation);
void ApplyTo(storage::ModelState& state, const CrashOperation& operation);

// What each writer's series hold for certain, over the rounds.
class CrashLedger {
 public:
  explicit CrashLedger(uint64_t seed) : seed_(seed), states_(kCrashWriters) {}

  struct Progress {
    uint64_t attempted = 0;
    uint64_t acknowledged = 0;
  };
  // Compares what the store holds with what a round's progress allows, and takes over what it found
  // to have happened.
  // "" or what is wrong.
  std::string Check(const storage::Store& store, uint64_t round,
                    const std::vector<Progress>& progress);
  // The same state again, with nothing in between.
  std::string CheckUnchanged(const storage::Store& store) const;

 private:
  const uint64_t seed_;
  std::vector<storage::ModelState> states_;  // by writer
};

}  // namespace basalt::testing
