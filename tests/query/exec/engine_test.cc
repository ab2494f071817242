// Properties of the engine as a whole: determinism, ranges against instants, limits, cancellation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <time.h>

#include <bit>
#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/executor.h"
#include "tests/query/exec/engine_fixture.h"

namespace basalt::query {
namespace {

using testing::MemoryReader;

// Counters and noisy gauges of several targets, with restarts, gaps and stale markers.
void FillRandom(MemoryReader& reader, uint64_t seed, int series, int samples) {
  std::mt19937_64 random(seed);
  const auto chance = [&](double p) { return std::uniform_real_distribution<>(0, 1)(random) < p; };
  for (int i = 0; i < series; ++i) {
    const std::string instance = "host-" + std::to_string(i % 7);
    const std::string code = std::to_string(200 + i % 3);
    auto counter = reader.Series({{"__name__", "c_total"},
                                  {"instance", instance},
                                  {"code", code},
                                  {"n", std::to_string(i)}});
    auto gauge = reader.Series(
        {{"__name__", "g"}, {"instance", instance}, {"code", code}, {"n", std::to_string(i)}});
    double total = 0;
    for (int k = 0; k < samples; ++k) {
      const int64_t time_ms = int64_t{k} * 15'000 + static_cast<int64_t>(random() % 1000);
      if (chance(0.05)) continue;
      total = chance(0.02) ? 0 : total + std::exponential_distribution<>(0.1)(random);
      counter.At(time_ms, total);
      gauge.At(time_ms,
               chance(0.02) ? MemoryReader::Stale() : std::normal_distribution<>(0, 1e3)(random));
    }
  }
}

const char* const kQueries[] = {
    "g",
    "sum(g)",
    "avg by (code) (g)",
    "sum by (instance) (rate(c_total[2m]))",
    "max without (n, code) (increase(c_total[90s]))",
    "count by (code) (g > 0)",
    "stddev by (instance) (g)",
    "quantile by (code) (0.9, g)",
    "topk(3, g)",
    "bottomk by (code) (2, rate(c_total[1m]))",
    "sum by (code) (g) / on(code) count by (code) (g)",
    "g * on(instance, code, n) rate(c_total[1m])",
    "g > 0 or c_total",
    "g unless on(code) (g > 2500)",
    "max_over_time(sum by (code) (g)[2m:20s])",
    "avg_over_time(g[3m])",
    "stddev_over_time(g[3m])",
    "quantile_over_time(0.3, g[3m])",
    "deriv(g[2m])",
    "predict_linear(g[2m], 60)",
    "changes(g[2m]) + resets(c_total[2m])",
    "absent(g{n=\"1\"})",
    "count_values(\"v\", round(g, 1000))",
    "label_replace(g, \"x\", \"$1\", \"instance\", \"host-(.*)\")",
    "sum(g @ 100) + sum(g offset 1m)",
    "timestamp(g)",
    "clamp_min(g, scalar(avg(g)))",
};

uint64_t Bits(double v) { return std::bit_cast<uint64_t>(v); }

bool SameBits(const Value& a, const Value& b) {
  const auto& x = std::get<Matrix>(a);
  const auto& y = std::get<Matrix>(b);
  if (x.size() != y.size()) return false;
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i].labels != y[i].labels || x[i].floats.size() != y[i].floats.size()) return false;
    for (size_t k = 0; k < x[i].floats.size(); ++k) {
      if (x[i].floats[k].time_ms != y[i].floats[k].time_ms) return false;
      if (Bits(x[i].floats[k].value) != Bits(y[i].floats[k].value)) return false;
    }
  }
  return true;
}

bool Near(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) == std::isnan(b);
  return a == b || std::fabs(a - b) <= 1e-12 * std::max({1.0, std::fabs(a), std::fabs(b)});
}

