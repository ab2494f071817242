// tests/storage/store_model.h -- what a store should hold, kept in the plainest way, and how to
// find out what it holds.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/labels.h"
#include "storage/reader.h"
#include "storage/resolver.h"
#include "storage/store.h"
#include "tests/support/temporary_directory.h"

namespace basalt::storage {

// One sample, comparable by bits.
struct ModelSample {
  uint64_t bits = 0;      // a float
  std::string histogram;  // its encoding, if it is one
  int64_t start_ms = kNoStartMs;
  friend bool operator==(const ModelSample&, const ModelSample&) = default;
};
std::ostream& operator<<(std::ostream& out, const ModelSample& sample);

using ModelSeries = std::map<int64_t, ModelSample>;
using ModelState = std::map<Labels, ModelSeries>;

std::string HistogramBytes(const NativeHistogram& histogram);
// A valid integer histogram that `seed` decides.
NativeHistogram MakeHistogram(uint64_t seed);

// One sample on its way in.
struct ModelWrite {
  Labels labels;
  int64_t time_ms = 0;
  double value = 0;
  int64_t start_ms = kNoStartMs;
  bool is_histogram = false;
  uint64_t histogram_seed = 0;
};
void ApplyTo(ModelState& state, const ModelWrite& write);
// Deletes where every matcher (kEqual or kNotEqual only) holds.
void DeleteFrom(ModelState& state, const MatcherSet& matchers, TimeRange range);

// The batches of one request, through the resolver, as a decoder makes them.
std::vector<IngestBatch> MakeBatches(Store& store, const std::vector<ModelWrite>& writes,
                                     WriterSequence writer = {});

// Everything of the default tenant in the range; series without samples are left out.
Result<ModelState> ReadState(const Snapshot& snapshot, TimeRange range = {});
ModelState Clipped(const ModelState& state, TimeRange range);
// "" if equal; otherwise the first difference, in words.
std::string Difference(const ModelState& expected, const ModelState& found);

// The wall and the monotonic clock in one hand.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(int64_t now_ms) : now_ms_(now_ms) {}
  [[nodiscard]] Timestamp Now() const override { return FromMs(now_ms_); }
  [[nodiscard]] std::chrono::nanoseconds Monotonic() const override { return Duration(now_ms_); }
  void Advance(Duration by) { now_ms_ += by.count(); }

 private:
  std::atomic<int64_t> now_ms_;
};

// Random work on a few targets: scrapes in shards, gaps, late, repeated and overwriting samples,
// histograms, stale markers, start times. The seed decides everything.
class Workload {
 public:
  Workload(uint64_t seed, int64_t begin_ms) : random_(seed), now_ms_(begin_ms) {}

  // The next requests, in the order in which they must be sent.
  std::vector<std::vector<ModelWrite>> NextRequests();
  // Something to delete.
  MatcherSet RandomMatchers();
  TimeRange RandomRange();
  uint64_t Random(uint64_t below) {
    return std::uniform_int_distribution<uint64_t>(0, below - 1)(random_);
  }
  [[nodiscard]] int64_t now_ms() const { return now_ms_; }
  // Time goes by without samples.
  void Advance(Duration by) { now_ms_ += by.count(); }

 private:
  ModelWrite NextOf(int target, int series, int64_t time_ms);
  double RandomValue(int series);

  std::mt19937_64 random_;
  int64_t now_ms_;
  std::map<std::pair<int, int>, double> last_;
  std::vector<std::vector<ModelWrite>> sent_;  // a few, to be repeated
};

// BASALT_TEST_SEED fixes the first seed, BASALT_TEST_ROUNDS how many there are (`rounds`
// otherwise).
std::vector<uint64_t> TestSeeds(size_t rounds);

}  // namespace basalt::storage
