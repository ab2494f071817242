#include "storage/log/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <map>

#include "storage/log/change_column.h"
#include "storage/log/columns.h"
#include "storage/resolver.h"
#include "tests/storage/log/batch_generator.h"

namespace basalt::storage {
namespace {

using basalt::testing::BatchGenerator;
using basalt::testing::Difference;
using basalt::testing::SameBits;
using ::testing::HasSubstr;

std::string Encode(std::span<const IngestBatch> batches, uint64_t segment, SegmentSeries& seen) {
  AppendRecord record;
  const Status status = record.Prepare(batches);
  EXPECT_TRUE(status.ok()) << status.ToString();
  std::string out;
  if (status.ok()) record.Finish(segment, seen, out);
  EXPECT_LE(out.size(), record.max_bytes());
  return out;
}
std::string Encode(const IngestBatch& batch) {
  SegmentSeries seen;
  return Encode({&batch, 1}, 1, seen);
}

constexpr uint32_t kSeriesLimit = 1u << 20;

IngestBatch OneSample() {
  IngestBatch batch;
  batch.series = {{.ordinal = SeriesOrdinal{7}, .id = {{1, 2}}}};
  batch.sample_series = {0};
  batch.sample_ms = {1'700'000'000'000};
  batch.sample_value = {3.5};
  return batch;
}

Status DecodeAll(std::string_view record, std::vector<IngestBatch>& batches) {
  BASALT_TRY_ASSIGN(const AppendView view, ViewAppend(record));
  batches.resize(view.sections.size());
  std::map<PartitionId, SegmentValues> values;
  for (size_t i = 0; i < batches.size(); ++i) {
    SegmentValues& of_partition = values[view.sections[i].partition];
    of_partition.Begin(1, kSeriesLimit);
    BASALT_TRY(DecodeSection(view.sections[i], batches[i], &of_partition));
  }
  return OkStatus();
}

RC_GTEST_PROP(Record, DecodeInvertsEncodeBitForBit, ()) {
  BatchGenerator gen(*rc::gen::arbitrary<uint64_t>());
  std::vector<IngestBatch> batches(1 + gen.Below(4));
  for (IngestBatch& batch : batches) batch = gen.Batch();
  SegmentSeries seen;
  std::vector<IngestBatch> decoded;
  decoded.resize(2);  // dirty buffers are reused
  for (IngestBatch& batch : decoded) batch = gen.Batch();
  RC_ASSERT(DecodeAll(Encode(batches, 5, seen), decoded).ok());
  RC_ASSERT(decoded.size() == batches.size());
  // The id of a known series comes with its first use only.
  SegmentSeries expected;
  for (size_t b = 0; b < batches.size(); ++b) {
    for (BatchSeries& series : batches[b].series) {
      if (series.ordinal == kUnknownOrdinal) continue;
      if (!expected.FirstUse(5, batches[b].partition, series.ordinal)) series.id = {};
    }
    RC_ASSERT(Difference(batches[b], decoded[b]) == "");
  }
}

RC_GTEST_PROP(Record, NoPrefixAndNoFlippedBitIsMoreThanAnError, ()) {
  BatchGenerator gen(*rc::gen::arbitrary<uint64_t>());
  const IngestBatch batch = gen.Batch();
  const std::string record = Encode(batch);
  std::vector<IngestBatch> decoded;
  RC_ASSERT(!DecodeAll(std::string_view(record).substr(0, gen.Below(record.size())), decoded).ok());
  std::string flipped = record;
  flipped[gen.Below(flipped.size())] ^= static_cast<char>(1U << gen.Below(8));
  (void)DecodeAll(flipped, decoded);  // an error or another batch; the sanitizers watch
}

RC_GTEST_PROP(Columns, IntegersComeBack, ()) {
  const auto values = *rc::gen::arbitrary<std::vector<int64_t>>();
  const auto small = *rc::gen::container<std::vector<uint32_t>>(rc::gen::inRange<uint32_t>(0, 5));
  std::string bytes;
  AppendIntColumn(std::span<const int64_t>(values), bytes);
  RC_ASSERT(bytes.size() <= MaxIntColumnBytes(values.size()));
  AppendIntColumn(std::span<const uint32_t>(small), bytes);
  VarintReader in(bytes);
  std::vector<int64_t> values_back(values.size());
  std::vector<uint32_t> small_back(small.size());
  RC_ASSERT(ReadIntColumn(in, std::span(values_back)) && ReadIntColumn(in, std::span(small_back)));
  RC_ASSERT(values_back == values && small_back == small && in.done());
}

RC_GTEST_PROP(Columns, DoublesComeBackBitForBit, ()) {
  BatchGenerator gen(*rc::gen::arbitrary<uint64_t>());
  std::vector<double> values(gen.Below(100));
  for (double& v : values) v = gen.Value();
  std::string bytes;
  AppendValueColumn(values, bytes);
  RC_ASSERT(bytes.size() <= 1 + values.size() * 8);
  VarintReader in(bytes);
  std::vector<double> back(values.size());
  RC_ASSERT(ReadValueColumn(in, std::span(back)) && in.done());
  RC_ASSERT(SameBits(values, back));
}

struct SizeCase {
  const char* name;
  std::vector<int64_t> values;
  size_t bytes;
};
class IntColumnSize : public ::testing::TestWithParam<SizeCase> {};
TEST_P(IntColumnSize, IsThatOfTheBestForm) {
  std::string bytes;
  AppendIntColumn(std::span<const int64_t>(GetParam().values), bytes);
  EXPECT_EQ(bytes.size(), GetParam().bytes);
}
std::vector<int64_t> Make(size_t n, int64_t (*f)(int64_t)) {
  std::vector<int64_t> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = f(static_cast<int64_t>(i));
  return values;
}
INSTANTIATE_TEST_SUITE_P(
    Table, IntColumnSize,
    ::testing::Values(
        SizeCase{"none", {}, 1},
        SizeCase{"counting", Make(1000, [](int64_t i) { return i; }), 1 + 2 + 1 + 2},
        SizeCase{"one_time", Make(1000, [](int64_t) { return int64_t{1'700'000'000'000}; }),
                 1 + 7 + 1 + 2},
        SizeCase{"every_fourth", Make(1000, [](int64_t i) { return i * 4; }), 1 + 2 + 1 + 2},
        SizeCase{"two_times_mixed", Make(1000, [](int64_t i) { return i * i % 7 % 2 * 15'000; }),
                 1 + 1 + 1 + 3 + 500},
        SizeCase{"small_steps", Make(400, [](int64_t i) { return i * 20 + i * i % 7; }), 1 + 400}),
    [](const auto& c) { return std::string(c.param.name); });

struct ValueCase {
  const char* name;
  double value;
  size_t bytes;  // of payload, after kinds
};
class ValueSize : public ::testing::TestWithParam<ValueCase> {};
TEST_P(ValueSize, IsThatOfItsKind) {
  // Eight ones first, so that the half byte of kind never loses against raw.
  std::vector<double> values(8, 1.0);
  values.push_back(GetParam().value);
  std::string bytes;
  AppendValueColumn(values, bytes);
  EXPECT_EQ(bytes.size(), 1 + 5 + 1 + GetParam().bytes);
  std::vector<double> back(values.size());
  VarintReader in(bytes);
  ASSERT_TRUE(ReadValueColumn(in, std::span(back)));
  EXPECT_TRUE(SameBits(values, back));
}
INSTANTIATE_TEST_SUITE_P(
    Table, ValueSize,
    ::testing::Values(ValueCase{"zero", 0.0, 0}, ValueCase{"same", 1.0, 0},
                      ValueCase{"minus_zero", -0.0, 3}, ValueCase{"near_the_last_integer", 2.0, 1},
                      ValueCase{"two_byte_integer", -20'000.0, 2},
                      ValueCase{"largest_integer", 9'007'199'254'740'991.0, 7},
                      ValueCase{"past_the_largest_integer", 9'007'199'254'740'992.0, 3},
                      ValueCase{"half", 0.5, 3},
                      ValueCase{"infinity", std::numeric_limits<double>::infinity(), 3},
                      ValueCase{"milliseconds", 12'345.678, 4},
                      ValueCase{"many_milliseconds", 1'700'000'000.123, 6},
                      ValueCase{"nanoseconds", 0.000'012'345, 6},
                      ValueCase{"pi", 3.141592653589793, 8}, ValueCase{"denormal", 5e-324, 8},
                      ValueCase{"stale", std::bit_cast<double>(uint64_t{0x7FF0'0000'0000'0002}),
                                8}),
    [](const auto& c) { return std::string(c.param.name); });

TEST(Record, AScrapeOfAThousandKnownSeriesTakesAByteASampleOrLess) {
  IngestBatch batch;
  std::mt19937_64 random(1);
  for (uint32_t i = 0; i < 1000; ++i) {
    batch.series.push_back({.ordinal = SeriesOrdinal{5000 + i}, .id = {{i, i}}});
    batch.sample_series.push_back(i);
    batch.sample_ms.push_back(1'700'000'000'000);
    batch.sample_value.push_back(i % 3 == 0 ? 0 : static_cast<double>(random() % 100'000));
  }
  SegmentSeries seen;
  EXPECT_GT(Encode({&batch, 1}, 1, seen).size(), 17'000u);  // with ids and full values
  for (uint32_t i = 0; i < 1000; i += 3) batch.sample_value[i] += i % 2 == 0 ? 40 : 1;
  EXPECT_LE(Encode({&batch, 1}, 1, seen).size(), 700u);
  EXPECT_LE(Encode({&batch, 1}, 1, seen).size(), 170u);     // nothing has changed
  EXPECT_GT(Encode({&batch, 1}, 2, seen).size(), 17'000u);  // a new segment
}

TEST(Record, ValuesAreToldAgainstTheSeriesLastOnesOfTheSegment) {
  BatchGenerator gen(7);
  SegmentSeries seen;
  SegmentValues values;
  IngestBatch decoded;
  for (uint64_t segment = 1; segment < 4; ++segment) {
    for (int i = 0; i < 40; ++i) {
      IngestBatch batch = gen.Batch();  // with series that come twice in it, and new ones
      batch.partition = PartitionId{0};
      if (batch.empty()) continue;
      const std::string record = Encode({&batch, 1}, segment, seen);
      const auto view = ViewAppend(record);
      ASSERT_TRUE(view.ok());
      values.Begin(segment * 1000, kSeriesLimit);
      ASSERT_TRUE(DecodeSection(view->sections[0], decoded, &values).ok());
      ASSERT_EQ(decoded.sample_value.size(), batch.sample_value.size());
      for (size_t k = 0; k < batch.sample_value.size(); ++k)
        ASSERT_TRUE(SameBits(batch.sample_value[k], decoded.sample_value[k])) << k;
    }
  }
}

// Windows of the series that lie across those before: whole ones in order, or twice, which are
// encoded in few pieces once all of them are named, and others.
RC_GTEST_PROP(Record, ScrapesInOrderAndOutOfItComeBackAlike, ()) {
  BatchGenerator gen(*rc::gen::arbitrary<uint64_t>());
  SegmentSeries seen;
  SegmentValues values;
  IngestBatch decoded;
  uint64_t segment = 1;
  for (int round = 0; round < 30; ++round) {
    if (gen.Below(10) == 0) ++segment;
    const auto first = static_cast<uint32_t>(gen.Below(200));
    const auto n = static_cast<uint32_t>(gen.Below(150) + 1);
    const uint64_t shape = gen.Below(5);
    IngestBatch batch;
    for (uint32_t i = 0; i < n; ++i) {
      const uint32_t ordinal = first + (shape == 1   ? n - 1 - i
                                        : shape == 2 ? 2 * i
                                        : shape == 4 ? i % (n / 2 + 1)
                                                     : i);
      batch.series.push_back({.ordinal = SeriesOrdinal{ordinal}, .id = {Hash128{1, ordinal}}});
      batch.sample_series.push_back(shape == 3 ? i / 2 : i);
      batch.sample_ms.push_back(1000 * round);
      batch.sample_value.push_back(gen.Coin() ? static_cast<double>(gen.Below(300)) : gen.Value());
    }
    const std::string record = Encode({&batch, 1}, segment, seen);
    const auto view = ViewAppend(record);
    RC_ASSERT(view.ok());
    values.Begin(segment * 1000, kSeriesLimit);
    RC_ASSERT(DecodeSection(view->sections[0], decoded, &values).ok());
    RC_ASSERT(decoded.sample_series == batch.sample_series);
    RC_ASSERT(decoded.series.size() == batch.series.size());
    for (size_t i = 0; i < n; ++i) {
      RC_ASSERT(decoded.series[i].ordinal == batch.series[i].ordinal);
      RC_ASSERT(SameBits(batch.sample_value[i], decoded.sample_value[i]));
    }
  }
}

TEST(Record, AnOrdinalOfNoSeriesIsDamageBeforeMemoryIsTakenForIt) {
  IngestBatch batch = OneSample();
  batch.series[0].ordinal = SeriesOrdinal{4'000'000'000};
  // Encoded by hand of the steps, since an encoder's state is sized by ordinals that it trusts.
  AppendRecord record;
  ASSERT_TRUE(record.Prepare({&batch, 1}).ok());
  batch.series[0].ordinal = SeriesOrdinal{7};
  SegmentSeries seen;
  std::string out;
  record.Finish(1, seen, out);
  std::vector<IngestBatch> decoded;
  const Status status = DecodeAll(out, decoded);
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("of no series"));
}

TEST(Record, IdsLeftToTheIndexAreAskedForAtTheFirstUseInASegmentOnly) {
  class Index final : public SeriesFinder {
   public:
    SeriesOrdinal FindSeries(PartitionId, const SeriesId&) const override {
      return kUnknownOrdinal;
    }
    void FillIds(PartitionId partition, std::span<BatchSeries> series) const override {
      for (BatchSeries& one : series) {
        asked.push_back(static_cast<uint32_t>(one.ordinal));
        one.id = {{static_cast<uint64_t>(partition), static_cast<uint64_t>(one.ordinal)}};
      }
    }
    mutable std::vector<uint32_t> asked;
  };
  IngestBatch batch = OneSample();
  batch.partition = PartitionId{3};
  batch.series = {{.ordinal = SeriesOrdinal{7}, .id = {}}, {.ordinal = SeriesOrdinal{9}, .id = {}}};
  batch.ids_from_index = true;
  const Index index;
  SegmentSeries seen;
  AppendRecord record;
  ASSERT_TRUE(record.Prepare({&batch, 1}).ok());
  for (const auto& [segment, first] : {std::pair{1, true}, {1, false}, {2, true}}) {
    std::string out;
    record.Finish(static_cast<uint64_t>(segment), seen, out, &index);
    EXPECT_LE(out.size(), record.max_bytes());
    std::vector<IngestBatch> decoded;
    ASSERT_TRUE(DecodeAll(out, decoded).ok());
    EXPECT_EQ(decoded[0].series[0].id, first ? (SeriesId{{3, 7}}) : SeriesId{});
    EXPECT_EQ(decoded[0].series[1].id, first ? (SeriesId{{3, 9}}) : SeriesId{});
  }
  EXPECT_EQ(index.asked, (std::vector<uint32_t>{7, 9, 7, 9}));
}

// ---- the column of changes

double AnyDouble(uint64_t bits) { return std::bit_cast<double>(bits); }

RC_GTEST_PROP(ChangeColumn, ComesBackBitForBitWhateverStoodBefore, ()) {
  BatchGenerator gen(*rc::gen::arbitrary<uint64_t>());
  const auto n = *rc::gen::inRange<size_t>(0, 300);
  std::vector<double> before(n);
  std::vector<double> values(n);
  for (size_t i = 0; i < n; ++i) {
    before[i] = gen.Coin() ? gen.Value() : AnyDouble(*rc::gen::arbitrary<uint64_t>());
    values[i] = gen.Below(3) == 0 ? before[i]
                : gen.Coin()      ? before[i] + static_cast<double>(gen.Below(1000)) / 100
                                  : gen.Value();
  }
  std::string bytes = "kept";
  AppendChangeColumn(values, before, bytes);
  RC_ASSERT(bytes.size() <= 4 + MaxChangeColumnBytes(n));
  VarintReader in(std::string_view(bytes).substr(4));
  std::vector<double> back(n, 99);
  RC_ASSERT(ReadChangeColumn(in, before, back));
  RC_ASSERT(in.done());
  for (size_t i = 0; i < n; ++i) RC_ASSERT(SameBits(values[i], back[i]));
  // Every shorter input is refused.
  for (size_t size = 0; size + 4 < bytes.size(); ++size) {
    VarintReader cut(std::string_view(bytes).substr(4, size));
    RC_ASSERT(!ReadChangeColumn(cut, before, back));
  }
}

struct ChangeSize {
  const char* name;
  double before;
  double value;
  size_t bytes;  // bit, kind and payload of a single change: 2 and the payload
};
class ChangeTakes : public ::testing::TestWithParam<ChangeSize> {};
TEST_P(ChangeTakes, TheBytesThatTheFormatSays) {
  const auto& c = GetParam();
  std::string bytes;
  AppendChangeColumn({&c.value, 1}, {&c.before, 1}, bytes);
  EXPECT_EQ(bytes.size(), c.bytes);
}
INSTANTIATE_TEST_SUITE_P(
    Table, ChangeTakes,
    ::testing::Values(ChangeSize{"nothing", 7, 7, 1}, ChangeSize{"to_zero", 7, 0, 2},
                      ChangeSize{"step_of_one", 1e12, 1e12 + 1, 3},
                      ChangeSize{"largest_in_one_byte", 1e12, 1e12 + 127, 3},
                      ChangeSize{"smallest_in_two", 1e12, 1e12 + 128, 4},
                      ChangeSize{"back_by_three_bytes", 1e12, 1e12 - 1'000'000, 5},
                      ChangeSize{"four_bytes", 0, 1e9, 6}, ChangeSize{"six_bytes", 0, 1e12, 8},
                      ChangeSize{"cents", 1234.56, 1234.57, 4},
                      ChangeSize{"milli_of_three_bytes", 0.5, 1000.1, 5},
                      ChangeSize{"nano", 0.000001, 0.0000012, 5},
                      ChangeSize{"minus_zero", 0.0, -0.0, 5},
                      ChangeSize{"a_few_ulps", 0.1234567890123, 0.12345678901230002, 6},
                      ChangeSize{"nan", 1, std::nan(""), 5},
                      ChangeSize{"any_bits", 1, -1.2345678901234567e-300, 10}),
    [](const auto& c) { return std::string(c.param.name); });

TEST(SegmentSeries, ForgetsWithTheSegmentAndTellsPartitionsApart) {
  SegmentSeries seen;
  EXPECT_TRUE(seen.FirstUse(1, PartitionId{0}, SeriesOrdinal{70}));
  EXPECT_FALSE(seen.FirstUse(1, PartitionId{0}, SeriesOrdinal{70}));
  EXPECT_TRUE(seen.FirstUse(1, PartitionId{3}, SeriesOrdinal{70}));
  EXPECT_TRUE(seen.FirstUse(1, PartitionId{0}, SeriesOrdinal{71}));
  EXPECT_TRUE(seen.FirstUse(2, PartitionId{0}, SeriesOrdinal{70}));
  EXPECT_FALSE(seen.FirstUse(2, PartitionId{0}, SeriesOrdinal{70}));
}

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

TEST(Delete, ComesBack) {
  DeleteRecord deletion;
  deletion.tenant = TenantId{3};
  deletion.range = {INT64_MIN, 1'700'000'000'000};
  deletion.any_of = {{{MatchType::kEqual, "__name__", "up"}, {MatchType::kNotRegex, "job", "a|b"}},
                     {}};
  std::string record;
  ASSERT_TRUE(EncodeDelete(deletion, record).ok());
  EXPECT_EQ(*KindOf(record), RecordKind::kDelete);
  const auto back = DecodeDelete(record);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->tenant, deletion.tenant);
  EXPECT_EQ(back->range.min_ms, deletion.range.min_ms);
  EXPECT_EQ(back->range.max_ms, deletion.range.max_ms);
  EXPECT_EQ(back->any_of, deletion.any_of);
  for (size_t n = 0; n < record.size(); ++n)
    EXPECT_FALSE(DecodeDelete(record.substr(0, n)).ok()) << n;
  EXPECT_FALSE(DecodeDelete(record + "x").ok());
  EXPECT_FALSE(DecodeDelete(Encode(OneSample())).ok());
  EXPECT_FALSE(ViewAppend(record).ok());
}

TEST(Delete, ThatExceedsABoundIsRefusedAndWritesNothing) {
  DeleteRecord deletion;
  deletion.any_of.assign(1, MatcherSet(kMaxMatchersPerRecord, Matcher{}));
  std::string record = "kept";
  EXPECT_EQ(EncodeDelete(deletion, record).code(), StatusCode::kInvalidArgument);
  deletion.any_of = {{{MatchType::kEqual, "a", std::string(kMaxStringBytes + 1, 'x')}}};
  EXPECT_EQ(EncodeDelete(deletion, record).code(), StatusCode::kInvalidArgument);
  deletion.any_of = {
      MatcherSet(65, Matcher{MatchType::kEqual, "a", std::string(kMaxStringBytes, 'x')})};
  EXPECT_EQ(EncodeDelete(deletion, record).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(record, "kept");
  deletion.any_of = {MatcherSet(kMaxMatchersPerRecord - 1, Matcher{})};
  EXPECT_TRUE(EncodeDelete(deletion, record).ok());
  EXPECT_TRUE(DecodeDelete(record.substr(4)).ok());
}

TEST(Opaque, PayloadsComeBackForTheirKinds) {
  for (const RecordKind kind : {RecordKind::kSlo, RecordKind::kElection, RecordKind::kLimit}) {
    std::string record;
    ASSERT_TRUE(EncodeOpaque(kind, "payload", record).ok());
    EXPECT_EQ(*KindOf(record), kind);
    EXPECT_EQ(*DecodeOpaque(record), "payload");
  }
  EXPECT_EQ(DecodeOpaque(Encode(OneSample())).status().code(), StatusCode::kDataLoss);
  std::string record;
  EXPECT_EQ(EncodeOpaque(RecordKind::kSlo, std::string(kMaxRecordBytes, 'x'), record).code(),
            StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace basalt::storage
