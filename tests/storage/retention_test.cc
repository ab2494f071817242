// Retention by age, rule and size, deletes and their receipts, one thing at a time, over the whole
// store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "storage/codec/keys.h"
#include "storage/index/index.h"
#include "storage/log/record.h"
#include "storage/log/segment_log.h"
#include "storage/parts/database.h"
#include "storage/parts/index_source.h"
#include "storage/parts/rewrite_plan.h"
#include "storage/parts/row_stream.h"
#include "storage/parts/runs.h"
#include "storage/store.h"
#include "tests/storage/retention_rules.h"
#include "tests/storage/store_model.h"
#include "tests/support/simulated_day.h"

namespace basalt::storage {
namespace {

using basalt::testing::kOneDay;
using basalt::testing::TwoRules;
using ::testing::HasSubstr;

constexpr int64_t kBegin = 1'700'000'000'000;

class RetentionTest : public ::testing::Test {
 protected:
  StoreOptions Options() {
    StoreOptions options;
    options.directory = temp_.path("data");
    options.partitions = 2;
    options.segment_bytes = 64u << 10;
    options.clock = &clock_;
    return options;
  }
  static Labels Series(const std::string& name, int instance) {
    return {{"__name__", name}, {"instance", "i" + std::to_string(instance)}, {"job", "node"}};
  }
  void Write(const std::string& name, int64_t from_ms, int64_t to_ms, int64_t step_ms,
             int instances = 8) {
    for (int64_t t = from_ms; t < to_ms; t += step_ms * 40) {
      std::vector<ModelWrite> writes;
      for (int i = 0; i < instances; ++i) {
        for (int64_t u = t; u < std::min(to_ms, t + step_ms * 40); u += step_ms) {
          writes.push_back(
              {Series(name, i), u, std::bit_cast<double>(HashBytes64(std::to_string(u + i)) >> 2)});
        }
      }
      const auto done = store_->Append(MakeBatches(*store_, writes));
      ASSERT_TRUE(done.ok()) << done.status().ToString();
      for (const ModelWrite& write : writes) ApplyTo(model_, write);
    }
  }
  std::string Check() {
    const auto found = ReadState(**store_->reader().TakeSnapshot());
    return found.ok() ? Difference(model_, *found) : found.status().ToString();
  }

