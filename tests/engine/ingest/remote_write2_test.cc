#include "engine/ingest/remote_write2.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

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
  RemoteWrite2Decoder decoder{Strict()};
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

// Equal values in mirrored places: the sums of their places are the same.
TEST_F(RemoteWrite2, TellsSeriesApartWhoseValuesAreMirrored) {
  const std::vector<std::string> table = {"", "__name__", "up", "a", "b", "c", "d", "0", "1"};
  const std::vector<uint32_t> one = {1, 2, 3, 7, 4, 8, 5, 8, 6, 7};
  const std::vector<uint32_t> other = {1, 2, 3, 8, 4, 7, 5, 7, 6, 8};
  for (int64_t round = 0; round < 2; ++round) {
    ASSERT_TRUE(
        Decode(Request(table, {{one, {{kT + round, 1}}}, {other, {{kT + round, 2}}}})).ok());
    EXPECT_EQ(world.Apply(builder.Finish()),
              (std::vector<SampleRow>{{"up{a=\"0\", b=\"1\", c=\"1\", d=\"0\"}", kT + round, 1},
                                      {"up{a=\"1\", b=\"0\", c=\"0\", d=\"1\"}", kT + round, 2}}));
  }
}

// A list of references is told from the list before it; a model spells out every one.
RC_GTEST_PROP(RemoteWrite2Labels, AreThoseOfEachSeriesWhateverStoodBefore, ()) {
  constexpr uint32_t kNames = 4;
  constexpr uint32_t kValues = 5;
  std::vector<std::string> symbols = {""};
  // Some numbers take one byte, some two.
  const auto first = static_cast<uint32_t>(*rc::gen::element<size_t>(1, 125, 300));
  symbols.resize(first, "filler");
  for (uint32_t i = 0; i < kNames; ++i)
    symbols.push_back(i == 0 ? "__name__" : "n" + std::to_string(i));
  for (uint32_t i = 0; i < kValues; ++i) symbols.push_back("v" + std::to_string(i));
  DecoderWorld world;
  RemoteWrite2Decoder decoder{Limits()};
  storage::BatchBuilder builder{world.resolver, kDefaultTenant};
  for (int request = 0; request < 4; ++request) {
    std::vector<SentSeries> all;
    std::vector<SampleRow> expected;
    uint64_t refused = 0;
    for (int i = *rc::gen::inRange(0, 20); i > 0; --i) {
      SentSeries series;
      std::string metric;
      std::string labels;
      for (uint32_t n = 0; n < kNames; ++n) {
        if (n > 0 && *rc::gen::inRange(0, 3) == 0) continue;
        const auto value = *rc::gen::inRange<uint32_t>(0, kValues);
        series.refs.push_back(first + n);
        series.refs.push_back(first + kNames + value);
        const std::string& text = symbols[first + kNames + value];
        if (n == 0) {
          metric = text;
        } else {
          labels += (labels.empty() ? "" : ", ") + symbols[first + n] + "=\"" + text + "\"";
        }
      }
      bool sound = true;
      if (const int odd = *rc::gen::inRange(0, 12); odd == 0) {
        series.refs.push_back(first);  // without its value
        sound = false;
      } else if (odd == 1) {
        const auto at = *rc::gen::inRange<size_t>(0, series.refs.size());
        series.refs[at] = *rc::gen::element<uint32_t>(first + 40, 0xFFFF'FFFE, 0xFFFF'FFFF);
        sound = false;
      }
      series.samples = {{kT + request * 1000 + i, 1}};
      all.push_back(series);
      if (sound) {
        expected.emplace_back(labels.empty() ? metric : metric + "{" + labels + "}",
                              series.samples[0].ms, 1);
      } else {
        ++refused;
      }
    }
    Report report;
    RC_ASSERT(decoder.Decode(Request(symbols, all), kNow, builder, report).ok());
    RC_ASSERT(report.rejected() == refused);
    std::sort(expected.begin(), expected.end());
    RC_ASSERT(world.Apply(builder.Finish()) == expected);
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
