#include "engine/ingest/push_decoder.h"

#include <gtest/gtest.h>

#include <cstring>
#include <protozero/pbf_writer.hpp>

#include "tests/engine/ingest/decoder_world.h"

namespace basalt::ingest {
namespace {

using protozero::pbf_writer;
constexpr Timestamp kNow = FromMs(1'700'000'000'000);
constexpr int64_t kT = 1'699'999'999'000;

// Writes a PushRequest field by field.
class Message {
 public:
  Message& Seq(uint64_t seq) {
    writer_.add_uint64(2, seq);
    return *this;
  }
  Message& Symbols(const std::vector<std::string>& symbols) {
    for (const std::string& symbol : symbols) writer_.add_string(3, symbol);
    return *this;
  }
  Message& Series(uint32_t ref, const std::vector<uint32_t>& labels) {
    pbf_writer out(writer_, 4);
    out.add_uint32(1, ref);
    out.add_packed_uint32(2, labels.begin(), labels.end());
    return *this;
  }
  Message& Samples(uint32_t first, const std::vector<int32_t>& ref_deltas, int64_t ms,
                   const std::vector<int64_t>& time_deltas, const std::vector<double>& values,
                   const std::vector<uint64_t>& starts = {}) {
    pbf_writer out(writer_, 5);
    out.add_uint32(1, first);
    out.add_packed_sint32(2, ref_deltas.begin(), ref_deltas.end());
    out.add_sint64(3, ms);
    out.add_packed_sint64(4, time_deltas.begin(), time_deltas.end());
    out.add_bytes(5, reinterpret_cast<const char*>(values.data()), values.size() * 8);
    out.add_packed_uint64(6, starts.begin(), starts.end());
    return *this;
  }
  // Whatever may stand in a histogram.
  Message& Histogram(const std::string& fields) {
    writer_.add_message(6, fields);
    return *this;
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
  pbf_writer writer_{bytes_};
};

class Push : public testing::Test {
 protected:
  Result<PushHeader> Decode(const Message& message) {
    report.Reset();
    return decoder.Decode(message.bytes(), kNow, builder, report);
  }
  std::vector<SampleRow> Rows() { return world.Apply(builder.Finish()); }

