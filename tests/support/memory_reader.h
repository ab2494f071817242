// tests/support/memory_reader.h -- storage::Reader over series that a test writes down.
//
//   MemoryReader reader(/*partitions=*/4);
//   reader.Series({{"__name__", "up"}, {"job", "a"}}).Every(15s, {1, 1, 0});
//   auto snapshot = *reader.TakeSnapshot();
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/time.h"
#include "storage/reader.h"

namespace basalt::testing {

// What one series holds. Times rise strictly in each column, and no time is in both.
struct MemorySeries {
  TenantId tenant = kDefaultTenant;
  Labels labels;
  std::vector<int64_t> time_ms;
  std::vector<double> values;
  std::vector<int64_t> start_ms;  // empty, or as long as time_ms
  std::vector<storage::HistogramPoint> histograms;
  std::vector<storage::ExemplarPoint> exemplars;
};

// Appends to one series; every call returns the builder. Out-of-order times stop the test
// (BASALT_CHECK).
class MemorySeriesBuilder {
 public:
  explicit MemorySeriesBuilder(MemorySeries& series) : series_(series) {}
  MemorySeriesBuilder& At(int64_t time_ms, double value,
                          std::optional<int64_t> start_ms = std::nullopt);
  // `values` at from, from + step, ...
  MemorySeriesBuilder& Every(Duration step, const std::vector<double>& values, int64_t from_ms = 0);
  MemorySeriesBuilder& HistogramAt(int64_t time_ms, NativeHistogram histogram,
                                   int64_t start_ms = storage::kNoStartMs);
  MemorySeriesBuilder& ExemplarAt(int64_t time_ms, double value, Labels labels);

 private:
  MemorySeries& series_;
};

// Series lie in partitions by a hash of their labels without __name__, le and quantile, in the
// order in which they were first named. One thread builds; snapshots are copies, so building may go
// on while they are read.
class MemoryReader final : public storage::Reader {
 public:
  explicit MemoryReader(uint32_t partitions = 1);
  ~MemoryReader() override;

  // The series with these labels, made if it is new.
  MemorySeriesBuilder Series(const Labels& labels, TenantId tenant = kDefaultTenant);
  // The same in a partition of the test's choice; the series must be new.
  MemorySeriesBuilder SeriesIn(PartitionId partition, const Labels& labels,
                               TenantId tenant = kDefaultTenant);
  void AddMetadata(storage::MetadataEntry entry);
  void AddWarning(std::string warning);
  void Clear();

  [[nodiscard]] uint32_t partition_count() const override { return partitions_; }
  Result<std::shared_ptr<const storage::Snapshot>> TakeSnapshot(
      std::optional<LogPosition> at_least = std::nullopt, Duration timeout = {}) const override;

  // The bits of Prometheus' stale marker.
  static double Stale();

 private:
  struct State;
  class MemorySnapshot;
  class MemorySelection;
  class MemoryCursor;

  const uint32_t partitions_;
  std::unique_ptr<State> state_;
};

}  // namespace basalt::testing
