// Retention by age, rule and size, rollups, deletes and their receipts, over the whole store.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "engine/base/log.h"
#include "engine/base/stale.h"
#include "storage/codec/keys.h"
#include "storage/codec/row_summary.h"
#include "storage/index/index.h"
#include "storage/log/record.h"
#include "storage/log/segment_log.h"
#include "storage/parts/database.h"
#include "storage/parts/rewrite_plan.h"
#include "storage/parts/row_stream.h"
#include "storage/parts/runs.h"
#include "storage/store.h"
#include "tests/storage/store_model.h"
#include "tests/support/faulty_env.h"
#include "tests/support/faulty_files.h"
#include "tests/support/simulated_day.h"
#include "tests/support/simulated_disk.h"

namespace basalt::storage {
namespace {

using std::chrono::hours;
using ::testing::HasSubstr;

constexpr int64_t kBegin = 1'700'000'000'000;
constexpr Duration kOneDay = hours(24);

// ---- the model: what rules keep, and what buckets samples come to, in the plainest way ----

// Rules of `Policy()`, by hand.
struct Kept {
  Duration raw;
  Duration five_minutes;
  Duration one_hour;
};
RetentionPolicy Policy() {
  RetentionPolicy policy;
  policy.keep = 10 * kOneDay;
  policy.rules.push_back({.tenant = std::nullopt,
                          .matchers = {{MatchType::kRegex, "__name__", "metric_[01]"},
                                       {MatchType::kEqual, "job", "node"}},
                          .raw = 2 * kOneDay,
                          .five_minutes = 4 * kOneDay,
                          .hours = 30 * kOneDay});
  policy.rules.push_back({.tenant = kDefaultTenant,
                          .matchers = {{MatchType::kEqual, "job", "alone"}},
                          .raw = kOneDay});
  return policy;
}
Kept KeptOf(const Labels& labels) {
  const std::string_view name = labels.Get("__name__");
  if (labels.Get("job") == "node" && (name == "metric_0" || name == "metric_1"))
    return {2 * kOneDay, 4 * kOneDay, 30 * kOneDay};
  if (labels.Get("job") == "alone") return {kOneDay, Duration(0), Duration(0)};
  return {10 * kOneDay, Duration(0), Duration(0)};
}
bool DayKept(int64_t time_ms, Duration keep, int64_t now_ms) {
  return (time_ms / kMsPerDay + 1) * kMsPerDay > now_ms - keep.count();
}
bool SampleKept(const Labels& labels, int64_t time_ms, bool histogram, int64_t now_ms) {
  const Kept kept = KeptOf(labels);
  const Duration longest = std::max({kept.raw, kept.five_minutes, kept.one_hour});
  return DayKept(time_ms, histogram ? longest : kept.raw, now_ms);
}
ModelState Filtered(const ModelState& state, int64_t now_ms) {
  ModelState out;
  for (const auto& [labels, series] : state) {
    for (const auto& [t, sample] : series) {
      if (SampleKept(labels, t, !sample.histogram.empty(), now_ms)) out[labels][t] = sample;
    }
  }
  return out;
}

std::string Text(const RollupBucket& b) {
  std::ostringstream out;
  const auto bits = [](double v) { return std::bit_cast<uint64_t>(v); };
  out << b.end_ms << ' ' << b.count << ' ' << b.first_ms << ' ' << b.last_ms << std::hex << ' '
      << bits(b.first) << ' ' << bits(b.last) << ' ' << bits(b.min) << ' ' << bits(b.max) << ' '
      << bits(b.sum) << std::dec << ' ' << b.resets << ' ' << bits(b.reset_sum) << ' ' << b.changes
      << ' ' << b.ends_stale << b.any_starts << b.has_nan;
  return out.str();
}
using Buckets = std::map<std::pair<Labels, int64_t>, std::string>;  // by series and end

Buckets NaiveBuckets(const ModelState& state, Resolution resolution) {
  Buckets out;
  const int64_t width = WidthMs(resolution);
  for (const auto& [labels, series] : state) {
    std::map<int64_t, std::vector<std::pair<int64_t, const ModelSample*>>> ends;
    for (const auto& [t, sample] : series) {
      if (sample.histogram.empty()) ends[(t + width - 1) / width * width].emplace_back(t, &sample);
    }
    for (const auto& [end, samples] : ends) {
      RollupBucket b;
      b.end_ms = end;
      std::vector<int64_t> times;
      std::vector<double> values;
      for (const auto& [t, sample] : samples) {
        const auto v = std::bit_cast<double>(sample->bits);
        b.ends_stale = IsStaleMarker(v);
        if (b.ends_stale) continue;
        if (!values.empty()) {
          if (v < values.back()) ++b.resets, b.reset_sum += values.back();
          if (v != values.back() && !(std::isnan(v) && std::isnan(values.back()))) ++b.changes;
        }
        b.any_starts |= sample->start_ms != kNoStartMs;
        times.push_back(t);
        values.push_back(v);
      }
      if (!values.empty()) {
        const RowSummary s = SummarizeRow(times, values, {});
        b.count = s.count;
        b.first_ms = s.first_ms;
        b.last_ms = s.last_ms;
        b.first = s.first;
        b.last = s.last;
        b.min = s.min;
        b.max = s.max;
        b.sum = s.sum;
        b.has_nan = s.has_nan;
      }
      out[{labels, end}] = Text(b);
    }
  }
  return out;
}

Buckets ReadBuckets(const Snapshot& snapshot, Resolution resolution, TimeRange range = {}) {
  Buckets out;
  for (uint32_t p = 0; p < snapshot.partition_count(); ++p) {
    const auto selection =
        snapshot.Select(kDefaultTenant, static_cast<PartitionId>(p), {}, range, SIZE_MAX).value();
    auto cursor = selection->ReadRollup(0, selection->size(), resolution, range).value();
    RollupColumns columns;
    while (true) {
      const auto more = cursor->Next(columns);
      EXPECT_TRUE(more.ok()) << more.status().ToString();
      if (!more.ok() || !*more) break;
      int64_t before = INT64_MIN;
      for (const RollupBucket& b : columns.buckets) {
        EXPECT_GT(b.end_ms, before);
        before = b.end_ms;
        out[{selection->labels(columns.series), b.end_ms}] = Text(b);
      }
    }
  }
  return out;
}
std::string Difference(const Buckets& expected, const Buckets& found) {
  for (const auto& [key, text] : expected) {
    const auto it = found.find(key);
    if (it == found.end()) return key.first.ToString() + " lacks bucket " + text;
    if (it->second != text)
      return key.first.ToString() + ": expected " + text + ", found " + it->second;
  }
  for (const auto& [key, text] : found) {
    if (!expected.contains(key)) return key.first.ToString() + " has bucket " + text;
  }
  return "";
}

struct MemoryDisk {
  explicit MemoryDisk(uint64_t seed) : disk(seed) {
    BASALT_CHECK(disk.MakeDirectory("/disk").ok());
    BASALT_CHECK(disk.MakeDirectory("/disk/data").ok());
  }
  basalt::testing::SimulatedDisk disk;
  std::unique_ptr<Files> files = basalt::testing::MakeFaultyFiles(disk);
  std::unique_ptr<rocksdb::Env, basalt::testing::EnvDeleter> env =
      basalt::testing::MakeFaultyEnv(disk);
};

// What should be readable after everything is settled: samples, and buckets of either resolution.
std::string CheckSettled(const Store& store, const ModelState& full, int64_t now_ms) {
  const auto snapshot = store.reader().TakeSnapshot().value();
  const auto raw = ReadState(*snapshot);
  if (!raw.ok()) return raw.status().ToString();
  if (auto d = Difference(Filtered(full, now_ms), *raw); !d.empty()) return "samples: " + d;
  for (const Resolution r : {Resolution::kFiveMinutes, Resolution::kHour}) {
    // A bucket is there while its samples are, or for as long as its rule says; the part of it that
    // is of another day goes with that day.
    ModelState kept;
    for (const auto& [labels, series] : full) {
      const Kept rule = KeptOf(labels);
      const Duration longest =
          std::max(rule.raw, r == Resolution::kHour ? rule.one_hour : rule.five_minutes);
      for (const auto& [t, sample] : series) {
        if (DayKept(t, longest, now_ms)) kept[labels][t] = sample;
      }
    }
    if (auto d = Difference(NaiveBuckets(kept, r), ReadBuckets(*snapshot, r)); !d.empty()) {
      return (r == Resolution::kHour ? "1h: " : "5m: ") + d;
    }
  }
  return "";
}

TEST(RetentionProperty, RulesRollupsAndDeletesHoldWhatTheModelHolds) {
  uint64_t refused_deletes = 0;
  uint64_t too_old = 0;
  uint64_t raw_gone = 0;
  for (const uint64_t seed : TestSeeds(8)) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    MemoryDisk disk(seed);
    ManualClock clock(kBegin);
    Workload work(seed, kBegin);
    StoreOptions options;
    options.directory = "/disk/data";
    options.files = disk.files.get();
    options.env = disk.env.get();
    options.partitions = 1U << (seed % 2);
    options.seal_samples = 3 + static_cast<uint32_t>(seed % 20);
    options.segment_bytes = 64u << 10;
    options.block_cache_bytes = 4u << 20;
    options.clock = &clock;
    options.retention_policy = Policy();
    std::unique_ptr<Store> store = Store::Open(options).value();
    ModelState full;
    for (int step = 0; step < 160; ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      clock.Advance(Duration(work.now_ms() - ToMs(clock.Now())));
      const int64_t now_ms = work.now_ms();
      switch (work.Random(24)) {
        case 0:
          work.Advance(hours(work.Random(40)));
          break;
        case 1:
          store->SealIfDue();
          break;
        case 2: {
          store.reset();
          store = Store::Open(options).value();
          break;
        }
        case 3: {
          DeleteRequest request{.tenant = kDefaultTenant,
                                .any_of = {work.RandomMatchers()},
                                .range = work.RandomRange()};
          const bool bounded = request.range.min_ms != INT64_MIN;
          if (bounded && work.Random(2) == 0) request.range.min_ms -= 3 * kMsPerDay;
          auto done = store->Delete(request);
          if (!done.ok()) {
            ASSERT_EQ(done.status().code(), StatusCode::kFailedPrecondition);
            ASSERT_THAT(std::string(done.status().message()),
                        HasSubstr("it would work from start="));
            ++refused_deletes;
            request.range.min_ms = request.range.min_ms / 3'600'000 * 3'600'000 + 1;
            request.range.max_ms = (request.range.max_ms + 3'599'999) / 3'600'000 * 3'600'000;
            done = store->Delete(request);
          }
          ASSERT_TRUE(done.ok()) << done.status().ToString();
          DeleteFrom(full, request.any_of[0], request.range);
          break;
        }
        case 4:
        case 5:
          ASSERT_TRUE(store->Settle().ok());
          ASSERT_EQ(CheckSettled(*store, full, now_ms), "");
          raw_gone += (*store->reader().TakeSnapshot())
                          ->Select(kDefaultTenant, PartitionId{0}, {}, {}, SIZE_MAX)
                          .value()
                          ->RawGone({})
                          .size();
          break;
        default:
          for (const auto& request : work.NextRequests()) {
            // The clock may not be behind: what is late is late for both.
            clock.Advance(Duration(work.now_ms() - ToMs(clock.Now())));
            const int64_t now = ToMs(clock.Now());
            const auto result = store->Append(MakeBatches(*store, request));
            ASSERT_TRUE(result.ok()) << result.status().ToString();
            too_old += result->samples_too_old;
            for (const bool histograms : {false, true}) {
              for (const ModelWrite& write : request) {
                if (write.is_histogram == histograms &&
                    SampleKept(write.labels, write.time_ms, histograms, now)) {
                  ApplyTo(full, write);
                }
              }
            }
          }
      }
    }
    clock.Advance(Duration(work.now_ms() - ToMs(clock.Now())));
    ASSERT_TRUE(store->Settle().ok());
    ASSERT_EQ(CheckSettled(*store, full, work.now_ms()), "") << "at the end";
    const StoreStats stats = store->Stats();
    EXPECT_LE(stats.runs, options.partitions * 40 * 4);
    ASSERT_TRUE(store->Settle().ok());
    EXPECT_EQ(store->Stats().rewrites, stats.rewrites) << "settled twice, rewritten once";
  }
  EXPECT_GT(refused_deletes + too_old, 0U);
  EXPECT_GT(raw_gone, 0U);
}

// ---- one thing at a time ----

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
  EXPECT_EQ(error(Policy()), "");
  RetentionPolicy policy = Policy();
  policy.rules[0].five_minutes = kOneDay;
  EXPECT_EQ(error(policy), "rules[0].five_minutes: 1d is not longer than raw, 2d");
  policy = Policy();
  policy.rules[1].raw = Duration(0);
  policy.rules[1].hours = kOneDay;
  EXPECT_EQ(error(policy), "rules[1].hours: 1d is shorter than raw, which is kept for ever");
  policy = Policy();
  policy.rules[1].matchers = {{MatchType::kRegex, "a", "("}};
  EXPECT_THAT(error(policy), HasSubstr("rules[1].matchers"));
  policy = Policy();
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
                          if (kind != RecordKind::kAppend && kind != RecordKind::kCarry)
                            return OkStatus();
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

// ---- stopped anywhere ----

// Runs to its end or until `point` is met for the `nth` time; then the process is gone.
void Scenario(const std::string& directory, const std::string& point, int nth, int say) {
  log::Configure(log::Level::kError, log::Format::kLogfmt);
  ManualClock clock(kBegin);
  std::atomic<int> met{0};
  StoreOptions options;
  options.directory = directory;
  options.partitions = 2;
  options.segment_bytes = 64u << 10;
  options.clock = &clock;
  options.purge_delay = Duration(0);
  options.at_point = [&](std::string_view name) {
    if (name == point && ++met == nth) {
      kill(getpid(), SIGKILL);
    }
  };
  auto store = Store::Open(options).value();
  const auto done = [&](char what) {
    if (write(say, &what, 1) != 1) _exit(3);
  };
  const auto write_day = [&](const char* name, int64_t day) {
    std::vector<ModelWrite> writes;
    for (int i = 0; i < 3; ++i) {
      for (int64_t t = 0; t < 20; ++t) {
        writes.push_back({{{"__name__", name}, {"instance", "i" + std::to_string(i)}, {"job", "n"}},
                          day * kMsPerDay + 1000 + t * 900'000,
                          static_cast<double>(t * i)});
      }
    }
    if (!store->Append(MakeBatches(*store, writes)).ok()) _exit(4);
  };
  const int64_t day = kBegin / kMsPerDay;
  for (int64_t d = 0; d < 4; ++d) {
    write_day("a", day - 3 + d);
    write_day("b", day - 3 + d);
    if (d % 2 == 1 && !store->Settle().ok()) _exit(5);
  }
  done('w');
  if (!store
           ->Delete({.any_of = {{{MatchType::kEqual, "__name__", "b"}}},
                     .range = {(day - 3) * kMsPerDay, (day - 1) * kMsPerDay}})
           .ok())
    _exit(6);
  done('d');
  if (!store->CleanTombstones().ok()) _exit(7);
  RetentionPolicy policy;
  policy.keep = 3 * kOneDay;
  policy.rules.push_back({.tenant = std::nullopt,
                          .matchers = {{MatchType::kEqual, "__name__", "a"}},
                          .raw = kOneDay,
                          .five_minutes = 2 * kOneDay,
                          .hours = 300 * kOneDay});
  if (!store->SetRetention(policy).ok()) _exit(8);
  done('r');
  for (int i = 0; i < 3; ++i) {
    if (!store->Settle().ok()) _exit(9);
    clock.Advance(kOneDay);
  }
  done('e');
  store.reset();
  _exit(0);
}

// The child's half: it needs a process of its own from the start, since RocksDB's threads do not
// survive a fork.
TEST(InterruptedScenario, RunsWhereItIsToldTo) {
  const char* const directory = std::getenv("BASALT_SCENARIO_DIRECTORY");
  if (directory == nullptr) GTEST_SKIP() << "the child of the tests below";
  Scenario(directory, std::getenv("BASALT_SCENARIO_POINT"),
           std::atoi(std::getenv("BASALT_SCENARIO_NTH")), 3);
}

class Interrupted : public ::testing::TestWithParam<const char*> {};

TEST_P(Interrupted, NothingAcknowledgedIsLostAndNothingStaysHalfDone) {
  const std::string point = GetParam();
  const int times = std::getenv("BASALT_TEST_ROUNDS") != nullptr ? 20 : 1;
  int stopped = 0;
  for (int nth = 1; nth <= times; ++nth) {
    SCOPED_TRACE(point + " for the " + std::to_string(nth) + ". time");
    TemporaryDirectory temp;
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const std::string directory = "BASALT_SCENARIO_DIRECTORY=" + temp.path("data");
    const std::string at_point = "BASALT_SCENARIO_POINT=" + point;
    const std::string at_nth = "BASALT_SCENARIO_NTH=" + std::to_string(nth);
    const char* const arguments[] = {"retention_test", "--gtest_filter=InterruptedScenario.*",
                                     nullptr};
    const char* const environment[] = {directory.c_str(), at_point.c_str(), at_nth.c_str(),
                                       nullptr};
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      dup2(ends[1], 3);
      dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
      execve("/proc/self/exe", const_cast<char**>(arguments), const_cast<char**>(environment));
      _exit(127);
    }
    close(ends[1]);
    std::string said;
    char c = 0;
    while (read(ends[0], &c, 1) == 1) said += c;
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFSIGNALED(status)) {
      ASSERT_EQ(WEXITSTATUS(status), 0) << said;
      continue;  // it does not come so often
    }
    ++stopped;
    ManualClock clock(kBegin + 3 * kMsPerDay);
    StoreOptions options;
    options.directory = temp.path("data");
    options.partitions = 2;
    options.segment_bytes = 64u << 10;
    options.clock = &clock;
    options.purge_delay = Duration(0);
    const bool rules = said.find('r') != std::string::npos;
    if (rules) {
      options.retention_policy.keep = 3 * kOneDay;
      options.retention_policy.rules.push_back({.tenant = std::nullopt,
                                                .matchers = {{MatchType::kEqual, "__name__", "a"}},
                                                .raw = kOneDay,
                                                .five_minutes = 2 * kOneDay,
                                                .hours = 300 * kOneDay});
    }
    auto opened = Store::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    Store& store = **opened;
    ASSERT_TRUE(store.Settle().ok());
    ASSERT_TRUE(store.CleanTombstones().ok());
    const auto snapshot = *store.reader().TakeSnapshot();
    const int64_t day = kBegin / kMsPerDay;
    if (said.find('w') != std::string::npos) {
      // Hours outlive everything: all twenty samples of each series and day are in them.
      std::map<std::string, uint64_t> counts;
      for (uint32_t p = 0; p < 2; ++p) {
        const auto selection =
            snapshot->Select(kDefaultTenant, static_cast<PartitionId>(p), {}, {}, SIZE_MAX).value();
        auto cursor = selection->ReadRollup(0, selection->size(), Resolution::kHour, {}).value();
        RollupColumns columns;
        while (cursor->Next(columns).value()) {
          for (const RollupBucket& b : columns.buckets)
            counts[std::string(selection->labels(columns.series).Get("__name__"))] += b.count;
        }
      }
      EXPECT_EQ(counts["a"], 3U * 20 * 4);
      const auto raw = ReadState(*snapshot).value();
      uint64_t b = 0;
      for (const auto& [labels, series] : raw) {
        for (const auto& [t, s] : series) {
          if (labels.Get("__name__") == "a" && rules) {
            EXPECT_GE(t / kMsPerDay, day + 2) << "a's samples are buckets by now";
          }
          b += labels.Get("__name__") == "b" ? 1 : 0;
        }
      }
      const bool deleted = said.find('d') != std::string::npos;
      if (rules) {
        EXPECT_EQ(b, 3U * 20) << "of b, the last day is kept";
      } else if (deleted) {
        EXPECT_EQ(b, 3U * 20 * 2);
      } else {
        EXPECT_TRUE(b == 3U * 20 * 4 || b == 3U * 20 * 2) << b;
      }
    }
    for (const PurgeReceipt& receipt : store.PurgeReceipts()) {
      EXPECT_EQ(receipt.series, 3U);
      EXPECT_EQ(receipt.samples, 3U * 20 * 2);
    }
  }
  EXPECT_GT(stopped, 0) << "the point is never met";
  RecordProperty("stopped", stopped);
  std::cout << point << ": stopped " << stopped << " times\n";
}

INSTANTIATE_TEST_SUITE_P(Points, Interrupted,
                         ::testing::Values("seal:ingested", "seal:committed", "rewrite:begin",
                                           "rewrite:written", "rewrite:ingested",
                                           "rewrite:committed", "purge:begin", "purge:written",
                                           "purge:ingested", "purge:committed", "purge:receipt",
                                           "rollup:begin", "rollup:written", "rollup:ingested",
                                           "rollup:committed", "retention:begin",
                                           "retention:committed"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::replace(name.begin(), name.end(), ':', '_');
                           return name;
                         });

}  // namespace
}  // namespace basalt::storage