  const std::vector<std::string> symbols = {"", "__name__", "up", "job", "a", "b"};
  DecoderWorld world;
  PushDecoder decoder{Limits()};
  storage::BatchBuilder builder{world.resolver, kDefaultTenant};
  Report report;
};

TEST_F(Push, DefinesOnceAndThenNeedsOnlyReferences) {
  Message first;
  first.Seq(1)
      .Symbols(symbols)
      .Series(0, {1, 2, 3, 4})
      .Series(1, {1, 2, 3, 5})
      .Samples(0, {}, kT, {}, {1, 2});
  ASSERT_EQ(Decode(first).value().seq, 1U);
  EXPECT_EQ(Rows(), (std::vector<SampleRow>{{"up{job=\"a\"}", kT, 1}, {"up{job=\"b\"}", kT, 2}}));
  Message second;
  second.Seq(2).Samples(1, {-1, 1}, kT + 10, {5, -20}, {3, 4, 5});
  ASSERT_TRUE(Decode(second).ok());
  EXPECT_EQ(Rows(), (std::vector<SampleRow>{{"up{job=\"a\"}", kT + 15, 4},
                                            {"up{job=\"b\"}", kT - 5, 5},
                                            {"up{job=\"b\"}", kT + 10, 3}}));
  EXPECT_EQ(world.defined, 2);
}

TEST_F(Push, AReferenceCanBeUsedBeforeItsSeriesIsApplied) {
  Message first;
  first.Seq(1).Symbols(symbols).Series(0, {1, 2}).Samples(0, {}, kT, {}, {1});
  ASSERT_TRUE(Decode(first).ok());
  const auto in_flight = builder.Finish();
  Message second;
  second.Seq(2).Samples(0, {}, kT + 1, {}, {2});
  ASSERT_TRUE(Decode(second).ok());
  EXPECT_EQ(world.Apply(in_flight), (std::vector<SampleRow>{{"up", kT, 1}}));
  EXPECT_EQ(Rows(), (std::vector<SampleRow>{{"up", kT + 1, 2}}));
}

TEST_F(Push, ADefinitionCanBeReplaced) {
  Message first;
  first.Seq(1).Symbols(symbols).Series(0, {1, 2, 3, 4}).Samples(0, {}, kT, {}, {1});
  ASSERT_TRUE(Decode(first).ok());
  (void)Rows();
  Message second;
  second.Seq(2).Symbols(symbols).Series(0, {1, 2, 3, 5}).Samples(0, {}, kT, {}, {2});
  ASSERT_TRUE(Decode(second).ok());
  EXPECT_EQ(Rows(), (std::vector<SampleRow>{{"up{job=\"b\"}", kT, 2}}));
}

TEST_F(Push, StartTimesComeAsDistances) {
  Message message;
  message.Seq(1).Symbols(symbols).Series(0, {1, 2}).Samples(0, {0}, kT, {1}, {1, 2}, {0, 1000});
  ASSERT_TRUE(Decode(message).ok());
  const auto batches = builder.Finish();
  ASSERT_EQ(batches.size(), 1U);
  EXPECT_EQ(batches[0].sample_start_ms, (std::vector<int64_t>{storage::kNoStartMs, kT + 1 - 1000}));
}

TEST_F(Push, SaysSoWhenAStartReachesBefore1970AndKeepsTheSample) {
  Message message;
  message.Seq(1).Symbols(symbols).Series(0, {1, 2}).Samples(0, {}, kT, {}, {1}, {kT});
  ASSERT_TRUE(Decode(message).ok());
  EXPECT_EQ(Rows(), (std::vector<SampleRow>{{"up", kT, 1}}));
  ASSERT_EQ(report.details().size(), 1U);
  EXPECT_EQ(report.details()[0],
            "series[ref 0].start_before_ms: 1699999999000 reaches before 1970; "
            "the sample is stored without a start");
}

TEST_F(Push, RefusesSamplesOfAReferenceThatHasNoSeries) {
  Message message;
  message.Seq(1).Symbols(symbols).Series(0, {1, 2}).Series(1, {3, 4}).Samples(0, {}, kT, {},
                                                                              {1, 2, 3});
  ASSERT_TRUE(Decode(message).ok());
  EXPECT_EQ(Rows().size(), 1U);
  EXPECT_EQ(report.rejected(Reason::kReference), 2U);
  EXPECT_EQ(report.details()[0],
            "series[ref 1].labels: no metric name: label \"__name__\" is missing or empty");
  EXPECT_EQ(report.details()[2], "samples: ref 2 has no valid series");
}

// Found by fuzz_push: a byte behind the message was looked at.
TEST_F(Push, ABoolIsAWholeVarintOfTheMessage) {
  const auto is_float = [&](const std::string& bytes) {
    Message message;
    message.Seq(1).Symbols(symbols).Series(0, {1, 2});
    EXPECT_TRUE(Decode(message.Histogram(std::string("\x10\x02\x20", 3) + bytes)).ok());
    const std::vector<storage::IngestBatch> batches = builder.Finish();
    return batches.size() == 1 && batches[0].histograms.size() == 1 &&
           batches[0].histograms[0].histogram.is_float;
  };
  EXPECT_TRUE(is_float("\x01"));
  EXPECT_TRUE(is_float("\x80\x01"));
  EXPECT_FALSE(is_float(std::string("\x80\x00", 2))) << "zero, at length";
  Message ends;
  ends.Seq(2).Histogram("\x10\x02\x20");
  EXPECT_EQ(Decode(ends).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(Push, EndsTheStreamOnColumnsThatDoNotFit) {
  Message deltas;
  deltas.Seq(7).Samples(0, {1}, kT, {}, {1, 2, 3});
  EXPECT_EQ(Decode(deltas).status().message(), "push message 7: samples.ref_delta: 1 for 3 values");
  Message symbol;
  symbol.Seq(8).Symbols(symbols).Series(0, {1, 99});
  EXPECT_EQ(Decode(symbol).status().message(), "push message 8: labels: symbol 99 of 6");
  Message odd;
  odd.Seq(9).Symbols(symbols).Series(0, {1, 2, 3});
  EXPECT_EQ(Decode(odd).status().message(), "push message 9: labels: an odd number of symbols");
  Message ref;
  ref.Seq(10).Symbols(symbols).Series(PushDecoder::kMaxReferences, {1, 2});
  EXPECT_EQ(Decode(ref).status().message(),
            "push message 10: series: ref 4194304 is beyond 4194304");
}

}  // namespace
}  // namespace basalt::ingest
