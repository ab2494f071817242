// tests/support/simulated_day.h -- time sped up through ingest, seal, rewrite and retention: does
// memory stay flat, does a file leak, does the disk hold what the store says?
//
// A fleet of targets with `series_per_target` series is scraped every `interval` of simulated time;
// three of four samples repeat the one before, as recorded scrapes do (design/storage.md 0). Every
// simulated hour is reported. Used by bench/day and, in a small form, by
// tests/storage/retention_test.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "storage/store.h"

namespace basalt::testing {

struct DayOptions {
  std::string directory;  // of the store; must not exist
  uint64_t series = 1'000'000;
  uint64_t series_per_target = 1000;
  uint32_t hours = 24;
  Duration interval = std::chrono::minutes(1);
  uint64_t seed = 1;
  // What a store is opened with but for directory, clock and executors.
  storage::StoreOptions store;
};

struct HourReport {
  uint32_t hour = 0;
  uint64_t samples = 0;         // appended so far
  uint64_t resident_bytes = 0;  // of the process
  uint64_t files = 0;           // in the directory
  uint64_t disk_bytes = 0;      // of those, as the file system counts them
  // Pages that the process has dirtied since the day began, as the kernel counts; 0 on a file
  // system that does not count (tmpfs).
  uint64_t written_bytes = 0;
  storage::StoreStats stats;
};

struct DayReport {
  std::vector<HourReport> hours;
  // After a last Settle: files that the store does not account for (SSTs not live, runs half
  // written, segments trimmed).
  uint64_t leaked_files = 0;
  HourReport settled;
  double seconds = 0;  // wall clock
};

// `on_hour` may be null.
Result<DayReport> RunSimulatedDay(const DayOptions& options,
                                  const std::function<void(const HourReport&)>& on_hour);

}  // namespace basalt::testing
