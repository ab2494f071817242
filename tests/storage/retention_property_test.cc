// Rules, rollups, deletes and late samples in any order, against what the plainest model holds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/stale.h"
#include "storage/codec/keys.h"
#include "storage/codec/row_summary.h"
#include "storage/store.h"
#include "tests/storage/retention_rules.h"
#include "tests/storage/store_model.h"
#include "tests/support/faulty_env.h"
#include "tests/support/faulty_files.h"
#include "tests/support/simulated_disk.h"

namespace basalt::storage {
namespace {

using basalt::testing::kOneDay;
using basalt::testing::TwoRules;
using std::chrono::hours;
using ::testing::HasSubstr;

constexpr int64_t kBegin = 1'700'000'000'000;

// ---- the model: what rules keep, and what buckets samples come to, in the plainest way ----

// The rules of TwoRules(), by hand.
struct Kept {
  Duration raw;
  Duration five_minutes;
  Duration one_hour;
};
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
    options.head_samples = 0;  // rows are full at once, so that seals are many
    options.segment_bytes = 64u << 10;
    options.block_cache_bytes = 4u << 20;
    options.clock = &clock;
    options.retention_policy = TwoRules();
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

}  // namespace
}  // namespace basalt::storage
