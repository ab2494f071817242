// Deltas that become totals, on a real store: what is added, what is sent again, restarts,
// failures.
//
// The semantics are those of the processor that Prometheus uses for it (its documentation of
// `otlp-deltatocumulative`): a running total a series, from its first delta; gaps are allowed, what
// is out of order is not added. Where they differ: a restart loses nothing here, and what overlaps
// is refused by its start, too.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <future>
#include <map>
#include <thread>

#include "engine/ingest/otlp/delta_totals.h"
#include "engine/ingest/otlp/histogram_sum.h"
#include "engine/ingest/otlp/otlp_service.h"
#include "storage/resolver.h"
#include "tests/support/temporary_directory.h"

namespace basalt::ingest::otlp {
namespace {

using testing::HasSubstr;

const int64_t kT = ToMs(SystemClock().Now()) - 1'200'000;

using Total = std::pair<int64_t, double>;  // start after kT, value
using Totals = std::map<int64_t, Total>;   // by time after kT

class Deltas : public testing::Test {
 protected:
  void SetUp() override { Open(); }
  void TearDown() override {
    service.reset();
    counts.reset();
    store.reset();
  }
  void Open() {
    service.reset();
    counts.reset();
    store.reset();
    storage::StoreOptions options;
    options.directory = directory + "/data";
    options.partitions = 2;
    auto opened = storage::Store::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    store = *std::move(opened);
    counts = std::make_unique<WriteService>(*store, SystemClock(), registry, Limits());
    Settings settings;
    settings.delta_to_cumulative = true;
    service = std::make_unique<OtlpService>(*store, SystemClock(), *counts, settings);
  }

  static std::string Ns(int64_t after) { return std::to_string(kT + after) + "000000"; }
  static std::string Point(int64_t start, int64_t end, const std::string& fields) {
    return R"({"startTimeUnixNano":")" + Ns(start) + R"(","timeUnixNano":")" + Ns(end) + "\"," +
           fields + "}";
  }
  // aggregationTemporality 1 is delta.
  ExportAnswer SendMetric(const std::string& kind, const std::string& points,
                          const std::string& more = "", const std::string& resource = "") {
    const std::string body = R"({"resourceMetrics":[{)" + resource +
                             R"("scopeMetrics":[{"metrics":[{"name":"m",")" + kind +
                             R"(":{"aggregationTemporality":1)" + more + R"(,"dataPoints":[)" +
                             points + "]}}]}]}]}";
    auto promise = std::make_shared<std::promise<ExportAnswer>>();
    service->Export({.tenant = kDefaultTenant,
                     .encoding = Encoding::kJson,
                     .content_encoding = {},
                     .body = body},
                    [promise](const ExportAnswer& answer) { promise->set_value(answer); });
    return promise->get_future().get();
  }
  ExportAnswer Send(int64_t start, int64_t end, double value) {
    return SendMetric("sum", Point(start, end, "\"asDouble\":" + std::to_string(value)),
                      R"(,"isMonotonic":true)");
  }
  ExportAnswer SendHistogram(int64_t start, int64_t end, int scale, const std::string& counts_of) {
    return SendMetric(
        "exponentialHistogram",
        Point(start, end,
              R"("count":"4","sum":10,"zeroCount":"1","scale":)" + std::to_string(scale) +
                  R"(,"positive":{"offset":0,"bucketCounts":)" + counts_of + "}"));
  }

  template <typename Visit>
  void Read(const std::string& metric, const Visit& visit) {
    const auto snapshot = store->reader().TakeSnapshot().value();
    for (uint16_t p = 0; p < snapshot->partition_count(); ++p) {
      const auto selection =
          snapshot
              ->Select(kDefaultTenant, PartitionId{p},
                       {{storage::MatchType::kEqual, "__name__", metric}}, {}, SIZE_MAX)
              .value();
      const auto cursor = selection->Read(0, selection->size(), {});
      storage::SeriesColumns columns;
      while (cursor->Next(columns).value()) visit(*selection, columns);
    }
  }
  Totals Stored(const std::string& metric = "m_total") {
    Totals found;
    Read(metric, [&](const storage::Selection&, const storage::SeriesColumns& columns) {
      for (size_t i = 0; i < columns.time_ms.size(); ++i) {
        const int64_t start = columns.start_ms.empty() ? 0 : columns.start_ms[i] - kT;
        found[columns.time_ms[i] - kT] = {start, columns.values[i]};
      }
    });
    return found;
  }