TEST(Determinism, AnyNumberOfThreadsGivesTheSameBits) {
  for (const uint32_t partitions : {1U, 4U, 8U}) {
    MemoryReader reader(partitions);
    FillRandom(reader, /*seed=*/7, /*series=*/60, /*samples=*/40);
    for (const char* query : kQueries) {
      const auto one = RangeOver(reader, query, 60, 540, 15);
      ASSERT_TRUE(one.ok()) << query << ": " << one.status().ToString();
      for (const size_t threads : {2U, 8U}) {
        ThreadPool pool("query", threads, 100);
        EngineOptions options;
        options.executor = &pool;
        options.parallelism = threads;
        const auto many = RangeOver(reader, query, 60, 540, 15, options);
        ASSERT_TRUE(many.ok()) << query << ": " << many.status().ToString();
        EXPECT_TRUE(SameBits(one->value, many->value))
            << query << " with " << threads << " threads";
        EXPECT_EQ(one->infos, many->infos) << query;
      }
    }
  }
}

TEST(Determinism, PushedDownAggregationGivesTheBitsOfThePlainPlan) {
  MemoryReader reader(4);
  FillRandom(reader, 11, 60, 40);
  EngineOptions plain;
  plain.push_down = false;
  for (const char* query : kQueries) {
    const auto pushed = RangeOver(reader, query, 60, 540, 15);
    const auto naive = RangeOver(reader, query, 60, 540, 15, plain);
    ASSERT_TRUE(pushed.ok() && naive.ok()) << query;
    EXPECT_TRUE(SameBits(pushed->value, naive->value)) << query;
  }
}

TEST(Determinism, AnotherNumberOfPartitionsDiffersByRoundingOnly) {
  MemoryReader reference(1);
  FillRandom(reference, 13, 60, 40);
  for (const uint32_t partitions : {4U, 8U}) {
    MemoryReader reader(partitions);
    FillRandom(reader, 13, 60, 40);
    for (const char* query : kQueries) {
      const auto a = RangeOver(reference, query, 60, 540, 15);
      const auto b = RangeOver(reader, query, 60, 540, 15);
      ASSERT_TRUE(a.ok() && b.ok()) << query;
      const auto& x = std::get<Matrix>(a->value);
      const auto& y = std::get<Matrix>(b->value);
      ASSERT_EQ(x.size(), y.size()) << query;
      for (size_t i = 0; i < x.size(); ++i) {
        EXPECT_EQ(x[i].labels, y[i].labels) << query;
        ASSERT_EQ(x[i].floats.size(), y[i].floats.size()) << query;
        for (size_t k = 0; k < x[i].floats.size(); ++k) {
          EXPECT_TRUE(Near(x[i].floats[k].value, y[i].floats[k].value)) << query;
        }
      }
    }
  }
}

RC_GTEST_PROP(Range, AtEachStepEqualsTheInstantQueryThere, ()) {
  MemoryReader reader(3);
  FillRandom(reader, *rc::gen::arbitrary<uint64_t>(), *rc::gen::inRange(1, 12),
             *rc::gen::inRange(1, 40));
  const auto* query = kQueries[*rc::gen::inRange<size_t>(0, std::size(kQueries))];
  const int64_t step = *rc::gen::inRange(1, 120);
  const int64_t start = *rc::gen::inRange(0, 300);
  const int64_t end = start + step * *rc::gen::inRange(1, 12);
  const auto range = RangeOver(reader, query, start, end, step);
  RC_ASSERT(range.ok());
  const auto& matrix = std::get<Matrix>(range->value);
  for (int64_t t = start; t <= end; t += step) {
    const auto instant = InstantAt(reader, query, t);
    RC_ASSERT(instant.ok());
    Vector at;
    for (const Series& s : matrix) {
      for (const FloatPoint& p : s.floats) {
        if (p.time_ms == t * kMsPerSecond) at.push_back({s.labels, p.time_ms, p.value, nullptr});
      }
    }
    RC_ASSERT(Show(Value(at)) == Show(instant->value));
  }
}

