// Random work against the plainest model there is, compared by bits.
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <map>
#include <thread>

#include "storage/apply_observer.h"
#include "storage/store.h"
#include "tests/storage/store_model.h"
#include "tests/support/faulty_env.h"
#include "tests/support/faulty_files.h"
#include "tests/support/simulated_disk.h"

namespace basalt::storage {
namespace {

constexpr int64_t kBegin = 1'700'000'000'000;

// A disk in memory: these tests commit thousands of times, and a real one would spend minutes on
// fsync.
struct MemoryDisk {
  explicit MemoryDisk(uint64_t seed) : disk(seed) {
    BASALT_CHECK(disk.MakeDirectory("/disk").ok());
  }
  testing::SimulatedDisk disk;
  std::unique_ptr<Files> files = testing::MakeFaultyFiles(disk);
  std::unique_ptr<rocksdb::Env, testing::EnvDeleter> env = testing::MakeFaultyEnv(disk);
};

StoreOptions SmallOptions(const std::string& name, uint64_t seed, MemoryDisk& disk,
                          const Clock& clock) {
  BASALT_CHECK(disk.disk.MakeDirectory("/disk/" + name).ok());
  StoreOptions options;
  options.directory = "/disk/" + name;
  options.files = disk.files.get();
  options.env = disk.env.get();
  options.partitions = 1U << (seed % 3);
  // Small enough that rows fill, segments end and lists overflow many times in one run.
  options.seal_samples = 3 + static_cast<uint32_t>(seed % 20);
  options.head_samples = 0;  // rows are full at once, so that seals are many
  options.segment_bytes = 64u << 10;
  options.block_cache_bytes = 4u << 20;
  options.clock = &clock;
  // Every second run finds its head in the log again, the others in runs.
  if (seed % 2 == 0) options.close_patience = Duration(0);
  return options;
}

// A snapshot and what it must show for as long as it lives.
struct HeldSnapshot {
  std::shared_ptr<const Snapshot> snapshot;
  ModelState state;
};

std::string Compare(const Snapshot& snapshot, const ModelState& model, TimeRange range = {}) {
  const auto found = ReadState(snapshot, range);
  return found.ok() ? Difference(Clipped(model, range), *found) : found.status().ToString();
}

// Keeps every tapped series by what it is told, from a snapshot at the cut on.
class Follower final : public ApplyObserver {
 public:
  TapId OnSeries(PartitionId partition, SeriesOrdinal, TenantId, const Labels& labels) override {
    if (labels.Get("le") == "1") return kNoTap;  // some are not wanted
    const MutexLock lock(mu_);
    taps_.push_back({partition, labels});
    return TapId{static_cast<uint32_t>(taps_.size())};
  }
  void OnSeriesGone(PartitionId, TapId) override {}
  void OnSamples(const TappedSamples& samples) override {
    const MutexLock lock(mu_);
    for (size_t i = 0; i < samples.taps.size(); ++i) {
      ModelSample& sample =
          state_[taps_.at(static_cast<size_t>(samples.taps[i]) - 1).labels][samples.time_ms[i]];
      sample = {.bits = std::bit_cast<uint64_t>(samples.values[i]),
                .histogram = {},
                .start_ms = samples.start_ms[i]};
    }
  }
  void OnDelete(const TappedDelete& deletion) override {
    const MutexLock lock(mu_);
    std::erase_if(
        state_[taps_.at(static_cast<size_t>(deletion.tap) - 1).labels],
        [&](const auto& s) { return deletion.start_ms <= s.first && s.first <= deletion.end_ms; });
  }

  // Takes over what a partition held when the observer came.
  void Begin(PartitionId partition, const ModelState& state) {
    const MutexLock lock(mu_);
    for (const Tap& tap : taps_) {
      if (tap.partition == partition && state.contains(tap.labels))
        state_[tap.labels] = state.at(tap.labels);
    }
  }
  ModelState state() {
    const MutexLock lock(mu_);
    return state_;
  }