  const TemporaryDirectory temporary;
  const std::string directory = temporary.path();
  metrics::Registry registry;
  std::unique_ptr<storage::Store> store;
  std::unique_ptr<WriteService> counts;
  std::unique_ptr<OtlpService> service;
};

TEST_F(Deltas, AddUpFromTheFirstOnesStart) {
  EXPECT_TRUE(Send(0, 10, 5).status.ok());
  EXPECT_TRUE(Send(10, 20, 3).status.ok());
  EXPECT_TRUE(Send(25, 40, 2).status.ok()) << "a gap";
  EXPECT_EQ(Stored(), (Totals{{10, {0, 5}}, {20, {0, 8}}, {40, {0, 10}}}));
}

TEST_F(Deltas, ARepeatedOneChangesNothingAlsoAfterARestart) {
  Send(0, 10, 5);
  Send(10, 20, 3);
  const Totals once = Stored();
  EXPECT_EQ(Send(10, 20, 3).rejected_points, 0U);
  EXPECT_EQ(Stored(), once);
  Open();
  EXPECT_EQ(Send(10, 20, 3).rejected_points, 0U);
  EXPECT_EQ(Stored(), once);
  Send(20, 30, 1);
  EXPECT_EQ(Stored().at(30), Total(0, 9)) << "and it goes on from there";
}

TEST_F(Deltas, WhatOverlapsIsRefusedByReason) {
  Send(0, 10, 5);
  Send(10, 20, 3);
  for (const auto& [start, end] :
       std::vector<std::pair<int64_t, int64_t>>{{0, 10}, {0, 20}, {5, 15}, {15, 30}, {0, 30}}) {
    const ExportAnswer answer = Send(start, end, 100);
    EXPECT_TRUE(answer.status.ok());
    EXPECT_EQ(answer.rejected_points, 1U) << start << ".." << end;
    EXPECT_THAT(answer.message, HasSubstr("overlaps what is counted up to"));
  }
  EXPECT_EQ(Stored(), (Totals{{10, {0, 5}}, {20, {0, 8}}}));
  const auto rejected = counts->rejections().Summarize().items;
  EXPECT_EQ(rejected[static_cast<size_t>(Reason::kDelta)].count, 5U);
}

TEST_F(Deltas, AfterALongGapATotalBeginsAnewWhetherItIsRememberedOrNot) {
  const int64_t gap = DeltaTotals::kMaxGap.count();
  Send(-2 * gap, -2 * gap + 10, 5);
  Open();
  Send(-gap + 11, -gap + 11, 7);
  Send(1, 11, 1);
  EXPECT_EQ(
      Stored(),
      (Totals{{-2 * gap + 10, {-2 * gap, 5}}, {-gap + 11, {-gap + 11, 7}}, {11, {-gap + 11, 8}}}))
      << "an hour is no long gap, a millisecond more is";
}

TEST_F(Deltas, OneRequestMayBringSeveral) {
  const std::string points = Point(0, 10, "\"asInt\":\"1\"") + "," +
                             Point(10, 20, "\"asInt\":\"2\"") + "," +
                             Point(20, 30, "\"asInt\":\"3\"");
  EXPECT_TRUE(SendMetric("sum", points, R"(,"isMonotonic":true)").status.ok());
  EXPECT_EQ(Stored(), (Totals{{10, {0, 1}}, {20, {0, 3}}, {30, {0, 6}}}));
}

TEST_F(Deltas, ClassicHistogramsAddUpBucketByBucket) {
  const std::string fields =
      R"("count":"6","sum":1.5,"bucketCounts":["1","2","3"],"explicitBounds":[1,2])";
  SendMetric("histogram", Point(0, 10, fields));
  Open();
  SendMetric("histogram", Point(10, 20, fields));
  EXPECT_EQ(Stored("m_count").at(20), Total(0, 12));
  EXPECT_EQ(Stored("m_sum").at(20), Total(0, 3));
  std::map<std::string, double> buckets;
  Read("m_bucket", [&](const storage::Selection& selection, const storage::SeriesColumns& columns) {
    buckets[std::string(selection.label(columns.series, "le"))] = columns.values.back();
  });
  EXPECT_EQ(buckets, (std::map<std::string, double>{{"1", 2}, {"2", 6}, {"+Inf", 12}}));
}

TEST_F(Deltas, ExponentialHistogramsAddUpAtTheCoarserScale) {
  SendHistogram(0, 10, 1, R"(["1","2"])");
  Open();
  SendHistogram(10, 20, 0, R"(["3"])");
  SendHistogram(10, 20, 0, R"(["3"])");
  std::vector<NativeHistogram> found;
  Read("m", [&](const storage::Selection&, const storage::SeriesColumns& columns) {
    for (const auto& point : columns.histograms) found.push_back(point.histogram);
  });
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[1].schema, 0);
  EXPECT_EQ(found[1].count, 8U);
  EXPECT_EQ(found[1].sum, 20);
  EXPECT_EQ(found[1].zero_count, 2U);
  EXPECT_EQ(found[1].positive_deltas, (std::vector<int64_t>{6}));
  EXPECT_EQ(found[1].reset_hint, ResetHint::kNo);
}

