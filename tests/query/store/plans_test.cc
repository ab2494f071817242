// Over a real store, whatever the engine does to be fast (pushing aggregations down, fused rows,
// summaries in place of samples, kept results, threads) gives the bits of the plain evaluator.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/executor.h"
#include "query/engine.h"
#include "tests/query/store/query_generator.h"
#include "tests/query/store/show_bits.h"
#include "tests/storage/store_model.h"

namespace basalt::query {
namespace {

constexpr int64_t kBegin = 1'700'000'000'000;
constexpr int64_t kInterval = 15'000;
constexpr double kStale = std::bit_cast<double>(uint64_t{0x7ff0000000000002});

// A store with a few targets that are scraped, some of whose series misbehave.
class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {
    storage::StoreOptions options;
    options.directory = temp_.path("data");
    options.partitions = 4;
    options.sync = storage::SyncMode::kInterval;
    options.segment_bytes = 1u << 20;
    options.block_cache_bytes = 8u << 20;
    options.clock = &clock_;
    auto opened = storage::Store::Open(options);
    BASALT_CHECK(opened.ok(), opened.status().ToString());
    store_ = std::move(*opened);
  }

  void Scrape(int times) {
    std::vector<storage::ModelWrite> writes;
    for (int n = 0; n < times; ++n, now_ms_ += kInterval) {
      for (int target = 0; target < 5; ++target) ScrapeTarget(target, writes);
    }
    Write(writes);
  }
  // A sample in the past, of a series that is there already.
  void WriteLate() {
    const int64_t span = (now_ms_ - kBegin) / 1000;
    Write({{.labels = Of(0, "g", "1"),
            .time_ms = now_ms_ - 1000 * static_cast<int64_t>(Below(static_cast<uint64_t>(span))),
            .value = 77}});
  }
  void DeleteSome() {
    const int64_t from = now_ms_ - static_cast<int64_t>(Below(3'000'000));
    const auto deleted = store_->Delete(
        {.any_of = {{{.name = "instance", .value = std::string(1, "abcde"[Below(5)])}}},
         .range = {from, from + static_cast<int64_t>(Below(900'000))}});
    BASALT_CHECK(deleted.ok(), deleted.status().ToString());
  }
  void Settle() { BASALT_CHECK(store_->Settle().ok(), "settle"); }

  [[nodiscard]] int64_t now_ms() const { return now_ms_; }
  [[nodiscard]] std::shared_ptr<const storage::Snapshot> Snapshot() const {
    return *store_->reader().TakeSnapshot();
  }
  uint64_t Below(uint64_t n) { return std::uniform_int_distribution<uint64_t>(0, n - 1)(random_); }

 private:
  static Labels Of(int target, const std::string& name, const std::string& k = "") {
    return Labels{{"__name__", name},
                  {"instance", std::string(1, static_cast<char>('a' + target))},
                  {"job", "test"},
                  {"k", k}};
  }
  void ScrapeTarget(int target, std::vector<storage::ModelWrite>& writes) {
    if (Below(40) == 0) return;  // missed
    const bool restart = Below(150) == 0;
    // Each target has times of its own.
    const int64_t time_ms = now_ms_ + 331 * target;
    for (int k = 0; k < 4; ++k) {
      double& counter = counters_[{target, k}];
      counter = restart ? 0 : counter + static_cast<double>(Below(k == 0 ? 1'000'000 : 7));
      storage::ModelWrite write{
          .labels = Of(target, "c_total", std::to_string(k)), .time_ms = time_ms, .value = counter};
      if (restart) started_[target] = time_ms - 2000;
      if (target == 3 && k == 1) write.start_ms = std::max(started_[target], kBegin - 60'000);
      if (Below(60) == 0) write.value = kStale;
      writes.push_back(write);
      double gauge = static_cast<double>(Below(100'000)) / 100 - 500;
      if (Below(300) == 0) gauge = std::numeric_limits<double>::quiet_NaN();
      if (Below(100) == 0) gauge = Below(2) == 0 ? 0.0 : -0.0;
      if (Below(500) == 0) gauge = std::numeric_limits<double>::infinity();
      if (k == 3) gauge = static_cast<double>(Below(50));
      writes.push_back(
          {.labels = Of(target, "g", std::to_string(k)), .time_ms = time_ms, .value = gauge});
    }
    double below = 0;
    for (const char* le : {"0.1", "1", "10", "+Inf"}) {
      double& bucket = buckets_[{target, le}];
      below += static_cast<double>(Below(5));
      bucket += below;
      Labels labels = Of(target, "h_bucket");
      labels.Set("le", le);
      writes.push_back({.labels = std::move(labels), .time_ms = time_ms, .value = bucket});
    }
    if (target < 2) {
      writes.push_back({.labels = Of(target, "nh"),
                        .time_ms = time_ms,
                        .is_histogram = true,
                        .histogram_seed = static_cast<uint64_t>(time_ms / 15'000)});
    }
  }
  void Write(const std::vector<storage::ModelWrite>& writes) {
    const auto done = store_->Append(storage::MakeBatches(*store_, writes));
    BASALT_CHECK(done.ok(), done.status().ToString());
  }

  std::mt19937_64 random_;
  TemporaryDirectory temp_;
  storage::ManualClock clock_{kBegin};
  std::unique_ptr<storage::Store> store_;
  int64_t now_ms_ = kBegin;
  std::map<std::pair<int, int>, double> counters_;
  std::map<std::pair<int, std::string>, double> buckets_;
  std::map<int, int64_t> started_;
};

EngineOptions Plain() {
  EngineOptions options;
  options.push_down = false;
  options.fuse = false;
  return options;
}

size_t Rounds(size_t rounds) {
  const char* more = std::getenv("BASALT_TEST_ROUNDS");
  return more == nullptr ? rounds : std::strtoull(more, nullptr, 10);
}

// One window that random queries are asked about.
struct Window {
  int64_t start_ms;
  int64_t end_ms;
  int64_t step_ms;
};
Window RandomWindow(World& world) {
  static constexpr int64_t kSteps[] = {7'000, 15'000, 60'000, 300'000};
  const int64_t step = kSteps[world.Below(4)];
  const int64_t end = world.now_ms() - static_cast<int64_t>(world.Below(600'000));
  return {end - step * static_cast<int64_t>(world.Below(60)), end, step};
}

TEST(Plans, GiveTheBitsOfThePlainEvaluator) {
  ThreadPool pool("plans", 2, 64);
  EngineOptions fast;
  fast.executor = &pool;
  fast.parallelism = 2;
  const Engine plain(Plain());
  const Engine engine(fast);
  uint64_t summarized = 0;
  for (const uint64_t seed : storage::TestSeeds(Rounds(2))) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed);
    QueryGenerator queries(seed);
    for (int phase = 0; phase < 4; ++phase) {
      world.Scrape(150);
      if (phase == 1) world.WriteLate();
      if (phase == 2) world.DeleteSome();
      if (phase != 3) world.Settle();
      const auto snapshot = world.Snapshot();
      for (int n = 0; n < 60; ++n) {
        const std::string query = queries.Vector();
        const Window w = RandomWindow(world);
        const auto instant = engine.Instant(*snapshot, kDefaultTenant, query, FromMs(w.end_ms));
        if (instant.ok()) summarized += instant->stats.rows_summarized;
        ASSERT_EQ(ShowBits(plain.Instant(*snapshot, kDefaultTenant, query, FromMs(w.end_ms))),
                  ShowBits(instant))
            << query << " at " << w.end_ms;
        ASSERT_EQ(ShowBits(plain.Range(*snapshot, kDefaultTenant, query, FromMs(w.start_ms),
                                       FromMs(w.end_ms), Duration(w.step_ms))),
                  ShowBits(engine.Range(*snapshot, kDefaultTenant, query, FromMs(w.start_ms),
                                        FromMs(w.end_ms), Duration(w.step_ms))))
            << query << " from " << w.start_ms << " to " << w.end_ms << " step " << w.step_ms;
      }
    }
  }
  EXPECT_GT(summarized, 0U) << "no summary was ever used, so nothing was shown about them";
}

TEST(ResultCache, GivesTheBitsOfThePlainEvaluatorWhateverWasWrittenInBetween) {
  EngineOptions caching;
  caching.result_cache_bytes = 1 << 20;
  const Engine plain(Plain());
  uint64_t reused = 0;
  for (const uint64_t seed : storage::TestSeeds(Rounds(2))) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Engine engine(caching);
    World world(seed);
    QueryGenerator queries(seed);
    world.Scrape(300);
    world.Settle();
    std::vector<std::pair<std::string, Window>> panels;
    for (int n = 0; n < 25; ++n) panels.emplace_back(queries.Vector(), RandomWindow(world));
    for (int refresh = 0; refresh < 12; ++refresh) {
      switch (world.Below(5)) {
        case 0:
          break;
        case 1:
          world.WriteLate();
          break;
        case 2:
          world.DeleteSome();
          break;
        default:
          world.Scrape(1 + static_cast<int>(world.Below(8)));
      }
      const auto snapshot = world.Snapshot();
      for (auto& [query, w] : panels) {
        const int64_t moved = w.step_ms * (static_cast<int64_t>(world.Below(6)) - 1);
        w.start_ms += moved;
        w.end_ms += moved;
        const auto cached = engine.Range(*snapshot, kDefaultTenant, query, FromMs(w.start_ms),
                                         FromMs(w.end_ms), Duration(w.step_ms));
        if (cached.ok()) reused += cached->stats.steps_cached;
        ASSERT_EQ(ShowBits(plain.Range(*snapshot, kDefaultTenant, query, FromMs(w.start_ms),
                                       FromMs(w.end_ms), Duration(w.step_ms))),
                  ShowBits(cached))
            << query << " from " << w.start_ms << " to " << w.end_ms << " step " << w.step_ms;
      }
    }
    EXPECT_LE(engine.CacheStats().bytes, caching.result_cache_bytes);
  }
  EXPECT_GT(reused, 1000U) << "nothing was reused, so nothing was shown";
}

}  // namespace
}  // namespace basalt::query
