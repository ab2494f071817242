// Series that leave come back the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <map>

#include "engine/base/stale.h"
#include "engine/ingest/exporter.h"
#include "engine/ingest/json_lines.h"
#include "engine/ingest/native_format.h"
#include "tests/engine/ingest/decoder_world.h"
#include "tests/support/memory_reader.h"

namespace basalt::ingest {
namespace {

using basalt::testing::MemoryReader;
using ::testing::HasSubstr;

constexpr Timestamp kNow = FromMs(1'700'000'000'000);
constexpr int64_t kT = 1'600'000'000'000;

storage::MatcherSet Named(const std::string& name) {
  return {{storage::MatchType::kEqual, "__name__", name}};
}
const storage::MatcherSet kAll = {{storage::MatchType::kNotEqual, "__name__", ""}};

ExportRequest RequestOf(const MemoryReader& reader, ExportFormat format) {
  ExportRequest request;
  request.snapshot = reader.TakeSnapshot().value();
  request.any_of = {kAll};
  request.format = format;
  return request;
}

// Everything in pages of `bytes`, each by an exporter of its own that goes on where the last one
// ended.
std::vector<std::string> Pages(const MemoryReader& reader, ExportRequest request, size_t bytes) {
  std::vector<std::string> pages;
  for (;;) {
    request.snapshot = reader.TakeSnapshot().value();
    const auto exporter = Exporter::Open(request).value();
    std::string& page = pages.emplace_back();
    EXPECT_TRUE(exporter->Next(bytes, page).ok());
    const auto cursor = exporter->cursor();
    if (!cursor.has_value()) return pages;
    request.from = ParseCursor(FormatCursor(*cursor)).value();
  }
}

std::string Export(const MemoryReader& reader, ExportFormat format, size_t bytes = SIZE_MAX) {
  std::string all;
  for (const std::string& page : Pages(reader, RequestOf(reader, format), bytes)) all += page;
  return all;
}

// A sample by its bits.
struct Stored {
  uint64_t bits = 0;
  int64_t start_ms = 0;
  friend bool operator==(const Stored&, const Stored&) = default;
};
struct Imported {
  std::map<std::pair<std::string, int64_t>, Stored> samples;
  std::vector<storage::HistogramSample> histograms;
  std::vector<storage::ExemplarSample> exemplars;
  std::vector<storage::MetadataEntry> metadata;
  Report report;
  Status status;
};

Imported Import(const std::string& bytes, ExportFormat format, const Limits& limits = Limits()) {
  Imported out;
  DecoderWorld world;
  storage::BatchBuilder builder(world.resolver, kDefaultTenant);
  if (format == ExportFormat::kNative) {
    out.status = NativeDecoder(limits).Decode(bytes, kNow, 1, builder, out.report);
  } else {
    JsonLinesDecoder(limits).Decode(bytes, kNow, 1, builder, out.report);
  }
  for (const storage::IngestBatch& batch : builder.Finish()) {
    for (size_t i = 0; i < batch.sample_ms.size(); ++i) {
      const storage::BatchSeries& series = batch.series[batch.sample_series[i]];
      const std::string name =
          LabelsFromCanonical(
              std::string_view(batch.labels).substr(series.labels_offset, series.labels_bytes))
              .value()
              .ToString();
      out.samples[{name, batch.sample_ms[i]}] = {
          std::bit_cast<uint64_t>(batch.sample_value[i]),
          batch.sample_start_ms.empty() ? 0 : batch.sample_start_ms[i]};
    }
    out.histograms.insert(out.histograms.end(), batch.histograms.begin(), batch.histograms.end());
    out.exemplars.insert(out.exemplars.end(), batch.exemplars.begin(), batch.exemplars.end());
    out.metadata.insert(out.metadata.end(), batch.metadata.begin(), batch.metadata.end());
  }
  return out;
}

const std::vector<double> kOddValues = {
    0.0,
    -0.0,
    0.1,
    1e300,
    -5e-324,
    123456789.0,
    std::numeric_limits<double>::infinity(),
    -std::numeric_limits<double>::infinity(),
    kStaleMarker,
};

TEST(Export, JsonLinesComeBackBitForBit) {
  MemoryReader reader(2);
  reader.Series({{"__name__", "odd"}, {"path", "C:\\\"x\"\n\x01\xC3\xA4"}})
      .Every(std::chrono::seconds(1), kOddValues, kT);
  reader.Series({{"__name__", "up"}, {"job", "a"}}).At(kT, 1);
  const std::string lines = Export(reader, ExportFormat::kJsonLines);
  EXPECT_THAT(lines, HasSubstr(R"({"metric":{"__name__":"up","job":"a"},"values":[1],)"
                               R"("timestamps":[1600000000000]})"
                               "\n"));
  const Imported back = Import(lines, ExportFormat::kJsonLines);
  EXPECT_EQ(back.report.Message(), "");
  ASSERT_EQ(back.samples.size(), kOddValues.size() + 1);
  const std::string name =
      Labels({{"__name__", "odd"}, {"path", "C:\\\"x\"\n\x01\xC3\xA4"}}).ToString();
  for (size_t i = 0; i < kOddValues.size(); ++i) {
    EXPECT_EQ(back.samples.at({name, kT + static_cast<int64_t>(i) * 1000}).bits,
              std::bit_cast<uint64_t>(kOddValues[i]))
        << i;
  }
}

NativeHistogram SomeHistogram() {
  NativeHistogram h;
  h.count = 6;
  h.sum = 0.25;
  h.schema = 3;
  h.zero_threshold = 1e-128;
  h.zero_count = 1;
  h.positive_spans = {{-2, 2}, {1, 1}};
  h.positive_deltas = {1, 1, -1};
  h.negative_spans = {{0, 1}};
  h.negative_deltas = {1};
  h.reset_hint = ResetHint::kNo;
  return h;
}

TEST(Export, TheNativeFormatKeepsEverything) {
  MemoryReader reader(2);
  const double payload = std::bit_cast<double>(uint64_t{0x7ff8'0000'dead'beef});
  reader.Series({{"__name__", "c"}}).At(kT, payload, kT - 50).At(kT + 7, 2).At(kT + 9, 3, kT - 50);
  reader.Series({{"__name__", "h"}, {"job", "a"}})
      .HistogramAt(kT, SomeHistogram(), kT - 1)
      .HistogramAt(kT + 1, SomeHistogram())
      .At(kT + 2, 5)
      .ExemplarAt(kT, 0.5, {{"trace_id", "abc"}});
  reader.AddMetadata({"c", storage::MetricType::kCounter, "bytes", "What it counts."});
  const Imported back = Import(Export(reader, ExportFormat::kNative), ExportFormat::kNative);
  ASSERT_TRUE(back.status.ok()) << back.status.ToString();
  EXPECT_EQ(back.report.Message(), "");
  EXPECT_EQ(back.samples.at({"c", kT}), (Stored{0x7ff8'0000'dead'beef, kT - 50}));
  EXPECT_EQ(back.samples.at({"c", kT + 7}), (Stored{std::bit_cast<uint64_t>(2.0), 0}));
  EXPECT_EQ(back.samples.at({"c", kT + 9}), (Stored{std::bit_cast<uint64_t>(3.0), kT - 50}));
  EXPECT_EQ(back.samples.size(), 4U);
  ASSERT_EQ(back.histograms.size(), 2U);
  EXPECT_EQ(back.histograms[0].start_ms, kT - 1);
  EXPECT_EQ(back.histograms[1].start_ms, storage::kNoStartMs);
  const NativeHistogram& h = back.histograms[0].histogram;
  EXPECT_EQ(h.positive_deltas, SomeHistogram().positive_deltas);
  EXPECT_EQ(h.negative_deltas, SomeHistogram().negative_deltas);
  EXPECT_EQ(h.zero_threshold, 1e-128);
  EXPECT_EQ(h.reset_hint, ResetHint::kNo);
  ASSERT_EQ(h.positive_spans.size(), 2U);
  EXPECT_EQ(h.positive_spans[0].offset, -2);
  ASSERT_EQ(back.exemplars.size(), 1U);
  EXPECT_EQ(back.exemplars[0].value, 0.5);
  ASSERT_EQ(back.metadata.size(), 1U);
  EXPECT_EQ(back.metadata[0].metric, "c");
  EXPECT_EQ(back.metadata[0].unit, "bytes");
  EXPECT_EQ(back.metadata[0].help, "What it counts.");
}

TEST(Export, JsonSaysHowManyHistogramsItLeavesOut) {
  MemoryReader reader(1);
  reader.Series({{"__name__", "h"}}).HistogramAt(kT, SomeHistogram()).At(kT + 2, 5);
  EXPECT_EQ(Export(reader, ExportFormat::kJsonLines),
            R"({"metric":{"__name__":"h"},"values":[5],"timestamps":[1600000000002],)"
            R"("histogramsLeftOut":1})"
            "\n");
}

TEST(Export, LongSeriesAreCutIntoLinesAndSections) {
  MemoryReader reader(1);
  auto series = reader.Series({{"__name__", "long"}});
  const size_t n = kMaxSamplesPerSectionPart * 2 + 5;
  for (size_t i = 0; i < n; ++i) series.At(kT + static_cast<int64_t>(i), 0.001 * double(i));
  for (const ExportFormat format : {ExportFormat::kJsonLines, ExportFormat::kNative}) {
    const Imported back = Import(Export(reader, format), format);
    ASSERT_TRUE(back.status.ok()) << back.status.ToString();
    EXPECT_EQ(back.samples.size(), n);
    EXPECT_EQ(back.samples.at({"long", kT + 40'000}).bits, std::bit_cast<uint64_t>(40.0));
  }
}

RC_GTEST_PROP(Export, IsTheSameInPagesOfAnySizeAndInBothFormats, ()) {
  MemoryReader reader(4);
  const auto count = *rc::gen::inRange(0, 40);
  size_t samples = 0;
  for (int i = 0; i < count; ++i) {
    auto series =
        reader.Series({{"__name__", "m" + std::to_string(i % 5)}, {"instance", std::to_string(i)}});
    const auto values = *rc::gen::container<std::vector<int>>(rc::gen::inRange(-1000, 1000));
    for (size_t k = 0; k < values.size(); ++k)
      series.At(kT + static_cast<int64_t>(k) * 10, values[k]);
    samples += values.size();
  }
  const auto bytes = static_cast<size_t>(*rc::gen::inRange(1, 3000));
  const Imported json =
      Import(Export(reader, ExportFormat::kJsonLines, bytes), ExportFormat::kJsonLines);
  const Imported native =
      Import(Export(reader, ExportFormat::kNative, bytes), ExportFormat::kNative);
  RC_ASSERT(native.status.ok());
  RC_ASSERT(json.samples.size() == samples);
  RC_ASSERT(json.samples == native.samples);
}

TEST(Export, ASeriesThatSeveralSelectorsMatchComesOnce) {
  MemoryReader reader(2);
  for (int i = 0; i < 6; ++i) {
    reader.Series({{"__name__", i % 2 == 0 ? "a" : "b"}, {"instance", std::to_string(i)}})
        .At(kT, i);
  }
  ExportRequest request = RequestOf(reader, ExportFormat::kJsonLines);
  request.any_of = {Named("a"), kAll, Named("b")};
  for (const size_t bytes : {size_t{1}, SIZE_MAX}) {
    std::string all;
    for (const std::string& page : Pages(reader, request, bytes)) all += page;
    EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 6) << all;
    EXPECT_EQ(Import(all, ExportFormat::kJsonLines).samples.size(), 6U);
  }
}

TEST(Export, KeepsToTheRangeAndTheTenant) {
  MemoryReader reader(1);
  reader.Series({{"__name__", "a"}}).At(kT, 1).At(kT + 10, 2).At(kT + 20, 3);
  reader.Series({{"__name__", "a"}}, TenantId{7}).At(kT + 10, 9);
  ExportRequest request = RequestOf(reader, ExportFormat::kJsonLines);
  request.range = {kT + 10, kT + 19};
  EXPECT_EQ(Pages(reader, request, SIZE_MAX)[0],
            R"({"metric":{"__name__":"a"},"values":[2],"timestamps":[1600000000010]})"
            "\n");
}

TEST(ExportCursor, OnlyOnesThatWereMadeHereAreTaken) {
  for (const ExportCursor& cursor :
       {ExportCursor{}, ExportCursor{.partition = 3, .set = 1, .after = SeriesOrdinal{77}}}) {
    EXPECT_EQ(ParseCursor(FormatCursor(cursor)).value(), cursor);
  }
  for (const char* text : {"", "1", "1.", "1.2.", "1.2.x", "1.2.3.4", "-1.0", "a.b"})
    EXPECT_EQ(ParseCursor(text).status().code(), StatusCode::kInvalidArgument) << text;
  MemoryReader reader(1);
  reader.Series({{"__name__", "a"}}).At(kT, 1);
  ExportRequest request = RequestOf(reader, ExportFormat::kJsonLines);
  for (const ExportCursor& cursor : {ExportCursor{.partition = 2}, ExportCursor{.set = 1},
                                     ExportCursor{.after = SeriesOrdinal{500}}}) {
    request.from = cursor;
    EXPECT_EQ(Exporter::Open(request).status().code(), StatusCode::kInvalidArgument)
        << FormatCursor(cursor);
  }
}

TEST(NativeFormat, SaysWhatIsWrongWithASection) {
  MemoryReader reader(1);
  reader.Series({{"__name__", "a"}}).At(kT, 1).At(kT + 1, 2);
  const std::string good = Export(reader, ExportFormat::kNative);
  struct Case {
    const char* name;
    std::string bytes;
    const char* error;
  };
  std::string flipped = good;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  std::string lies = good;
  lies[8] = static_cast<char>(lies[8] + 1);
  for (const Case& c : {Case{"cut header", good.substr(0, 9), "section 1: its header is cut short"},
                        Case{"cut body", good.substr(0, good.size() - 1), "section 1: cut short"},
                        Case{"second", good + "BSX0............", "section 2: it does not begin"},
                        Case{"flipped", flipped, "section 1: its checksum is wrong"},
                        Case{"size", lies, "section 1: its message has another size"}}) {
    const Imported back = Import(c.bytes, ExportFormat::kNative);
    EXPECT_EQ(back.status.code(), StatusCode::kInvalidArgument) << c.name;
    EXPECT_THAT(std::string(back.status.message()), HasSubstr(c.error)) << c.name;
  }
  Limits small;
  small.max_body_bytes = 30;
  EXPECT_THAT(std::string(Import(good, ExportFormat::kNative, small).status.message()),
              HasSubstr("send fewer sections at a time"));
}

}  // namespace
}  // namespace basalt::ingest