TEST_F(Deltas, CumulativePointsAndGaugesAreLeftAsTheyAre) {
  SendMetric("gauge", Point(0, 10, "\"asDouble\":5"));
  SendMetric("gauge", Point(0, 20, "\"asDouble\":5"));
  EXPECT_EQ(Stored("m").at(20).second, 5);
}

// Two senders whose resource attributes say that they are a pair.
TEST_F(Deltas, OfAPairOneIsStoredAndItsReplicaIsNoLabel) {
  const auto send = [this](const std::string& replica, int64_t at, double value) {
    return SendMetric(
        "gauge", Point(0, at, "\"asDouble\":" + std::to_string(value)), "",
        R"("resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}},)"
        R"({"key":"cluster","value":{"stringValue":"eu"}},)"
        R"({"key":"__replica__","value":{"stringValue":")" +
            replica + R"("}}]},)");
  };
  EXPECT_TRUE(send("a", 10, 1).status.ok());
  EXPECT_TRUE(send("b", 11, 2).status.ok()) << "to its sender all is well";
  EXPECT_TRUE(send("a", 20, 3).status.ok());
  EXPECT_EQ(Stored("m"), (Totals{{10, {0, 1}}, {20, {0, 3}}}));
  Read("target_info", [](const storage::Selection& selection, const storage::SeriesColumns& c) {
    EXPECT_FALSE(selection.labels(c.series).Has("__replica__"));
    EXPECT_EQ(selection.label(c.series, "cluster"), "eu");
  });
  ASSERT_EQ(counts->pairs().Clusters().size(), 1U);
  EXPECT_EQ(counts->pairs().Clusters()[0].leader, "a");
  EXPECT_GT(counts->pairs().Clusters()[0].held_bytes, 0U);
}

