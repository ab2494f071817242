#include "storage/store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "engine/base/mutex.h"
#include "tests/storage/store_model.h"

namespace basalt::storage {
namespace {

constexpr int64_t kBegin = 1'700'000'000'000;

Labels Series(const std::string& name, const std::string& instance) {
  return {{"__name__", name}, {"instance", instance}, {"job", "test"}};
}

// A store in a directory of its own, under a clock of its own.
class StoreTest : public testing::Test {
 protected:
  StoreOptions Options(const std::string& directory = "data") {
    StoreOptions options;
    options.directory = temp_.path(directory);
    options.partitions = 4;
    options.segment_bytes = 1u << 20;
    options.block_cache_bytes = 8u << 20;
    options.clock = &clock_;
    options.close_patience = close_patience_;
    options.head_samples = head_samples_;
    return options;
  }
  void Open() {
    auto opened = Store::Open(Options());
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    store_ = std::move(*opened);
  }
  void Reopen() {
    ASSERT_TRUE(store_->Close().ok());
    store_.reset();
    Open();
  }
  AppendResult Write(const std::vector<ModelWrite>& writes) {
    auto result = store_->Append(MakeBatches(*store_, writes));
    EXPECT_TRUE(result.ok()) << result.status().ToString();
    if (!result.ok()) return {};
    for (const ModelWrite& write : writes) ApplyTo(model_, write);
    return *result;
  }
  std::string Check(TimeRange range = {}) {
    const auto snapshot = store_->reader().TakeSnapshot();
    const auto found = ReadState(**snapshot, range);
    return found.ok() ? Difference(Clipped(model_, range), *found) : found.status().ToString();
  }

