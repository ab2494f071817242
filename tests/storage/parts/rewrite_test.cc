#include "storage/parts/rewrite.h"

#include <gmock/gmock.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <map>
#include <optional>
#include <set>

#include "storage/parts/row_stream.h"
#include "storage/parts/run_builder.h"
#include "storage/resolver.h"
#include "tests/storage/parts/parts_fixture.h"

namespace basalt::storage {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr PartitionId kPartition{1};
constexpr int64_t kBegin = kDay * kMsPerDay;

// What a sample is, bit for bit; a histogram by its count.
struct Value {
  uint64_t bits = 0;
  int64_t start_ms = kNoStartMs;
  bool is_histogram = false;
  friend bool operator==(const Value&, const Value&) = default;
};
using Series = std::map<int64_t, Value>;          // by time
using Samples = std::map<SeriesOrdinal, Series>;  // no empty series

NativeHistogram HistogramOf(uint64_t count) {
  NativeHistogram h;
  h.count = count;
  h.sum = 1;
  h.positive_spans = {{0, 1}};
  h.positive_deltas = {static_cast<int64_t>(count)};
  return h;
}

FinishedRun WriteRun(RunStore& store, const PartitionIndex& index, const Samples& samples,
                     uint64_t last, uint64_t deletes_applied) {
  RunBuilder builder(store.NewRun(kPartition, kDay, kSealLevel).value());
  std::vector<SeriesOrdinal> order;
  for (const auto& [ordinal, series] : samples) order.push_back(ordinal);
  index.SortBySeriesOrder(order);
  for (const SeriesOrdinal ordinal : order) {
    std::vector<int64_t> times;
    std::vector<double> values;
    std::vector<int64_t> starts;
    std::vector<HistogramPoint> points;
    for (const auto& [time, value] : samples.at(ordinal)) {
      if (value.is_histogram) {
        points.push_back({time, value.start_ms, HistogramOf(value.bits)});
        continue;
      }
      times.push_back(time);
      values.push_back(std::bit_cast<double>(value.bits));
      starts.push_back(value.start_ms);
    }
    EXPECT_TRUE(builder.AddFloats(ordinal, index.place(ordinal), times, values, starts).ok());
    EXPECT_TRUE(builder.AddHistograms(ordinal, index.place(ordinal), points).ok());
  }
  return builder.Finish({0, last - 1}, {0, last}, {0, deletes_applied}).value();
}

Samples ReadRun(const std::shared_ptr<const storage::Run>& run) {
  Samples out;
  RowStream stream(run, 0);
  EXPECT_TRUE(stream.Start().ok());
  while (stream.ordinal() != kUnknownOrdinal) {
    const SeriesOrdinal ordinal = stream.ordinal();
    std::vector<MergeSample> samples;
    std::vector<HistogramPoint> histograms;
    EXPECT_TRUE(stream.TakeSeries(samples, histograms).ok());
    EXPECT_FALSE(out.contains(ordinal)) << "a series comes twice";
    for (const MergeSample& s : samples) {
      const Value value = s.histogram < 0
                              ? Value{std::bit_cast<uint64_t>(s.value), s.start_ms, false}
                              : Value{histograms[static_cast<size_t>(s.histogram)].histogram.count,
                                      histograms[static_cast<size_t>(s.histogram)].start_ms, true};
      EXPECT_TRUE(out[ordinal].emplace(s.time_ms, value).second) << "a time comes twice";
    }
  }
  return out;
}

// Eight series over three metrics and two groups, inserted in an order that is not theirs.
void FillIndex(PartitionIndex& index) {
  for (const char* instance : {"b", "a"}) {
    for (const char* le : {"10", "2", "+Inf"}) {
      for (const Labels& labels :
           {Labels{{"__name__", "h_bucket"}, {"job", "j"}, {"instance", instance}, {"le", le}},
            Labels{{"__name__", "up"}, {"job", "j"}, {"instance", instance}}}) {
        std::string canonical;
        AppendCanonical(labels, canonical);
        ASSERT_TRUE(
            index.Insert(kDefaultTenant, MakeSeriesId(kDefaultTenant, canonical), canonical).ok());
      }
    }
  }
  ASSERT_EQ(index.Stats().series, 8u);
}

class RewriteTest : public PartsFixture {
 protected:
  void SetUp() override {
    Open();
    FillIndex(index_);
  }
  uint32_t Commit(const Samples& samples, uint64_t last, uint64_t deletes_applied) {
    RunCommit commit;
    commit.added.push_back(WriteRun(*store_, index_, samples, last, deletes_applied));
    const uint32_t number = commit.added[0].info().number;
    EXPECT_TRUE(store_->Commit(std::move(commit)).ok());
    return number;
  }
  RewriteTask Everything() {
    RewriteTask task{kPartition, kDay, {}};
    for (const auto& run : store_->Snapshot()->runs()) task.runs.push_back(run->info().number);
    return task;
  }
  static Series Line(int64_t from, int64_t n, double value, int64_t step = 1000) {
    Series out;
    for (int64_t i = 0; i < n; ++i) {
      out[kBegin + from + i * step] = {std::bit_cast<uint64_t>(value + double(i)), kNoStartMs,
                                       false};
    }
    return out;
  }