TEST_F(Deltas, WhatAStandbySentIsStoredWhenItLeads) {
  // As Export holds it.
  const std::string body =
      R"({"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","sum":{"isMonotonic":true,)"
      R"("aggregationTemporality":1,"dataPoints":[)" +
      Point(0, 10, "\"asInt\":\"4\"") + "," + Point(10, 20, "\"asInt\":\"5\"") + "]}}]}]}]}";
  HaTracker::Decision decision;
  decision.after_ms = kT + 10;
  decision.missed.push_back({.protocol = Protocol::kOtlp,
                             .coding = ContentCoding::kIdentity,
                             .body = body,
                             .is_json = true});
  std::vector<storage::IngestBatch> none;
  counts->Lead({.tenant = kDefaultTenant, .cluster = "eu", .replica = "a"}, decision, none);
  ASSERT_TRUE(store->Close().ok());  // waits for what is in flight
  Open();
  EXPECT_EQ(Stored(), (Totals{{20, {10, 5}}})) << "only what the leader before has not brought";
}

TEST_F(Deltas, ManyAtOnceAddUpAlsoRightAfterARestart) {
  constexpr int kThreads = 4;
  constexpr int kSeries = 25;
  constexpr int kRounds = 3;
  int64_t end = 0;
  for (int life = 0; life < 3; ++life) {
    if (life > 0) Open();
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([this, t, end] {
        for (int round = 0; round < kRounds; ++round) {
          for (int s = 0; s < kSeries; ++s) {
            // One series is everybody's: who comes second overlaps, and is told.
            const std::string owner = s == 0 ? "all" : std::to_string(t);
            const ExportAnswer answer = SendMetric(
                "sum",
                Point(end + 10 * round, end + 10 * round + 10,
                      R"("asDouble":2,"attributes":[{"key":"s","value":{"stringValue":")" + owner +
                          "-" + std::to_string(s) + R"("}}])"),
                R"(,"isMonotonic":true)");
            EXPECT_TRUE(answer.status.ok()) << answer.status.ToString();
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    end += 10 * kRounds;
  }
  size_t series = 0;
  Read("m_total", [&](const storage::Selection& selection, const storage::SeriesColumns& columns) {
    ++series;
    if (selection.labels(columns.series).ToString().find("all-") != std::string::npos) return;
    ASSERT_EQ(columns.time_ms.size(), 3U * kRounds);
    for (size_t i = 0; i < columns.values.size(); ++i)
      EXPECT_EQ(columns.values[i], 2.0 * static_cast<double>(i + 1));
  });
  EXPECT_EQ(series, 1U + kThreads * (kSeries - 1));
}

// What a store that fails leaves behind, without one: `append` plays it.
TEST_F(Deltas, AnAppendThatFailsIsSettledBeforeAnythingElseIsAdded) {
  Send(0, 10, 5);
  DeltaTotals totals(*store, SystemClock());
  storage::BatchBuilder builder(store->resolver(), kDefaultTenant);
  const std::vector<LabelView> labels = {{"__name__", "m_total"}};
  const auto delta = [&](int64_t start, int64_t end, double value) {
    builder.SelectLabels(HashBytes128("m_total"), labels);
    builder.AddSample(kT + end, value, kT + start);
    return builder.Finish();
  };
  Report report;
  double total = 0;
  std::function<void(bool)> stored;
  const auto keep = [&](std::vector<storage::IngestBatch> batches, std::function<void(bool)> done) {
    total = batches[0].sample_value[0];
    stored = std::move(done);
    return true;
  };
  ASSERT_TRUE(totals.Pass(kDefaultTenant, delta(10, 20, 3), report, keep).ok());
  EXPECT_EQ(total, 8);
  const auto first = stored;
  ASSERT_TRUE(totals.Pass(kDefaultTenant, delta(20, 30, 1), report, keep).ok());
  EXPECT_EQ(total, 9);
  stored(false);
  EXPECT_EQ(totals.Pass(kDefaultTenant, delta(30, 40, 1), report, keep).code(),
            StatusCode::kUnavailable);
  first(false);
  // Neither came to the store: both are sent again.
  ASSERT_TRUE(totals.Pass(kDefaultTenant, delta(10, 20, 3), report, keep).ok());
  EXPECT_EQ(total, 8);
  stored(true);
  // What is not appended at all is undone at once.
  const auto refuse = [](std::vector<storage::IngestBatch>, const std::function<void(bool)>&) {
    return false;
  };
  ASSERT_TRUE(totals.Pass(kDefaultTenant, delta(20, 30, 50), report, refuse).ok());
  ASSERT_TRUE(totals.Pass(kDefaultTenant, delta(20, 30, 1), report, keep).ok());
  EXPECT_EQ(total, 9);
  stored(true);
}

