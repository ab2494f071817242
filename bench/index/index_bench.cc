// bench/index -- inserts, selections and the load at open, on a fleet of node exporters.
//
// Shape: targets with 500 series each over 100 metrics (five label sets a metric), so 200 k series
// are 400 targets; a fifth of the metrics are histogram buckets with `le`. One partition, unless
// said otherwise: eight of them are eight times this.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "storage/index/index.h"
#include "storage/parts/database.h"
#include "storage/parts/index_source.h"
#include "storage/parts/runs.h"
#include "storage/resolver.h"

namespace basalt::storage {
namespace {

constexpr uint16_t kDay = 20'000;
constexpr TimeRange kToday{kDay * kMsPerDay, (kDay + 1) * kMsPerDay - 1};
constexpr size_t kSeriesPerTarget = 500;

struct Definition {
  SeriesId id;
  std::string canonical;
};

std::vector<Definition> Fleet(size_t series) {
  std::vector<Definition> out;
  out.reserve(series);
  for (size_t i = 0; i < series; ++i) {
    const size_t target = i / kSeriesPerTarget;
    const size_t metric = i % kSeriesPerTarget / 5;
    const size_t variant = i % 5;
    std::vector<Label> labels{
        {"__name__", "node_metric_" + std::to_string(metric) + (metric % 5 == 0 ? "_bucket" : "")},
        {"job", "node"},
        {"instance", "host-" + std::to_string(target) + ".example:9100"},
        {"cluster", "c" + std::to_string(target % 4)},
        {"device", "dev" + std::to_string(variant)},
        {"mode", "mode-" + std::to_string(metric % 7)}};
    if (metric % 5 == 0) labels.push_back({"le", std::to_string(1 << variant)});
    Definition d;
    AppendCanonical(Labels(std::move(labels)), d.canonical);
    d.id = MakeSeriesId(kDefaultTenant, d.canonical);
    out.push_back(std::move(d));
  }
  return out;
}

void Fill(PartitionIndex& index, const std::vector<Definition>& fleet) {
  for (const Definition& d : fleet) {
    index.MarkActive(index.Insert(kDefaultTenant, d.id, d.canonical).value(), kDay);
  }
}

const PartitionIndex& Shared() {
  static const PartitionIndex* const kIndex = [] {
    auto* index = new PartitionIndex(PartitionId{0});
    Fill(*index, Fleet(200'000));
    return index;
  }();
  return *kIndex;
}

void BM_Insert(benchmark::State& state) {
  const auto fleet = Fleet(static_cast<size_t>(state.range(0)));
  uint64_t bytes = 0;
  for (auto _ : state) {
    PartitionIndex index{PartitionId{0}};
    Fill(index, fleet);
    bytes = index.Stats().bytes;
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.counters["bytes_per_series"] =
      static_cast<double>(bytes) / static_cast<double>(state.range(0));
}
BENCHMARK(BM_Insert)->Arg(200'000)->Unit(benchmark::kMillisecond);

void BM_Find(benchmark::State& state) {
  const auto fleet = Fleet(200'000);
  const PartitionIndex& index = Shared();
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(index.Find(fleet[i].id));
    i = (i + 7919) % fleet.size();
  }
}
BENCHMARK(BM_Find);

void Select(benchmark::State& state, const MatcherSet& matchers) {
  const PartitionIndex& index = Shared();
  size_t found = 0;
  for (auto _ : state) {
    found = index.Select(kDefaultTenant, matchers, kToday, SIZE_MAX).value()->size();
  }
  state.counters["series"] = static_cast<double>(found);
}
void BM_SelectMetric(benchmark::State& state) {
  Select(state, {{MatchType::kEqual, "__name__", "node_metric_7"}});
}
void BM_SelectMetricAndInstance(benchmark::State& state) {
  Select(state, {{MatchType::kEqual, "__name__", "node_metric_7"},
                 {MatchType::kEqual, "instance", "host-17.example:9100"}});
}
void BM_SelectRegexOfInstances(benchmark::State& state) {
  Select(state, {{MatchType::kEqual, "__name__", "node_metric_7"},
                 {MatchType::kRegex, "instance", "host-1[0-9]+\\.example:.*"}});
}
void BM_SelectNegative(benchmark::State& state) {
  Select(state, {{MatchType::kRegex, "__name__", "node_metric_1.*"},
                 {MatchType::kNotEqual, "cluster", "c1"},
                 {MatchType::kEqual, "le", ""}});
}
void BM_SelectEverything(benchmark::State& state) { Select(state, {}); }
BENCHMARK(BM_SelectMetric)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_SelectMetricAndInstance)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_SelectRegexOfInstances)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_SelectNegative)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_SelectEverything)->Unit(benchmark::kMicrosecond);

// A label with 200 k values, as a careless path or id is.
const PartitionIndex& ManyValues() {
  static const PartitionIndex* const kIndex = [] {
    auto* index = new PartitionIndex(PartitionId{0});
    std::string canonical;
    for (size_t i = 0; i < 200'000; ++i) {
      canonical.clear();
      AppendCanonical(Labels{{"__name__", "requests_total"},
                             {"instance", "host-1.example:9100"},
                             {"job", "api"},
                             {"path", "/api/v1/users/" + std::to_string(i * 7919) + "/orders"}},
                      canonical);
      const SeriesId id = MakeSeriesId(kDefaultTenant, canonical);
      index->MarkActive(index->Insert(kDefaultTenant, id, canonical).value(), kDay);
    }
    return index;
  }();
  return *kIndex;
}

// `pattern` with a number that never comes again for "@": nothing of it is in the cache.
void RegexOfManyValues(benchmark::State& state, const std::string& pattern) {
  const PartitionIndex& index = ManyValues();
  size_t found = 0;
  size_t number = 1000;
  for (auto _ : state) {
    std::string one = pattern;
    if (const size_t at = one.find('@'); at != std::string::npos)
      one.replace(at, 1, std::to_string(++number));
    found = index.Select(kDefaultTenant, {{MatchType::kRegex, "path", one}}, kToday, SIZE_MAX)
                .value()
                ->size();
  }
  state.counters["series"] = static_cast<double>(found);
}
void BM_ManyValuesLiteralPieces(benchmark::State& state) {
  RegexOfManyValues(state, "/api/v1/users/.*@.*/orders");
}
void BM_ManyValuesAutomaton(benchmark::State& state) {
  RegexOfManyValues(state, "/api/v1/users/[0-9]+@[0-9]*/orders");
}
void BM_ManyValuesAutomatonAgain(benchmark::State& state) {
  RegexOfManyValues(state, "/api/v1/users/[0-9]+1234[0-9]*/orders");
}
void BM_ManyValuesAlternatives(benchmark::State& state) {
  RegexOfManyValues(state, "/api/v1/users/(7919|15838|@)/orders");
}
BENCHMARK(BM_ManyValuesLiteralPieces)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_ManyValuesAutomaton)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_ManyValuesAutomatonAgain)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_ManyValuesAlternatives)->Unit(benchmark::kMicrosecond);

