// tests/engine/slo/fake_store.h -- a store in memory that takes samples in any order, tells an
// observer, and can be read; and a clock that a test moves.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/slo/sample_store.h"

namespace basalt::slo {

// Thread-safe: a store's own threads look at it.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(int64_t now_ms) : now_ms_(now_ms) {}
  [[nodiscard]] Timestamp Now() const override { return FromMs(now_ms_ + wall_offset_ms_); }
  [[nodiscard]] std::chrono::nanoseconds Monotonic() const override {
    return std::chrono::milliseconds(now_ms_.load());
  }
  // The wall clock is this far off from now on; the monotonic one is not.
  void StepWall(int64_t offset_ms) { wall_offset_ms_ = offset_ms; }
  void Set(int64_t now_ms) { now_ms_ = now_ms; }
  void Advance(int64_t ms) { now_ms_ += ms; }
  [[nodiscard]] int64_t now_ms() const { return now_ms_; }

 private:
  std::atomic<int64_t> now_ms_;
  std::atomic<int64_t> wall_offset_ms_ = 0;
};

// One thread. What is written is visible at once, in every snapshot.
class FakeStore final : public SampleStore {
 public:
  struct Point {
    double value = 0;
    int64_t start_ms = storage::kNoStartMs;
  };
  struct Series {
    PartitionId partition{0};
    SeriesOrdinal ordinal{};
    Labels labels;
    std::map<int64_t, Point> points;
    storage::TapId tap = storage::kNoTap;
    bool in_memory = true;
  };

  explicit FakeStore(uint32_t partitions = 2);
  ~FakeStore() override;

  void Write(const Labels& labels, int64_t time_ms, double value,
             int64_t start_ms = storage::kNoStartMs);
  // Like a stale marker of Prometheus.
  void WriteStale(const Labels& labels, int64_t time_ms);
  // Deletes the samples of one series in [from, to].
  void Delete(const Labels& labels, int64_t from_ms, int64_t to_ms);
  // The series leaves memory; its next sample brings it back.
  void Forget(const Labels& labels);
  // From now on nothing can be read (or can again).
  void FailReads(bool fail) { fail_reads_ = fail; }

  void Observe(storage::ApplyObserver* observer) override;
  [[nodiscard]] const storage::Reader& reader() const override;
  [[nodiscard]] const std::vector<std::unique_ptr<Series>>& series() const { return series_; }
  [[nodiscard]] bool fail_reads() const { return fail_reads_; }
  // Series whose samples were read, each time counted.
  [[nodiscard]] uint64_t series_read() const { return series_read_; }
  void CountRead(uint64_t series) const { series_read_ += series; }
  [[nodiscard]] storage::ApplyObserver* observer() const { return observer_; }
  [[nodiscard]] uint32_t partitions() const { return partitions_; }

 private:
  class FakeReader;
  Series& SeriesOf(const Labels& labels);
  void Introduce(Series& series);

  const uint32_t partitions_;
  std::unique_ptr<FakeReader> reader_;
  std::vector<std::unique_ptr<Series>> series_;
  std::map<Labels, Series*> by_labels_;
  std::vector<uint32_t> next_ordinal_;
  storage::ApplyObserver* observer_ = nullptr;
  uint64_t seq_ = 0;
  bool fail_reads_ = false;
  mutable uint64_t series_read_ = 0;
};

}  // namespace basalt::slo
