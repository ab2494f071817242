// Who has a value, from what rows and head say of themselves, against reading the samples.
#include <gtest/gtest.h>

#include <bit>
#include <random>
#include <string>
#include <vector>

#include "engine/base/stale.h"
#include "storage/codec/row_summary.h"
#include "tests/storage/store_model.h"

namespace basalt::storage {
namespace {

constexpr int64_t kBegin = 1'700'000'000'000;
constexpr int64_t kInterval = 15'000;
constexpr int64_t kLookback = 300'000;

// Enough neighbours that the store scans instead of asking for each.
constexpr int kTargets = 4;
constexpr int kSeriesATarget = 40;

class Fleet {
 public:
  explicit Fleet(uint64_t seed) : random_(seed) {
    StoreOptions options;
    options.directory = temp_.path("data");
    options.partitions = 1;
    options.sync = SyncMode::kInterval;
    options.segment_bytes = 1u << 20;
    options.block_cache_bytes = 8u << 20;
    options.clock = &clock_;
    auto opened = Store::Open(options);
    BASALT_CHECK(opened.ok(), opened.status().ToString());
    store_ = std::move(*opened);
  }

  void Scrape(int times) {
    std::vector<ModelWrite> writes;
    for (int n = 0; n < times; ++n, now_ms_ += kInterval) {
      for (int target = 0; target < kTargets; ++target) {
        if (Below(30) == 0) continue;
        for (int k = 0; k < kSeriesATarget; ++k) {
          // Some pause for longer than the lookback.
          int& silent = silent_[target * kSeriesATarget + k];
          if (silent > 0 && --silent > 0) continue;
          ModelWrite write{.labels = Of(target, k),
                           .time_ms = now_ms_ + 500 * target,
                           .value = static_cast<double>(Below(1000))};
          if (Below(200) == 0) write.value = std::bit_cast<double>(kStaleMarkerBits);
          if (Below(300) == 0) silent = static_cast<int>(Below(40));
          if (k == 0 && target == 0) {
            write.is_histogram = true;
            write.histogram_seed = static_cast<uint64_t>(write.time_ms);
          }
          writes.push_back(std::move(write));
        }
      }
    }
    Write(writes);
  }
  void WriteLate() {
    std::vector<ModelWrite> writes;
    for (int n = 0; n < 10; ++n) {
      writes.push_back({.labels = Of(static_cast<int>(Below(kTargets)), 3),
                        .time_ms = RandomTime(),
                        .value = Below(2) == 0 ? 1.0 : std::bit_cast<double>(kStaleMarkerBits)});
    }
    Write(writes);
  }
  void DeleteSome() {
    const int64_t from = RandomTime();
    const auto deleted =
        store_->Delete({.any_of = {{{.name = "k", .value = std::to_string(Below(kSeriesATarget))}}},
                        .range = {from, from + static_cast<int64_t>(Below(900'000))}});
    BASALT_CHECK(deleted.ok(), deleted.status().ToString());
  }
  void Settle() { BASALT_CHECK(store_->Settle().ok(), "settle"); }

  std::shared_ptr<const Selection> SelectAll() const {
    const auto snapshot = *store_->reader().TakeSnapshot();
    return *snapshot->Select(kDefaultTenant, PartitionId{0}, {{.name = "__name__", .value = "m"}},
                             {}, SIZE_MAX);
  }
  int64_t RandomTime() {
    return kBegin + static_cast<int64_t>(Below(static_cast<uint64_t>(now_ms_ - kBegin) + 600'000));
  }
  [[nodiscard]] int64_t now_ms() const { return now_ms_; }

 private:
  uint64_t Below(uint64_t n) { return std::uniform_int_distribution<uint64_t>(0, n - 1)(random_); }
  static Labels Of(int target, int k) {
    return Labels{{"__name__", "m"},
                  {"instance", std::to_string(target)},
                  {"job", "test"},
                  {"k", std::to_string(k)}};
  }
  void Write(const std::vector<ModelWrite>& writes) {
    const auto done = store_->Append(MakeBatches(*store_, writes));
    BASALT_CHECK(done.ok(), done.status().ToString());
  }

  std::mt19937_64 random_;
  TemporaryDirectory temp_;
  ManualClock clock_{kBegin};
  std::unique_ptr<Store> store_;
  int64_t now_ms_ = kBegin;
  std::vector<int> silent_ = std::vector<int>(kTargets * kSeriesATarget);
};

std::vector<uint64_t> BySamples(const Selection& selection, const EvaluationTimes& times) {
  std::vector<uint64_t> present(selection.size() * PresenceWords(times.count));
  EXPECT_TRUE(
      selection.Selection::ReadPresence(0, selection.size(), times, kLookback, present).ok());
  return present;
}
std::vector<uint64_t> ByStore(const Selection& selection, const EvaluationTimes& times) {
  std::vector<uint64_t> present(selection.size() * PresenceWords(times.count), ~uint64_t{0});
  EXPECT_TRUE(selection.ReadPresence(0, selection.size(), times, kLookback, present).ok());
  return present;
}

TEST(StorePresence, IsWhatReadingTheSamplesSays) {
  for (const uint64_t seed : TestSeeds(2)) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Fleet fleet(seed);
    uint64_t present = 0;
    uint64_t absent = 0;
    for (int phase = 0; phase < 5; ++phase) {
      fleet.Scrape(phase == 4 ? 20 : 140);
      if (phase == 1) fleet.WriteLate();
      if (phase == 2) fleet.DeleteSome();
      if (phase < 3) fleet.Settle();
      const auto selection = fleet.SelectAll();
      ASSERT_EQ(selection->size(), size_t{kTargets * kSeriesATarget});
      for (int n = 0; n < 25; ++n) {
        const int64_t at = n == 0 ? fleet.now_ms() : fleet.RandomTime();
        const EvaluationTimes once{.first_ms = at};
        const auto found = ByStore(*selection, once);
        ASSERT_EQ(BySamples(*selection, once), found) << "at " << at << ", phase " << phase;
        for (const uint64_t word : found) ++(word == 0 ? absent : present);
        const EvaluationTimes often{.first_ms = at, .step_ms = 20'000, .count = 70};
        ASSERT_EQ(BySamples(*selection, often), ByStore(*selection, often));
      }
    }
    EXPECT_GT(present, 0U);
    EXPECT_GT(absent, 0U);
  }
}

}  // namespace
}  // namespace basalt::storage
