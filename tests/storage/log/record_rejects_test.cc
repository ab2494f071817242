#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "storage/log/record.h"
#include "tests/storage/log/batch_generator.h"
#include "tests/storage/log/record_fixture.h"

namespace basalt::storage {
namespace {

using basalt::testing::DecodeAll;
using basalt::testing::Difference;
using basalt::testing::Encode;
using basalt::testing::OneSample;
using ::testing::HasSubstr;

struct BadBatch {
  const char* name;
  void (*spoil)(IngestBatch&);
  const char* says;
};
class PrepareRejects : public ::testing::TestWithParam<BadBatch> {};
TEST_P(PrepareRejects, AndNamesTheField) {
  std::vector<IngestBatch> batches = {OneSample(), OneSample()};
  GetParam().spoil(batches[1]);
  AppendRecord record;
  const Status status = record.Prepare(batches);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("batch 1: "));
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().says));
}
INSTANTIATE_TEST_SUITE_P(
    Table, PrepareRejects,
    ::testing::Values(
        BadBatch{"columns_of_different_length", [](IngestBatch& b) { b.sample_ms.push_back(1); },
                 "differ in length"},
        BadBatch{"start_times_of_another_length",
                 [](IngestBatch& b) { b.sample_start_ms = {1, 2}; }, "differ in length"},
        BadBatch{"sample_of_no_series", [](IngestBatch& b) { b.sample_series[0] = 1; },
                 "sample's series 1"},
        BadBatch{"series_without_labels",
                 [](IngestBatch& b) { b.series[0].ordinal = kUnknownOrdinal; }, "neither"},
        BadBatch{"labels_outside",
                 [](IngestBatch& b) {
                   b.series.push_back({.id = {}, .labels_offset = 1, .labels_bytes = 4});
                 },
                 "outside"},
        BadBatch{"labels_too_long",
                 [](IngestBatch& b) {
                   b.labels.resize(kMaxLabelBytesPerSeries + 1);
                   b.series.push_back({.id = {}, .labels_bytes = kMaxLabelBytesPerSeries + 1});
                 },
                 "longer than 65536"},
        BadBatch{"too_many_series",
                 [](IngestBatch& b) { b.series.resize(kMaxSeriesPerSection + 1, b.series[0]); },
                 "series count 1048577"},
        BadBatch{"too_many_samples",
                 [](IngestBatch& b) {
                   b.sample_series.resize(kMaxSamplesPerSection + 1);
                   b.sample_ms.resize(kMaxSamplesPerSection + 1);
                   b.sample_value.resize(kMaxSamplesPerSection + 1);
                 },
                 "sample count 4194305"},
        BadBatch{"too_many_histograms",
                 [](IngestBatch& b) { b.histograms.resize(kMaxHistogramsPerSection + 1); },
                 "histogram count"},
        BadBatch{"too_many_exemplars",
                 [](IngestBatch& b) { b.exemplars.resize(kMaxExemplarsPerSection + 1); },
                 "exemplar count"},
        BadBatch{"too_many_metadata",
                 [](IngestBatch& b) { b.metadata.resize(kMaxMetadataPerSection + 1); },
                 "metadata count"},
        BadBatch{"histogram_of_no_series",
                 [](IngestBatch& b) { b.histograms.push_back({.series = 9, .histogram = {}}); },
                 "histogram's series 9"},
        BadBatch{"histogram_too_large",
                 [](IngestBatch& b) {
                   b.histograms.resize(1);
                   b.histograms[0].histogram.positive_deltas.resize(kMaxHistogramBuckets + 1);
                 },
                 "histogram buckets 65537"},
        BadBatch{"exemplar_of_no_series",
                 [](IngestBatch& b) { b.exemplars.push_back({.series = 9, .labels = {}}); },
                 "exemplar's series 9"},
        BadBatch{"help_too_long",
                 [](IngestBatch& b) {
                   b.metadata.resize(1);
                   b.metadata[0].help.resize(kMaxStringBytes + 1);
                 },
                 "metadata's help"}),
    [](const auto& c) { return std::string(c.param.name); });

TEST(PrepareTakes, WhatIsJustAtTheBounds) {
  IngestBatch batch = OneSample();
  batch.labels.resize(kMaxLabelBytesPerSeries, 'l');
  batch.series.push_back({.id = {}, .labels_bytes = kMaxLabelBytesPerSeries});
  batch.metadata.resize(1);
  batch.metadata[0].help.resize(kMaxStringBytes);
  batch.histograms.resize(1);
  batch.histograms[0].histogram.positive_deltas.resize(kMaxHistogramBuckets);
  batch.sample_series.assign(kMaxSamplesPerSection, 0);
  batch.sample_ms.assign(kMaxSamplesPerSection, 1);
  batch.sample_value.assign(kMaxSamplesPerSection, 1);
  std::vector<IngestBatch> decoded;
  const std::string record = Encode(batch);
  ASSERT_TRUE(DecodeAll(record, decoded).ok());
  EXPECT_EQ(Difference(batch, decoded[0]), "");
}

