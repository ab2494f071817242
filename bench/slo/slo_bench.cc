// What SLOs cost: a sample in the write path, and a sweep.
//
//   cmake --preset bench && cmake --build --preset bench -t slo_bench
//   build/bench/bin/slo_bench --benchmark_repetitions=10 --benchmark_report_aggregates_only=true
#include <benchmark/benchmark.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "engine/slo/slo_files.h"
#include "engine/slo/slo_set.h"
#include "tests/engine/slo/fake_store.h"

namespace basalt::slo {
namespace {

constexpr int64_t kStartMs = 1'700'000'003'217;
constexpr int64_t kScrapeMs = 15'000;

// Of this thread alone, so that neighbours on the machine do not count.
double ThreadCpuSeconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// Memory of the process that is there, not merely reserved.
double ResidentBytes() {
  std::ifstream in("/proc/self/statm");
  double pages = 0;
  in >> pages >> pages;
  return pages * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

// As many SLOs as `groups` need: each counts the series of its own job, a hundred thousand tenants.
std::vector<Definition> GroupedSlos(size_t groups) {
  std::string text =
      "version: prometheus/v1\nservice: shop\nlabels: {owner: team-checkout}\nslos:\n";
  for (size_t first = 0; first < groups; first += kMaxGroupsPerSlo) {
    const std::string job = "shop" + std::to_string(first / kMaxGroupsPerSlo);
    text += "  - name: " + job + R"(
    objective: 99.9
    sli:
      events:
        error_query: sum by (tenant) (rate(errors_total{job=")" +
            job + R"("}[{{.window}}]))
        total_query: sum by (tenant) (rate(requests_total{job=")" +
            job + R"("}[{{.window}}]))
    alerting: {name: ShopErrors}
)";
  }
  return CheckSloText(text, "bench.yml").definitions;
}

Labels SeriesOf(const char* metric, size_t group) {
  return Labels{{"__name__", metric},
                {"job", "shop" + std::to_string(group / kMaxGroupsPerSlo)},
                // Groups of one target are scraped together: 3000 is a multiple of one_in.
                {"instance", "i" + std::to_string(group % 3000)},
                {"tenant", "t" + std::to_string(group)}};
}

// One call of OnSamples with 1000 samples, of which none or all are tapped.
void BM_Tap(benchmark::State& state) {
  const bool tapped = state.range(0) != 0;
  const std::vector<Definition> definitions = GroupedSlos(1);
  const TapIndex index(definitions);
  Taps taps(index, 1);
  Drained drained;
  constexpr size_t kSeries = 1000;
  std::vector<storage::TapId> ids(kSeries, storage::kNoTap);
  std::vector<PrimedLeaf> primed;
  if (tapped) {
    for (size_t i = 0; i < kSeries; ++i) {
      ids[i] = taps.OnSeries(PartitionId{0}, SeriesOrdinal{static_cast<uint32_t>(i)},
                             kDefaultTenant, SeriesOf("requests_total", i));
      primed.push_back(
          {static_cast<LeafNumber>(i), {kStartMs - kScrapeMs, 0, 0, 0, true, false}, {}});
    }
    LeafEvents events;
    taps.Drain(PartitionId{0}, drained);
    taps.Prime(PartitionId{0}, primed, events);
  }
  std::vector<int64_t> times(kSeries, kStartMs);
  std::vector<double> values(kSeries, 1);
  const std::vector<int64_t> starts(kSeries, storage::kNoStartMs);
  const std::vector<storage::SampleKind> kinds(kSeries, storage::SampleKind::kInOrder);
  int rounds = 0;
  for (auto _ : state) {
    taps.OnSamples({PartitionId{0}, {0, 1}, ids, times, values, starts, kinds});
    for (size_t i = 0; i < kSeries; ++i) {
      times[i] += kScrapeMs;
      values[i] += 3;
    }
    if (++rounds % 100 == 0) {
      state.PauseTiming();
      taps.Drain(PartitionId{0}, drained);
      state.ResumeTiming();
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kSeries));
}
BENCHMARK(BM_Tap)->Arg(0)->Arg(1)->ArgName("tapped");

// A sweep over `groups` groups of which one in `one_in` has a new round (two leaves), eight windows
// and four conditions each. 150 is a 15 s interval over sweeps of 100 ms; 1 is everybody at once.
void BM_Sweep(benchmark::State& state) {
  const auto groups = static_cast<size_t>(state.range(0));
  const auto one_in = static_cast<size_t>(state.range(1));
  const double resident_before = ResidentBytes();
  FakeClock clock(kStartMs);
  FakeStore store(8);
  SloSet set(GroupedSlos(groups), store, {.clock = &clock},
             [](const auto&, const auto&, Severity) { return std::optional<int64_t>(); });
  std::vector<Transition> transitions;
  if (!set.Load(transitions).ok()) return state.SkipWithError("load");
  // Observing directly: the fake store would keep every sample.
  std::vector<storage::TapId> taps;
  storage::ApplyObserver* observer = store.observer();
  for (size_t g = 0; g < groups; ++g) {
    for (const char* metric : {"requests_total", "errors_total"}) {
      taps.push_back(observer->OnSeries(PartitionId{static_cast<uint16_t>(g % 8)},
                                        SeriesOrdinal{static_cast<uint32_t>(taps.size())},
                                        kDefaultTenant, SeriesOf(metric, g)));
    }
  }
  int64_t round = 0;
  const auto report = [&](size_t first, size_t step) {
    ++round;
    const storage::SampleKind kind = storage::SampleKind::kInOrder;
    const int64_t start = storage::kNoStartMs;
    for (size_t g = first; g < groups; g += step) {
      const int64_t t = kStartMs + round * kScrapeMs / static_cast<int64_t>(step);
      for (size_t leaf = 0; leaf < 2; ++leaf) {
        const double value = static_cast<double>(round) * (leaf == 0 ? 1000 : 1);
        observer->OnSamples({PartitionId{static_cast<uint16_t>(g % 8)},
                             {0, 1},
                             {&taps[2 * g + leaf], 1},
                             {&t, 1},
                             {&value, 1},
                             {&start, 1},
                             {&kind, 1}});
      }
    }
    clock.Set(kStartMs + round * kScrapeMs / static_cast<int64_t>(step) + 100);
  };
  const auto sweep = [&] {
    const double begin = ThreadCpuSeconds();
    const bool ok = set.Sweep(transitions).ok();
    const double took = ThreadCpuSeconds() - begin;
    if (!ok) state.SkipWithError("sweep");
    return took;
  };
  report(0, 1);
  while (set.stats().primed_leaves < 2 * groups) (void)sweep();  // each has a budget
  (void)sweep();
  round = static_cast<int64_t>(one_in) * 2;
  std::vector<double> times;
  for (auto _ : state) {
    report(static_cast<size_t>(round) % one_in, one_in);
    times.push_back(sweep());
    state.SetIterationTime(times.back());
  }
  // Beyond max_groups they would share one group, and the numbers below would be of fewer.
  for (SloIndex slo = 0; slo < set.definitions().size(); ++slo) {
    if (set.other_series_of(slo) > 0) return state.SkipWithError("groups beyond max_groups");
  }
  std::sort(times.begin(), times.end());
  state.counters["p99_ms"] = 1e3 * times[times.size() * 99 / 100];
  state.counters["rounds"] = static_cast<double>(set.stats().rounds);
  state.counters["p50_ms"] = 1e3 * times[times.size() / 2];
  state.counters["slot_bytes_per_group"] = static_cast<double>(set.slots().bytes_per_group());
  // Everything: taps, leaves, groups, slots. Slots that no time has reached yet cost nothing, so
  // they are counted in full above.
  state.counters["resident_bytes_per_group"] =
      (ResidentBytes() - resident_before) / static_cast<double>(groups);
}
BENCHMARK(BM_Sweep)
    ->Args({100'000, 150})
    ->Args({100'000, 1})
    ->Args({1'000'000, 150})
    ->Args({1'000, 1})
    ->ArgNames({"groups", "one_in"})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond)
    ->Iterations(300);

}  // namespace
}  // namespace basalt::slo
