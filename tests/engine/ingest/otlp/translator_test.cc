// Requests in JSON, which a person can read, into samples.
#include "engine/ingest/otlp/translator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engine/base/stale.h"
#include "engine/ingest/otlp/json_decoder.h"
#include "tests/engine/ingest/decoder_world.h"

namespace basalt::ingest::otlp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Rows = std::vector<SampleRow>;

constexpr Timestamp kNow = FromMs(1'700'000'000'000);
constexpr int64_t kT = 1'699'999'999'000;

// One resource with one scope that holds `metrics`; single quotes are double ones, and $T is kT in
// nanoseconds.
std::string Request(std::string metrics,
                    std::string attributes =
                        "{'key':'service.name','value':{'stringValue':'shop'}},"
                        "{'key':'service.instance.id','value':{'stringValue':'i1'}}") {
  std::string text = "{'resourceMetrics':[{'resource':{'attributes':[" + attributes +
                     "]},'scopeMetrics':[{'scope':{'name':'lib','version':'2'},'metrics':[" +
                     metrics + "]}]}]}";
  std::replace(text.begin(), text.end(), '\'', '"');
  for (size_t at = text.find("$T"); at != std::string::npos; at = text.find("$T"))
    text.replace(at, 2, std::to_string(kT) + "000000");
  return text;
}

class Otlp : public testing::Test {
 protected:
  Status Decode(const std::string& json) {
    report.Reset();
    translator.BeginRequest(kDefaultTenant, kNow, builder, deltas, report);
    return decoder.Decode(json, translator);
  }
  Rows Samples(const std::string& json) {
    const Status status = Decode(json);
    EXPECT_TRUE(status.ok()) << status.message();
    return world.Apply(builder.Finish());
  }

  DecoderWorld world;
  Settings settings;
  Translator translator{Limits(), settings};
  JsonDecoder decoder;
  storage::BatchBuilder builder{world.resolver, kDefaultTenant};
  storage::BatchBuilder deltas{world.resolver, kDefaultTenant};
  Report report;
};

constexpr const char* kCounter =
    "{'name':'http.requests','unit':'','sum':{'isMonotonic':true,'aggregationTemporality':2,"
    "'dataPoints':[{'timeUnixNano':'$T','asInt':'7','attributes':["
    "{'key':'http.method','value':{'stringValue':'GET'}},{'key':'ok','value':{'boolValue':true}}]}]"
    "}}";

TEST_F(Otlp, ACounterIsNamedAndLabelledAsPrometheusDoes) {
  const Rows expected = {
      {R"(http_requests_total{http_method="GET", instance="i1", job="shop", ok="true"})", kT, 7}};
  EXPECT_EQ(Samples(Request(kCounter)), expected);
  EXPECT_EQ(world.defined, 1);
  EXPECT_EQ(Samples(Request(kCounter)), expected);
  EXPECT_EQ(world.defined, 1) << "the second time the labels are not even made";
  EXPECT_EQ(report.samples, 1U);
}

TEST_F(Otlp, TheSameAttributesOfAnotherResourceAreAnotherSeries) {
  Samples(Request(kCounter));
  const Rows rows =
      Samples(Request(kCounter, "{'key':'service.name','value':{'stringValue':'other'}}"));
  EXPECT_EQ(rows,
            (Rows{{R"(http_requests_total{http_method="GET", job="other", ok="true"})", kT, 7}}));
}

TEST_F(Otlp, NamespaceAndNameAreTheJob) {
  const Rows rows =
      Samples(Request("{'name':'up','gauge':{'dataPoints':[{'timeUnixNano':'$T','asDouble':0.5}]}}",
                      "{'key':'service.name','value':{'stringValue':'api'}},"
                      "{'key':'service.namespace','value':{'stringValue':'shop'}}"));
  EXPECT_EQ(rows, (Rows{{R"(up{job="shop/api"})", kT, 0.5}}));
}

