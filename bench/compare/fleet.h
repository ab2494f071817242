// bench/compare/fleet.h -- any number of targets made out of one recording.
//
// Host n has one target a job, with that job's recorded series and `job` and `instance` labels.
// How the 900 recorded rows become any length of time, the same for the same seed:
//   - every target starts at a row of its own and walks at the speed of its scrape interval;
//   - at the end it walks back, and so on: nothing jumps. A lap has 899 steps, so that at 15 s it
//     takes 30 laps (7.5 h) until the same rows come in the same order again;
//   - counters add up what they grew by on every lap, forwards or backwards, so that they stay
//     monotone, buckets stay cumulative, and integers (and decimals) stay what they are;
//   - a target's scrapes have an offset of its own inside the interval and 0-4 ms of jitter;
//   - what was absent from a recorded scrape is absent; no staleness markers are added.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/compare/recording.h"

namespace basalt::bench {

struct FleetOptions {
  size_t series = 4318;  // whole hosts, then whole targets; the last target is cut to fit
  uint64_t seed = 1;
  int64_t start_ms = 0;  // of scrape 0, before offset and jitter
  int64_t interval_ms = 15'000;
};

struct Target {
  size_t first_series = 0;  // of the fleet
  size_t series = 0;
  size_t first_recorded = 0;  // of the recording
  uint64_t origin_row = 0;
  int64_t offset_ms = 0;  // 0..interval
};

// Read-only once made; thread-safe.
class Fleet {
 public:
  Fleet(const Recording& recording, const FleetOptions& options);

  // In the order in which they are scraped: by offset.
  [[nodiscard]] const std::vector<Target>& targets() const { return targets_; }
  [[nodiscard]] size_t series_count() const { return recorded_of_.size(); }
  // Made on demand: millions of them would be gigabytes.
  [[nodiscard]] Labels labels(size_t series) const;
  [[nodiscard]] const std::string& type(size_t series) const;

  [[nodiscard]] int64_t TimeMs(const Target& target, int64_t scrape) const;
  // NaN: absent.
  [[nodiscard]] double Value(const Target& target, size_t series, int64_t scrape) const;

 private:
  // A recorded series, ready to be continued: in units of 10^-decimals if all its values are such.
  struct Shape {
    std::vector<double> values;  // gaps filled
    std::vector<bool> absent;    // empty: never
    bool counter = false;
    double scale = 1;  // 10^decimals
  };

  const Recording& recording_;
  FleetOptions options_;
  std::vector<Shape> shapes_;
  std::vector<Target> targets_;
  std::vector<uint32_t> recorded_of_;  // by series
  std::vector<uint32_t> host_of_;
};

}  // namespace basalt::bench