  TemporaryDirectory temp_;
  ManualClock clock_{kBegin};
  Duration close_patience_{0};  // most tests want the log replayed
  uint64_t head_samples_ = StoreOptions().head_samples;
  std::unique_ptr<Store> store_;
  ModelState model_;
};

TEST_F(StoreTest, WhatWasAppendedIsThereAtOnceAndAfterReopening) {
  Open();
  const AppendResult result =
      Write({{Series("up", "a"), kBegin, 1}, {Series("up", "b"), kBegin, 0}});
  EXPECT_EQ(result.samples_accepted, 2U);
  EXPECT_EQ(result.series_created, 2U);
  EXPECT_EQ(result.token.seq, 1U);
  EXPECT_EQ(Check(), "");
  Reopen();
  EXPECT_EQ(Check(), "");
  EXPECT_EQ(store_->Stats().replayed_records, 1U);
  Write({{Series("up", "a"), kBegin + 1, 1}});
  EXPECT_EQ(Check(), "");
}

TEST_F(StoreTest, CountsLabelsAndNewSeriesWithoutReadingThem) {
  Open();
  for (int target = 0; target < 20; ++target) {
    std::vector<ModelWrite> writes;
    for (int metric = 0; metric < 30; ++metric) {
      Labels labels = Series("m" + std::to_string(metric), "host" + std::to_string(target));
      if (metric % 3 == 0) labels.Set("code", std::to_string(target % 4));
      writes.push_back({labels, kBegin, 1});
    }
    Write(writes);
  }
  const auto snapshot = store_->reader().TakeSnapshot().value();
  const std::vector<MatcherSet> some{{{MatchType::kRegex, "instance", "host1.*"}},
                                     {{MatchType::kEqual, "code", "2"}}};
  for (const auto& any_of : {std::vector<MatcherSet>{}, some}) {
    for (const size_t limit : {size_t{1}, size_t{3}, size_t{1000}}) {
      const Cardinality fast = snapshot->CountLabels(kDefaultTenant, any_of, {}, limit).value();
      // By the labels of every series.
      const Cardinality plain =
          snapshot->Snapshot::CountLabels(kDefaultTenant, any_of, {}, limit).value();
      EXPECT_EQ(fast.series, plain.series);
      EXPECT_EQ(fast.label_pairs, plain.label_pairs);
      EXPECT_EQ(fast.series_by_metric, plain.series_by_metric);
      EXPECT_EQ(fast.values_by_label, plain.values_by_label);
      EXPECT_EQ(fast.bytes_by_label, plain.bytes_by_label);
      EXPECT_EQ(fast.series_by_pair, plain.series_by_pair);
      EXPECT_LE(fast.series_by_pair.size(), limit);
      EXPECT_GT(fast.series, 0U);
    }
  }
  const auto days = snapshot->SeriesByDay(5);
  ASSERT_EQ(days.size(), 1U);
  EXPECT_EQ(days[0].created, 600U);
  EXPECT_EQ(store_->Stats().series_created_last_hour, 600U);
  clock_.Advance(std::chrono::minutes(61));
  EXPECT_EQ(store_->Stats().series_created_last_hour, 0U);
  EXPECT_EQ(store_->Stats().series_created_last_day, 600U);
  clock_.Advance(std::chrono::hours(25));
  EXPECT_EQ(store_->Stats().series_created_last_day, 0U);
  EXPECT_GT(store_->Stats().index_bytes, 600U * 24);
}

TEST_F(StoreTest, TheLaterOfTwoSamplesOfATimeWinsAndAnIdenticalOneIsNothing) {
  Open();
  Write({{Series("x", "a"), kBegin, 1}});
  AppendResult again = Write({{Series("x", "a"), kBegin, 1}});
  EXPECT_EQ(again.samples_identical, 1U);
  EXPECT_EQ(again.samples_accepted, 0U);
  again = Write({{Series("x", "a"), kBegin, 2}});
  EXPECT_EQ(again.samples_overwritten, 1U);
  again = Write({{Series("x", "a"), kBegin, 2}});
  EXPECT_EQ(again.samples_identical, 1U);
  // 0 and -0 are other bits.
  Write({{Series("x", "a"), kBegin, 0.0}});
  EXPECT_EQ(Write({{Series("x", "a"), kBegin, -0.0}}).samples_overwritten, 1U);
  EXPECT_EQ(Check(), "");
  // The same start is needed to be identical.
  again = Write({{Series("x", "a"), kBegin, -0.0, kBegin - 1000}});
  EXPECT_EQ(again.samples_overwritten, 1U);
  EXPECT_EQ(Check(), "");
}

TEST_F(StoreTest, LateSamplesOfAnyAgeAreAccepted) {
  Open();
  Write({{Series("x", "a"), kBegin, 1}, {Series("x", "b"), kBegin, 1}});
  EXPECT_EQ(Write({{Series("x", "a"), kBegin - 1, 2}}).samples_late, 1U);
  EXPECT_EQ(Write({{Series("x", "a"), 0, 3}}).samples_late, 1U);
  // A late cell of another series' open time is not late.
  Write({{Series("x", "a"), kBegin + 15000, 1}});
  EXPECT_EQ(Write({{Series("x", "b"), kBegin + 15000, 1}}).samples_late, 0U);
  EXPECT_EQ(Check(), "");
  ASSERT_TRUE(store_->Settle().ok());
  EXPECT_EQ(Check(), "");
  // Into what is sealed.
  Write({{Series("x", "a"), kBegin - 1, 5}, {Series("x", "a"), kBegin - 500, 6}});
  EXPECT_EQ(Check(), "");
  ASSERT_TRUE(store_->Settle().ok());
  EXPECT_EQ(Check(), "");
  Reopen();
  EXPECT_EQ(Check(), "");
}

TEST_F(StoreTest, SettleLeavesNothingInTheHeadNorTheLog) {
  Open();
  for (int i = 0; i < 300; ++i) Write({{Series("x", "a"), kBegin + i * 15000, i * 0.5}});
  const Status settled = store_->Settle();
  ASSERT_TRUE(settled.ok()) << settled.ToString();
  const StoreStats stats = store_->Stats();
  EXPECT_EQ(stats.head_samples, 0U);
  EXPECT_EQ(stats.run_samples, 300U);
  EXPECT_EQ(stats.log_segments, 1U);
  EXPECT_LT(stats.log_bytes, 65536U);
  EXPECT_EQ(Check(), "");
  EXPECT_EQ(Check({.min_ms = kBegin + 100'000, .max_ms = kBegin + 200'000}), "");
  Reopen();
  EXPECT_EQ(store_->Stats().replayed_records, 0U);
  EXPECT_EQ(Check(), "");
}

TEST_F(StoreTest, ADeleteHidesWhatWasThereAndNotWhatComesLater) {
  Open();
  for (int i = 0; i < 10; ++i)
    Write({{Series("x", "a"), kBegin + i, 1}, {Series("y", "a"), kBegin + i, 2}});
  ASSERT_TRUE(store_->Settle().ok());
  for (int i = 10; i < 20; ++i) Write({{Series("x", "a"), kBegin + i, 1}});
  const MatcherSet x{{MatchType::kEqual, "__name__", "x"}};
  const TimeRange range{.min_ms = kBegin + 5, .max_ms = kBegin + 14};
  const auto deleted = store_->Delete({.any_of = {x}, .range = range});
  ASSERT_TRUE(deleted.ok()) << deleted.status().ToString();
  DeleteFrom(model_, x, range);
  EXPECT_EQ(Check(), "");
  Write({{Series("x", "a"), kBegin + 7, 9}, {Series("x", "a"), kBegin + 12, 9}});
  EXPECT_EQ(Check(), "");
  Reopen();
  EXPECT_EQ(Check(), "");
  ASSERT_TRUE(store_->Settle().ok());
  EXPECT_EQ(Check(), "");
  Reopen();
  EXPECT_EQ(Check(), "");
}

TEST_F(StoreTest, ASnapshotDoesNotChange) {
  Open();
  for (int i = 0; i < 5; ++i) Write({{Series("x", "a"), kBegin + i, 1}});
  const auto snapshot = *store_->reader().TakeSnapshot();
  const ModelState then = model_;
  const auto same = [&] {
    const auto found = ReadState(*snapshot);
    return found.ok() ? Difference(then, *found) : found.status().ToString();
  };
  Write({{Series("x", "a"), kBegin + 5, 1},
         {Series("x", "a"), kBegin + 2, 7},
         {Series("z", "a"), kBegin, 7}});
  EXPECT_EQ(same(), "");
  const MatcherSet x{{MatchType::kEqual, "__name__", "x"}};
  ASSERT_TRUE(store_->Delete({.any_of = {x}, .range = {}}).ok());
  DeleteFrom(model_, x, {});
  EXPECT_EQ(same(), "");
  ASSERT_TRUE(store_->Settle().ok());
  EXPECT_EQ(same(), "");
  EXPECT_EQ(Check(), "");
}

TEST_F(StoreTest, AWriterThatRepeatsItselfIsAnsweredAndIgnored) {
  Open();
  const WriterSequence one{.writer = {1, 2}, .seq = 7};
  ASSERT_TRUE(store_->Append(MakeBatches(*store_, {{Series("x", "a"), kBegin, 1}}, one)).ok());
  EXPECT_EQ(store_->LastSequence({1, 2}), 7U);
  EXPECT_EQ(store_->LastSequence({1, 3}), 0U);
  const auto again = store_->Append(MakeBatches(*store_, {{Series("x", "a"), kBegin + 1, 2}}, one));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->samples_accepted, 0U);
  Reopen();
  EXPECT_EQ(store_->LastSequence({1, 2}), 7U);
  ASSERT_TRUE(store_->Settle().ok());
  Reopen();
  EXPECT_EQ(store_->LastSequence({1, 2}), 7U);
}

TEST_F(StoreTest, ReadYourWrites) {
  Open();
  const LogPosition token = Write({{Series("x", "a"), kBegin, 1}}).token;
  EXPECT_TRUE(store_->reader().TakeSnapshot(token, std::chrono::seconds(5)).ok());
  const auto early =
      store_->reader().TakeSnapshot(LogPosition{.lane = 0, .seq = token.seq + 1}, Duration(1));
  EXPECT_EQ(early.status().code(), StatusCode::kDeadlineExceeded);
}

TEST_F(StoreTest, BatchesThatDoNotFitAreRefusedWithTheReason) {
  Open();
  const auto refused = [&](const std::function<void(IngestBatch&)>& damage,
                           std::string_view reason) {
    auto batches = MakeBatches(*store_, {{Series("x", "a"), kBegin, 1}});
    damage(batches[0]);
    const auto result = store_->Append(std::move(batches));
    EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument) << reason;
    EXPECT_NE(result.status().message().find(reason), std::string_view::npos)
        << result.status().ToString();
  };
  refused([](IngestBatch& b) { b.partition = PartitionId{4}; }, "there are only 4");
  refused(
      [](IngestBatch& b) {
        b.partition = static_cast<PartitionId>((static_cast<uint32_t>(b.partition) + 1) % 4);
      },
      "another partition");
  refused([](IngestBatch& b) { b.series[0].id.hash.low ^= 1; }, "id is not that of its labels");
  refused([](IngestBatch& b) { b.labels[0] = '\x7f'; }, "labels do not parse");
  refused([](IngestBatch& b) { b.sample_ms[0] = -1; }, "sample time -1");
  refused([](IngestBatch& b) { b.sample_ms[0] = INT64_MAX; }, "sample time");
  refused([](IngestBatch& b) { b.sample_series[0] = 1; }, "series");
  refused([](IngestBatch& b) { b.sample_value.clear(); }, "differ in length");
  refused([](IngestBatch& b) { b.series[0].ordinal = SeriesOrdinal{9}; }, "ordinal 9");
  EXPECT_EQ(Check(), "");  // nothing of it is there
  EXPECT_EQ(store_->Stats().log_records, 0U);
}

