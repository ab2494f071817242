#include "engine/ingest/remote_write.h"

#include <gtest/gtest.h>

#include <protozero/pbf_writer.hpp>

#include "tests/engine/ingest/decoder_world.h"

namespace basalt::ingest {
namespace {

using protozero::pbf_writer;
// Says what is not as the specification has it.
Limits Strict() {
  Limits limits;
  limits.unsorted_labels = UnsortedLabels::kReject;
  return limits;
}

constexpr Timestamp kNow = FromMs(1'700'000'000'000);
constexpr int64_t kT = 1'699'999'999'000;

struct Sent {
  std::vector<Label> labels;
  std::vector<std::pair<int64_t, double>> samples;
};

void WriteLabel(pbf_writer& series, const Label& label) {
  pbf_writer out(series, 1);
  out.add_string(1, label.name);
  out.add_string(2, label.value);
}

void WriteSample(pbf_writer& series, int64_t ms, double value) {
  pbf_writer out(series, 2);
  out.add_double(1, value);
  out.add_int64(2, ms);
}

std::string Request(const std::vector<Sent>& all) {
  std::string bytes;
  pbf_writer request(bytes);
  for (const Sent& sent : all) {
    pbf_writer series(request, 1);
    for (const Label& label : sent.labels) WriteLabel(series, label);
    for (const auto& [ms, value] : sent.samples) WriteSample(series, ms, value);
  }
  return bytes;
}

class RemoteWrite : public testing::Test {
 protected:
  Status Decode(const std::string& bytes) {
    report.Reset();
    return decoder.Decode(bytes, kNow, builder, report);
  }
  std::vector<SampleRow> Rows() { return world.Apply(builder.Finish()); }

