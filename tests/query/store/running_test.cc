// Queries over a real store that must stop, and what reading holds in memory at a time.
#include <gtest/gtest.h>
#include <time.h>

#include <memory>
#include <string>
#include <vector>

#include "query/engine.h"
#include "storage/store_cursor.h"
#include "tests/storage/store_model.h"

namespace basalt::query {
namespace {

constexpr int64_t kBegin = 1'700'000'000'000;
constexpr int64_t kInterval = 15'000;
constexpr int kSeries = 40;
constexpr int kSamples = 9'000;
constexpr int64_t kEnd = kBegin + kInterval * (kSamples - 1);

// Forty series of a target and a half of a day each, most of it in stored rows and some in the
// head.
class World {
 public:
  World() {
    storage::StoreOptions options;
    options.directory = temp_.path("data");
    options.partitions = 1;
    options.sync = storage::SyncMode::kInterval;
    options.clock = &clock_;
    auto opened = storage::Store::Open(options);
    BASALT_CHECK(opened.ok(), opened.status().ToString());
    store_ = std::move(*opened);
    Write(0, kSamples - 50);
    BASALT_CHECK(store_->Settle().ok(), "settle");
    Write(kSamples - 50, kSamples);
    snapshot_ = *store_->reader().TakeSnapshot();
  }
  [[nodiscard]] const storage::Snapshot& snapshot() const { return *snapshot_; }

 private:
  void Write(int from, int to) {
    constexpr int kAtOnce = 500;
    for (int begin = from; begin < to; begin += kAtOnce) {
      std::vector<storage::ModelWrite> writes;
      for (int n = begin; n < std::min(begin + kAtOnce, to); ++n) {
        for (int s = 0; s < kSeries; ++s) {
          writes.push_back({.labels = Labels{{"__name__", "x"},
                                             {"instance", "a"},
                                             {"job", "test"},
                                             {"s", std::to_string(s)}},
                            .time_ms = kBegin + kInterval * n,
                            .value = static_cast<double>((n * (s + 1)) % 5000)});
        }
      }
      clock_.Advance(Duration(kInterval * kAtOnce));
      BASALT_CHECK(store_->Append(storage::MakeBatches(*store_, writes)).ok(), "append");
    }
  }

  TemporaryDirectory temp_;
  storage::ManualClock clock_{kBegin};
  std::unique_ptr<storage::Store> store_;
  std::shared_ptr<const storage::Snapshot> snapshot_;
};

// Cancels the query when it looks at the clock for the n-th time, and takes down the thread's own
// time at each look.
class CancellingClock final : public Clock {
 public:
  CancellingClock(int cancel_at, CancelToken& token) : cancel_at_(cancel_at), token_(token) {}

  [[nodiscard]] Timestamp Now() const override { return FromMs(0); }
  [[nodiscard]] std::chrono::nanoseconds Monotonic() const override {
    if (++looks_ == cancel_at_) token_.Cancel();
    last_ = Worked();
    return {};
  }
  [[nodiscard]] int looks() const { return looks_; }
  [[nodiscard]] bool fired() const { return looks_ >= cancel_at_; }
  [[nodiscard]] std::chrono::nanoseconds since_last() const { return Worked() - last_; }

 private:
  static std::chrono::nanoseconds Worked() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
  }
  const int cancel_at_;
  CancelToken& token_;
  mutable int looks_ = 0;
  mutable std::chrono::nanoseconds last_{0};
};

#ifdef __has_feature
constexpr int kSlowdown =
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ? 20 : 1;
#else
constexpr int kSlowdown = 1;
#endif

class Running : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { world_ = std::make_unique<World>(); }
  static void TearDownTestSuite() { world_.reset(); }
  static inline std::unique_ptr<World> world_;
};

TEST_F(Running, ACursorHoldsABatchOfSamplesAndNotAllSeriesOverAllTime) {
  constexpr size_t kMaxBatchSamples = 256 << 10;
  static_assert(size_t{kSeries} * kSamples > kMaxBatchSamples, "or nothing is shown");
  const auto selection = *world_->snapshot().Select(
      kDefaultTenant, PartitionId{0}, {{.name = "__name__", .value = "x"}}, {kBegin, kEnd}, 1000);
  ASSERT_EQ(selection->size(), size_t{kSeries});
  const auto cursor = selection->Read(0, selection->size(), {.range = {kBegin, kEnd}});
  storage::SeriesColumns columns;
  size_t series = 0;
  size_t samples = 0;
  while (*cursor->Next(columns)) {
    ++series;
    samples += columns.values.size();
  }
  EXPECT_EQ(series, size_t{kSeries});
  EXPECT_EQ(samples, size_t{kSeries} * kSamples);
  const size_t largest = static_cast<const storage::StoreCursor&>(*cursor).largest_batch();
  EXPECT_LE(largest, kMaxBatchSamples);
  EXPECT_GE(largest, kMaxBatchSamples / 8) << "batches are smaller than they need to be";
}

TEST_F(Running, ACancelledQueryStopsAtItsNextLook) {
  // What looks at the clock before the first question whether to go on: the deadline, and what
  // measures parsing and evaluation.
  constexpr int kWatches = 4;
  for (const std::string query :
       {"sum(rate(x[5m]))", "rate(x[1h])", "quantile_over_time(0.9, x[10m])",
        "stddev_over_time(x[10m])", "count(x)", "x", "topk(3, x)", "x * on (s) x",
        "max_over_time(x[1d])", "sum(deriv(x[1h]))", "max_over_time((x * 2)[1h:1m])",
        "count_values(\"v\", x)", "sort_by_label(x, \"s\")", "quantile(0.5, x)"}) {
    int stopped = 0;
    for (int cancel_at = kWatches + 1;; cancel_at = cancel_at < 8 ? cancel_at + 1 : cancel_at * 2) {
      CancelToken token;
      const CancellingClock clock(cancel_at, token);
      EngineOptions options;
      options.clock = &clock;
      options.timeout = std::chrono::hours(1);
      QueryOptions asked;
      asked.cancel = &token;
      const auto result =
          Engine(options).Range(world_->snapshot(), kDefaultTenant, query, FromMs(kBegin),
                                FromMs(kEnd), Duration(60'000), asked);
      const auto went_on = clock.since_last();
      if (!clock.fired()) break;
      if (result.ok()) {
        // Nothing was left to do but to stop a watch.
        ASSERT_LE(clock.looks(), cancel_at + 1) << query;
        continue;
      }
      ASSERT_EQ(result.status().code(), StatusCode::kCancelled) << query;
      ASSERT_EQ(clock.looks(), cancel_at) << query << " went on after it was cancelled";
      EXPECT_LT(went_on, std::chrono::milliseconds(50 * kSlowdown)) << query << " at " << cancel_at;
      ++stopped;
    }
    EXPECT_GE(stopped, 3) << query << " hardly ever looks";
  }
}

}  // namespace
}  // namespace basalt::query
