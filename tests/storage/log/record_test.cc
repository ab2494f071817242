#include "storage/log/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "storage/resolver.h"
#include "tests/storage/log/batch_generator.h"
#include "tests/storage/log/record_fixture.h"

namespace basalt::storage {
namespace {

using basalt::testing::BatchGenerator;
using basalt::testing::DecodeAll;
using basalt::testing::Difference;
using basalt::testing::Encode;
using basalt::testing::kSeriesLimit;
using basalt::testing::OneSample;
using basalt::testing::SameBits;
using ::testing::HasSubstr;

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

TEST(Record, BuffersAreKeptForTheNextRequestUnlessTheyAreLarge) {
  AppendRecord record;
  const size_t nothing = record.memory_bytes();
  const auto kept_after = [&record, nothing](size_t series) {
    IngestBatch batch;
    for (size_t i = 0; i < series; ++i) {
      batch.series.push_back({.ordinal = SeriesOrdinal{static_cast<uint32_t>(i)}, .id = {{1, i}}});
    }
    EXPECT_TRUE(record.Prepare({&batch, 1}).ok());
    const size_t used = record.memory_bytes();
    record.Forget();
    EXPECT_EQ(record.memory_bytes(), used <= kKeptRecordBytes ? used : nothing) << used;
    return record.memory_bytes();
  };
  EXPECT_GT(kept_after(1000), 1000 * sizeof(uint32_t));
  EXPECT_GT(kept_after(100'000), 100'000 * sizeof(uint32_t));
  EXPECT_EQ(kept_after(kKeptRecordBytes / sizeof(uint32_t)),
            nothing);  // and what is beside the ordinals
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

TEST(SegmentSeries, ForgetsWithTheSegmentAndTellsPartitionsApart) {
  SegmentSeries seen;
  EXPECT_TRUE(seen.FirstUse(1, PartitionId{0}, SeriesOrdinal{70}));
  EXPECT_FALSE(seen.FirstUse(1, PartitionId{0}, SeriesOrdinal{70}));
  EXPECT_TRUE(seen.FirstUse(1, PartitionId{3}, SeriesOrdinal{70}));
  EXPECT_TRUE(seen.FirstUse(1, PartitionId{0}, SeriesOrdinal{71}));
  EXPECT_TRUE(seen.FirstUse(2, PartitionId{0}, SeriesOrdinal{70}));
  EXPECT_FALSE(seen.FirstUse(2, PartitionId{0}, SeriesOrdinal{70}));
}

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