TEST(PrepareRejects, ARequestThatExceedsARecord) {
  IngestBatch batch = OneSample();
  batch.metadata.resize(70);
  for (MetadataEntry& entry : batch.metadata) entry.help.resize(kMaxStringBytes);
  AppendRecord record;
  EXPECT_EQ(record.Prepare({&batch, 1}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(record.Prepare({}).code(), StatusCode::kInvalidArgument);
}

struct BadRecord {
  const char* name;
  std::string bytes;
  StatusCode code;
  const char* says;
};
// Kind, version, one section; 3: partition, 5: its length, 9: tenant, 10: flags, 11: series count,
// 12: ordinals (a mode, then pairs of step and run: 14 1, 2 9), 17: sample count, 18: their series
// (likewise: 0 1, 2 9), 23: their times, 33: first uses (none), 34: which values change (none).
std::string TenSamples() {
  IngestBatch batch;
  for (uint32_t i = 0; i < 10; ++i) {
    batch.series.push_back({.ordinal = SeriesOrdinal{7 + i}, .id = {{1, i}}});
    batch.sample_series.push_back(i);
    batch.sample_ms.push_back(1'700'000'000'000);
    batch.sample_value.push_back(3.5);
  }
  SegmentSeries seen;
  (void)Encode({&batch, 1}, 1, seen);
  return Encode({&batch, 1}, 1, seen);
}
std::string Spoiled(size_t at, char c) {
  std::string record = TenSamples();
  record.at(at) = c;
  return record;
}
// 65535 of them, it says.
std::string ManySamples() {
  std::string record = TenSamples();
  record.replace(17, 1, "\xff\xff\x03");
  record[5] = static_cast<char>(record[5] + 2);
  return record;
}
class DecodeRejects : public ::testing::TestWithParam<BadRecord> {};
TEST_P(DecodeRejects, AndNamesTheField) {
  std::vector<IngestBatch> batches;
  const Status status = DecodeAll(GetParam().bytes, batches);
  EXPECT_EQ(status.code(), GetParam().code);
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().says));
}
INSTANTIATE_TEST_SUITE_P(
    Table, DecodeRejects,
    ::testing::Values(
        BadRecord{"empty", "", StatusCode::kDataLoss, "kind"},
        BadRecord{"kind_zero", Spoiled(0, 0), StatusCode::kUnimplemented, "kind 0"},
        BadRecord{"unknown_kind", Spoiled(0, 99), StatusCode::kUnimplemented, "kind 99"},
        BadRecord{"kind_never_written", Spoiled(0, 3), StatusCode::kUnimplemented, "kind 3"},
        BadRecord{"later_version", Spoiled(1, 1), StatusCode::kUnimplemented, "version 1"},
        BadRecord{"no_sections", Spoiled(2, 0), StatusCode::kDataLoss, "section count"},
        BadRecord{"more_sections_than_bytes", Spoiled(2, 100), StatusCode::kDataLoss,
                  "section count"},
        BadRecord{"section_too_long", Spoiled(5, 100), StatusCode::kDataLoss, "section's length"},
        BadRecord{"trailing_bytes", Encode(OneSample()) + "x", StatusCode::kDataLoss,
                  "after the last section"},
        BadRecord{"unknown_flag", Spoiled(10, 64), StatusCode::kDataLoss, "flags"},
        BadRecord{"fewer_ordinals_than_series", Spoiled(11, 11), StatusCode::kDataLoss, "ordinals"},
        BadRecord{"unknown_form_of_ordinals", Spoiled(12, 3), StatusCode::kDataLoss, "ordinals"},
        BadRecord{"an_empty_run", Spoiled(14, 0), StatusCode::kDataLoss, "ordinals"},
        BadRecord{"a_run_past_the_end", Spoiled(16, 10), StatusCode::kDataLoss, "ordinals"},
        BadRecord{"more_samples_than_bytes", ManySamples(), StatusCode::kDataLoss, "sample count"},
        BadRecord{"a_sample_of_no_series", Spoiled(21, 4), StatusCode::kDataLoss,
                  "samples' series"},
        BadRecord{"a_first_use_of_no_series", Spoiled(33, 12), StatusCode::kDataLoss, "first uses"},
        BadRecord{"a_change_past_the_end", Spoiled(35, 4), StatusCode::kDataLoss,
                  "samples' values"}),
    [](const auto& c) { return std::string(c.param.name); });

}  // namespace
}  // namespace basalt::storage
