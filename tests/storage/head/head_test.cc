#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <map>
#include <set>
#include <string>

#include "storage/head/block_arena.h"
#include "storage/head/layer.h"
#include "storage/head/partition_head.h"
#include "storage/head/sample_columns.h"
#include "storage/head/sample_stream.h"
#include "storage/resolver.h"

namespace basalt::storage {
namespace {

uint64_t Bits(double v) { return std::bit_cast<uint64_t>(v); }

// ---- streams ----

// Values of every shape a token has: repeats, small and large integers, any bits.
rc::Gen<double> AnyValue() {
  return rc::gen::oneOf(rc::gen::element(0.0, -0.0, 1.0, 1e300),
                        rc::gen::map(rc::gen::inRange<int64_t>(-100, 100),
                                     [](int64_t v) { return static_cast<double>(v); }),
                        rc::gen::map(rc::gen::arbitrary<int64_t>(),
                                     [](int64_t v) { return static_cast<double>(v >> 10); }),
                        rc::gen::map(rc::gen::arbitrary<uint64_t>(),
                                     [](uint64_t v) { return std::bit_cast<double>(v); }));
}

RC_GTEST_PROP(SampleStream, ReadsBackWhatWasWritten, ()) {
  std::vector<int64_t> times;
  for (int i = 0; i < 40; ++i) times.push_back(*rc::gen::inRange<int64_t>(0, 1'000'000));
  std::vector<StreamSample> samples;
  const int n = *rc::gen::inRange(0, 300);
  for (int i = 0; i < n; ++i) {
    StreamSample sample;
    // Mostly the next row, as in life.
    const uint32_t next =
        samples.empty() || samples.back().row == kNoRow ? 0 : samples.back().row + 1;
    sample.row = *rc::gen::weightedOneOf<uint32_t>({{6, rc::gen::just(next)},
                                                    {1, rc::gen::inRange<uint32_t>(0, 40)},
                                                    {1, rc::gen::just(kNoRow)}});
    if (sample.row != kNoRow && sample.row >= times.size()) sample.row = 0;
    sample.time_ms = sample.row == kNoRow ? *rc::gen::arbitrary<int64_t>() : times[sample.row];
    if (*rc::gen::inRange(0, 10) == 0) {
      sample.histogram = *rc::gen::inRange<uint32_t>(0, 1'000'000);
    } else {
      sample.value = *rc::gen::weightedOneOf<double>(
          {{3, rc::gen::just(samples.empty() ? 0.0 : samples.back().value)}, {2, AnyValue()}});
    }
    sample.start_ms = *rc::gen::weightedOneOf<int64_t>(
        {{5, rc::gen::just<int64_t>(samples.empty() ? 0 : samples.back().start_ms)},
         {1, rc::gen::arbitrary<int64_t>()}});
    samples.push_back(sample);
  }
  std::string bytes;
  StreamState state;
  bool run = false;
  for (const StreamSample& sample : samples) {
    if (run && ExtendsRun(sample, state) && static_cast<std::byte>(bytes.back()) != kLongestRun) {
      ++bytes.back();
      ++state.row;
      state.time_ms = sample.time_ms;
      continue;
    }
    std::array<std::byte, kMaxTokenBytes> tokens;
    const size_t size = EncodeSample(sample, state, tokens, run);
    RC_ASSERT(size <= kMaxTokenBytes);
    bytes.append(reinterpret_cast<const char*>(tokens.data()), size);
  }
  StreamReader reader(bytes, times);
  for (const StreamSample& sample : samples) {
    const StreamSample found = reader.Next();
    RC_ASSERT(found.time_ms == sample.time_ms);
    RC_ASSERT(found.start_ms == sample.start_ms);
    RC_ASSERT(found.histogram == sample.histogram);
    RC_ASSERT(Bits(found.value) == Bits(sample.histogram == kNoHistogram ? sample.value : 0));
  }
}

TEST(SampleStream, ARunOf128EqualSamplesIsOneByte) {
  BlockArena arena;
  OpenLayer layer;
  for (int i = 0; i < 128; ++i) layer.Append(0, {.time_ms = i, .value = 0}, i - 1, arena);
  EXPECT_EQ(arena.used_bytes(),
            16U);  // one small block, of which one byte is used
  const auto frozen = layer.Freeze(1, arena);
  EXPECT_EQ(frozen->bytes.size(), 1U);
  EXPECT_EQ(arena.used_bytes(), 0U);
}

// ---- arena ----

RC_GTEST_PROP(BlockArena, ChainsKeepTheirBytesAndComeBack, ()) {
  BlockArena arena;
  struct Stream {
    BlockArena::Chain chain;
    std::string bytes;
  };
  std::vector<Stream> streams(*rc::gen::inRange<size_t>(1, 30));
  for (int i = 0, n = *rc::gen::inRange(1, 400); i < n; ++i) {
    Stream& stream = streams[*rc::gen::inRange<size_t>(0, streams.size())];
    if (*rc::gen::inRange(0, 20) == 0) {
      arena.Free(stream.chain, stream.bytes.size());
      stream.bytes.clear();
      continue;
    }
    const auto more = *rc::gen::container<std::string>(*rc::gen::inRange<size_t>(1, 40),
                                                       rc::gen::arbitrary<char>());
    arena.Append(stream.chain, stream.bytes.size(), std::as_bytes(std::span(more)));
    stream.bytes += more;
    RC_ASSERT(arena.Last(stream.chain, stream.bytes.size()) == static_cast<std::byte>(more.back()));
  }
  size_t used = 0;
  for (const Stream& stream : streams) {
    std::string found;
    arena.CopyTo(stream.chain, stream.bytes.size(), found);
    RC_ASSERT(found == stream.bytes);
    const size_t n = stream.bytes.size();
    if (n > 0) used += 16;
    if (n > BlockArena::kFirstData) {
      used +=
          32 * ((n - BlockArena::kFirstData + BlockArena::kNextData - 1) / BlockArena::kNextData);
    }
  }
  RC_ASSERT(arena.used_bytes() == used);
  for (Stream& stream : streams) arena.Free(stream.chain, stream.bytes.size());
  RC_ASSERT(arena.used_bytes() == 0U);
}

// ---- merge ----

RC_GTEST_PROP(MergeByPrecedence, LaterPartsWin, ()) {
  std::vector<SampleColumns> parts(*rc::gen::inRange<size_t>(0, 5));
  std::map<int64_t, std::pair<uint64_t, int64_t>> expected;
  for (SampleColumns& part : parts) {
    const auto times = *rc::gen::container<std::set<int64_t>>(rc::gen::inRange<int64_t>(0, 60));
    for (const int64_t t : times) {
      const double value = *rc::gen::arbitrary<double>();
      const int64_t start = *rc::gen::inRange<int64_t>(0, 3);
      part.Add(t, value, start);
      expected[t] = {Bits(value), start};
    }
  }
  SampleColumns out;
  MergeByPrecedence(parts, out);
  RC_ASSERT(out.size() == expected.size());
  size_t i = 0;
  for (const auto& [t, sample] : expected) {
    RC_ASSERT(out.time_ms[i] == t);
    RC_ASSERT(Bits(out.values[i]) == sample.first);
    RC_ASSERT(out.StartAt(i) == sample.second);
    ++i;
  }
}

TEST(SampleColumns, ClipAndEraseKeepTheColumnsTogether) {
  SampleColumns columns;
  for (int64_t t = 0; t < 10; ++t) columns.Add(t, static_cast<double>(t), t == 5 ? 1 : kNoStartMs);
  columns.Clip({.min_ms = 2, .max_ms = 7});
  const std::vector<TimeRange> masks{{.min_ms = 3, .max_ms = 4}};
  columns.Erase(masks);
  EXPECT_EQ(columns.time_ms, (std::vector<int64_t>{2, 5, 6, 7}));
  EXPECT_EQ(columns.values, (std::vector<double>{2, 5, 6, 7}));
  EXPECT_EQ(columns.start_ms, (std::vector<int64_t>{kNoStartMs, 1, kNoStartMs, kNoStartMs}));
}

// ---- bounds ----

class HeadTest : public testing::Test {
 protected:
  explicit HeadTest(uint32_t seal_samples = 120) : head_(PartitionId{0}, index_, seal_samples) {}