  DecoderWorld world;
  RemoteWriteDecoder decoder{Strict()};
  storage::BatchBuilder builder{world.resolver, kDefaultTenant};
  Report report;
};

TEST_F(RemoteWrite, TakesSamplesAndSendsLabelsOnlyOnce) {
  const std::string bytes =
      Request({{{{"__name__", "up"}, {"job", "a"}}, {{kT, 1}}},
               {{{"__name__", "up"}, {"job", "b"}}, {{kT, 0}, {kT + 1, 0.5}}}});
  const std::vector<SampleRow> expected = {
      {"up{job=\"a\"}", kT, 1}, {"up{job=\"b\"}", kT, 0}, {"up{job=\"b\"}", kT + 1, 0.5}};
  ASSERT_TRUE(Decode(bytes).ok());
  EXPECT_EQ(Rows(), expected);
  EXPECT_EQ(report.samples, 3U);
  EXPECT_EQ(world.defined, 2);
  ASSERT_TRUE(Decode(bytes).ok());
  EXPECT_EQ(Rows(), expected);
  EXPECT_EQ(world.defined, 2) << "known series come without labels";
}

TEST_F(RemoteWrite, LabelsThatStandApartAreStillAllOfTheIdentity) {
  std::string bytes;
  {
    pbf_writer request(bytes);
    pbf_writer series(request, 1);
    WriteLabel(series, {"__name__", "up"});
    WriteSample(series, kT, 7);
    WriteLabel(series, {"job", "apart"});
  }
  ASSERT_TRUE(Decode(bytes).ok());
  EXPECT_EQ(Rows(), (std::vector<SampleRow>{{"up{job=\"apart\"}", kT, 7}}));
  // The series that has only the labels before the gap is another one.
  ASSERT_TRUE(Decode(Request({{{{"__name__", "up"}}, {{kT, 8}}}})).ok());
  EXPECT_EQ(Rows(), (std::vector<SampleRow>{{"up", kT, 8}}));
  // And contiguous bytes of the same labels are the same series.
  ASSERT_TRUE(Decode(Request({{{{"__name__", "up"}, {"job", "apart"}}, {{kT, 9}}}})).ok());
  EXPECT_EQ(Rows(), (std::vector<SampleRow>{{"up{job=\"apart\"}", kT, 9}}));
}

// The usual encoding has a short way of its own; every other one gives the same rows.
TEST_F(RemoteWrite, ReadsFieldsOfAnyLengthAndOrder) {
  for (const size_t bytes : {1, 60, 115, 116, 117, 126, 127, 128, 300, 16'000}) {
    const std::string value(bytes, 'v');
    const std::string row = "up{job=\"" + value + "\"}";
    const auto decoded = [&](const auto& write) {
      std::string message;
      {
        pbf_writer request(message);
        pbf_writer series(request, 1);
        write(series);
      }
      EXPECT_TRUE(Decode(message).ok());
      return Rows();
    };
    const auto labels = [&](pbf_writer& series) {
      WriteLabel(series, {"__name__", "up"});
      WriteLabel(series, {"job", value});
    };
    for (int round = 0; round < 2; ++round) {  // new, then known
      // Zero is left out by gogo's marshaller.
      EXPECT_EQ(decoded([&](pbf_writer& series) {
                  labels(series);
                  pbf_writer(series, 2).add_int64(2, kT);
                }),
                (std::vector<SampleRow>{{row, kT, 0}}));
      // The time before the value, an unknown field, two samples.
      EXPECT_EQ(decoded([&](pbf_writer& series) {
                  labels(series);
                  {
                    pbf_writer sample(series, 2);
                    sample.add_int64(2, kT);
                    sample.add_double(1, 1);
                    sample.add_string(9, "later");
                  }
                  WriteSample(series, kT + 1, 2);
                }),
                (std::vector<SampleRow>{{row, kT, 1}, {row, kT + 1, 2}}));
      // Samples first, and a field that nobody knows between.
      EXPECT_EQ(decoded([&](pbf_writer& series) {
                  WriteSample(series, kT, 3);
                  series.add_uint64(15, 7);
                  labels(series);
                }),
                (std::vector<SampleRow>{{row, kT, 3}}));
      // Before 1970: ten bytes of varint, and refused by name.
      EXPECT_TRUE(decoded([&](pbf_writer& series) {
                    labels(series);
                    WriteSample(series, -5, 1);
                  }).empty());
      EXPECT_EQ(report.details()[0], "timeseries[0].samples.timestamp: -5 ms is before 1970");
    }
  }
}

struct RejectCase {
  const char* name;
  std::vector<Label> labels;
  int64_t ms;
  Reason reason;
  const char* detail;
};
class RemoteWriteRejects : public RemoteWrite, public testing::WithParamInterface<RejectCase> {};

TEST_P(RemoteWriteRejects, OneSeriesAndStoresTheOther) {
  const RejectCase& c = GetParam();
  ASSERT_TRUE(Decode(Request({{c.labels, {{c.ms, 1}}}, {{{"__name__", "good"}}, {{kT, 2}}}})).ok());
  EXPECT_EQ(Rows(), (std::vector<SampleRow>{{"good", kT, 2}}));
  EXPECT_EQ(report.rejected(c.reason), 1U);
  ASSERT_EQ(report.details().size(), 1U);
  EXPECT_EQ(report.details()[0], c.detail);
}

INSTANTIATE_TEST_SUITE_P(
    Table, RemoteWriteRejects,
    testing::Values(
        RejectCase{"unsorted",
                   {{"__name__", "x"}, {"b", "1"}, {"a", "1"}},
                   kT,
                   Reason::kLabels,
                   "timeseries[0].labels: not sorted by name: \"a\" comes after \"b\""},
        RejectCase{"duplicate",
                   {{"__name__", "x"}, {"a", "1"}, {"a", "2"}},
                   kT,
                   Reason::kLabels,
                   "timeseries[0].labels: label \"a\" is there twice"},
        RejectCase{"empty_name",
                   {{"", "v"}, {"__name__", "x"}},
                   kT,
                   Reason::kLabels,
                   "timeseries[0].labels: label 0 has an empty name"},
        RejectCase{"no_metric_name",
                   {{"a", "1"}},
                   kT,
                   Reason::kLabels,
                   "timeseries[0].labels: no metric name: label \"__name__\" is missing or empty"},
        RejectCase{"not_utf8",
                   {{"__name__", "x"}, {"a", "\xff"}},
                   kT,
                   Reason::kLabels,
                   "timeseries[0].labels: label \"a\": its value is not UTF-8"},
        RejectCase{"long_name",
                   {{"__name__", "x"}, {std::string(1025, 'n'), "1"}},
                   kT,
                   Reason::kLabelLimits,
                   "timeseries[0].labels: label "
                   "\"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
                   "nnn\"...: "
                   "its name has 1025 bytes, the limit is 1024"},
        RejectCase{"before_1970",
                   {{"__name__", "x"}},
                   -1,
                   Reason::kTimestamp,
                   "timeseries[0].samples.timestamp: -1 ms is before 1970"},
        RejectCase{"future",
                   {{"__name__", "x"}},
                   1'700'000'600'001,
                   Reason::kTimestamp,
                   "timeseries[0].samples.timestamp: 1700000600001 ms is too far ahead of the "
                   "server's clock"}),
    [](const auto& param_info) { return std::string(param_info.param.name); });

TEST_F(RemoteWrite, TenMinutesAheadIsTheLastThatFits) {
  ASSERT_TRUE(Decode(Request({{{{"__name__", "x"}}, {{0, 1}, {1'700'000'600'000, 2}}}})).ok());
  EXPECT_EQ(Rows().size(), 2U);
}

TEST_F(RemoteWrite, SortsForThoseWhoAsk) {
  Limits limits;
  limits.unsorted_labels = UnsortedLabels::kSort;
  decoder = RemoteWriteDecoder(limits);
  ASSERT_TRUE(Decode(Request({{{{"b", "1"}, {"a", "1"}, {"__name__", "x"}}, {{kT, 3}}}})).ok());
  EXPECT_EQ(Rows(), (std::vector<SampleRow>{{"x{a=\"1\", b=\"1\"}", kT, 3}}));
}

TEST_F(RemoteWrite, KeepsHistogramsExemplarsAndMetadata) {
  std::string bytes;
  {
    pbf_writer request(bytes);
    {
      pbf_writer series(request, 1);
      WriteLabel(series, {"__name__", "h"});
      {
        pbf_writer h(series, 4);
        h.add_uint64(1, 5);
        h.add_double(3, 2.5);
        h.add_sint32(4, 1);
        h.add_double(5, 0.001);
        h.add_uint64(6, 2);
        {
          pbf_writer span(h, 11);
          span.add_sint32(1, -1);
          span.add_uint32(2, 2);
        }
        const std::vector<int64_t> deltas = {1, 1};
        h.add_packed_sint64(12, deltas.begin(), deltas.end());
        h.add_enum(14, 3);
        h.add_int64(15, kT);
      }
      pbf_writer e(series, 3);
      {
        pbf_writer label(e, 1);
        label.add_string(1, "trace_id");
        label.add_string(2, "abc");
      }
      e.add_double(2, 1.5);
      e.add_int64(3, kT);
    }
    pbf_writer m(request, 3);
    m.add_enum(1, 3);
    m.add_string(2, "h");
    m.add_string(4, "Help.");
    m.add_string(5, "seconds");
  }
  ASSERT_TRUE(Decode(bytes).ok());
  EXPECT_EQ(report.Message(), "");
  storage::HistogramSample histogram;
  storage::ExemplarSample exemplar;
  storage::MetadataEntry metadata;
  for (const storage::IngestBatch& batch : builder.Finish()) {
    if (!batch.histograms.empty()) histogram = batch.histograms[0];
    if (!batch.exemplars.empty()) exemplar = batch.exemplars[0];
    if (!batch.metadata.empty()) metadata = batch.metadata[0];
  }
  EXPECT_EQ(histogram.time_ms, kT);
  EXPECT_EQ(histogram.histogram.count, 5U);
  EXPECT_EQ(histogram.histogram.positive_spans, (std::vector<HistogramSpan>{{-1, 2}}));
  EXPECT_EQ(histogram.histogram.positive_deltas, (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(histogram.histogram.reset_hint, ResetHint::kGauge);
  EXPECT_EQ(exemplar.value, 1.5);
  EXPECT_EQ(LabelsFromCanonical(exemplar.labels).value(), (Labels{{"trace_id", "abc"}}));
  EXPECT_EQ(metadata.metric, "h");
  EXPECT_EQ(metadata.type, storage::MetricType::kHistogram);
  EXPECT_EQ(metadata.unit, "seconds");
}

TEST_F(RemoteWrite, RefusesABadHistogramAndNamesTheField) {
  std::string bytes;
  {
    pbf_writer request(bytes);
    pbf_writer series(request, 1);
    WriteLabel(series, {"__name__", "h"});
    pbf_writer h(series, 4);
    h.add_uint64(1, 5);
    h.add_sint32(4, 99);
    h.add_int64(15, kT);
  }
  ASSERT_TRUE(Decode(bytes).ok());
  EXPECT_EQ(report.details()[0], "timeseries[0].histograms: histogram: unknown schema 99");
}

TEST_F(RemoteWrite, RejectsEveryCutOfARequest) {
  const std::string bytes = Request({{{{"__name__", "up"}, {"job", "a"}}, {{kT, 1}}}});
  for (size_t n = 1; n < bytes.size(); ++n) {
    builder.Reset(kDefaultTenant);
    EXPECT_EQ(Decode(bytes.substr(0, n)).code(), StatusCode::kInvalidArgument) << n;
  }
}

TEST(Report, KeepsAFewDetailsAndCountsTheRest) {
  Report report;
  for (int i = 0; i < 12; ++i)
    report.Reject(Reason::kLabels, 2, [&] { return "d" + std::to_string(i); });
  EXPECT_EQ(report.rejected(), 24U);
  EXPECT_EQ(report.Message(),
            "24 rejected, the rest is stored: d0; d1; d2; d3; d4; d5; d6; d7; d8; d9; and 2 more");
  report.Reject(Reason::kLabels, 1, [] {
    ADD_FAILURE() << "a text is made that nobody keeps";
    return std::string();
  });
}

}  // namespace
}  // namespace basalt::ingest
