#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <map>
#include <numeric>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>

#include "engine/base/time.h"
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
  uint8_t run = 0;  // at the end of bytes
  for (const StreamSample& sample : samples) {
    if (ExtendsRun(sample, state) && run < kLongestRun) {
      if (run > 0) bytes.pop_back();
      bytes += static_cast<char>(RunToken(++run));
      ++state.row;
      state.time_ms = sample.time_ms;
      continue;
    }
    run = 0;
    std::array<std::byte, kMaxTokenBytes> tokens;
    const size_t size = EncodeSample(sample, state, tokens);
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

TEST(OpenLayer, ARunOf128EqualSamplesIsOneByteAndTakesNoBlock) {
  OpenLayer layer;
  layer.AddSeries();
  for (int i = 0; i < 128; ++i) layer.Append(0, {.time_ms = i, .value = 0});
  layer.Append(0, {.time_ms = 128, .value = 0});  // the run is full
  EXPECT_LE(layer.sample_bytes(), 2 * 129 * sizeof(int64_t)) << "more than the list of times";
  EXPECT_EQ(layer.Freeze(1)->bytes.size(), 2U);
  EXPECT_TRUE(layer.empty());
  EXPECT_EQ(layer.sample_bytes(), 0U);
  EXPECT_EQ(layer.newest_ms(0), 128);
}

// Eight bytes are in the slot itself, the ninth moves them out; reading sees no difference.
TEST(OpenLayer, AStreamMovesFromItsSlotToBlocksAndReadsTheSame) {
  OpenLayer layer;
  layer.AddSeries();
  std::vector<double> values;
  for (int i = 0; i < 60; ++i) {
    values.push_back(i % 5 == 4 ? values.back() : i * i);
    layer.Append(0, {.time_ms = i, .value = values.back()});
    SampleColumns found;
    layer.Read(0, UINT16_MAX, {}, found);
    ASSERT_EQ(found.values, values);
    SampleColumns half;
    layer.Read(0, static_cast<uint16_t>(i / 2), {}, half);
    ASSERT_EQ(half.size(), static_cast<size_t>(i) / 2);
  }
}

// ---- arena ----

// Repeats, times of others, times of its own, starts and histograms, in any range.
RC_GTEST_PROP(Layers, AnyRangeOfAStreamIsWhatWasAppendedInIt, ()) {
  OpenLayer layer;
  layer.AddSeries();
  layer.AddSeries();
  SampleColumns all;
  const std::string histogram = EncodeHistogram(NativeHistogram{});
  int64_t now = 0;
  double value = 0;
  int64_t start_ms = kNoStartMs;
  const auto count = *rc::gen::inRange<size_t>(1, 400);
  const auto dice = *rc::gen::container<std::vector<uint8_t>>(count, rc::gen::arbitrary<uint8_t>());
  for (const uint8_t die : dice) {
    now += 1 + die % 3;
    if (die % 8 == 1) layer.Append(1, {.time_ms = now++, .value = 1});
    if (die % 16 == 2) value += 0.25;
    if (die % 64 == 3) start_ms = now - 5;
    if (die % 64 == 4) {
      layer.Append(0, {.time_ms = now, .start_ms = start_ms, .histogram = &histogram});
      all.AddHistogram(now, NativeHistogram{}, start_ms);
    } else {
      layer.Append(0, {.time_ms = now, .start_ms = start_ms, .value = value});
      all.Add(now, value, start_ms);
    }
  }
  const auto min_ms = *rc::gen::inRange<int64_t>(-2, now + 3);
  const TimeRange range{min_ms, *rc::gen::inRange<int64_t>(min_ms, now + 4)};
  SampleColumns expected = all;
  expected.Clip(range);
  SampleColumns open;
  layer.Read(0, UINT16_MAX, range, open);
  const auto frozen = layer.Freeze(1);
  RC_ASSERT(frozen->newest_ms == now);
  SampleColumns closed;
  frozen->Read(0, UINT16_MAX, range, closed);
  for (const SampleColumns* const read : {&open, &closed}) {
    RC_ASSERT(read->time_ms == expected.time_ms);
    RC_ASSERT(read->values == expected.values);
    for (size_t i = 0; i < read->size(); ++i) {
      RC_ASSERT(read->StartAt(i) == expected.StartAt(i));
      RC_ASSERT(read->IsHistogram(i) == expected.IsHistogram(i));
    }
  }
}

RC_GTEST_PROP(BlockArena, ChainsKeepTheirBytes, ()) {
  BlockArena arena;
  struct Stream {
    BlockArena::Chain chain;
    std::string bytes;
  };
  std::vector<Stream> streams(*rc::gen::inRange<size_t>(1, 30));
  for (int i = 0, n = *rc::gen::inRange(1, 400); i < n; ++i) {
    Stream& stream = streams[*rc::gen::inRange<size_t>(0, streams.size())];
    const std::string more(*rc::gen::inRange<size_t>(1, 80), static_cast<char>(i));
    arena.Append(stream.chain, stream.bytes.size(), std::as_bytes(std::span(more)));
    stream.bytes += more;
  }
  size_t used = 0;
  for (const Stream& stream : streams) {
    std::string found;
    arena.CopyTo(stream.chain, stream.bytes.size(), found);
    RC_ASSERT(found == stream.bytes);
    used += (found.size() + BlockArena::kDataBytes - 1) / BlockArena::kDataBytes *
            BlockArena::kBlockBytes;
  }
  RC_ASSERT(arena.held_bytes() >= used);
  RC_ASSERT(arena.held_bytes() <= 2 * used + 256 * BlockArena::kBlockBytes + 1024);
  arena.Clear();
  RC_ASSERT(arena.held_bytes() == 0U);
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

IngestBatch HeadTestBatch(const std::vector<std::pair<int, int64_t>>& samples) {
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

class HeadTest : public testing::Test {
 protected:
  using FullGroups = std::array<uint64_t, HeadStats::kCountedLayers>;

  explicit HeadTest(uint32_t seal_samples = 120) : head_(PartitionId{0}, index_, seal_samples) {}

  ApplyCounts Apply(const std::vector<std::pair<int, int64_t>>& samples) {
    ApplyCounts counts;
    head_.Apply(HeadTestBatch(samples), {.lane = 0, .seq = ++seq_}, counts);
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
  EXPECT_EQ(head_.Stats().groups_full, (FullGroups{0, 0, 0, 0}));
  Apply({{0, 120}});
  EXPECT_EQ(head_.Stats().groups_full, (FullGroups{1, 0, 0, 0}));
  EXPECT_EQ(Times(0).size(), 121U);
}

TEST_F(HeadTest, AGroupGrowsByLayersUntilASealWantsIt) {
  for (int i = 0; i < 241; ++i) Apply({{0, i}});
  EXPECT_EQ(head_.Stats().groups_full, (FullGroups{1, 1, 0, 0}));
  EXPECT_TRUE(head_.Freeze({.full = true, .full_layers = 3}).groups.empty());
  head_.Drop();
  EXPECT_EQ(Times(0).size(), 241U);
  const FrozenPartition frozen = head_.Freeze({.full = true, .full_layers = 2});
  ASSERT_EQ(frozen.groups.size(), 1U);
  EXPECT_EQ(frozen.samples, 241U);
  SampleColumns samples;
  ReadFrozen(frozen.groups[0], 0, {}, DeleteSnapshot({}), samples);
  std::vector<int64_t> expected(241);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(samples.time_ms, expected);
  head_.Drop();
  EXPECT_TRUE(Times(0).empty());
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
  EXPECT_EQ(head_.Stats().groups_full, (FullGroups{0, 0, 0, 0}));
  Apply({{0, 5000}});
  EXPECT_EQ(head_.Stats().groups_full, (FullGroups{1, 1, 1, 1})) << "at any depth of rows";
  Apply({{0, 5001}});
  EXPECT_EQ(Times(0).size(), kMaxOpenLateSamples + 2);
}

TEST_F(HeadTest, IdleSeriesLeaveMemoryAndComeBack) {
  const auto seal = [&] {
    (void)head_.Freeze({.everything = true});
    head_.Drop();
    head_.ForgetIdle();
    return head_.Stats().series;
  };
  Apply({{0, 1}, {1, 1}});
  head_.ForgetIdle();
  EXPECT_EQ(head_.Stats().series, 2U) << "they have samples";
  EXPECT_EQ(seal(), 2U) << "no time has passed";
  Apply({{0, kIdleAfter.count()}});
  EXPECT_EQ(seal(), 2U) << "a millisecond is missing";
  Apply({{0, kIdleAfter.count() + 1}});
  EXPECT_EQ(seal(), 1U);
  EXPECT_EQ(Apply({{1, kIdleAfter.count() + 2}, {0, kIdleAfter.count() + 3}}).created.size(), 0U);
  EXPECT_EQ(Times(1), (std::vector<int64_t>{kIdleAfter.count() + 2}));
  EXPECT_EQ(Times(0), (std::vector<int64_t>{kIdleAfter.count() + 3}));
  EXPECT_EQ(head_.Stats().series, 2U);
  // What is older than what has left memory may be late.
  EXPECT_EQ(Apply({{0, kIdleAfter.count() + 2}}).late, 1U);
}

TEST_F(HeadTest, AFirstSampleIsReportedLateIfRunsMayHaveANewerOne) {
  Apply({{0, 1}});
  (void)head_.Freeze({.everything = true});
  head_.Drop();
  Apply({{1, 1 + kIdleAfter.count()}});
  (void)head_.Freeze({.everything = true});
  head_.Drop();
  head_.ForgetIdle();
  EXPECT_EQ(Apply({{0, 1}}).late, 1U);
  EXPECT_EQ(Apply({{2, 1}}).late, 0U) << "a series that never was before";
  head_.SealedUpTo(5000);
  EXPECT_EQ(Apply({{3, 5000}}).late, 0U);
}

TEST_F(HeadTest, AViewOpenedBeforeASeriesLeftDoesNotSeeItComeBack) {
  Apply({{0, 1}, {1, 1 + kIdleAfter.count()}});
  (void)head_.Freeze({.everything = true});
  head_.Drop();
  const uint64_t view = head_.OpenView();
  head_.ForgetIdle();
  EXPECT_EQ(head_.Stats().series, 1U);
  Apply({{0, 2 + kIdleAfter.count()}});
  std::vector<SampleColumns> out;
  const std::array<SeriesOrdinal, 1> one{SeriesOrdinal{0}};
  head_.Read(view, one, {}, DeleteSnapshot({}), out);
  EXPECT_TRUE(out[0].empty());
  head_.CloseView(view);
}

// Writes down what it is told, in words.
class Listener final : public ApplyObserver {
 public:
  TapId OnSeries(PartitionId, SeriesOrdinal ordinal, TenantId, const Labels& labels) override {
    if (labels.Get("__name__") == "m0") return kNoTap;  // not wanted
    said.push_back("series " + std::to_string(static_cast<uint32_t>(ordinal)));
    return TapId{static_cast<uint32_t>(ordinal) + 1};
  }
  void OnSeriesGone(PartitionId, TapId tap) override {
    said.push_back("gone " + std::to_string(static_cast<uint32_t>(tap) - 1));
  }
  void OnSamples(const TappedSamples& samples) override {
    for (size_t i = 0; i < samples.taps.size(); ++i) {
      said.push_back("sample " + std::to_string(static_cast<uint32_t>(samples.taps[i]) - 1) + " " +
                     std::to_string(samples.time_ms[i]));
    }
  }
  void OnDelete(const TappedDelete&) override {}
  std::vector<std::string> said;
};

// The rule is one of records alone: when things are sealed and forgotten makes no difference.
RC_GTEST_PROP(IdleSeries, AreGivenUpAndComeBackByWhatTheRecordsSayAlone, ()) {
  PartitionIndex index_a(PartitionId{0});
  PartitionIndex index_b(PartitionId{0});
  PartitionHead a(PartitionId{0}, index_a, 5);
  PartitionHead b(PartitionId{0}, index_b, 5);
  Listener heard_by_a;
  Listener heard_by_b;
  constexpr int kSeries = 6;
  const uint64_t observed_at = *rc::gen::inRange<uint64_t>(0, 20);
  int64_t now = 0;
  for (uint64_t seq = 1; seq < 60; ++seq) {
    if (seq == observed_at + 1) {
      a.Observe(&heard_by_a);
      b.Observe(&heard_by_b);
    }
    now += *rc::gen::weightedOneOf<int64_t>(
        {{4, rc::gen::inRange<int64_t>(0, 60'000)},
         {1, rc::gen::inRange<int64_t>(0, 2 * kIdleAfter.count())}});
    std::vector<std::pair<int, int64_t>> samples;
    for (int i = *rc::gen::inRange(1, 4); i > 0; --i) {
      const int64_t late = *rc::gen::weightedElement<int64_t>({{5, 0}, {1, 3'600'000}});
      samples.emplace_back(*rc::gen::inRange(0, kSeries), now - late);
    }
    const IngestBatch batch = HeadTestBatch(samples);
    ApplyCounts counts;
    a.Apply(batch, {.lane = 0, .seq = seq}, counts);
    b.Apply(batch, {.lane = 0, .seq = seq}, counts);
    for (PartitionHead* head : {&a, &b}) {
      if (*rc::gen::inRange(0, head == &a ? 3 : 10) != 0) continue;
      (void)head->Freeze({.everything = true});
      head->Drop();
      head->ForgetIdle();
    }
  }
  // Samples apart: that one is there already is seen only while it is in memory.
  const auto comings_and_goings = [](const Listener& listener) {
    std::vector<std::string> lines;
    for (const std::string& line : listener.said) {
      if (!line.starts_with("sample")) lines.push_back(line);
    }
    return lines;
  };
  RC_ASSERT(comings_and_goings(heard_by_a) == comings_and_goings(heard_by_b));
  // Nobody is heard of between being given up and coming back, nor given up twice.
  std::set<std::string> here;
  for (const std::string& line : heard_by_a.said) {
    std::istringstream words(line);
    std::string what;
    std::string series;
    words >> what >> series;
    const bool was_here = here.contains(series);
    RC_ASSERT(was_here == (what != "series"));
    if (what == "series") here.insert(series);
    if (what == "gone") here.erase(series);
  }
}

// ---- scrapes ----

// What a head says of itself from outside: what it counted, who it told what, what views see.
struct Told {
  ApplyCounts counts;
  Listener listener;
  std::vector<std::vector<std::tuple<int64_t, uint64_t, int64_t>>> seen;  // by reading
};

void ReadAll(const PartitionHead& head, uint64_t view, uint32_t series, Told& told) {
  std::vector<SeriesOrdinal> ordinals;
  for (uint32_t i = 0; i < series; ++i) ordinals.push_back(SeriesOrdinal{i});
  std::vector<SampleColumns> out;
  head.Read(view, ordinals, {}, DeleteSnapshot({}), out);
  for (const SampleColumns& columns : out) {
    auto& samples = told.seen.emplace_back();
    for (size_t i = 0; i < columns.time_ms.size(); ++i) {
      samples.emplace_back(columns.time_ms[i], Bits(columns.values[i]),
                           columns.start_ms.empty() ? kNoStartMs : columns.start_ms[i]);
    }
  }
}

// Scrapes of known series take a way of their own; a column of starts that says "none" sends the
// same samples by the general one.
RC_GTEST_PROP(Scrapes, AreAppliedAsTheirSamplesOneByOne, ()) {
  constexpr uint32_t kSeriesOfTarget = 90;  // more than are taken together
  constexpr uint32_t kTargets = 3;
  constexpr uint32_t kSeries = kTargets * kSeriesOfTarget;
  const uint32_t seal_samples = *rc::gen::inRange<uint32_t>(1, 6);
  PartitionIndex index_a(PartitionId{0});
  PartitionIndex index_b(PartitionId{0});
  for (uint32_t i = 0; i < kSeries; ++i) {
    Labels labels{{"__name__", "m" + std::to_string(i % kSeriesOfTarget)},
                  {"instance", std::to_string(i / kSeriesOfTarget)},
                  {"job", "j"}};
    std::string canonical;
    AppendCanonical(labels, canonical);
    const SeriesId id = MakeSeriesId(kDefaultTenant, canonical);
    RC_ASSERT(index_a.Insert(kDefaultTenant, id, canonical).ok());
    RC_ASSERT(index_b.Insert(kDefaultTenant, id, canonical).ok());
  }
  PartitionHead a(PartitionId{0}, index_a, seal_samples);
  PartitionHead b(PartitionId{0}, index_b, seal_samples);
  Told told_by_a;
  Told told_by_b;
  a.Observe(&told_by_a.listener);
  b.Observe(&told_by_b.listener);

  std::vector<double> values(kSeries, 1);
  int64_t now = *rc::gen::inRange<int64_t>(0, 2) * kMsPerDay - 30'000 + kMsPerDay;  // or midnight
  std::optional<std::pair<uint64_t, uint64_t>> views;
  const int records = *rc::gen::inRange(1, 25);
  for (int record = 1; record <= records; ++record) {
    now += *rc::gen::element<int64_t>(0, 1, 15'000, 15'000);
    const uint32_t target = *rc::gen::inRange<uint32_t>(0, kTargets);
    const uint32_t step = *rc::gen::element<uint32_t>(1, 1, 1, 8);  // a shard has every n-th
    const uint32_t odd_one = *rc::gen::inRange<uint32_t>(0, 3 * kSeriesOfTarget);
    const uint32_t moving = *rc::gen::inRange<uint32_t>(1, 20);
    const double by = *AnyValue();
    IngestBatch batch;
    batch.ids_from_index = true;
    for (uint32_t i = 0; i < kSeriesOfTarget; i += step) {
      const uint32_t ordinal = target * kSeriesOfTarget + i;
      if (i % moving == 0) values[ordinal] = i % (2 * moving) == 0 ? by : values[ordinal] + by;
      const auto add = [&](uint32_t o, int64_t t, double v) {
        batch.series.push_back({.ordinal = SeriesOrdinal{o}, .id = {}});
        batch.sample_series.push_back(static_cast<uint32_t>(batch.series.size() - 1));
        batch.sample_ms.push_back(t);
        batch.sample_value.push_back(v);
      };
      if (i == odd_one) add((ordinal + kSeriesOfTarget) % kSeries, now, by);  // another target's
      if (i + 10 == odd_one) add(ordinal, now - 20'000, by);                  // late
      add(ordinal, now, values[ordinal]);
      if (i + 20 == odd_one) add(ordinal, now, values[ordinal]);      // twice
      if (i + 30 == odd_one) add(ordinal, now, values[ordinal] + 1);  // and not the same
    }
    const LogPosition at{.lane = 0, .seq = static_cast<uint64_t>(record)};
    a.Apply(batch, at, told_by_a.counts);
    batch.sample_start_ms.assign(batch.sample_ms.size(), kNoStartMs);
    b.Apply(batch, at, told_by_b.counts);
    if (views.has_value() && *rc::gen::inRange(0, 3) == 0) {
      ReadAll(a, views->first, kSeries, told_by_a);
      ReadAll(b, views->second, kSeries, told_by_b);
      a.CloseView(views->first);
      b.CloseView(views->second);
      views.reset();
    } else if (!views.has_value() && *rc::gen::inRange(0, 3) == 0) {
      views = {a.OpenView(), b.OpenView()};
    } else if (*rc::gen::inRange(0, 8) == 0) {
      const FrozenPartition of_a = a.Freeze({.everything = true});
      const FrozenPartition of_b = b.Freeze({.everything = true});
      RC_ASSERT(of_a.samples == of_b.samples);
      RC_ASSERT(of_a.groups.size() == of_b.groups.size());
      a.Drop();
      b.Drop();
    }
    RC_ASSERT(a.OldestSeq() == b.OldestSeq());
  }
  if (!views.has_value()) views = {a.OpenView(), b.OpenView()};
  ReadAll(a, views->first, kSeries, told_by_a);
  ReadAll(b, views->second, kSeries, told_by_b);
  const std::pair now_of = {a.OpenView(), b.OpenView()};
  ReadAll(a, now_of.first, kSeries, told_by_a);
  ReadAll(b, now_of.second, kSeries, told_by_b);
  RC_ASSERT(told_by_a.seen == told_by_b.seen);
  RC_ASSERT(told_by_a.listener.said == told_by_b.listener.said);
  RC_ASSERT(told_by_a.counts.accepted == told_by_b.counts.accepted);
  RC_ASSERT(told_by_a.counts.identical == told_by_b.counts.identical);
  RC_ASSERT(told_by_a.counts.overwritten == told_by_b.counts.overwritten);
  RC_ASSERT(told_by_a.counts.late == told_by_b.counts.late);
  RC_ASSERT(a.Stats().samples == b.Stats().samples);
  RC_ASSERT(a.Stats().groups_full == b.Stats().groups_full);
}

TEST_F(HeadTest, ASeriesIsGivenUpAfterTwoHoursOfItsPartitionsTime) {
  Listener listener;
  Apply({{0, 0}, {1, 0}, {2, 0}});
  head_.Observe(&listener);
  Apply({{1, kIdleAfter.count() - 1}, {2, 1}});
  listener.said.clear();
  Apply({{1, kIdleAfter.count()}});
  EXPECT_EQ(listener.said, (std::vector<std::string>{"sample 1 7200000"})) << "2 is newer by one";
  Apply({{1, kIdleAfter.count() + kIdleSweep.count()}});
  EXPECT_EQ(listener.said.back(), "gone 2");
  Apply({{2, 5}});
  EXPECT_EQ(listener.said.at(listener.said.size() - 2), "series 2");
  EXPECT_EQ(listener.said.back(), "sample 2 5");
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
  EXPECT_EQ(head_.Stats().sample_bytes, 0U);
}

TEST_F(HeadTest, SeriesThatAreNotTheirIdAreLeftOutWhole) {
  Apply({{0, 1}});
  IngestBatch batch = HeadTestBatch({{1, 5}});
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