  static IngestBatch Batch(const std::vector<std::pair<int, int64_t>>& samples) {
    IngestBatch batch;
    for (const auto& [series, t] : samples) {
      Labels labels{{"__name__", "m" + std::to_string(series)}, {"instance", "i"}, {"job", "j"}};
      std::string canonical;
      AppendCanonical(labels, canonical);
      batch.series.push_back({.ordinal = kUnknownOrdinal,
                              .id = MakeSeriesId(kDefaultTenant, canonical),
                              .labels_offset = static_cast<uint32_t>(batch.labels.size()),
                              .labels_bytes = static_cast<uint32_t>(canonical.size())});
      batch.labels += canonical;
      batch.sample_series.push_back(static_cast<uint32_t>(batch.series.size() - 1));
      batch.sample_ms.push_back(t);
      batch.sample_value.push_back(static_cast<double>(t));
    }
    return batch;
  }
  ApplyCounts Apply(const std::vector<std::pair<int, int64_t>>& samples) {
    ApplyCounts counts;
    head_.Apply(Batch(samples), {.lane = 0, .seq = ++seq_}, counts);
    return counts;
  }
  std::vector<int64_t> Times(uint32_t ordinal) {
    const uint64_t view = head_.OpenView();
    std::vector<SampleColumns> out;
    const std::array<SeriesOrdinal, 1> one{SeriesOrdinal{ordinal}};
    head_.Read(view, one, {}, DeleteSnapshot({}), out);
    head_.CloseView(view);
    return out[0].time_ms;
  }

