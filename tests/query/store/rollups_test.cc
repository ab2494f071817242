// Queries over a store whose old samples are kept as rollups only, beside one that keeps them all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "query/engine.h"
#include "tests/query/store/show_bits.h"
#include "tests/storage/store_model.h"

namespace basalt::query {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Value;

constexpr int64_t kDay = 86'400'000;
constexpr int64_t kHour = 3'600'000;
constexpr int64_t kFiveMinutes = 300'000;
constexpr int64_t kBegin = 19'700 * kDay;
constexpr int kDays = 6;
constexpr int64_t kEnd = kBegin + kDays * kDay;

// Counters and gauges are integers, so that sums are exact whatever is added first.
void Scrape(int64_t time_ms, std::vector<storage::ModelWrite>& writes) {
  const int64_t n = (time_ms - kBegin) / 60'000;
  for (const char* instance : {"a", "b", "c"}) {
    const int64_t i = instance[0] - 'a' + 1;
    const auto labels = [&](const char* name) {
      return Labels{{"__name__", name}, {"instance", instance}, {"job", "test"}};
    };
    // Begins anew every 1,700 scrapes: at most once a bucket.
    writes.push_back({.labels = labels("c_total"),
                      .time_ms = time_ms + i,
                      .value = static_cast<double>((n % 1700) * i)});
    if (n % 97 < 90) {
      writes.push_back({.labels = labels("g"),
                        .time_ms = time_ms + i,
                        .value = static_cast<double>((n * 7919 * i) % 101 - 50)});
    }
    writes.push_back({.labels = labels("rounded"),
                      .time_ms = time_ms + i,
                      .value = 0.1 * static_cast<double>(n % 313)});
    // Floats for five hours, native histograms for five; and floats before the last day but one,
    // native histograms from then on.
    if (i == 2 && (n / 300) % 2 == 0) {
      writes.push_back(
          {.labels = labels("mixed"), .time_ms = time_ms, .value = static_cast<double>(n)});
    } else if (i == 2 && n % 20 == 0) {
      writes.push_back({.labels = labels("mixed"),
                        .time_ms = time_ms,
                        .is_histogram = true,
                        .histogram_seed = static_cast<uint64_t>(n)});
    }
    const bool became = time_ms >= kBegin + (kDays - 1) * kDay + 6 * kHour;
    if (i == 3 && !became) {
      writes.push_back(
          {.labels = labels("became"), .time_ms = time_ms, .value = static_cast<double>(n)});
    } else if (i == 3 && n % 20 == 0) {
      writes.push_back({.labels = labels("became"),
                        .time_ms = time_ms,
                        .is_histogram = true,
                        .histogram_seed = static_cast<uint64_t>(n)});
    }
    if (i == 1 && n % 5 == 0) {
      writes.push_back({.labels = labels("nh"),
                        .time_ms = time_ms,
                        .is_histogram = true,
                        .histogram_seed = static_cast<uint64_t>(n)});
    }
  }
}

class World {
 public:
  explicit World(bool rolled) {
    storage::StoreOptions options;
    options.directory = temp_.path("data");
    options.partitions = 2;
    options.sync = storage::SyncMode::kInterval;
    options.segment_bytes = 1u << 20;
    options.block_cache_bytes = 8u << 20;
    options.clock = &clock_;
    if (rolled) {
      options.retention_policy.rules.push_back(
          {.tenant = std::nullopt,
           .matchers = {{storage::MatchType::kRegex, "__name__", ".+"}},
           .raw = std::chrono::hours(48),
           .five_minutes = std::chrono::hours(24 * 30),
           .hours = std::chrono::hours(24 * 300)});
    }
    auto opened = storage::Store::Open(options);
    BASALT_CHECK(opened.ok(), opened.status().ToString());
    store_ = std::move(*opened);
    for (int64_t day = kBegin; day < kEnd; day += kDay) {
      std::vector<storage::ModelWrite> writes;
      for (int64_t t = day; t < day + kDay; t += 60'000) Scrape(t, writes);
      BASALT_CHECK(store_->Append(storage::MakeBatches(*store_, writes)).ok(), "append");
      clock_.Advance(std::chrono::hours(24));
      BASALT_CHECK(store_->Settle().ok(), "settle");
    }
    snapshot_ = *store_->reader().TakeSnapshot();
  }
  [[nodiscard]] const storage::Snapshot& snapshot() const { return *snapshot_; }
  // Without the warnings of queries before.
  void TakeSnapshot() { snapshot_ = *store_->reader().TakeSnapshot(); }

 private:
  TemporaryDirectory temp_;
  storage::ManualClock clock_{kBegin};
  std::unique_ptr<storage::Store> store_;
  std::shared_ptr<const storage::Snapshot> snapshot_;
};

class Rollups : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    rolled_ = std::make_unique<World>(true);
    kept_ = std::make_unique<World>(false);
  }
  static void TearDownTestSuite() {
    rolled_.reset();
    kept_.reset();
  }
  static Result<QueryResult> Ask(const World& world, const std::string& query, int64_t start_ms,
                                 int64_t end_ms, int64_t step_ms,
                                 Downsample downsample = Downsample::kExact) {
    QueryOptions options;
    options.downsample = downsample;
    const Engine engine{EngineOptions{}};
    return engine.Range(world.snapshot(), kDefaultTenant, query, FromMs(start_ms), FromMs(end_ms),
                        Duration(step_ms), options);
  }
  // Without what is said about it.
  static std::string Values(Result<QueryResult> result) {
    if (result.ok()) result->warnings.clear(), result->infos.clear();
    return ShowBits(result);
  }

