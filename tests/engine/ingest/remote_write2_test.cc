#include "engine/ingest/remote_write2.h"

#include <gtest/gtest.h>

#include <protozero/pbf_writer.hpp>

#include "tests/engine/ingest/decoder_world.h"

namespace basalt::ingest {
namespace {

using protozero::pbf_writer;
constexpr Timestamp kNow = FromMs(1'700'000'000'000);
constexpr int64_t kT = 1'699'999'999'000;

struct SentSample {
  int64_t ms;
  double value;
  int64_t start_ms = 0;
};
struct SentSeries {
  std::vector<uint32_t> refs;
  std::vector<SentSample> samples;
  uint32_t help = 0;
};

std::string Request(const std::vector<std::string>& symbols, const std::vector<SentSeries>& all) {
  std::string bytes;
  pbf_writer request(bytes);
  for (const std::string& symbol : symbols) request.add_string(4, symbol);
  for (const SentSeries& sent : all) {
    pbf_writer series(request, 5);
    series.add_packed_uint32(1, sent.refs.begin(), sent.refs.end());
    for (const SentSample& sample : sent.samples) {
      pbf_writer out(series, 2);
      out.add_double(1, sample.value);
      out.add_int64(2, sample.ms);
      if (sample.start_ms != 0) out.add_int64(3, sample.start_ms);
    }
    if (sent.help != 0) {
      pbf_writer metadata(series, 5);
      metadata.add_enum(1, 1);
      metadata.add_uint32(3, sent.help);
    }
  }
  return bytes;
}

class RemoteWrite2 : public testing::Test {
 protected:
  Status Decode(const std::string& bytes, Timestamp now = kNow) {
    report.Reset();
    return decoder.Decode(bytes, now, builder, report);
  }
  const std::vector<std::string> symbols = {"", "__name__", "up", "job", "a", "b", "Is it up?"};
  DecoderWorld world;
  RemoteWrite2Decoder decoder{Limits()};
  storage::BatchBuilder builder{world.resolver, kDefaultTenant};
  Report report;
};

TEST_F(RemoteWrite2, TakesSamplesWithTheirStartTimes) {
  ASSERT_TRUE(
      Decode(Request(symbols, {{{1, 2, 3, 4}, {{kT, 1, kT - 500}}}, {{1, 2, 3, 5}, {{kT, 2}}}}))
          .ok());
  EXPECT_EQ(report.Message(), "");
  std::vector<storage::IngestBatch> batches = builder.Finish();
  std::vector<int64_t> starts;
  for (const storage::IngestBatch& batch : batches) {
    for (size_t i = 0; i < batch.sample_ms.size(); ++i) {
      starts.push_back(batch.sample_start_ms.empty() ? 0 : batch.sample_start_ms[i]);
    }
  }
  std::sort(starts.begin(), starts.end());
  EXPECT_EQ(starts, (std::vector<int64_t>{0, kT - 500}));
  EXPECT_EQ(world.Apply(batches),
            (std::vector<SampleRow>{{"up{job=\"a\"}", kT, 1}, {"up{job=\"b\"}", kT, 2}}));
}

TEST_F(RemoteWrite2, IsTheSameSeriesWhateverTheTableOfSymbols) {
  ASSERT_TRUE(Decode(Request(symbols, {{{1, 2, 3, 4}, {{kT, 1}}}})).ok());
  (void)world.Apply(builder.Finish());
  ASSERT_TRUE(
      Decode(Request({"", "a", "job", "up", "__name__"}, {{{4, 3, 2, 1}, {{kT + 1, 2}}}})).ok());
  EXPECT_EQ(world.Apply(builder.Finish()), (std::vector<SampleRow>{{"up{job=\"a\"}", kT + 1, 2}}));
  EXPECT_EQ(world.defined, 1);
}

TEST_F(RemoteWrite2, PassesMetadataOnOnceInAWhile) {
  const auto metadata = [this](Timestamp now) {
    EXPECT_TRUE(
        Decode(Request(symbols, {{{1, 2}, {{kT, 1}}, 6}, {{1, 2, 3, 4}, {{kT, 1}}, 6}}), now).ok());
    std::vector<storage::MetadataEntry> entries;
    for (const storage::IngestBatch& batch : builder.Finish()) {
      entries.insert(entries.end(), batch.metadata.begin(), batch.metadata.end());
    }
    return entries;
  };
  const auto first = metadata(kNow);
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].metric, "up");
  EXPECT_EQ(first[0].help, "Is it up?");
  EXPECT_EQ(first[0].type, storage::MetricType::kCounter);
  EXPECT_TRUE(metadata(kNow + std::chrono::minutes(1)).empty());
  EXPECT_EQ(metadata(kNow + MetadataFilter::kRepeat).size(), 1U);
}

TEST_F(RemoteWrite2, RefusesOneSeriesAndStoresTheOther) {
  struct Case {
    std::vector<uint32_t> refs;
    std::vector<SentSample> samples;
    const char* detail;
  };
  for (const Case& c :
       {Case{{1, 99}, {{kT, 1}}, "timeseries[0].labels_refs: symbol 99 of 7"},
        Case{{1, 2, 3}, {{kT, 1}}, "timeseries[0].labels_refs: an odd number of symbols"},
        Case{{3, 4, 1, 2},
             {{kT, 1}},
             "timeseries[0].labels_refs: not sorted by name: \"__name__\" comes after \"job\""},
        Case{{1, 2, 3, 4}, {{-5, 1}}, "timeseries[0].samples.timestamp: -5 ms is before 1970"},
        Case{{1, 2, 3, 4}, {}, "timeseries[0]: holds neither samples nor histograms"}}) {
    ASSERT_TRUE(Decode(Request(symbols, {{c.refs, c.samples}, {{1, 2, 3, 5}, {{kT, 2}}}})).ok());
    EXPECT_EQ(world.Apply(builder.Finish()), (std::vector<SampleRow>{{"up{job=\"b\"}", kT, 2}}))
        << c.detail;
    ASSERT_EQ(report.details().size(), 1U);
    EXPECT_EQ(report.details()[0], c.detail);
  }
}

TEST_F(RemoteWrite2, WantsTheEmptyStringFirst) {
  EXPECT_EQ(Decode(Request({"x"}, {})).message(),
            "remote write 2.0 request: symbols[0] must be the empty string");
}

TEST_F(RemoteWrite2, RejectsEveryCutThatIsNotBetweenFields) {
  const std::string bytes = Request(symbols, {{{1, 2, 3, 4}, {{kT, 1}}}});
  for (size_t n = bytes.size() - 20; n < bytes.size(); ++n) {
    builder.Reset(kDefaultTenant);
    EXPECT_EQ(Decode(bytes.substr(0, n)).code(), StatusCode::kInvalidArgument) << n;
  }
}

}  // namespace
}  // namespace basalt::ingest