 private:
  struct Tap {
    PartitionId partition;
    Labels labels;
  };
  Mutex mu_;
  std::deque<Tap> taps_;
  ModelState state_;
};

TEST(StoreProperty, HoldsWhatTheModelHoldsWhateverHappens) {
  for (const uint64_t seed : TestSeeds(16)) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const bool real_disk = seed % 8 == 0;
    TemporaryDirectory temp;
    MemoryDisk disk(seed);
    ManualClock clock(kBegin);
    Workload work(seed, kBegin);
    StoreOptions options = SmallOptions("data", seed, disk, clock);
    if (real_disk) {
      options.directory = temp.path("data");
      options.files = nullptr;
      options.env = nullptr;
    }
    auto opened = Store::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    std::unique_ptr<Store> store = std::move(*opened);
    ModelState model;
    std::deque<HeldSnapshot> held;
    int copies = 0;
    for (int step = 0; step < 250; ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      switch (work.Random(60)) {
        case 0:
          ASSERT_TRUE(store->Settle().ok());
          break;
        case 1:
        case 2:
          clock.Advance(std::chrono::hours(3));
          store->SealIfDue();
          break;
        case 3: {
          held.clear();
          ASSERT_TRUE(store->Close().ok());
          store.reset();
          opened = Store::Open(options);
          ASSERT_TRUE(opened.ok()) << opened.status().ToString();
          store = std::move(*opened);
          ASSERT_EQ(Compare(**store->reader().TakeSnapshot(), model), "") << "after reopening";
          break;
        }
        case 4: {
          const MatcherSet matchers = work.RandomMatchers();
          const TimeRange range = work.RandomRange();
          ASSERT_TRUE(store->Delete({.any_of = {matchers}, .range = range}).ok());
          DeleteFrom(model, matchers, range);
          break;
        }
        case 5:
          if (held.size() > 2) held.pop_front();
          held.push_back({*store->reader().TakeSnapshot(), model});
          break;
        case 6: {
          const TimeRange range = work.RandomRange();
          ASSERT_EQ(Compare(**store->reader().TakeSnapshot(), model, range), "");
          break;
        }
        case 7:
          if (real_disk && copies < 2) {
            const std::string copy = temp.path("copy" + std::to_string(copies++));
            const Status copied = store->Checkpoint(copy);
            ASSERT_TRUE(copied.ok()) << copied.ToString();
            StoreOptions of_copy = options;
            of_copy.directory = copy;
            auto second = Store::Open(of_copy);
            ASSERT_TRUE(second.ok()) << second.status().ToString();
            ASSERT_EQ(Compare(**(*second)->reader().TakeSnapshot(), model), "") << "of the copy";
          }
          break;
        default:
          for (const auto& request : work.NextRequests()) {
            const auto result = store->Append(MakeBatches(*store, request));
            ASSERT_TRUE(result.ok()) << result.status().ToString();
            // What is there when the request is over counts, so floats come before histograms of
            // the same time.
            for (const bool histograms : {false, true}) {
              for (const ModelWrite& write : request) {
                if (write.is_histogram == histograms) ApplyTo(model, write);
              }
            }
          }
      }
      if (step % 25 == 24) {
        ASSERT_EQ(Compare(**store->reader().TakeSnapshot(), model), "");
        for (const HeldSnapshot& h : held)
          ASSERT_EQ(Compare(*h.snapshot, h.state), "") << "of a held snapshot";
      }
    }
    ASSERT_TRUE(store->Settle().ok());
    ASSERT_EQ(Compare(**store->reader().TakeSnapshot(), model), "") << "at the end";
    for (const HeldSnapshot& h : held)
      ASSERT_EQ(Compare(*h.snapshot, h.state), "") << "of a held snapshot at the end";
  }
}

TEST(StoreProperty, AnObserverAndASnapshotAtItsCutMissNothing) {
  for (const uint64_t seed : TestSeeds(4)) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    MemoryDisk disk(seed);
    ManualClock clock(kBegin);
    Workload work(seed, kBegin);
    auto opened = Store::Open(SmallOptions("data", seed, disk, clock));
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    Store& store = **opened;
    ModelState model;
    const auto run = [&](int steps) {
      for (int step = 0; step < steps; ++step) {
        if (work.Random(30) == 0) {
          ASSERT_TRUE(store.Settle().ok());
        }
        if (work.Random(30) == 0) {
          const MatcherSet matchers = work.RandomMatchers();
          const TimeRange range = work.RandomRange();
          ASSERT_TRUE(store.Delete({.any_of = {matchers}, .range = range}).ok());
          DeleteFrom(model, matchers, range);
        }
        for (auto request : work.NextRequests()) {
          std::erase_if(request, [](const ModelWrite& w) { return w.is_histogram; });
          ASSERT_TRUE(store.Append(MakeBatches(store, request)).ok());
          for (const ModelWrite& write : request) ApplyTo(model, write);
        }
      }
    };
    run(60);
    // Writers go on while the observer comes: the cut has to be exact.
    Follower follower;
    std::atomic<bool> stop{false};
    std::thread writer([&] {
      for (int i = 0; !stop; ++i) {
        const Labels labels{
            {"__name__", "busy"}, {"instance", "host" + std::to_string(i % 4)}, {"job", "node"}};
        ASSERT_TRUE(
            store.Append(MakeBatches(store, {{labels, kBegin + i, static_cast<double>(i)}})).ok());
      }
    });
    store.Observe(&follower, [&](PartitionId partition) {
      const auto state = ReadState(**store.reader().TakeSnapshot());
      ASSERT_TRUE(state.ok());
      follower.Begin(partition, *state);
    });
    run(20);
    stop = true;
    writer.join();
    run(40);
    auto found = ReadState(**store.reader().TakeSnapshot());
    ASSERT_TRUE(found.ok());
    std::erase_if(*found, [](const auto& s) { return s.first.Get("le") == "1"; });
    ASSERT_EQ(Difference(*found, follower.state()), "");
    store.Observe(nullptr, {});
  }
}

