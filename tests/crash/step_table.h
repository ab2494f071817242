// tests/crash/step_table.h -- which steps of the store were under way when it was stopped, counted.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "storage/store_step.h"

namespace basalt::testing {

// The store's steps, and a backup of a checkpoint of it.
inline constexpr size_t kBackupStep = storage::kStoreSteps;
inline constexpr size_t kCrashSteps = kBackupStep + 1;

// The long forms of kill_test and power_cut_test interrupt each step at least so often.
inline constexpr uint64_t kLeastInterrupted = 20;

struct StepTable {
  std::array<uint64_t, kCrashSteps> interrupted{};

  [[nodiscard]] std::string Text() const {
    std::string out = "interrupted while it was under way:";
    for (size_t i = 0; i < kCrashSteps; ++i) {
      const std::string_view name = i == kBackupStep ? "backup" : storage::kStoreStepNames[i];
      out += (i == 0 ? " " : ", ") + std::string(name) + " " + std::to_string(interrupted[i]);
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
