// A request's batches as a message for a Push stream: the server's decoder makes the same of it.
#include <gtest/gtest.h>

#include "engine/ingest/push_decoder.h"
#include "engine/rpc/push_relay.h"
#include "tests/engine/ingest/decoder_world.h"

namespace basalt::rpc {
namespace {

constexpr int64_t kT = 1'700'000'000'000;

std::vector<storage::IngestBatch> SomeBatches(ingest::DecoderWorld& world) {
  storage::BatchBuilder builder(world.resolver, kDefaultTenant);
  const std::vector<LabelView> a = {{"__name__", "a_total"}, {"job", "x"}};
  const std::vector<LabelView> b = {{"__name__", "b"}, {"job", "x"}, {"le", "+Inf"}};
  builder.SelectLabels(HashBytes128("b"), b);
  builder.AddSample(kT + 5, -0.0);
  builder.SelectLabels(HashBytes128("a"), a);
  builder.AddSample(kT, 1.5, kT - 1000);
  builder.AddSample(kT + 15'000, 2.5, kT - 1000);
  builder.AddSample(kT + 30'000, std::bit_cast<double>(uint64_t{0x7ff0'0000'0000'0002}));
  NativeHistogram h;
  h.schema = 3;
  h.count = 4;
  h.sum = 9;
  h.zero_count = 1;
  h.zero_threshold = 0.25;
  h.positive_spans = {{2, 2}};
  h.positive_deltas = {1, 1};
  h.reset_hint = ResetHint::kNo;
  builder.AddHistogram(kT, h, kT - 500);
  builder.AddExemplar(kT, 3, std::vector<LabelView>{{"trace_id", "abc"}});
  builder.AddMetadata({.metric = "a_total",
                       .type = storage::MetricType::kCounter,
                       .unit = "",
                       .help = "How many."});
  return builder.Finish();
}

TEST(PushMessage, DecodesToWhatWasEncoded) {
  ingest::DecoderWorld world;
  const std::vector<storage::IngestBatch> sent = SomeBatches(world);
  const auto message = EncodePushMessage(sent);
  ASSERT_TRUE(message.ok()) << message.status().ToString();
  ingest::DecoderWorld other;
  storage::BatchBuilder builder(other.resolver, kDefaultTenant);
  ingest::Report report;
  ingest::PushDecoder decoder{ingest::Limits()};
  ASSERT_TRUE(decoder.Decode(*message, FromMs(kT + 60'000), builder, report).ok());
  EXPECT_EQ(report.Message(), "");
  EXPECT_EQ(report.samples, 4U);
  const std::vector<storage::IngestBatch> got = builder.Finish();
  const auto summary = [](const std::vector<storage::IngestBatch>& batches) {
    std::vector<std::string> lines;
    for (const storage::IngestBatch& batch : batches) {
      const auto name = [&batch](uint32_t series) {
        const storage::BatchSeries& one = batch.series[series];
        return LabelsFromCanonical(
                   std::string_view(batch.labels).substr(one.labels_offset, one.labels_bytes))
            ->ToString();
      };
      for (size_t i = 0; i < batch.sample_ms.size(); ++i) {
        lines.push_back(
            name(batch.sample_series[i]) + " " + std::to_string(batch.sample_ms[i]) + " " +
            std::to_string(std::bit_cast<uint64_t>(batch.sample_value[i])) + " " +
            std::to_string(batch.sample_start_ms.empty() ? 0 : batch.sample_start_ms[i]));
      }
      for (const auto& h : batch.histograms) {
        lines.push_back(name(h.series) + " h " + std::to_string(h.time_ms) + " " +
                        std::to_string(h.start_ms) + " " + std::to_string(h.histogram.schema) +
                        " " + std::to_string(h.histogram.count) + " " +
                        std::to_string(h.histogram.zero_threshold) + " " +
                        std::to_string(static_cast<int>(h.histogram.reset_hint)) + " " +
                        std::to_string(h.histogram.positive_deltas.size()) + " " +
                        std::to_string(h.histogram.positive_spans.at(0).offset));
      }
      for (const auto& e : batch.exemplars)
        lines.push_back(name(e.series) + " e " + std::to_string(e.value) + e.labels);
      for (const auto& m : batch.metadata) lines.push_back(m.metric + " m " + m.help);
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  };
  EXPECT_EQ(summary(got), summary(sent));
  EXPECT_EQ(summary(sent).size(), 7U);
}

TEST(PushMessage, ASeriesWithoutLabelsIsOurOwnMistake) {
  storage::IngestBatch batch;
  batch.series.push_back({.ordinal = SeriesOrdinal{1}, .id = {}});
  EXPECT_EQ(EncodePushMessage({batch}).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace basalt::rpc