TEST(Limits, MaxSamplesCountsWhatIsHeldAndStopsOnePast) {
  MemoryReader reader(2);
  for (int i = 0; i < 10; ++i) {
    reader.Series({{"__name__", "x"}, {"n", std::to_string(i)}})
        .Every(Duration(10'000), std::vector<double>(11, 1));
  }
  EngineOptions options;
  // Ten series at eleven steps.
  options.max_samples = 110;
  EXPECT_TRUE(RangeOver(reader, "x", 0, 100, 10, options).ok());
  options.max_samples = 109;
  const auto result = RangeOver(reader, "x", 0, 100, 10, options);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().message(),
            "query processing would load too many samples into memory in query execution: more "
            "than 109, the limit query.max_samples; ask for fewer series or steps, or raise it");
  EXPECT_EQ(ErrorKindOf(result.status()), ErrorKind::kExecution);
  // An aggregation in the partitions holds its groups only: a state a step in each of two
  // partitions.
  options.max_samples = 22;
  EXPECT_TRUE(RangeOver(reader, "sum(x)", 0, 100, 10, options).ok());
  options.max_samples = 10;
  EXPECT_FALSE(RangeOver(reader, "sum(x)", 0, 100, 10, options).ok());
  // One window of one series.
  options.max_samples = 11;
  EXPECT_TRUE(InstantAt(reader, "sum_over_time(x{n=\"1\"}[101s])", 100, options).ok());
  options.max_samples = 10;
  EXPECT_FALSE(InstantAt(reader, "sum_over_time(x{n=\"1\"}[101s])", 100, options).ok());
}

TEST(Limits, MaxSeriesNamesItself) {
  MemoryReader reader;
  reader.Series({{"__name__", "x"}, {"n", "1"}}).At(0, 1);
  reader.Series({{"__name__", "x"}, {"n", "2"}}).At(0, 1);
  EngineOptions options;
  options.max_series = 2;
  EXPECT_TRUE(InstantAt(reader, "x", 0, options).ok());
  options.max_series = 1;
  EXPECT_EQ(InstantAt(reader, "x", 0, options).status().code(), StatusCode::kResourceExhausted);
}

TEST(Limits, ResolutionIsCheckedInPrometheusWords) {
  const auto seconds = [](int64_t s) { return FromMs(s * kMsPerSecond); };
  EXPECT_TRUE(CheckResolution(seconds(0), seconds(11'000), Duration(1000)).ok());
  EXPECT_EQ(CheckResolution(seconds(0), seconds(11'001), Duration(1000)).message(),
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query "
            "resolution (?step=XX)");
  // Further apart than 63 bits of milliseconds.
  EXPECT_FALSE(CheckResolution(FromMs(INT64_MIN), FromMs(INT64_MAX), Duration(1000)).ok());
  MemoryReader reader;
  EXPECT_EQ(ErrorKindOf(RangeOver(reader, "1", 0, 10, 0).status()), ErrorKind::kBadData);
  EXPECT_EQ(ErrorKindOf(RangeOver(reader, "1", 10, 0, 1).status()), ErrorKind::kBadData);
}

TEST(Cancellation, StopsAQuery) {
  MemoryReader reader;
  reader.Series({{"__name__", "x"}}).At(0, 1);
  CancelToken token;
  QueryOptions options;
  options.cancel = &token;
  EXPECT_TRUE(InstantAt(reader, "x", 0, {}, options).ok());
  token.Cancel();
  const auto result = InstantAt(reader, "x", 0, {}, options);
  EXPECT_EQ(result.status().code(), StatusCode::kCancelled);
  EXPECT_EQ(ErrorKindOf(result.status()), ErrorKind::kCanceled);
  EXPECT_EQ(result.status().message(), "query was canceled in query execution");
}

TEST(Limits, NameWhatWasExceededAndHowToRaiseIt) {
  MemoryReader reader(2);
  for (int i = 0; i < 10; ++i)
    reader.Series({{"__name__", "x"}, {"i", std::to_string(i)}}).Every(Duration(10'000), {1, 2, 3});
  EngineOptions options;
  options.max_series = 10;
  EXPECT_TRUE(InstantAt(reader, "x", 20, options).ok());
  options.max_series = 9;
  EXPECT_EQ(InstantAt(reader, "x", 20, options).status().message(),
            "a selector matches more than 9 series, the limit query.max_series; add label "
            "matchers, or raise it");
}

TEST(Limits, HoldForAllQueriesTogetherAndAreGivenBack) {
  MemoryReader reader(2);
  for (int i = 0; i < 10; ++i)
    reader.Series({{"__name__", "x"}, {"i", std::to_string(i)}}).Every(Duration(10'000), {1, 2, 3});
  EngineOptions options;
  options.memory_bytes = 10 * kBytesPerSample;
  const Engine engine(options);
  const auto snapshot = *reader.TakeSnapshot();
  const auto range = [&](int64_t end_s) {
    return engine.Range(*snapshot, kDefaultTenant, "x", FromMs(0), FromMs(end_s * 1000),
                        Duration(10'000));
  };
  // What a query that failed held is free again, however often.
  for (int n = 0; n < 3; ++n) {
    EXPECT_EQ(range(20).status().message(),
              "the queries that run now would together hold more than 160 bytes of samples, the "
              "limit query.memory; try again later, ask for less, or raise it");
    EXPECT_TRUE(range(0).ok());
  }
}

// Each look at the clock takes a second.
class SlowClock final : public Clock {
 public:
  [[nodiscard]] Timestamp Now() const override { return FromMs(0); }
  [[nodiscard]] std::chrono::nanoseconds Monotonic() const override {
    return std::chrono::seconds(++looks_);
  }
  [[nodiscard]] int64_t looks() const { return looks_; }

 private:
  mutable std::atomic<int64_t> looks_{0};
};

TEST(Timeout, IsToldAsPrometheusTellsIt) {
  MemoryReader reader;
  reader.Series({{"__name__", "x"}}).Every(Duration(1000), std::vector<double>(1000, 0.1));
  SlowClock clock;
  EngineOptions options;
  options.clock = &clock;
  options.timeout = std::chrono::seconds(10);
  // Many windows of many samples, none of them whole numbers: the clock is looked at in between.
  const auto result = RangeOver(reader, "sum_over_time(x[15m])", 0, 1000, 1, options);
  EXPECT_EQ(result.status().code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(result.status().message(),
            "query timed out in expression evaluation after 10s, the limit query.timeout; ask for "
            "fewer series or steps, or raise it");
  EXPECT_LT(clock.looks(), 20);
}

TEST(Timeout, OfTheRequestIsToldAsSuch) {
  MemoryReader reader;
  reader.Series({{"__name__", "x"}}).Every(Duration(1000), std::vector<double>(1000, 0.1));
  SlowClock clock;
  EngineOptions options;
  options.clock = &clock;
  options.timeout = std::chrono::seconds(60);
  QueryOptions asked;
  asked.timeout = std::chrono::seconds(10);
  const auto result = RangeOver(reader, "sum_over_time(x[15m])", 0, 1000, 1, options, asked);
  EXPECT_EQ(result.status().message(),
            "query timed out in expression evaluation after 10s, the request's timeout; ask for "
            "less, or give it more");
}

TEST(Tenants, SeeTheirOwnSeriesOnly) {
  MemoryReader reader;
  reader.Series({{"__name__", "x"}}, TenantId{1}).At(0, 1);
  EXPECT_EQ(Show(InstantAt(reader, "x", 0)), "");
  const auto snapshot = *reader.TakeSnapshot();
  EXPECT_EQ(Show(Engine({}).Instant(*snapshot, TenantId{1}, "x", FromMs(0))), "x 1");
}

TEST(Stats, CountWindowsAndSamplesRead) {
  MemoryReader reader;
  reader.Series({{"__name__", "x"}}).Every(Duration(10'000), {1, 2, 3, 4, 5});
  const auto result = RangeOver(reader, "sum_over_time(x[20s])", 20, 40, 10);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->stats.samples, 6U);       // two in each of three windows
  EXPECT_EQ(result->stats.samples_read, 4U);  // 10 .. 40
  EXPECT_EQ(result->stats.series_selected, 1U);
  EXPECT_EQ(result->stats.steps, 3U);
}

// Prometheus 3.5.3 says the same of all of these.
TEST(Stats, CountSamplesAsUpstreamDoes) {
  MemoryReader reader;
  reader.Series({{"__name__", "x"}, {"a", "1"}}).Every(Duration(10'000), {1, 2, 3, 4, 5});
  reader.Series({{"__name__", "x"}, {"a", "2"}}).Every(Duration(10'000), {1, 2, 3, 4, 5});
  const auto samples = [&](std::string_view query) {
    const auto result = RangeOver(reader, query, 20, 40, 10);
    return result.ok() ? result->stats.samples : UINT64_MAX;
  };
  EXPECT_EQ(samples("x"), 6U);
  EXPECT_EQ(samples("count(x)"), 6U);  // told without reading them
  EXPECT_EQ(samples("count(sum_over_time(x[20s]))"), 12U);
  EXPECT_EQ(samples("x @ 40"), 6U);  // read once, shown at three steps
  EXPECT_EQ(samples("count(x @ 40)"), 6U);
  EXPECT_EQ(samples("sum(sum_over_time(x[20s] @ 40))"), 12U);
  // Of a subquery, what its windows look at, and not what they are made of.
  EXPECT_EQ(samples("max_over_time(x[20s:10s])"), 12U);
  EXPECT_EQ(samples("max_over_time(sum(sum_over_time(x[20s]))[20s:10s])"), 6U);
  EXPECT_EQ(samples("vector(1)"), 0U);
}

TEST(Stats, TellWhatEachOperatorTook) {
  MemoryReader reader(2);
  for (int i = 0; i < 3; ++i)
    reader.Series({{"__name__", "x"}, {"i", std::to_string(i)}}).Every(Duration(10'000), {1, 2, 3});
  QueryOptions options;
  EXPECT_TRUE(RangeOver(reader, "x", 0, 20, 10, {}, options)->stats.operators.empty());
  options.trace = true;
  const auto result = RangeOver(reader, "max_over_time(sum(x)[20s:10s]) + 2 * sum(rate(x[20s]))", 0,
                                20, 10, {}, options);
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  std::vector<std::string> lines;
  for (const OperatorStats& of : result->stats.operators) {
    lines.push_back(std::string(2 * of.depth, ' ') + of.text + " -> " + std::to_string(of.series));
    EXPECT_GE(of.total, of.own);
    if (of.text.starts_with("fold")) {
      EXPECT_EQ(of.samples_read, 9U) << of.text;
    }
  }
  EXPECT_THAT(
      lines,
      ::testing::ElementsAre(
          "operator + -> 1", "  max_over_time over a subquery -> 1", "    subquery [20s:10s] -> 0",
          "      fold partitions: sum of {__name__=\"x\"} -> 1", "  operator * -> 1",
          "    number 2 -> 1", "    fold partitions: sum of rate over {__name__=\"x\"}[20s] -> 1"));
  EXPECT_EQ(result->stats.operators[0].samples_read, 18U);
}

TEST(Explain, SaysWhatIsPushedDownAndHowMuchItReads) {
  MemoryReader reader(2);
  for (int i = 0; i < 3; ++i)
    reader.Series({{"__name__", "x"}, {"i", std::to_string(i)}}).Every(Duration(10'000), {1, 2, 3});
  const auto snapshot = *reader.TakeSnapshot();
  const auto lines =
      Engine({}).Explain(*snapshot, kDefaultTenant, "topk(1, sum by (i) (rate(x[20s] offset 10s)))",
                         FromMs(20'000), FromMs(40'000), Duration(10'000));
  ASSERT_TRUE(lines.ok()) << lines.status().ToString();
  EXPECT_THAT(*lines, ::testing::ElementsAre(
                          "topk of all rows", "  number 1",
                          "  fold partitions: sum by (i) of rate over {__name__=\"x\"}[20s] offset "
                          "10s -- 3 series, 40s of samples"));
  EXPECT_EQ(
      ErrorKindOf(Engine({})
                      .Explain(*snapshot, kDefaultTenant, "sum(", FromMs(0), FromMs(0), Duration(1))
                      .status()),
      ErrorKind::kBadData);
}

TEST(Limits, ASubqueryOfTooManyStepsIsRefusedBeforeItTakesMemory) {
  MemoryReader reader;
  reader.Series({{"__name__", "x"}}).At(0, 1);
  EngineOptions options;
  options.max_samples = 1000;
  EXPECT_TRUE(InstantAt(reader, "count_over_time(vector(1)[400s:1s])", 0, options).ok());
  const auto refused = InstantAt(reader, "count_over_time(vector(1)[100y:1ms])", 0, options);
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.status().message()),
              ::testing::HasSubstr("the limit query.max_samples"));
}

// Takes down how much of a thread's own time passes between two looks at the clock, which are
// also looks at the cancel token.
class GapClock final : public Clock {
 public:
  [[nodiscard]] Timestamp Now() const override { return FromMs(0); }
  [[nodiscard]] std::chrono::nanoseconds Monotonic() const override {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    const auto at = std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
    longest_ = std::max(longest_, at - std::exchange(last_, at));
    return at;
  }
  void Begin() const {
    (void)Monotonic();
    longest_ = {};
  }
  [[nodiscard]] std::chrono::nanoseconds longest() const {
    (void)Monotonic();  // up to the end, too
    return longest_;
  }

 private:
  mutable std::chrono::nanoseconds last_{0};
  mutable std::chrono::nanoseconds longest_{0};
};

// How much longer the same work may take where it is instrumented (clang's sanitizer builds).
#ifdef __has_feature
constexpr int kSlowdown =
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ? 20 : 1;
#else
constexpr int kSlowdown = 1;
#endif

TEST(Limits, AreToldWithin100MsOfWorkOfPassingThem) {
  MemoryReader reader(2);
  FillRandom(reader, 6, /*series=*/400, /*samples=*/200);
  EngineOptions options;
  options.max_samples = 1500;  // which is passed at once
  const Engine engine(options);
  const auto snapshot = *reader.TakeSnapshot();
  for (const char* query :
       {"g", "g * 2", "g + c_total", "sum by (n) (g)", "rate(c_total[5m])", "topk(3, g)",
        "quantile_over_time(0.9, g[10m])", "max_over_time((g * 2)[30m:30s])",
        "sum_over_time(vector(time())[60d:10s])", "vector(1) + time()",
        "label_replace(g, \"a\", \"$1\", \"n\", \"(.*)\")", "g or c_total"}) {
    GapClock clock;
    clock.Begin();
    const auto result = engine.Range(*snapshot, kDefaultTenant, query, FromMs(0), FromMs(3'000'000),
                                     Duration(1'000));
    const auto took = clock.longest();  // nobody else looks at this clock
    ASSERT_EQ(result.status().code(), StatusCode::kResourceExhausted) << query;
    EXPECT_THAT(std::string(result.status().message()), ::testing::HasSubstr("query.max_samples"));
    EXPECT_LT(took, std::chrono::milliseconds(100 * kSlowdown)) << query;
  }
}

TEST(Cancellation, IsLookedForAtLeastEvery50MsOfWork) {
  MemoryReader reader(2);
  FillRandom(reader, 5, /*series=*/400, /*samples=*/200);
  GapClock clock;
  EngineOptions options;
  options.clock = &clock;
  options.timeout = std::chrono::hours(1);
  const Engine engine(options);
  const auto snapshot = *reader.TakeSnapshot();
  for (const char* query :
       {"quantile_over_time(0.9, g[5m])", "sum by (code) (stddev_over_time(g[10m]))",
        "rate(c_total[5m]) / g", "g and c_total", "topk(10, g)", "quantile by (code) (0.5, g)",
        "count_values(\"v\", round(g, 10))", "sum_over_time(vector(time())[60d:10s])",
        "max_over_time((g * 2)[30m:30s])", "label_replace(g, \"a\", \"$1\", \"n\", \"(.*)\")",
        "sort(g)", "histogram_quantile(0.9, label_replace(g, \"le\", \"1\", \"\", \"\"))"}) {
    clock.Begin();
    const auto result = engine.Range(*snapshot, kDefaultTenant, query, FromMs(0), FromMs(3'000'000),
                                     Duration(10'000));
    const auto longest = clock.longest();
    EXPECT_TRUE(result.ok()) << query << ": " << result.status().ToString();
    EXPECT_LT(longest, std::chrono::milliseconds(50 * kSlowdown))
        << query << ": " << longest.count() / 1'000'000 << " ms without a look";
  }
}

}  // namespace
}  // namespace basalt::query