  PartitionIndex index_{kPartition};
  DeleteSnapshot no_deletes_{{}};
  std::atomic<bool> cancel_ = false;
};

TEST_F(RewriteTest, MergesNeighboursIntoOneRunWithTheirInterval) {
  Commit({{SeriesOrdinal{0}, Line(0, 100, 1)}}, 10, 9);
  Commit({{SeriesOrdinal{0}, Line(100'000, 100, 7)}, {SeriesOrdinal{3}, Line(5, 3, 2)}}, 20, 15);
  const RewriteResult result =
      Rewrite(*store_, Everything(), index_, no_deletes_, {.cancel = &cancel_}).value();
  EXPECT_EQ(result.samples_read, 203u);
  EXPECT_EQ(result.samples_written, 203u);
  const auto snapshot = store_->Snapshot();
  ASSERT_EQ(snapshot->runs().size(), 1u);
  const RunInfo& info = snapshot->runs()[0]->info();
  EXPECT_EQ(info.level, kRewriteLevel);
  EXPECT_EQ(info.after, (LogPosition{0, 9}));
  EXPECT_EQ(info.last, (LogPosition{0, 20}));
  EXPECT_EQ(info.deletes_applied, (LogPosition{0, 15}));
  EXPECT_EQ(info.min_ms, kBegin);
  const Samples got = ReadRun(snapshot->runs()[0]);
  Series both = Line(0, 100, 1);
  both.merge(Line(100'000, 100, 7));
  EXPECT_EQ(got.at(SeriesOrdinal{0}), both);
  EXPECT_EQ(got.at(SeriesOrdinal{3}), Line(5, 3, 2));
  EXPECT_EQ(BlockFiles(*database_), 1u);
}

TEST_F(RewriteTest, AtEqualTimeTheHigherPositionWinsWhateverTheRunNumber) {
  Commit({{SeriesOrdinal{0}, Line(0, 3, 100)}}, 20, 20);  // written first, but later in the log
  Commit({{SeriesOrdinal{0}, Line(0, 3, 1)}}, 10, 10);
  ASSERT_TRUE(Rewrite(*store_, Everything(), index_, no_deletes_, {.cancel = &cancel_}).ok());
  EXPECT_EQ(ReadRun(store_->Snapshot()->runs()[0]).at(SeriesOrdinal{0}), Line(0, 3, 100));
}

TEST_F(RewriteTest, OfEverythingDeletedNoRunIsLeft) {
  Commit({{SeriesOrdinal{0}, Line(0, 100, 1)}}, 10, 9);
  DeleteMask mask;
  mask.partition = kPartition;
  mask.position = {0, 11};
  mask.ordinals = {SeriesOrdinal{0}};
  const DeleteSnapshot deletes({std::make_shared<const DeleteMask>(mask)});
  const RewriteResult result =
      Rewrite(*store_, Everything(), index_, deletes, {.cancel = &cancel_}).value();
  EXPECT_EQ(result.samples_written, 0u);
  EXPECT_THAT(store_->Snapshot()->runs(), IsEmpty());
  EXPECT_EQ(BlockFiles(*database_), 0u);
}

TEST_F(RewriteTest, StopsWhenCancelledAndLeavesEverythingAsItWas) {
  Commit({{SeriesOrdinal{0}, Line(0, 100, 1)}}, 10, 9);
  Commit({{SeriesOrdinal{0}, Line(500'000, 100, 1)}}, 20, 9);
  cancel_ = true;
  EXPECT_EQ(
      Rewrite(*store_, Everything(), index_, no_deletes_, {.cancel = &cancel_}).status().code(),
      StatusCode::kCancelled);
  EXPECT_EQ(store_->Snapshot()->runs().size(), 2u);
  EXPECT_EQ(FilesIn(directory_ + "/incoming"), 0u);
}

TEST_F(RewriteTest, GivesUpWhenARunIsDroppedMeanwhile) {
  Commit({{SeriesOrdinal{0}, Line(0, 100, 1)}}, 10, 9);
  const RewriteTask task = Everything();
  ASSERT_EQ(store_->DropDaysBefore(kDay + 1).value(), 1u);
  EXPECT_EQ(Rewrite(*store_, task, index_, no_deletes_, {.cancel = &cancel_}).status().code(),
            StatusCode::kAborted);
}

TEST_F(RewriteTest, KeepsItsInputsWhenOneIsDamaged) {
  Commit({{SeriesOrdinal{0}, Line(0, 100, 1)}}, 10, 9);
  {
    RunCommit commit;  // superblocks that are none
    commit.added.push_back(MakeRun(*store_, "not a superblock", kDay, 20, kPartition));
    ASSERT_TRUE(store_->Commit(std::move(commit)).ok());
  }
  EXPECT_EQ(
      Rewrite(*store_, Everything(), index_, no_deletes_, {.cancel = &cancel_}).status().code(),
      StatusCode::kDataLoss);
  EXPECT_EQ(store_->Snapshot()->runs().size(), 2u);
  EXPECT_EQ(store_->Stats().damaged_blocks, 1u);
}

Value AnyValue() {
  const auto bits =
      *rc::gen::oneOf(rc::gen::map(rc::gen::inRange(0, 5),
                                   [](int v) { return std::bit_cast<uint64_t>(double(v)); }),
                      rc::gen::element<uint64_t>(0x7ff0'0000'0000'0002, 0x8000'0000'0000'0000,
                                                 0x7ff8'0000'0000'0001));
  Value v{bits, *rc::gen::elementOf(std::vector<int64_t>{kNoStartMs, kNoStartMs, kBegin}), false};
  if (*rc::gen::inRange(0, 6) == 0) v = {*rc::gen::inRange<uint64_t>(1, 100), kNoStartMs, true};
  return v;
}

TEST_F(RewriteTest, EqualsANaiveMergeBitForBit) {
  // One directory for all cases: opening one costs more than the case.
  const bool held = rc::check("a rewrite equals a naive merge", [&] {
    RC_ASSERT(store_->DropDaysBefore(UINT16_MAX).ok());
    const int runs = *rc::gen::inRange(1, 5);
    std::vector<std::pair<uint64_t, Samples>> inputs;  // position, samples
    for (int r = 0; r < runs; ++r) {
      Samples samples;
      const int n = *rc::gen::inRange(1, 60);
      for (int i = 0; i < n; ++i) {
        const SeriesOrdinal ordinal{*rc::gen::inRange<uint32_t>(0, 8)};
        samples[ordinal][kBegin + *rc::gen::inRange<int64_t>(0, 40)] = AnyValue();
      }
      const auto position = static_cast<uint64_t>(r + 1) * 10;
      inputs.emplace_back(position, samples);
      Commit(samples, position, position);
    }
    std::vector<std::shared_ptr<const DeleteMask>> masks;
    std::set<uint64_t> positions;
    const int deletes = *rc::gen::inRange(0, 4);
    for (int d = 0; d < deletes; ++d) positions.insert(*rc::gen::inRange<uint64_t>(5, 60));
    for (const uint64_t position : positions) {
      auto mask = std::make_shared<DeleteMask>();
      mask->partition = kPartition;
      mask->position = {0, position};
      mask->range.min_ms = kBegin + *rc::gen::inRange<int64_t>(0, 40);
      mask->range.max_ms = mask->range.min_ms + *rc::gen::inRange<int64_t>(0, 20);
      for (uint32_t o = 0; o < 8; ++o) {
        if (*rc::gen::arbitrary<bool>()) mask->ordinals.push_back(SeriesOrdinal{o});
      }
      masks.push_back(mask);
    }

    Samples expected;
    for (const auto& [position, samples] : inputs) {
      for (const auto& [ordinal, series] : samples) {
        for (const auto& [time, value] : series) {
          bool deleted = false;
          for (const auto& mask : masks) {
            deleted =
                deleted || (mask->position.seq > position && time >= mask->range.min_ms &&
                            time <= mask->range.max_ms &&
                            std::count(mask->ordinals.begin(), mask->ordinals.end(), ordinal) > 0);
          }
          if (!deleted) expected[ordinal][time] = value;
        }
      }
    }
    RC_ASSERT(
        Rewrite(*store_, Everything(), index_, DeleteSnapshot(masks), {.cancel = &cancel_}).ok());
    const auto snapshot = store_->Snapshot();
    if (expected.empty()) {
      RC_ASSERT(snapshot->runs().empty());
      return;
    }
    RC_ASSERT(snapshot->runs().size() == 1u);
    RC_ASSERT(ReadRun(snapshot->runs()[0]) == expected);
    // What was carried out masks the new run no more.
    RC_ASSERT(DeleteSnapshot(masks).Spares(snapshot->runs()[0]->info()));
  });
  EXPECT_TRUE(held);
}

// ---- planning ----

class PlanTest : public PartsFixture {
 protected:
  void SetUp() override { Open(); }
  void Put(uint16_t day, uint64_t last, uint8_t level, size_t bytes = 100, uint32_t samples = 1) {
    RunWriter writer = store_->NewRun(kPartition, day, level).value();
    const std::string data(bytes, 'x');
    SuperblockInput block;
    block.place = block.last_place = PlaceOf(1, 1);
    block.min_ms = block.max_ms = day * kMsPerDay;
    block.samples = samples;
    block.rows = 1;
    block.bytes = data;
    ASSERT_TRUE(writer.Add(block).ok());
    RunCommit commit;
    commit.added.push_back(writer.Finish({0, last - 1}, {0, last}, {}).value());
    ASSERT_TRUE(store_->Commit(std::move(commit)).ok());
  }
  std::vector<size_t> Plan(const RewritePolicy& policy) {
    std::vector<size_t> sizes;
    for (const RewriteTask& task : PlanRewrites(*store_->Snapshot(), policy)) {
      sizes.push_back(task.runs.size());
    }
    return sizes;
  }
};

TEST_F(PlanTest, AnOpenDayWaitsForEnoughSealedRuns) {
  const RewritePolicy policy{.closed_before = kDay};
  Put(kDay, 5, kRewriteLevel, 100'000);
  for (uint64_t i = 1; i < kOpenDayRuns; ++i) Put(kDay, 9 + i, kSealLevel);
  EXPECT_THAT(Plan(policy), IsEmpty());
  Put(kDay, 50, kSealLevel);
  EXPECT_THAT(Plan(policy), ElementsAre(kOpenDayRuns));  // without the rewritten one
}

TEST_F(PlanTest, AClosedDaysLastSealedRunsAreMerged) {
  const RewritePolicy policy{.closed_before = kDay + 1};
  Put(kDay, 5, kSealLevel);
  Put(kDay, 6, kSealLevel);
  EXPECT_THAT(Plan(policy), ElementsAre(2));
}

TEST_F(PlanTest, ASealedRunAloneInItsDayIsAsGoodAsRewritten) {
  const RewritePolicy closed{.closed_before = kDay + 2};
  const RewritePolicy settling{.closed_before = kDay + 2, .all = true};
  Put(kDay, 5, kSealLevel, 10'000, kLongRowSamples);
  Put(kDay + 1, 5, kSealLevel, 10'000, 20);
  EXPECT_THAT(Plan(closed), IsEmpty());
  EXPECT_THAT(Plan(settling), IsEmpty());
  // Two of them become one with longer rows, however long they are.
  Put(kDay, 6, kSealLevel, 10'000, kLongRowSamples);
  EXPECT_THAT(Plan(closed), ElementsAre(2));
  EXPECT_THAT(Plan(settling), ElementsAre(2));
  RewritePolicy purge = closed;
  purge.must_go = [](const RunInfo& run) { return run.day == kDay + 1; };
  EXPECT_THAT(Plan(purge), ElementsAre(2, 1));
}

TEST_F(PlanTest, AClosedDayIsNotRewrittenForATrickle) {
  const RewritePolicy policy{.closed_before = kDay + 1};
  Put(kDay, 5, kRewriteLevel, 80'000);
  EXPECT_THAT(Plan(policy), IsEmpty());
  Put(kDay, 6, kSealLevel, 5'000);
  EXPECT_THAT(Plan(policy), IsEmpty());
  Put(kDay, 7, kSealLevel, 7'000);            // together more than an eighth of all
  EXPECT_THAT(Plan(policy), ElementsAre(2));  // and the big one is left alone
}

TEST_F(PlanTest, ShortRowsAreTakenInOnceAsMuchHasCome) {
  const RewritePolicy policy{.closed_before = kDay + 1};
  Put(kDay, 5, kRewriteLevel, 80'000, 2000);  // long rows: never again
  Put(kDay, 6, kRewriteLevel, 9'000, 20);
  Put(kDay, 7, kSealLevel, 20'000, 20);
  EXPECT_THAT(Plan(policy), ElementsAre(2));
  Put(kDay, 8, kSealLevel, 500'000, 20);
  EXPECT_THAT(Plan(policy), ElementsAre(3));
}

TEST_F(PlanTest, HoweverLateSamplesTrickleInRunsStayFewAndBytesAreWrittenFewTimes) {
  const RewritePolicy policy{.closed_before = kDay + 1};
  Put(kDay, 1, kRewriteLevel, 100'000, 2000);
  uint64_t came = 0;
  uint64_t rewritten = 0;
  for (uint64_t last = 2; last < 300; ++last) {
    Put(kDay, last, kSealLevel, 1'000, 20);
    came += 1'000;
    const auto tasks = PlanRewrites(*store_->Snapshot(), policy);
    if (tasks.empty()) continue;
    // Carries the plan out, as far as sizes go.
    size_t bytes = 0;
    uint64_t newest = 0;
    for (const auto& run : store_->Snapshot()->runs()) {
      if (std::count(tasks[0].runs.begin(), tasks[0].runs.end(), run->info().number) == 0) continue;
      bytes += run->info().bytes;
      newest = std::max(newest, run->info().last.seq);
    }
    ASSERT_TRUE(store_->Drop(tasks[0].runs).ok());
    Put(kDay, newest, kRewriteLevel, bytes, 20);
    rewritten += bytes;
    ASSERT_LE(store_->Snapshot()->runs().size(), 16u);
  }
  EXPECT_LE(rewritten, 8 * came);
}

TEST_F(PlanTest, SettlingMergesWhateverIsNotYetOneRun) {
  const RewritePolicy policy{.all = true};
  Put(kDay, 5, kRewriteLevel);
  Put(kDay + 1, 5, kRewriteLevel);
  Put(kDay + 1, 6, kSealLevel);
  Put(kDay + 2, 5, kRewriteLevel);
  Put(kDay + 2, 6, kRewriteLevel);
  Put(kDay + 2, 7, kRewriteLevel);
  EXPECT_THAT(Plan(policy), ElementsAre(2, 3));
}

TEST_F(PlanTest, WhatADeleteMustLeaveIsRewrittenWithWhatLiesBetween) {
  RewritePolicy policy{.closed_before = kDay + 1};
  for (uint64_t last = 1; last < 6; ++last) Put(kDay, last, kRewriteLevel, 10'000);
  EXPECT_THAT(Plan(policy), IsEmpty());
  policy.must_go = [](const RunInfo& run) { return run.last.seq == 2 || run.last.seq == 4; };
  EXPECT_THAT(Plan(policy), ElementsAre(3));
  EXPECT_EQ(PlanRewrites(*store_->Snapshot(), policy)[0].reason, RewriteReason::kPurge);
}

TEST_F(PlanTest, ADayTakesItsShapeOnceAndWaitsForMoreThanATrickle) {
  RewritePolicy policy{.closed_before = kDay};
  policy.shape = [](uint16_t) { return DayShape{7, true, {false, true, false}}; };
  Put(kDay - 1, 5, kRewriteLevel, 100'000);
  Put(kDay, 6, kRewriteLevel);  // open
  const auto tasks = PlanRewrites(*store_->Snapshot(), policy);
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_EQ(tasks[0].shape, 7u);
  EXPECT_TRUE(tasks[0].write_raw);
  EXPECT_EQ(tasks[0].make, (std::array<bool, kResolutionCount>{false, true, false}));
  ASSERT_TRUE(store_->Conform(tasks[0].runs, 7).ok());
  EXPECT_THAT(Plan(policy), IsEmpty());
  Close();
  Open();
  EXPECT_THAT(Plan(policy), IsEmpty()) << "the manifest keeps it";
  Put(kDay - 1, 9, kSealLevel, 1'000);
  EXPECT_THAT(Plan(policy), IsEmpty());
  Put(kDay - 1, 10, kSealLevel, 50'000);
  EXPECT_THAT(Plan(policy), ElementsAre(3));
}

}  // namespace
}  // namespace basalt::storage