  static inline std::unique_ptr<World> rolled_;
  static inline std::unique_ptr<World> kept_;
};

TEST_F(Rollups, WholeBucketsGiveTheBitsOfSamplesThatAreGone) {
  for (const std::string function :
       {"rate", "increase", "delta", "min_over_time", "max_over_time", "sum_over_time",
        "avg_over_time", "count_over_time", "present_over_time", "first_over_time",
        "last_over_time", "resets", "changes", "ts_of_first_over_time", "ts_of_last_over_time",
        "absent_over_time"}) {
    for (const std::string& query :
         {function + "(c_total[1h])", "sum by (job) (" + function + "(g[2h]))",
          "max(" + function + "(c_total{instance!=\"b\"}[15m] offset 20m))",
          function + "(nothing[1h])",
          function + "(g[1h] @ " + std::to_string(kBegin / 1000 + 7200) + ")"}) {
      const auto exact = Ask(*kept_, query, kBegin, kEnd - kHour, kHour);
      const auto rolled = Ask(*rolled_, query, kBegin, kEnd - kHour, kHour);
      ASSERT_EQ(Values(exact), Values(rolled)) << query;
      if (query.find("nothing") != std::string::npos) continue;
      EXPECT_THAT(rolled->infos, Contains(HasSubstr("answered from rollups of"))) << query;
      EXPECT_THAT(rolled->infos, Each(Not(HasSubstr("moved")))) << query;
      EXPECT_THAT(rolled->infos, Each(Not(HasSubstr("last digits")))) << query;
      EXPECT_THAT(rolled->warnings, Each(Not(HasSubstr("missing")))) << query;
    }
  }
}

TEST_F(Rollups, AnInstantSelectorSeesTheLastSampleOfABucket) {
  for (const std::string query : {"c_total", "count(g)", "sum by (instance) (g)"}) {
    ASSERT_EQ(Values(Ask(*kept_, query, kBegin, kEnd - kHour, kFiveMinutes * 4)),
              Values(Ask(*rolled_, query, kBegin, kEnd - kHour, kFiveMinutes * 4)))
        << query;
  }
}

