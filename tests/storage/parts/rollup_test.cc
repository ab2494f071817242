#include "storage/parts/rollup.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/base/stale.h"
#include "storage/codec/keys.h"
#include "storage/codec/row_summary.h"
#include "storage/parts/pace.h"
#include "tests/support/same_bits.h"

namespace basalt::storage {
namespace {

using ::basalt::testing::SameBits;

constexpr uint16_t kDay = 20'000;
constexpr int64_t kMidnight = DayStartMs(kDay + 1);

struct Point {
  int64_t time_ms;
  double value;
};

bool Same(const RollupBucket& a, const RollupBucket& b) {
  return a.end_ms == b.end_ms && a.count == b.count && a.first_ms == b.first_ms &&
         a.last_ms == b.last_ms && SameBits(a.first, b.first) && SameBits(a.last, b.last) &&
         SameBits(a.min, b.min) && SameBits(a.max, b.max) && SameBits(a.sum, b.sum) &&
         a.sum_unit == b.sum_unit && a.resets == b.resets && SameBits(a.reset_sum, b.reset_sum) &&
         a.changes == b.changes && a.ends_stale == b.ends_stale && a.any_starts == b.any_starts &&
         a.has_nan == b.has_nan;
}

RollupFold Fold(const std::vector<Point>& points, Resolution resolution) {
  RollupFold fold(resolution);
  for (const Point& p : points) fold.Add(p.time_ms, p.value, false);
  return fold;
}

// As a run would keep it and give it back.
std::vector<StoredBucket> Stored(const RollupFold& fold, Resolution resolution, uint16_t day) {
  std::vector<int64_t> times;
  std::vector<double> columns;
  EncodeBuckets(fold.stored(), resolution, day, times, columns);
  for (size_t i = 0; i < times.size(); ++i) {
    EXPECT_EQ(times[i] / kMsPerDay, day) << "a row's times are of its run's day";
    if (i > 0) {
      EXPECT_GT(times[i], times[i - 1]);
    }
  }
  std::vector<StoredBucket> out;
  EXPECT_TRUE(DecodeBuckets(times, columns, resolution, out).ok());
  return out;
}

double AnyValue() {
  return *rc::gen::oneOf(rc::gen::map(rc::gen::inRange(-3, 4), [](int v) { return double(v); }),
                         rc::gen::map(rc::gen::inRange(0, 1000), [](int v) { return v / 10.0; }),
                         rc::gen::element(std::bit_cast<double>(kStaleMarkerBits), -0.0, 1e308,
                                          5e-324, std::numeric_limits<double>::infinity(),
                                          std::numeric_limits<double>::quiet_NaN()));
}

std::vector<Point> AnyPoints() {
  std::vector<Point> points;
  int64_t t = kMidnight - *rc::gen::inRange<int64_t>(0, 8'000'000);
  const int n = *rc::gen::inRange(1, 60);
  for (int i = 0; i < n; ++i) {
    t += *rc::gen::element<int64_t>(1, 15'000, 299'999, 300'000, 900'000);
    if (i == n / 2 && t < kMidnight && *rc::gen::arbitrary<bool>()) t = kMidnight;
    points.push_back({t, AnyValue()});
  }
  return points;
}

RC_GTEST_PROP(Rollup, BucketsAreWhatTheirSamplesComeTo, ()) {
  const auto resolution = *rc::gen::element(Resolution::kFiveMinutes, Resolution::kHour);
  const auto points = AnyPoints();
  const RollupFold fold = Fold(points, resolution);
  size_t at = 0;
  for (size_t b = 0; b < fold.stored().size(); ++b) {
    const RollupBucket bucket = fold.Finished(b);
    std::vector<int64_t> times;
    std::vector<double> values;
    double reset_sum = 0;
    uint32_t resets = 0;
    uint32_t changes = 0;
    bool stale = false;
    for (; at < points.size() && points[at].time_ms <= bucket.end_ms; ++at) {
      RC_ASSERT(points[at].time_ms > bucket.end_ms - WidthMs(resolution));
      stale = IsStaleMarker(points[at].value);
      if (stale) continue;
      if (!values.empty()) {
        const double before = values.back();
        const double now = points[at].value;
        if (now < before) ++resets, reset_sum += before;
        if (now != before && !(std::isnan(now) && std::isnan(before))) ++changes;
      }
      times.push_back(points[at].time_ms);
      values.push_back(points[at].value);
    }
    RC_ASSERT(bucket.count == values.size());
    RC_ASSERT(bucket.ends_stale == stale);
    if (values.empty()) continue;
    const RowSummary s = SummarizeRow(times, values, {});
    RC_ASSERT(bucket.first_ms == s.first_ms && bucket.last_ms == s.last_ms);
    RC_ASSERT(SameBits(bucket.first, s.first) && SameBits(bucket.last, s.last));
    RC_ASSERT(SameBits(bucket.min, s.min) && SameBits(bucket.max, s.max));
    RC_ASSERT(SameBits(bucket.sum, s.sum));
    RC_ASSERT(bucket.has_nan == s.has_nan);
    RC_ASSERT(bucket.resets == resets && SameBits(bucket.reset_sum, reset_sum));
    RC_ASSERT(bucket.changes == changes);
    if (bucket.sum_unit != kNoSumUnit) {
      RC_ASSERT(s.exact_sum);
      for (const double v : values) {
        const double units = std::ldexp(v, -bucket.sum_unit);
        RC_ASSERT(units == std::trunc(units));
      }
    }
  }
  RC_ASSERT(at == points.size());
}

RC_GTEST_PROP(Rollup, ABucketCutAtMidnightIsPutTogetherBitForBit, ()) {
  const auto resolution = *rc::gen::element(Resolution::kFiveMinutes, Resolution::kHour);
  const auto points = AnyPoints();
  const RollupFold whole = Fold(points, resolution);
  std::vector<Point> before;
  std::vector<Point> after;
  for (const Point& p : points) (p.time_ms < kMidnight ? before : after).push_back(p);
  std::erase_if(after, [](const Point& p) { return p.time_ms >= kMidnight + kMsPerDay; });
  RollupFold joined(resolution);
  for (const auto& stored : Stored(Fold(before, resolution), resolution, kDay)) {
    joined.AddBucket(stored);
  }
  for (const auto& stored : Stored(Fold(after, resolution), resolution, kDay + 1)) {
    joined.AddBucket(stored);
  }
  RC_ASSERT(joined.stored().size() <= whole.stored().size());
  for (size_t i = 0; i < joined.stored().size(); ++i) {
    RC_ASSERT(Same(joined.Finished(i), whole.Finished(i)));
  }
}

TEST(Rollup, ColumnsThatCannotBeAreRefused) {
  const RollupFold fold = Fold({{kMidnight - 1, 1}, {kMidnight + 5, 2}}, Resolution::kHour);
  std::vector<int64_t> times;
  std::vector<double> columns;
  EncodeBuckets(fold.stored(), Resolution::kHour, kDay + 1, times, columns);
  std::vector<StoredBucket> out;
  ASSERT_TRUE(DecodeBuckets(times, columns, Resolution::kHour, out).ok());
  for (const RollupColumn c : {RollupColumn::kCount, RollupColumn::kFirstOffset,
                               RollupColumn::kUnit, RollupColumn::kFlags}) {
    for (const double bad : {-1e300, 0.5, std::numeric_limits<double>::quiet_NaN()}) {
      auto broken = columns;
      broken[static_cast<size_t>(c) * times.size()] = bad;
      EXPECT_EQ(DecodeBuckets(times, broken, Resolution::kHour, out).code(), StatusCode::kDataLoss);
    }
  }
  columns.pop_back();
  EXPECT_EQ(DecodeBuckets(times, columns, Resolution::kHour, out).code(), StatusCode::kDataLoss);
}

// ---- pace ----

class HandClock final : public Clock {
 public:
  [[nodiscard]] Timestamp Now() const override { return {}; }
  [[nodiscard]] std::chrono::nanoseconds Monotonic() const override { return now; }
  std::chrono::nanoseconds now{0};
};

TEST(PaceTest, BytesAndCpuShareAreHeldOverTime) {
  HandClock clock;
  const std::atomic<bool> stop{false};
  bool busy = false;
  const auto wait = [&](std::chrono::nanoseconds t) { clock.now += t; };
  Pace bytes({.bytes_per_second = 10 << 20}, clock, stop, wait);
  for (int i = 0; i < 400; ++i) {
    clock.now += std::chrono::milliseconds(1);
    bytes.Spend(256 << 10);
  }
  // The 0.4 s of work come on top.
  EXPECT_NEAR(std::chrono::duration<double>(clock.now).count(), 10.4, 0.1)
      << "100 MiB at 10 a second";

  Pace cpu({.busy_cpu_share = 0.25, .busy = [&] { return busy; }}, clock, stop, wait);
  const auto run = [&] {
    const auto begun = clock.now;
    for (int i = 0; i < 100; ++i) {
      clock.now += std::chrono::milliseconds(6);
      cpu.Spend(1);
    }
    return std::chrono::duration<double>(clock.now - begun).count();
  };
  EXPECT_NEAR(run(), 0.6, 0.01) << "nobody else wants the core";
  busy = true;
  EXPECT_NEAR(run(), 2.4, 0.1);
}

TEST(PaceTest, WhoeverWaitsForTheWorkEndsTheWaiting) {
  HandClock clock;
  const std::atomic<bool> stop{false};
  bool hurry = false;
  int waits = 0;
  Pace pace({.bytes_per_second = 1000, .hurry = [&] { return hurry; }}, clock, stop,
            [&](std::chrono::nanoseconds t) {
              clock.now += t;
              hurry = ++waits == 3;
            });
  pace.Spend(1 << 20);
  EXPECT_EQ(waits, 3);
}

}  // namespace
}  // namespace basalt::storage
