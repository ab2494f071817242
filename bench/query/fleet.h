// bench/query/fleet.h -- the metrics that the query benchmark asks about: a fleet of services for
// two hours, and the counters of their SLOs for three days.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "engine/base/labels.h"

namespace basalt::bench {

struct FleetOptions {
  size_t jobs = 10;
  size_t instances_per_job = 10;  // each with about 290 series
  size_t slo_jobs = 50;           // each with 10 instances x 2 codes
  uint64_t seed = 1;
};

// Series of one kind that move together, step by step. One thread. Deterministic in its options.
//
// Counters rise by integers; every twentieth target restarts half way, so some counters reset.
// Buckets are cumulative over `le`. Gauges walk, with two decimals.
class Fleet {
 public:
  // Labels of everything; indexes are those of `Values`.
  [[nodiscard]] static Fleet Services(const FleetOptions& options);
  [[nodiscard]] static Fleet SloCounters(const FleetOptions& options);

  [[nodiscard]] std::span<const Labels> series() const { return labels_; }
  // Goes one step on. `restart`: the targets that restart do so now.
  void Step(bool restart);
  [[nodiscard]] std::span<const double> values() const { return values_; }

 private:
  enum class Kind : uint8_t { kConstant, kCounter, kGauge, kBucket, kSum, kCount };
  struct Shape {
    Kind kind = Kind::kConstant;
    bool restarts = false;
    double pace = 0;  // counters: mean rise a step; gauges: size of a move
  };

  explicit Fleet(uint64_t seed) : random_(seed) {}
  void Add(Labels labels, Kind kind, bool restarts, double pace, double start);
  void AddTarget(const std::string& job, const std::string& instance, size_t number);
  [[nodiscard]] double Draw() { return static_cast<double>(random_() >> 11) * 0x1p-53; }

  std::mt19937_64 random_;
  std::vector<Labels> labels_;
  std::vector<Shape> shapes_;
  std::vector<double> values_;
};

}  // namespace basalt::bench