TEST_F(StoreTest, ADirectoryHasOneUserAndOnePartitionCount) {
  Open();
  EXPECT_EQ(Store::Open(Options()).status().code(), StatusCode::kFailedPrecondition);
  ASSERT_TRUE(store_->Close().ok());
  EXPECT_TRUE(store_->Close().ok());
  EXPECT_EQ(store_->Append(MakeBatches(*store_, {{Series("x", "a"), kBegin, 1}})).status().code(),
            StatusCode::kUnavailable);
  EXPECT_EQ(store_->Settle().code(), StatusCode::kUnavailable);
  store_.reset();
  StoreOptions other = Options();
  other.partitions = 8;
  const auto opened = Store::Open(other);
  EXPECT_EQ(opened.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(opened.status().message().find('8'), std::string_view::npos)
      << opened.status().ToString();
}

TEST_F(StoreTest, OptionsOutsideTheirBoundsAreNamed) {
  for (const uint32_t partitions : {0U, 3U, 131072U}) {
    StoreOptions options = Options();
    options.partitions = partitions;
    EXPECT_EQ(Store::Open(options).status().code(), StatusCode::kInvalidArgument) << partitions;
  }
  for (const uint32_t samples : {0U, 1025U}) {
    StoreOptions options = Options();
    options.seal_samples = samples;
    EXPECT_NE(Store::Open(options).status().message().find("seal_samples"), std::string_view::npos);
  }
}

TEST_F(StoreTest, ACheckpointOpensAsTheStoreWasThen) {
  Open();
  for (int i = 0; i < 50; ++i)
    Write({{Series("x", "a"), kBegin + i, 1}, {Series("y", "b"), kBegin + i, 2}});
  ASSERT_TRUE(store_->Settle().ok());
  for (int i = 50; i < 60; ++i) Write({{Series("x", "a"), kBegin + i, 1}});
  const Status copied = store_->Checkpoint(temp_.path("copy"));
  ASSERT_TRUE(copied.ok()) << copied.ToString();
  EXPECT_EQ(store_->Checkpoint(temp_.path("copy")).code(), StatusCode::kAlreadyExists);
  const ModelState then = model_;
  Write({{Series("x", "a"), kBegin + 100, 1}});
  ASSERT_TRUE(store_->Settle().ok());
  auto copy = Store::Open(Options("copy"));
  ASSERT_TRUE(copy.ok()) << copy.status().ToString();
  const auto found = ReadState(**(*copy)->reader().TakeSnapshot());
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(Difference(then, *found), "");
  EXPECT_EQ(Check(), "");
}

TEST_F(StoreTest, ClosingSealsSoThatTheNextStartReplaysNothing) {
  close_patience_ = std::chrono::seconds(60);
  Open();
  for (int i = 0; i < 20; ++i) {
    for (const char* instance : {"a", "b", "c", "d", "e"})
      Write({{Series("x", instance), kBegin + i, i * 0.5}});
  }
  Reopen();
  EXPECT_EQ(store_->Stats().replayed_records, 0U);
  EXPECT_EQ(store_->Stats().head_samples, 0U);
  EXPECT_EQ(Check(), "");
  Write({{Series("x", "a"), kBegin + 3, 7}, {Series("x", "b"), kBegin + 30, 7}});
  Reopen();
  EXPECT_EQ(Check(), "");
}

TEST_F(StoreTest, AStoreThatHasNoTimeToSealAtItsEndFindsEverythingInTheLog) {
  close_patience_ = Duration(0);
  Open();
  for (int i = 0; i < 20; ++i) Write({{Series("x", "a"), kBegin + i, i * 0.5}});
  Reopen();
  EXPECT_EQ(store_->Stats().replayed_records, 20U);
  EXPECT_EQ(Check(), "");
}

// Partitions are sealed at different times, and each is replayed from its own position on.
TEST_F(StoreTest, WhatOnePartitionHasSealedIsNotReplayedForAnothersSake) {
  head_samples_ = 0;  // no room for longer rows: partitions take turns
  Open();
  constexpr int kScrapes = 40;  // of 120: the first of four partitions is due at 30
  constexpr int kInstances = 16;
  for (int scrape = 0; scrape < kScrapes; ++scrape) {
    std::vector<ModelWrite> writes;
    for (int i = 0; i < kInstances; ++i)
      writes.push_back({Series("x", std::to_string(i)), kBegin + scrape * 15'000, scrape * 1.0});
    Write(writes);
    store_->SealIfDue();
  }
  const StoreStats before = store_->Stats();
  EXPECT_GE(before.seals, 1U);
  EXPECT_GT(before.head_samples, 0U);
  EXPECT_LT(before.head_samples, static_cast<uint64_t>(kScrapes * kInstances));
  Reopen();
  EXPECT_EQ(store_->Stats().head_samples, before.head_samples);
  EXPECT_EQ(Check(), "");
  // A delete and late samples that came after some seals and before others.
  const MatcherSet x{{MatchType::kEqual, "__name__", "x"}};
  const TimeRange range{.min_ms = kBegin + 15'000, .max_ms = kBegin + 300'000};
  ASSERT_TRUE(store_->Delete({.any_of = {x}, .range = range}).ok());
  DeleteFrom(model_, x, range);
  for (int i = 0; i < kInstances; ++i)
    Write({{Series("x", std::to_string(i)), kBegin + 30'001, 5}});
  Reopen();
  EXPECT_EQ(Check(), "");
  ASSERT_TRUE(store_->Settle().ok());
  EXPECT_EQ(Check(), "");
}

TEST_F(StoreTest, OldGroupsAreSealedByAge) {
  Open();
  Write({{Series("x", "a"), kBegin, 1}});
  store_->SealIfDue();  // the clock stands still: nothing is due
  EXPECT_EQ(store_->Stats().seals, 0U);
  clock_.Advance(std::chrono::minutes(119));
  store_->SealIfDue();
  EXPECT_EQ(store_->Stats().seals, 0U);
  clock_.Advance(std::chrono::minutes(1));
  store_->SealIfDue();
  EXPECT_EQ(store_->Stats().seals, 1U);
  EXPECT_EQ(store_->Stats().head_samples, 0U);
  EXPECT_EQ(Check(), "");
}

TEST_F(StoreTest, RetentionDropsWholeDays) {
  StoreOptions options = Options();
  options.retention = std::chrono::hours(48);
  auto opened = Store::Open(options);
  ASSERT_TRUE(opened.ok());
  store_ = std::move(*opened);
  const int64_t day = kBegin / kMsPerDay;
  for (int64_t d = 0; d < 5; ++d)
    Write({{Series("x", "a"), (day - d) * kMsPerDay + 1, static_cast<double>(d)}});
  ASSERT_TRUE(store_->Settle().ok());
  const int64_t first_kept = (kBegin - 48 * 3'600'000) / kMsPerDay;
  std::erase_if(model_.begin()->second,
                [&](const auto& s) { return s.first < first_kept * kMsPerDay; });
  EXPECT_EQ(model_.begin()->second.size(), 3U);
  EXPECT_EQ(Check(), "");
}

TEST_F(StoreTest, MaintenanceRestsBetweenTwoTicks) {
  Mutex mu;
  CondVar ticked;
  std::vector<std::chrono::steady_clock::time_point> ticks;
  StoreOptions options = Options();
  options.on_step = [&](const StepEvent& event) {
    // Once a tick, whatever is due.
    if (event.step != StoreStep::kReceipt || !event.begins) return;
    const MutexLock lock(mu);
    ticks.push_back(std::chrono::steady_clock::now());
    ticked.NotifyAll();
  };
  store_ = std::move(Store::Open(options)).value();
  {
    MutexLock lock(mu);
    while (ticks.size() < 2) ticked.Wait(lock);
    EXPECT_GE(ticks[1] - ticks[0], std::chrono::milliseconds(500));
  }
  ASSERT_TRUE(store_->Close().ok());
}

TEST_F(StoreTest, ExemplarsAndMetadataAreKept) {
  Open();
  BatchBuilder builder(store_->resolver(), kDefaultTenant);
  const Labels labels = Series("x", "a");
  std::vector<LabelView> views;
  for (const Label& label : labels) views.push_back({label.name, label.value});
  builder.SelectLabels({1, 2}, views);
  builder.AddSample(kBegin, 1);
  const std::vector<LabelView> trace{{"trace_id", "abc"}};
  builder.AddExemplar(kBegin, 0.5, trace);
  builder.AddMetadata({.metric = "x", .type = MetricType::kGauge, .unit = "s", .help = "helps"});
  const auto appended = store_->Append(builder.Finish());
  ASSERT_TRUE(appended.ok()) << appended.status().ToString();
  EXPECT_EQ(appended->exemplars_accepted, 1U);
  for (int round = 0; round < 3; ++round) {
    auto snapshot = *store_->reader().TakeSnapshot();
    const auto exemplars =
        snapshot->Exemplars(kDefaultTenant, {{{MatchType::kEqual, "__name__", "x"}}}, {});
    ASSERT_TRUE(exemplars.ok());
    ASSERT_EQ(exemplars->size(), 1U) << "round " << round;
    EXPECT_EQ((*exemplars)[0].series, labels);
    ASSERT_EQ((*exemplars)[0].exemplars.size(), 1U);
    EXPECT_EQ((*exemplars)[0].exemplars[0].labels.Get("trace_id"), "abc");
    const auto metadata = snapshot->Metadata(kDefaultTenant, "");
    ASSERT_TRUE(metadata.ok());
    ASSERT_EQ(metadata->size(), 1U);
    EXPECT_EQ((*metadata)[0].help, "helps");
    snapshot.reset();
    if (round == 0) {
      ASSERT_TRUE(store_->Settle().ok());
    }
    if (round == 1) Reopen();
  }
}

TEST_F(StoreTest, NamesValuesAndSeriesComeSortedAndCut) {
  Open();
  Write({{Series("b", "2"), kBegin, 1},
         {Series("a", "1"), kBegin, 1},
         {Series("c", "3"), kBegin, 1}});
  const auto snapshot = *store_->reader().TakeSnapshot();
  bool truncated = false;
  EXPECT_EQ(*snapshot->LabelNames(kDefaultTenant, {}, {}, 0, truncated),
            (std::vector<std::string>{"__name__", "instance", "job"}));
  EXPECT_FALSE(truncated);
  EXPECT_EQ(*snapshot->LabelValues(kDefaultTenant, "__name__", {}, {}, 2, truncated),
            (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(truncated);
  const auto series = snapshot->Series(kDefaultTenant, {{{MatchType::kNotEqual, "instance", "1"}}},
                                       {}, 0, truncated);
  ASSERT_TRUE(series.ok());
  EXPECT_EQ(*series, (std::vector<Labels>{Series("b", "2"), Series("c", "3")}));
  EXPECT_EQ(
      snapshot->LabelNames(kDefaultTenant, {{{MatchType::kRegex, "a", "("}}}, {}, 0, truncated)
          .status()
          .code(),
      StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace basalt::storage