TEST_F(Otlp, OtherResourceAttributesAreTargetInfo) {
  const Rows rows =
      Samples(Request("{'name':'up','gauge':{'dataPoints':[{'timeUnixNano':'$T','asDouble':1}]}}",
                      "{'key':'service.name','value':{'stringValue':'api'}},"
                      "{'key':'k8s.pod.name','value':{'stringValue':'p-1'}}"));
  EXPECT_EQ(rows, (Rows{{R"(target_info{job="api", k8s_pod_name="p-1"})", kT, 1},
                        {R"(up{job="api"})", kT, 1}}));
}

TEST_F(Otlp, TargetInfoReachesFromTheFirstPointToTheLast) {
  const std::string first = std::to_string(kT - 400'000) + "000000";
  const Rows rows =
      Samples(Request("{'name':'up','gauge':{'dataPoints':[{'timeUnixNano':'$T','asDouble':1},"
                      "{'timeUnixNano':'" +
                          first + "','asDouble':1}]}}",
                      "{'key':'service.name','value':{'stringValue':'api'}},"
                      "{'key':'zone','value':{'stringValue':'z'}}"));
  std::vector<int64_t> times;
  for (const auto& [series, ms, value] : rows) {
    if (series.starts_with("target_info")) times.push_back(ms);
  }
  EXPECT_THAT(times, ElementsAre(kT - 400'000, kT - 250'000, kT - 100'000, kT));
}

TEST_F(Otlp, OneWildTimeDoesNotCostAMillionSamples) {
  const Rows rows =
      Samples(Request("{'name':'up','gauge':{'dataPoints':[{'timeUnixNano':'$T','asDouble':1},"
                      "{'timeUnixNano':'1000000','asDouble':1}]}}",
                      "{'key':'service.name','value':{'stringValue':'api'}},"
                      "{'key':'zone','value':{'stringValue':'z'}}"));
  EXPECT_EQ(rows.size(), 2U + Translator::kMaxTargetInfos + 1);
}

constexpr const char* kHistogram =
    "{'name':'latency','unit':'s','histogram':{'aggregationTemporality':2,'dataPoints':[{"
    "'startTimeUnixNano':'1600000000000000000','timeUnixNano':'$T','count':'6','sum':2.5,"
    "'bucketCounts':['1','2','3'],'explicitBounds':[0.1,10],"
    "'exemplars':[{'timeUnixNano':'$T','asDouble':0.05,'traceId':'5b8efff798038103d269b633813fc60c'"
    "},{'timeUnixNano':'$T','asDouble':99,'spanId':'eee19b7ec3c1b174'}]}]}}";

TEST_F(Otlp, AHistogramBecomesCumulativeBuckets) {
  ASSERT_TRUE(Decode(Request(kHistogram)).ok());
  const auto batches = builder.Finish();
  EXPECT_EQ(world.Apply(batches),
            (Rows{{R"(latency_seconds_bucket{instance="i1", job="shop", le="+Inf"})", kT, 6},
                  {R"(latency_seconds_bucket{instance="i1", job="shop", le="0.1"})", kT, 1},
                  {R"(latency_seconds_bucket{instance="i1", job="shop", le="10"})", kT, 3},
                  {R"(latency_seconds_count{instance="i1", job="shop"})", kT, 6},
                  {R"(latency_seconds_sum{instance="i1", job="shop"})", kT, 2.5}}));
  // Each exemplar stands with the bucket that its value fell into.
  std::vector<std::string> exemplars;
  for (const storage::IngestBatch& batch : batches) {
    for (const storage::ExemplarSample& e : batch.exemplars) {
      const storage::BatchSeries& series = batch.series[e.series];
      const auto labels =
          LabelsFromCanonical(
              std::string_view(batch.labels).substr(series.labels_offset, series.labels_bytes))
              .value();
      exemplars.push_back("le=" + std::string(labels.Get("le")) + " " +
                          LabelsFromCanonical(e.labels).value().ToString());
    }
    for (const int64_t start : batch.sample_start_ms) EXPECT_EQ(start, 1'600'000'000'000);
  }
  std::sort(exemplars.begin(), exemplars.end());
  EXPECT_THAT(exemplars, ElementsAre(R"(le=+Inf {span_id="eee19b7ec3c1b174"})",
                                     R"(le=0.1 {trace_id="5b8efff798038103d269b633813fc60c"})"));
}

TEST_F(Otlp, AHistogramWithoutASumHasNone) {
  const Rows rows = Samples(Request(
      "{'name':'h','histogram':{'aggregationTemporality':2,'dataPoints':[{'timeUnixNano':'$T',"
      "'count':'2'}]}}"));
  EXPECT_EQ(rows, (Rows{{R"(h_bucket{instance="i1", job="shop", le="+Inf"})", kT, 2},
                        {R"(h_count{instance="i1", job="shop"})", kT, 2}}));
}

TEST_F(Otlp, ASummaryHasQuantiles) {
  const Rows rows = Samples(Request(
      "{'name':'gc','unit':'s','summary':{'dataPoints':[{'timeUnixNano':'$T','count':'4','sum':1,"
      "'quantileValues':[{'quantile':0.5,'value':0.1},{'quantile':1,'value':0.75}]}]}}"));
  EXPECT_EQ(rows, (Rows{{R"(gc_seconds_count{instance="i1", job="shop"})", kT, 4},
                        {R"(gc_seconds_sum{instance="i1", job="shop"})", kT, 1},
                        {R"(gc_seconds{instance="i1", job="shop", quantile="0.5"})", kT, 0.1},
                        {R"(gc_seconds{instance="i1", job="shop", quantile="1"})", kT, 0.75}}));
}

TEST_F(Otlp, AnExponentialHistogramIsNative) {
  ASSERT_TRUE(Decode(Request("{'name':'rt','unit':'ms','exponentialHistogram':{"
                             "'aggregationTemporality':1,'dataPoints':[{'startTimeUnixNano':'"
                             "1600000000000000000','timeUnixNano':'$T','count':'3','sum':4,'scale'"
                             ":1,'zeroCount':'1','positive':{'offset':-1,'bucketCounts':['1','1']}"
                             "}]}}"))
                  .ok());
  const auto batches = builder.Finish();
  ASSERT_EQ(report.histograms, 1U);
  for (const storage::IngestBatch& batch : batches) {
    for (const storage::HistogramSample& sample : batch.histograms) {
      EXPECT_EQ(sample.histogram.schema, 1);
      EXPECT_EQ(sample.histogram.reset_hint, ResetHint::kGauge) << "deltas are not cumulative";
      EXPECT_EQ(sample.start_ms, 1'600'000'000'000);
      EXPECT_EQ(sample.time_ms, kT);
    }
  }
}

TEST_F(Otlp, NoRecordedValueIsAStaleMarker) {
  const Rows rows =
      Samples(Request("{'name':'up','gauge':{'dataPoints':[{'timeUnixNano':'$T','flags':1}]}}"));
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_TRUE(IsStaleMarker(std::get<2>(rows[0])));
}

TEST_F(Otlp, AttributesThatBecomeOneLabelAreJoinedInTheOrderOfTheirKeys) {
  const Rows rows = Samples(
      Request("{'name':'up','gauge':{'dataPoints':[{'timeUnixNano':'$T','asInt':1,'attributes':["
              "{'key':'a_b','value':{'stringValue':'under'}},"
              "{'key':'a.b','value':{'stringValue':'dot'}}]}]}}"));
  EXPECT_EQ(rows, (Rows{{R"(up{a_b="dot;under", instance="i1", job="shop"})", kT, 1}}));
}

TEST_F(Otlp, PromotionAndUtf8AreSettings) {
  settings.translation = Translation::kNoTranslation;
  settings.promote_resource_attributes = {"k8s.pod.name"};
  settings.promote_scope_metadata = true;
  Translator other(Limits(), settings);
  report.Reset();
  other.BeginRequest(kDefaultTenant, kNow, builder, deltas, report);
  ASSERT_TRUE(decoder
                  .Decode(Request("{'name':'cpu.load','unit':'1','gauge':{'dataPoints':[{"
                                  "'timeUnixNano':'$T','asDouble':1}]}}",
                                  "{'key':'k8s.pod.name','value':{'stringValue':'p-1'}}"),
                          other)
                  .ok());
  EXPECT_EQ(world.Apply(builder.Finish()),
            (Rows{{R"({"cpu.load", "k8s.pod.name"="p-1", otel_scope_name="lib", )"
                   R"(otel_scope_version="2"})",
                   kT, 1}}))
      << "no job and no instance: no target_info";
}

struct RefusedCase {
  const char* name;
  const char* metric;
  Reason reason;
  const char* detail;
};
class OtlpRefuses : public Otlp, public testing::WithParamInterface<RefusedCase> {};

TEST_P(OtlpRefuses, OnePointAndStoresTheOther) {
  const RefusedCase& c = GetParam();
  const Rows rows = Samples(
      Request(std::string(c.metric) +
              ",{'name':'good','gauge':{'dataPoints':[{'timeUnixNano':'$T','asInt':'2'}]}}"));
  EXPECT_EQ(rows, (Rows{{R"(good{instance="i1", job="shop"})", kT, 2}}));
  EXPECT_EQ(translator.rejected_points(), 1U);
  EXPECT_EQ(report.rejected(c.reason), 1U);
  ASSERT_EQ(report.details().size(), 1U);
  EXPECT_THAT(report.details()[0], HasSubstr(c.detail));
}

INSTANTIATE_TEST_SUITE_P(
    Table, OtlpRefuses,
    testing::Values(
        RefusedCase{"no time", "{'name':'x','gauge':{'dataPoints':[{'asInt':1}]}}",
                    Reason::kTimestamp,
                    R"(metrics["x"].data_points[0]: time_unix_nano is missing)"},
        RefusedCase{"no value", "{'name':'x','gauge':{'dataPoints':[{'timeUnixNano':'$T'}]}}",
                    Reason::kUnsupported, "has neither as_double nor as_int"},
        RefusedCase{"future",
                    "{'name':'x','gauge':{'dataPoints':[{'timeUnixNano':'1900000000000000000',"
                    "'asInt':1}]}}",
                    Reason::kTimestamp, "too far ahead"},
        RefusedCase{"no temporality",
                    "{'name':'x','sum':{'dataPoints':[{'timeUnixNano':'$T','asInt':1}]}}",
                    Reason::kUnsupported, "aggregation_temporality"},
        RefusedCase{"no name", "{'gauge':{'dataPoints':[{'timeUnixNano':'$T','asInt':1}]}}",
                    Reason::kUnsupported, "no name"},
        RefusedCase{"nameless attribute",
                    "{'name':'x','gauge':{'dataPoints':[{'timeUnixNano':'$T','asInt':1,"
                    "'attributes':[{'key':'','value':{'intValue':1}}]}]}}",
                    Reason::kLabels, "empty key"},
        RefusedCase{"bounds",
                    "{'name':'x','histogram':{'aggregationTemporality':2,'dataPoints':[{"
                    "'timeUnixNano':'$T','count':1,'bucketCounts':[1],'explicitBounds':[1]}]}}",
                    Reason::kHistogram, "bucket_counts has 1 entries for 1 explicit_bounds"},
        RefusedCase{"scale",
                    "{'name':'x','exponentialHistogram':{'aggregationTemporality':2,'dataPoints':"
                    "[{'timeUnixNano':'$T','scale':-7}]}}",
                    Reason::kHistogram, "scale -7"},
        RefusedCase{"unknown kind", "{'name':'x','sketch':{}}", Reason::kUnsupported,
                    R"(metrics["x"]: its data is of no kind)"}),
    [](const auto& test) {
      std::string name = test.param.name;
      std::replace(name.begin(), name.end(), ' ', '_');
      return name;
    });

TEST_F(Otlp, MetadataIsPassedOnOnce) {
  const auto metadata = [&] {
    std::vector<std::string> out;
    EXPECT_TRUE(Decode(Request("{'name':'lat','unit':'s','description':'How long.','histogram':{"
                               "'aggregationTemporality':2,'dataPoints':[]}}"))
                    .ok());
    for (const storage::IngestBatch& batch : builder.Finish()) {
      for (const storage::MetadataEntry& entry : batch.metadata)
        out.push_back(entry.metric + "|" + entry.unit + "|" + entry.help);
    }
    return out;
  };
  EXPECT_THAT(metadata(), ElementsAre("lat_seconds|seconds|How long."));
  EXPECT_TRUE(metadata().empty());
}

}  // namespace
}  // namespace basalt::ingest::otlp
