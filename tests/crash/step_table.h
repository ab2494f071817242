// tests/crash/step_table.h -- which steps of the store were under way when it was stopped, counted.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <string>

#include "storage/store.h"

namespace basalt::testing {

// The store's steps, and a backup of a checkpoint of it.
inline constexpr size_t kCrashSteps = static_cast<size_t>(storage::StoreStep::kCheckpoint) + 2;
inline constexpr size_t kBackupStep = kCrashSteps - 1;
inline constexpr std::array<const char*, kCrashSteps> kStepNames = {
    "seal",    "ingest", "index flush", "meta commit", "trim",
    "rewrite", "delete", "retention",   "checkpoint",  "backup"};

// The long form of kill_test interrupts each step at least so often.
inline constexpr uint64_t kLeastInterrupted = 20;

struct StepTable {
  std::array<uint64_t, kCrashSteps> interrupted{};

  [[nodiscard]] std::string Text() const {
    std::string out = "interrupted while it was under way:";
    for (size_t i = 0; i < kCrashSteps; ++i) {
      out +=
          (i == 0 ? " " : ", ") + std::string(kStepNames[i]) + " " + std::to_string(interrupted[i]);
    }
    return out;
  }
  // The one of the first `steps` that was interrupted least.
  [[nodiscard]] size_t Rarest(size_t steps = kCrashSteps) const {
    size_t rarest = 0;
    for (size_t i = 1; i < steps; ++i) {
      if (interrupted[i] < interrupted[rarest]) rarest = i;
    }
    return rarest;
  }
};

}  // namespace basalt::testing