  TemporaryDirectory temp_;
  ManualClock clock_{kBegin};
  std::unique_ptr<Store> store_;
  ModelState model_;
};

TEST_F(RetentionTest, OldestDaysGoForWantOfRoomAndNeverAnOpenOne) {
  StoreOptions options = Options();
  store_ = Store::Open(options).value();
  const int64_t today = kBegin / kMsPerDay * kMsPerDay;
  for (int d = 5; d >= 0; --d) {
    Write("x", today - d * kMsPerDay, today - d * kMsPerDay + 3'600'000, 1000);
  }
  ASSERT_TRUE(store_->Settle().ok());
  const StoreStats before = store_->Stats();
  const uint64_t a_day = before.run_bytes / 6;
  // Room for about two days fewer.
  RetentionPolicy policy;
  policy.bytes = before.file_bytes - a_day - a_day / 2;
  ASSERT_TRUE(store_->SetRetention(policy).ok());
  ASSERT_TRUE(store_->Settle().ok());
  EXPECT_EQ(store_->Stats().retention_size_days_dropped, 2U);
  EXPECT_LE(store_->Stats().file_bytes, policy.bytes);
  for (auto& [labels, series] : model_) {
    std::erase_if(series, [&](const auto& s) { return s.first < today - 3 * kMsPerDay; });
  }
  EXPECT_EQ(Check(), "");
  // What has gone does not come back late.
  const auto late =
      store_->Append(MakeBatches(*store_, {{Series("x", 0), today - 5 * kMsPerDay + 5, 1.0}}));
  ASSERT_TRUE(late.ok());
  EXPECT_EQ(late->samples_too_old, 1U);
  EXPECT_EQ(Check(), "");

  policy.bytes = 1;
  ASSERT_TRUE(store_->SetRetention(policy).ok());
  ASSERT_TRUE(store_->Settle().ok());
  for (auto& [labels, series] : model_) {
    std::erase_if(series, [&](const auto& s) { return s.first < today - kMsPerDay; });
  }
  std::set<int64_t> days;
  const auto found = ReadState(**store_->reader().TakeSnapshot()).value();
  for (const auto& [labels, series] : found) {
    for (const auto& [t, s] : series) days.insert(t / kMsPerDay);
  }
  EXPECT_TRUE(days.contains(today / kMsPerDay)) << "the open day stays, whatever the budget";
  EXPECT_LE(days.size(), 2U);
}

TEST_F(RetentionTest, PoliciesThatCannotBeAreRefusedWithTheirField) {
  const auto error = [](const RetentionPolicy& policy) {
    return std::string(CheckRetention(policy).message());
  };
  const RetentionPolicy good = TwoRules();
  EXPECT_EQ(error(good), "");
  RetentionPolicy policy = good;
  policy.rules[0].five_minutes = kOneDay;
  EXPECT_EQ(error(policy), "rules[0].five_minutes: 1d is not longer than raw, 2d");
  policy = good;
  policy.rules[1].raw = Duration(0);
  policy.rules[1].hours = kOneDay;
  EXPECT_EQ(error(policy), "rules[1].hours: 1d is shorter than raw, which is kept for ever");
  policy = good;
  policy.rules[1].matchers = {{MatchType::kRegex, "a", "("}};
  EXPECT_THAT(error(policy), HasSubstr("rules[1].matchers"));
  policy = good;
  policy.rules.resize(kMaxRetentionRules);
  EXPECT_EQ(error(policy), "");
  policy.rules.resize(kMaxRetentionRules + 1);
  EXPECT_EQ(error(policy), "rules: 65, but at most 64");
  StoreOptions options = Options();
  options.retention_policy = policy;
  EXPECT_EQ(Store::Open(options).status().code(), StatusCode::kInvalidArgument);
}

// Every sample that any file of a closed store holds, masks and manifest not asked: runs in SSTs,
// batches in log segments.
std::set<std::pair<std::string, int64_t>> SamplesInFiles(const std::string& directory,
                                                         uint32_t partitions) {
  std::set<std::pair<std::string, int64_t>> out;
  const auto database =
      Database::Open({.directory = directory + "/db", .partitions = partitions}).value();
  const auto runs = RunStore::Open(*database).value();
  std::vector<std::unique_ptr<PartitionIndex>> indexes;
  const auto source = MakeIndexSource(*database);
  for (uint32_t p = 0; p < partitions; ++p) {
    indexes.push_back(std::make_unique<PartitionIndex>(static_cast<PartitionId>(p)));
    EXPECT_TRUE(indexes.back()->Load(*source, runs->Counts(static_cast<PartitionId>(p))).ok());
  }
  EXPECT_EQ(runs->OldestWaiting(), UINT64_MAX) << "a file that the manifest does not name";
  const auto snapshot = runs->Snapshot();
  for (const auto& run : snapshot->runs()) {
    RowStream stream(run, 0);
    EXPECT_TRUE(stream.Start().ok());
    const PartitionIndex& index = *indexes[static_cast<size_t>(run->info().partition)];
    while (stream.ordinal() != kUnknownOrdinal) {
      const std::string name = index.labels(stream.ordinal()).ToString();
      std::vector<MergeSample> samples;
      std::vector<HistogramPoint> histograms;
      EXPECT_TRUE(stream.TakeSeries(samples, histograms).ok());
      for (const MergeSample& s : samples) out.emplace(name, s.time_ms);
    }
  }
  const auto log = SegmentLog::Open({.directory = directory + "/log", .lane = 0}).value();
  EXPECT_TRUE(log->Read(log->First().seq,
                        [&](const LogRecord& record) -> Status {
                          BASALT_TRY_ASSIGN(const RecordKind kind, KindOf(record.bytes));
                          if (kind != RecordKind::kAppend) return OkStatus();
                          BASALT_TRY_ASSIGN(const AppendView view, ViewAppend(record.bytes));
                          for (const RecordSection& section : view.sections) {
                            IngestBatch batch;
                            BASALT_TRY(DecodeSection(section, batch));
                            const auto& index = *indexes[static_cast<size_t>(section.partition)];
                            for (size_t i = 0; i < batch.sample_ms.size(); ++i) {
                              const BatchSeries& s = batch.series[batch.sample_series[i]];
                              const SeriesOrdinal o =
                                  s.ordinal != kUnknownOrdinal ? s.ordinal : index.Find(s.id);
                              out.emplace(o == kUnknownOrdinal ? "?" : index.labels(o).ToString(),
                                          batch.sample_ms[i]);
                            }
                          }
                          return OkStatus();
                        })
                  .ok());
  return out;
}

TEST_F(RetentionTest, APurgeIsProvenAndNoFileHoldsWhatWasDeleted) {
  store_ = Store::Open(Options()).value();
  const int64_t t0 = kBegin - 30 * 3'600'000;  // over two days
  Write("gone", t0, kBegin - 3'600'000, 60'000);
  Write("stays", t0, kBegin - 3'600'000, 60'000);
  ASSERT_TRUE(store_->Settle().ok());
  Write("gone", kBegin - 3'600'000, kBegin, 60'000);  // in the head
  Write("stays", kBegin - 3'600'000, kBegin, 60'000);

  const MatcherSet matchers{{MatchType::kEqual, "__name__", "gone"},
                            {MatchType::kNotEqual, "instance", "i3"}};
  const TimeRange range{t0 + 600'000, INT64_MAX};
  uint64_t expected = 0;
  for (const auto& [labels, series] : model_) expected += series.size();
  DeleteFrom(model_, matchers, range);
  for (const auto& [labels, series] : model_) expected -= series.size();

  const LogPosition id = store_->Delete({.any_of = {matchers}, .range = range}).value();
  EXPECT_EQ(Check(), "");
  PurgeReceipt receipt = store_->FindPurgeReceipt(id).value();
  EXPECT_EQ(receipt.state, PurgeState::kPending);
  EXPECT_EQ(receipt.series, 7U);
  EXPECT_EQ(receipt.requested_ms, kBegin);
  const Hash128 digest = receipt.digest;
  EXPECT_EQ(store_->Stats().deletes_pending, 1U);

  {
    // A query that runs holds the files: the receipt waits for it.
    const auto held = *store_->reader().TakeSnapshot();
    clock_.Advance(std::chrono::minutes(1));
    ASSERT_TRUE(store_->CleanTombstones().ok());
    receipt = store_->FindPurgeReceipt(id).value();
    EXPECT_EQ(receipt.samples, expected);
    EXPECT_GT(receipt.bytes_freed, 0U);
    EXPECT_EQ(receipt.state, PurgeState::kPending);
  }
  clock_.Advance(std::chrono::minutes(1));
  ASSERT_TRUE(store_->CleanTombstones().ok());
  receipt = store_->FindPurgeReceipt(id).value();
  EXPECT_EQ(receipt.state, PurgeState::kPurged);
  EXPECT_EQ(receipt.purged_ms, ToMs(clock_.Now()));
  EXPECT_EQ(receipt.samples, expected);
  EXPECT_EQ(store_->Stats().deletes_pending, 0U);
  EXPECT_EQ(Check(), "");

  ASSERT_TRUE(store_->Close().ok());
  store_.reset();
  for (const auto& [name, time_ms] : SamplesInFiles(temp_.path("data"), 2)) {
    const bool purged = name.find("gone") != std::string::npos &&
                        name.find("i3") == std::string::npos && time_ms >= range.min_ms;
    ASSERT_FALSE(purged) << name << " at " << time_ms;
  }
  store_ = Store::Open(Options()).value();
  EXPECT_EQ(Check(), "");
  const PurgeReceipt again = store_->FindPurgeReceipt(id).value();
  EXPECT_EQ(again.state, PurgeState::kPurged);
  EXPECT_EQ(again.samples, expected);
  EXPECT_EQ(again.digest, digest);
  EXPECT_EQ(store_->FindPurgeReceipt({0, id.seq + 1}).status().code(), StatusCode::kNotFound);
}

TEST_F(RetentionTest, ADeleteIsCarriedOutByItselfAfterItsDelay) {
  StoreOptions options = Options();
  options.purge_delay = std::chrono::minutes(10);
  store_ = Store::Open(options).value();
  Write("gone", kBegin - 3'600'000, kBegin, 15'000);
  Write("stays", kBegin - 3'600'000, kBegin, 15'000);
  ASSERT_TRUE(store_->Settle().ok());
  const MatcherSet matchers{{MatchType::kEqual, "__name__", "gone"}};
  const LogPosition id = store_->Delete({.any_of = {matchers}, .range = {}}).value();
  DeleteFrom(model_, matchers, {});
  const auto removed = [&] { return store_->FindPurgeReceipt(id).value().samples; };
  EXPECT_EQ(removed(), 0U);
  clock_.Advance(std::chrono::minutes(10));
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (removed() < 8U * 240 && std::chrono::steady_clock::now() < give_up)
    std::this_thread::yield();
  EXPECT_EQ(removed(), 8U * 240);
  EXPECT_EQ(Check(), "");
}

TEST_F(RetentionTest, NoFileIsLeftOfWhatRetentionDropped) {
  StoreOptions options = Options();
  options.retention_policy.keep = 2 * kOneDay;
  store_ = Store::Open(options).value();
  const int64_t day = kBegin / kMsPerDay;
  for (int d = 0; d < 6; ++d) {
    const int64_t now = (day + d) * kMsPerDay + 7'200'000;
    clock_.Advance(Duration(now - ToMs(clock_.Now())));
    Write("x", now - 3'600'000, now, 60'000);
    ASSERT_TRUE(store_->Settle().ok());
    const size_t runs = store_->Stats().runs;
    EXPECT_LE(runs, 3U * 2);
  }
  for (auto& [labels, series] : model_) {
    std::erase_if(series, [&](const auto& s) { return s.first < (day + 3) * kMsPerDay; });
  }
  EXPECT_EQ(Check(), "");
  EXPECT_GT(store_->Stats().retention_runs_dropped, 0U);
  ASSERT_TRUE(store_->Close().ok());
  store_.reset();
  for (const auto& [name, time_ms] : SamplesInFiles(temp_.path("data"), 2)) {
    ASSERT_GE(time_ms, (day + 3) * kMsPerDay) << name;
  }
}

TEST_F(RetentionTest, ThreeSimulatedDaysLeaveMemoryAndFilesAsTheyWere) {
  basalt::testing::DayOptions options;
  options.directory = temp_.path("day");
  options.series = 2000;
  options.series_per_target = 250;
  options.hours = 72;
  options.interval = std::chrono::minutes(2);
  options.store.partitions = 2;
  options.store.sync = SyncMode::kInterval;
  options.store.segment_bytes = 256u << 10;
  options.store.log_budget_bytes = 64u << 20;
  options.store.block_cache_bytes = 4u << 20;
  options.store.retention_policy.keep = kOneDay;
  const auto report = basalt::testing::RunSimulatedDay(options, {});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->leaked_files, 0U);
  EXPECT_GT(report->settled.stats.retention_runs_dropped, 0U);
  const auto most = [&](uint32_t from, uint32_t to, auto field) {
    uint64_t top = 0;
    for (const auto& h : report->hours) {
      if (h.hour > from && h.hour <= to) top = std::max<uint64_t>(top, field(h));
    }
    return top;
  };
  const auto resident = [](const basalt::testing::HourReport& h) { return h.resident_bytes; };
  const auto files = [](const basalt::testing::HourReport& h) { return h.files; };
  const auto runs = [](const basalt::testing::HourReport& h) { return h.stats.runs; };
  const auto disk = [](const basalt::testing::HourReport& h) { return h.disk_bytes; };
  // The third day is like the second.
  EXPECT_LE(most(48, 72, resident), most(24, 48, resident) * 23 / 20 + (16u << 20));
  EXPECT_LE(most(48, 72, files), most(24, 48, files) + 8);
  EXPECT_LE(most(48, 72, disk), most(24, 48, disk) * 3 / 2);
  EXPECT_LE(most(0, 72, runs), uint64_t{2} * 3 * (kOpenDayRuns + kLateRuns));
  // What the file system counts is what the store says, and the store's small books.
  EXPECT_LE(report->settled.disk_bytes, report->settled.stats.file_bytes + (2u << 20));
  const StoreStats& s = report->settled.stats;
  const double written =
      static_cast<double>(s.log_bytes_written + s.seal_bytes_written + s.rewrite_bytes_written) /
      static_cast<double>(s.samples_appended);
  std::cout << written << " bytes written a sample, log "
            << static_cast<double>(s.log_bytes_written) / static_cast<double>(s.samples_appended)
            << "\n";
  // Each sample is sealed once and rewritten at most twice.
  EXPECT_LE(s.rewrite_bytes_written, 2 * s.seal_bytes_written);
}

}  // namespace
}  // namespace basalt::storage