TEST_F(Rollups, WindowsThatAreNoWholeBucketsWarnOfSamplesThatAreGone) {
  for (const std::string query :
       {"rate(c_total[7m])", "stddev_over_time(g[1h])", "sum(quantile_over_time(0.5, g[1h]))"}) {
    const auto found = Ask(*rolled_, query, kBegin, kEnd - kHour, kHour);
    ASSERT_TRUE(found.ok());
    EXPECT_THAT(found->warnings, Contains(HasSubstr("are kept as rollups only"))) << query;
    // Of days that have samples there is nothing to say.
    const auto lately = Ask(*rolled_, query, kEnd - 20 * kHour, kEnd - kHour, kHour);
    EXPECT_THAT(lately->warnings, IsEmpty()) << query;
    EXPECT_EQ(Values(Ask(*kept_, query, kEnd - 20 * kHour, kEnd - kHour, kHour)), Values(lately));
  }
}

TEST_F(Rollups, AutoMovesWindowsToWholeBucketsAndSaysSo) {
  const int64_t late = 7 * 60'000 + 11;
  for (const std::string function : {"rate", "max_over_time", "sum_over_time", "count_over_time"}) {
    const std::string query = "sum by (instance) (" + function + "(g[2h]))";
    const auto moved = Ask(*rolled_, query, kBegin + late, kEnd - kHour, kHour, Downsample::kAuto);
    ASSERT_TRUE(moved.ok());
    EXPECT_THAT(moved->infos, Contains(HasSubstr("rollups of 1h, windows moved to whole buckets")));
    // The values of the windows that were moved, at the times that were asked for.
    auto expected = Ask(*kept_, query, kBegin, kEnd - kHour - late, kHour);
    ASSERT_TRUE(expected.ok());
    for (Series& series : std::get<Matrix>(expected->value)) {
      for (FloatPoint& point : series.floats) point.time_ms += late;
    }
    EXPECT_EQ(Values(std::move(expected)), Values(moved)) << query;
  }
}

