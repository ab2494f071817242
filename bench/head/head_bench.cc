// What a sample costs in the head: apply, read, and memory a series. Scrapes of targets with 1000
// series, 15 s apart; shapes of values as in design/storage.md: most repeat, counters step, some
// are noise.
#include <benchmark/benchmark.h>

#include <random>
#include <string>

#include "storage/head/partition_head.h"
#include "storage/resolver.h"

namespace basalt::storage {
namespace {

constexpr int kSeriesPerTarget = 1000;

class Scrapes {
 public:
  Scrapes(int targets, PartitionIndex& index)
      : values_(static_cast<size_t>(targets) * kSeriesPerTarget) {
    for (int target = 0; target < targets; ++target) {
      IngestBatch batch;
      for (int i = 0; i < kSeriesPerTarget; ++i) {
        const Labels labels{{"__name__", "metric_" + std::to_string(i / 10)},
                            {"instance", "host" + std::to_string(target)},
                            {"job", "node"},
                            {"le", std::to_string(i % 10)}};
        std::string canonical;
        AppendCanonical(labels, canonical);
        const SeriesId id = MakeSeriesId(kDefaultTenant, canonical);
        const auto ordinal = index.Insert(kDefaultTenant, id, canonical);
        BASALT_CHECK(ordinal.ok());
        batch.series.push_back({.ordinal = *ordinal, .id = id});
        batch.sample_series.push_back(static_cast<uint32_t>(i));
      }
      batch.sample_ms.resize(kSeriesPerTarget);
      batch.sample_value.resize(kSeriesPerTarget);
      batches_.push_back(std::move(batch));
    }
  }

  // The next scrape of one target.
  const IngestBatch& Next(int target) {
    IngestBatch& batch = batches_[static_cast<size_t>(target)];
    const int64_t time = now_ms_ + target;
    for (size_t i = 0; i < kSeriesPerTarget; ++i) {
      double& value = values_[static_cast<size_t>(target) * kSeriesPerTarget + i];
      if (i % 10 == 0) {
        value += static_cast<double>(random_() % 100);  // a counter under load
      } else if (i % 10 == 1) {
        value = static_cast<double>(random_() % 1'000'000) / 1000;  // a noisy gauge
      } else if (random_() % 5 == 0) {
        value += 1;
      }
      batch.sample_ms[i] = time;
      batch.sample_value[i] = value;
    }
    return batch;
  }
  void Tick() { now_ms_ += 15'000; }

 private:
  std::mt19937_64 random_{1};
  std::vector<IngestBatch> batches_;
  std::vector<double> values_;
  int64_t now_ms_ = 1'700'000'000'000;
};

// Range: targets. Seals are played by freezing and dropping every 120 scrapes, outside the measured
// time.
void BM_Apply(benchmark::State& state) {
  const int targets = static_cast<int>(state.range(0));
  PartitionIndex index(PartitionId{0});
  Scrapes scrapes(targets, index);
  PartitionHead head(PartitionId{0}, index, 120);
  uint64_t seq = 0;
  int target = 0;
  int scrape = 0;
  ApplyCounts counts;
  for (auto _ : state) {
    state.PauseTiming();
    const IngestBatch& batch = scrapes.Next(target);
    state.ResumeTiming();
    head.Apply(batch, {.lane = 0, .seq = ++seq}, counts);
    if (++target == targets) {
      state.PauseTiming();
      target = 0;
      scrapes.Tick();
      if (++scrape % 120 == 0) {
        benchmark::DoNotOptimize(head.Freeze({.everything = true}));
        head.Drop();
      }
      state.ResumeTiming();
    }
  }
  state.SetItemsProcessed(state.iterations() * kSeriesPerTarget);
}
BENCHMARK(BM_Apply)->Arg(1)->Arg(100);

// Memory after as many scrapes as the argument says, of 100 targets: bytes a series and bytes a
// sample.
void BM_Memory(benchmark::State& state) {
  constexpr int kTargets = 100;
  HeadStats stats;
  for (auto _ : state) {
    PartitionIndex index(PartitionId{0});
    Scrapes scrapes(kTargets, index);
    PartitionHead head(PartitionId{0}, index, 120);
    uint64_t seq = 0;
    ApplyCounts counts;
    for (int64_t scrape = 0; scrape < state.range(0); ++scrape, scrapes.Tick()) {
      for (int target = 0; target < kTargets; ++target) {
        head.Apply(scrapes.Next(target), {.lane = 0, .seq = ++seq}, counts);
      }
    }
    stats = head.Stats();
  }
  state.counters["bytes_per_series"] =
      static_cast<double>(stats.bytes) / (kTargets * kSeriesPerTarget);
  state.counters["bytes_per_sample"] =
      static_cast<double>(stats.bytes) / static_cast<double>(stats.samples);
}
BENCHMARK(BM_Memory)->Arg(60)->Arg(120)->Iterations(1);

// Reads series of 60 open samples, a group after another.
void BM_Read(benchmark::State& state) {
  constexpr int kTargets = 10;
  PartitionIndex index(PartitionId{0});
  Scrapes scrapes(kTargets, index);
  PartitionHead head(PartitionId{0}, index, 120);
  uint64_t seq = 0;
  ApplyCounts counts;
  for (int scrape = 0; scrape < 60; ++scrape, scrapes.Tick()) {
    for (int target = 0; target < kTargets; ++target) {
      head.Apply(scrapes.Next(target), {.lane = 0, .seq = ++seq}, counts);
    }
  }
  std::vector<SeriesOrdinal> ordinals;
  for (uint32_t i = 0; i < index.series_count(); ++i) ordinals.push_back(SeriesOrdinal{i});
  const uint64_t view = head.OpenView();
  std::vector<SampleColumns> out;
  for (auto _ : state) {
    for (size_t i = 0; i < ordinals.size(); i += 256) {
      head.Read(view, std::span(ordinals).subspan(i, std::min<size_t>(256, ordinals.size() - i)),
                {}, DeleteSnapshot({}), out);
      benchmark::DoNotOptimize(out.data());
    }
  }
  head.CloseView(view);
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(ordinals.size()) * 60);
}
BENCHMARK(BM_Read);

}  // namespace
}  // namespace basalt::storage