  PartitionIndex index_{PartitionId{0}};
  PartitionHead head_;
  uint64_t seq_ = 0;
};

TEST_F(HeadTest, AGroupFreezesWhenASeriesIsFullAndNotBefore) {
  for (int i = 0; i < 120; ++i) Apply({{0, i}});
  EXPECT_EQ(head_.Stats().groups_full, 0U);
  Apply({{0, 120}});
  EXPECT_EQ(head_.Stats().groups_full, 1U);
  EXPECT_EQ(Times(0).size(), 121U);
}

TEST_F(HeadTest, TimesBeyondTheSharedOnesAreTheSamplesOwn) {
  // One series a time, so that no series fills while the list of times does.
  const auto count = static_cast<int>(kMaxSharedTimes) + 50;
  for (int i = 0; i < count; ++i) Apply({{i, 1000 + 7 * i}, {i, 1'000'000 + 11 * i}});
  for (int i = 0; i < count; ++i) {
    EXPECT_EQ(Times(static_cast<uint32_t>(i)),
              (std::vector<int64_t>{1000 + 7 * i, 1'000'000 + 11 * i}));
  }
}

TEST_F(HeadTest, LateListsAreFrozenAtTheirBoundAndLoseNothing) {
  Apply({{0, 1'000'000}});
  for (size_t i = 0; i < kMaxOpenLateSamples - 1; ++i)
    EXPECT_EQ(Apply({{0, static_cast<int64_t>(i)}}).late, 1U);
  EXPECT_EQ(head_.Stats().groups_full, 0U);
  Apply({{0, 5000}});
  EXPECT_EQ(head_.Stats().groups_full, 1U);
  Apply({{0, 5001}});
  EXPECT_EQ(Times(0).size(), kMaxOpenLateSamples + 2);
}

TEST_F(HeadTest, IdleGroupsLeaveMemoryAndComeBack) {
  Apply({{0, 1}, {1, 1}});
  EXPECT_EQ(head_.Stats().series, 2U);
  head_.ForgetIdle(/*idle_since_seq=*/100);
  EXPECT_EQ(head_.Stats().series, 2U) << "it has samples";
  EXPECT_EQ(head_.Freeze({.everything = true}).samples, 2U);
  head_.Drop();
  head_.ForgetIdle(/*idle_since_seq=*/1);
  EXPECT_EQ(head_.Stats().series, 2U) << "it was written to since";
  head_.ForgetIdle(/*idle_since_seq=*/2);
  EXPECT_EQ(head_.Stats().series, 0U);
  EXPECT_EQ(Apply({{1, 2}}).created.size(), 0U);
  EXPECT_EQ(Times(1), (std::vector<int64_t>{2}));
}

TEST_F(HeadTest, AViewOpenedBeforeAGroupLeftDoesNotSeeItComeBack) {
  Apply({{0, 1}});
  (void)head_.Freeze({.everything = true});
  head_.Drop();
  const uint64_t view = head_.OpenView();
  head_.ForgetIdle(/*idle_since_seq=*/100);
  Apply({{0, 2}});
  std::vector<SampleColumns> out;
  const std::array<SeriesOrdinal, 1> one{SeriesOrdinal{0}};
  head_.Read(view, one, {}, DeleteSnapshot({}), out);
  EXPECT_TRUE(out[0].empty());
  head_.CloseView(view);
}

TEST_F(HeadTest, ASealThatFailedLeavesEverythingForTheNext) {
  Apply({{0, 1}});
  EXPECT_EQ(head_.OldestSeq(), 1U);
  EXPECT_EQ(head_.Freeze({.everything = true}).samples, 1U);
  EXPECT_EQ(head_.OldestSeq(), std::nullopt);
  Apply({{0, 2}});
  EXPECT_EQ(head_.OldestSeq(), 2U);
  head_.Keep();
  EXPECT_EQ(head_.OldestSeq(), 1U);
  EXPECT_EQ(head_.Freeze({.everything = true}).samples, 2U);
  head_.Drop();
  EXPECT_EQ(head_.Stats().samples, 0U);
  EXPECT_EQ(head_.Stats().frozen_bytes, 0U);
}

TEST_F(HeadTest, SeriesThatAreNotTheirIdAreLeftOutWhole) {
  Apply({{0, 1}});
  IngestBatch batch = Batch({{1, 5}});
  batch.series[0].ordinal = SeriesOrdinal{0};  // of another id
  batch.series[0].labels_bytes = 0;
  ApplyCounts counts;
  head_.Apply(batch, {.lane = 0, .seq = 2}, counts);
  EXPECT_EQ(counts.series_refused, 1U);
  batch.series[0].ordinal = SeriesOrdinal{7};  // never given
  head_.Apply(batch, {.lane = 0, .seq = 3}, counts);
  EXPECT_EQ(counts.series_refused, 2U);
  EXPECT_EQ(counts.accepted, 0U);
  EXPECT_EQ(Times(0), (std::vector<int64_t>{1}));
}

}  // namespace
}  // namespace basalt::storage