TEST_F(Rollups, AutoTakesNoBucketsThatAreLongerThanStepOrRange) {
  // A week's worth of hours does not do for steps of ten minutes: these take those of 5 minutes.
  const auto fine =
      Ask(*rolled_, "rate(c_total[1h])", kBegin, kBegin + 2 * kDay, 600'000, Downsample::kAuto);
  ASSERT_TRUE(fine.ok());
  EXPECT_THAT(fine->infos, Contains(HasSubstr("rollups of 5m")));
  // And none does for steps of a minute.
  const int64_t lately = kEnd - 40 * kHour;
  const auto finest =
      Ask(*rolled_, "rate(c_total[2m])", lately, lately + kHour, 60'000, Downsample::kAuto);
  EXPECT_THAT(finest->infos, IsEmpty());
  EXPECT_EQ(Values(Ask(*kept_, "rate(c_total[2m])", lately, lately + kHour, 60'000)),
            Values(finest));
}

TEST_F(Rollups, AutoWithoutRollupsReadsSamples) {
  const auto found =
      Ask(*kept_, "sum(rate(c_total[2h]))", kBegin + 17, kEnd, kHour, Downsample::kAuto);
  ASSERT_TRUE(found.ok());
  EXPECT_THAT(found->infos, IsEmpty());
  EXPECT_EQ(Values(Ask(*kept_, "sum(rate(c_total[2h]))", kBegin + 17, kEnd, kHour)), Values(found));
}

TEST_F(Rollups, NativeHistogramsAreReadAsTheyAre) {
  for (const std::string query : {"sum(rate(nh[2h]))", "nh", "{__name__=~\"nh|c_total\"}"}) {
    EXPECT_EQ(Values(Ask(*kept_, query, kBegin + kDay, kEnd - kHour, kHour)),
              Values(Ask(*rolled_, query, kBegin + kDay, kEnd - kHour, kHour)))
        << query;
  }
}

TEST_F(Rollups, SeriesWithBothFloatsAndHistogramsAreReadFromSamplesWhereTheseAreKept) {
  // Of the last two days the samples are kept beside the rollups.
  const int64_t lately = kEnd - 44 * kHour;
  for (const std::string query :
       {"count_over_time(mixed[2h])", "last_over_time(became[4h])", "mixed", "became",
        "max by (__name__) (last_over_time({__name__=~\"mixed|g\"}[3h]))",
        "sum(count_over_time({__name__=~\"mixed|became|c_total|nh\"}[4h]))"}) {
    rolled_->TakeSnapshot();  // without the warnings of queries before
    const auto exact = Ask(*kept_, query, lately, kEnd - kHour, kHour);
    const auto by_itself = Ask(*rolled_, query, lately, kEnd - kHour, kHour, Downsample::kAuto);
    ASSERT_TRUE(by_itself.ok());
    EXPECT_EQ(Values(exact), Values(by_itself)) << query;
    EXPECT_THAT(by_itself->warnings, IsEmpty()) << query;
  }
  // Windows that are no whole buckets are those that were asked for.
  const int64_t late = 7 * 60'000 + 11;
  const std::string query = "count_over_time(mixed[130m])";
  EXPECT_EQ(Values(Ask(*kept_, query, lately + late, kEnd - kHour, kHour)),
            Values(Ask(*rolled_, query, lately + late, kEnd - kHour, kHour, Downsample::kAuto)));
}

TEST_F(Rollups, HistogramsThatBucketsDoNotShowAreTold) {
  const std::string told = "the histograms are not shown";
  // Of the last two days the samples are kept beside the rollups.
  const int64_t lately = kEnd - 44 * kHour;
  for (const std::string query :
       {"count_over_time(mixed[2h])", "last_over_time(became[4h])",
        "max by (__name__) (last_over_time({__name__=~\"mixed|g\"}[3h]))"}) {
    const auto ask = [&](World& world, int64_t from, int64_t to, Downsample downsample) {
      world.TakeSnapshot();  // without the warnings of queries before
      return Ask(world, query, from, to, kHour, downsample);
    };
    const auto exact = ask(*rolled_, lately, kEnd - kHour, Downsample::kExact);
    EXPECT_EQ(Values(ask(*kept_, lately, kEnd - kHour, Downsample::kExact)), Values(exact));
    EXPECT_THAT(exact->warnings, IsEmpty()) << query;
    // Where the samples are gone there is no other answer.
    const bool both = query.find("became") == std::string::npos;
    const auto gone = ask(*rolled_, kBegin, kBegin + kDay, Downsample::kExact);
    ASSERT_TRUE(gone.ok());
    EXPECT_EQ(Value(gone->warnings, Contains(HasSubstr(told))), both) << query;
  }
  rolled_->TakeSnapshot();
  // Of series that are one or the other there is nothing to tell.
  for (const std::string query : {"rate(c_total[2h])", "sum(count_over_time(nh[2h]))"}) {
    EXPECT_THAT(Ask(*rolled_, query, lately, kEnd - kHour, kHour, Downsample::kAuto)->warnings,
                IsEmpty());
  }
}

TEST_F(Rollups, SumsThatAreRoundedSaySo) {
  const auto found = Ask(*rolled_, "sum_over_time(rounded[1h])", kBegin, kEnd - kHour, kHour);
  ASSERT_TRUE(found.ok());
  EXPECT_THAT(found->infos, Contains(HasSubstr("last digits")));
  const auto extremes = Ask(*rolled_, "max_over_time(rounded[1h])", kBegin, kEnd - kHour, kHour);
  EXPECT_THAT(extremes->infos, Each(Not(HasSubstr("last digits"))));
}

TEST_F(Rollups, ExplainTellsWhatIsReadFromBuckets) {
  QueryOptions options;
  options.downsample = Downsample::kAuto;
  const Engine engine{EngineOptions{}};
  const auto lines = engine.Explain(rolled_->snapshot(), kDefaultTenant, "sum(rate(c_total[2h]))",
                                    FromMs(kBegin), FromMs(kEnd), Duration(kHour), options);
  ASSERT_TRUE(lines.ok());
  EXPECT_THAT(*lines, Contains(HasSubstr("from rollups of 1h")));
}

}  // namespace
}  // namespace basalt::query