// What /api/v1/status/tsdb asks.
void BM_CountLabels(benchmark::State& state) {
  const PartitionIndex& index = Shared();
  for (auto _ : state) {
    uint64_t pairs = 0;
    const auto series =
        index.CountLabels(kDefaultTenant, {}, kToday, [&](const LabelView&, uint64_t) { ++pairs; });
    benchmark::DoNotOptimize(series.value() + pairs);
  }
}
BENCHMARK(BM_CountLabels)->Unit(benchmark::kMicrosecond);

void BM_LabelsOfEverySeries(benchmark::State& state) {
  const auto set = Shared().Select(kDefaultTenant, {}, kToday, SIZE_MAX).value();
  for (auto _ : state) {
    size_t bytes = 0;
    for (size_t i = 0; i < set->size(); ++i) bytes += set->label(i, "instance").size();
    benchmark::DoNotOptimize(bytes);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(set->size()));
}
BENCHMARK(BM_LabelsOfEverySeries)->Unit(benchmark::kMillisecond);

// Commits 1 M series in eight partitions, then opens: RocksDB, manifest, index.
void BM_OpenWithSeries(benchmark::State& state) {
  std::string root = std::filesystem::temp_directory_path().string() + "/basalt-bench-XXXXXX";
  if (::mkdtemp(root.data()) == nullptr) {
    state.SkipWithError("no temporary directory");
    return;
  }
  constexpr uint16_t kPartitions = 8;
  DatabaseOptions options;
  options.directory = root + "/db";
  {
    const auto fleet = Fleet(static_cast<size_t>(state.range(0)));
    const auto database = Database::Open(options).value();
    const auto store = RunStore::Open(*database).value();
    std::vector<std::unique_ptr<PartitionIndex>> partitions;
    for (uint16_t p = 0; p < kPartitions; ++p) {
      partitions.push_back(std::make_unique<PartitionIndex>(PartitionId{p}));
    }
    for (const Definition& d : fleet) {
      const auto labels = ParseCanonical(d.canonical).value();
      const PartitionId p = PlacementPartition(kDefaultTenant, labels, kPartitions);
      PartitionIndex& index = *partitions[static_cast<size_t>(p)];
      index.MarkActive(index.Insert(kDefaultTenant, d.id, d.canonical).value(), kDay);
    }
    RunCommit commit;
    for (const auto& index : partitions) commit.index.push_back(index->PrepareFlush());
    if (!store->Commit(std::move(commit)).ok() || !database->Close().ok()) {
      state.SkipWithError("commit failed");
      return;
    }
  }
  uintmax_t disk = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(root)) {
    if (file.is_regular_file()) disk += file.file_size();
  }
  for (auto _ : state) {
    const auto database = Database::Open(options).value();
    const auto store = RunStore::Open(*database).value();
    const auto source = MakeIndexSource(*database);
    uint64_t series = 0;
    for (uint16_t p = 0; p < kPartitions; ++p) {
      PartitionIndex index{PartitionId{p}};
      if (!index.Load(*source, store->Counts(PartitionId{p})).ok()) state.SkipWithError("load");
      series += index.Stats().series;
    }
    if (series != static_cast<uint64_t>(state.range(0))) state.SkipWithError("series are missing");
  }
  state.counters["disk_bytes_per_series"] =
      static_cast<double>(disk) / static_cast<double>(state.range(0));
  std::filesystem::remove_all(root);
}
BENCHMARK(BM_OpenWithSeries)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace basalt::storage