TEST(StoreConcurrency, ReadersSeeWholeRequestsWhileWritersAndSealsGoOn) {
  const uint64_t seed = TestSeeds(1).front();
  TemporaryDirectory temp;
  StoreOptions options;
  options.directory = temp.path("data");
  options.partitions = 4;
  options.seal_samples = 16;
  options.head_samples = 0;  // rows are full at once, so that seals are many
  options.segment_bytes = 256u << 10;
  auto opened = Store::Open(options);
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  Store& store = **opened;
  constexpr int kWriters = 3;
  constexpr int kRequests = 250;
  constexpr int kSeriesPerRequest = 20;
  // Writer w's request r puts value r at time r for each of its series, all of one target: one
  // partition, one step.
  const auto labels = [](int w, int s) {
    return Labels{
        {"__name__", "m" + std::to_string(s)}, {"instance", "w" + std::to_string(w)}, {"job", "j"}};
  };
  std::array<std::atomic<int>, kWriters> acknowledged{};
  std::atomic<int> writing{kWriters};
  std::vector<std::thread> threads;
  for (int w = 0; w < kWriters; ++w) {
    threads.emplace_back([&, w] {
      for (int r = 1; r <= kRequests; ++r) {
        std::vector<ModelWrite> request;
        for (int s = 0; s < kSeriesPerRequest; ++s)
          request.push_back({labels(w, s), kBegin + r, static_cast<double>(r)});
        ASSERT_TRUE(store.Append(MakeBatches(store, request)).ok());
        acknowledged[static_cast<size_t>(w)] = r;
      }
      --writing;
    });
  }
  threads.emplace_back([&] {
    while (writing > 0) ASSERT_TRUE(store.Settle().ok());
  });
  for (int reader = 0; reader < 2; ++reader) {
    threads.emplace_back([&, reader] {
      Workload random(seed + static_cast<uint64_t>(reader), kBegin);
      while (writing > 0) {
        const auto w = random.Random(kWriters);
        const int least = acknowledged[w];
        const auto snapshot = *store.reader().TakeSnapshot();
        int first = -1;
        for (uint32_t p = 0; p < snapshot->partition_count(); ++p) {
          const auto selection = snapshot->Select(
              kDefaultTenant, static_cast<PartitionId>(p),
              {{MatchType::kEqual, "instance", "w" + std::to_string(w)}}, {}, SIZE_MAX);
          ASSERT_TRUE(selection.ok());
          const auto cursor = (*selection)->Read(0, (*selection)->size(), {});
          SeriesColumns columns;
          while (true) {
            const auto more = cursor->Next(columns);
            ASSERT_TRUE(more.ok()) << more.status().ToString();
            if (!*more) break;
            const int count = static_cast<int>(columns.values.size());
            if (first < 0) first = count;
            ASSERT_EQ(count, first) << "half a request is visible";
            ASSERT_GE(count, least) << "an acknowledged request is missing";
            for (int i = 0; i < count; ++i) {
              ASSERT_EQ(columns.time_ms[static_cast<size_t>(i)], kBegin + i + 1);
              ASSERT_EQ(columns.values[static_cast<size_t>(i)], i + 1);
            }
          }
        }
        ASSERT_GE(std::max(first, 0), least);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(store.Settle().ok());
  EXPECT_EQ(store.Stats().run_samples,
            static_cast<uint64_t>(kWriters * kRequests * kSeriesPerRequest));
}

}  // namespace
}  // namespace basalt::storage