// ---- sums of histograms

using Buckets = std::map<int64_t, uint64_t>;

NativeHistogram Make(int32_t schema, const Buckets& buckets) {
  NativeHistogram h;
  h.schema = schema;
  int64_t next = 0;
  int64_t last = 0;
  for (const auto& [index, count] : buckets) {
    h.positive_spans.push_back({static_cast<int32_t>(index - next), 1});
    h.positive_deltas.push_back(static_cast<int64_t>(count) - last);
    last = static_cast<int64_t>(count);
    next = index + 1;
    h.count += count;
  }
  return h;
}
Buckets BucketsOf(const NativeHistogram& h) {
  Buckets out;
  int64_t index = 0;
  int64_t count = 0;
  size_t i = 0;
  for (const HistogramSpan& span : h.positive_spans) {
    index += span.offset;
    for (uint32_t n = 0; n < span.length; ++n, ++index) {
      count += h.positive_deltas[i++];
      if (count > 0) out[index] = static_cast<uint64_t>(count);
    }
  }
  return out;
}

RC_GTEST_PROP(HistogramSum, IsThatOfItsBucketsWhateverTheSchemas, ()) {
  const auto buckets = rc::gen::container<Buckets>(rc::gen::inRange<int64_t>(-50, 50),
                                                   rc::gen::inRange<uint64_t>(1, 1000));
  const Buckets a = *buckets;
  const Buckets b = *buckets;
  const int32_t schema_a = *rc::gen::inRange(-4, 9);
  const int32_t schema_b = *rc::gen::inRange(-4, 9);
  const auto sum = AddHistograms(Make(schema_a, a), Make(schema_b, b));
  RC_ASSERT(sum.ok());
  RC_ASSERT(ValidateHistogram(*sum).ok());
  const int32_t schema = std::min(schema_a, schema_b);
  Buckets expected;
  for (const auto& [all, of] : {std::pair(&a, schema_a), std::pair(&b, schema_b)}) {
    for (const auto& [index, count] : *all) {
      // A bucket ends at 2^(index / 2^schema): in the coarser schema at the next whole step.
      const auto steps = static_cast<double>(int64_t{1} << (of - schema));
      expected[static_cast<int64_t>(std::ceil(static_cast<double>(index) / steps))] += count;
    }
  }
  RC_ASSERT(BucketsOf(*sum) == expected);
}

TEST(HistogramSum, TheWiderZeroBucketTakesWhatLiesInside) {
  NativeHistogram wide;
  wide.schema = 0;
  wide.zero_threshold = 1.5;  // inside (1, 2], which is bucket 1
  wide.zero_count = 1;
  wide.count = 1;
  NativeHistogram fine = Make(0, {{-3, 1}, {1, 2}, {2, 4}});
  const auto sum = AddHistograms(wide, fine);
  ASSERT_TRUE(sum.ok());
  EXPECT_EQ(sum->zero_threshold, 2);
  EXPECT_EQ(sum->zero_count, 4U);
  EXPECT_EQ(BucketsOf(*sum), (Buckets{{2, 4}}));
}

TEST(HistogramSum, OfDifferentCustomBoundsThereIsNone) {
  NativeHistogram a;
  a.schema = kCustomBucketsSchema;
  a.custom_values = {1, 2};
  NativeHistogram b = a;
  EXPECT_TRUE(AddHistograms(a, b).ok());
  b.custom_values = {1, 3};
  EXPECT_EQ(AddHistograms(a, b).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(AddHistograms(a, Make(0, {})).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace basalt::ingest::otlp
