// Event counters: what is stored of them between any two times is what was counted there.
//
// BASALT_SLO_SEEDS=1000 plays that many random days; BASALT_SLO_SEED=7 plays that one.
#include "engine/slo/event_counters.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/stale.h"
#include "engine/slo/slo_files.h"
#include "tests/engine/slo/scenario.h"

namespace basalt::slo {
namespace {

constexpr int64_t kMinuteMs = 60'000;
constexpr int64_t kHourMs = 3'600'000;

std::vector<CounterPoint> Continue(const std::vector<CounterPoint>& stored,
                                   const std::vector<CountedEvents>& steps) {
  return ContinueCounters(stored, steps);
}

TEST(ContinueCounters, AddsWhatWasCountedSinceTheLastValue) {
  EXPECT_EQ(Continue({{60, 5, 100}}, {{120, 1, 10}, {180, 1, 30}}),
            (std::vector<CounterPoint>{{120, 6, 110}, {180, 6, 130}}));
}
TEST(ContinueCounters, WritesOnlyWhatDiffers) {
  EXPECT_EQ(Continue({{60, 5, 100}, {120, 6, 110}, {180, 6, 120}},
                     {{120, 1, 10}, {180, 1, 30}, {240, 1, 30}}),
            (std::vector<CounterPoint>{{180, 6, 130}, {240, 6, 130}}));
}
TEST(ContinueCounters, NeverFalls) {
  EXPECT_EQ(Continue({{60, 5, 100}}, {{120, 3, 10}, {180, 2, 8}, {240, 4, 12}}),
            (std::vector<CounterPoint>{{120, 8, 110}, {180, 8, 110}, {240, 9, 112}}));
}
TEST(ContinueCounters, BetweenLongStepsValuesKeepTheirShapeOrLieEvenly) {
  const std::vector<CounterPoint> stored = {
      {0, 0, 0}, {100, 0, 10}, {600, 0, 100}, {700, 0, 190}, {1200, 0, 200}};
  // Ten more in the first step, none in the second.
  EXPECT_EQ(
      Continue(stored, {{600, 0, 120}, {1200, 0, 220}}),
      (std::vector<CounterPoint>{{100, 0, 20}, {600, 0, 120}, {700, 0, 210}, {1200, 0, 220}}));
}
TEST(ContinueCounters, WhatLiesAfterTheLastStepStays) {
  EXPECT_TRUE(Continue({{60, 5, 100}, {120, 6, 110}, {180, 6, 120}}, {{120, 1, 10}}).empty());
}
TEST(ContinueCounters, WithoutAStartThereIsNothing) {
  EXPECT_TRUE(Continue({}, {{120, 1, 10}}).empty());
}

using Stored = std::map<Labels, std::map<int64_t, CounterPoint>>;  // by labels without a name

class Day {
 public:
  explicit Day(const std::string& group_by = "", int64_t start_ms = kStartMs)
      : s(group_by, "", start_ms) {
    counters = std::make_unique<EventCounters>(*s.evaluator, s.store);
  }
  void Restart(int64_t now_ms) {
    counters.reset();
    s.Restart(now_ms);
    counters = std::make_unique<EventCounters>(*s.evaluator, s.store);
  }
  // Sweeps and records. `fails`: what was given is not stored.
  std::vector<EventCounters::Sample> Record(int64_t now_ms, bool fails = false) {
    s.Sweep(now_ms);
    std::vector<EventCounters::Sample> samples;
    alive.clear();
    const Status status = counters->Next(kDefaultTenant, 1000, samples, alive);
    EXPECT_TRUE(status.ok()) << status.ToString();
    if (fails) return samples;
    for (const auto& sample : samples) s.store.Write(sample.labels, sample.time_ms, sample.value);
    counters->Written();
    return samples;
  }
  [[nodiscard]] Stored Found() const {
    Stored out;
    for (const auto& series : s.store.series()) {
      const bool is_bad = series->labels.metric_name() == kBadEventsName;
      if (!is_bad && series->labels.metric_name() != kTotalEventsName) continue;
      Labels labels = series->labels;
      labels.Remove(kMetricName);
      for (const auto& [t, point] : series->points) {
        if (IsStaleMarker(point.value)) continue;
        CounterPoint& at = out[labels][t];
        at.time_ms = t;
        (is_bad ? at.bad : at.total) = point.value;
      }
    }
    return out;
  }
  // Counters never fall, and between any two multiples of `step_ms` they say what was counted
  // there, as do windows.
  void ExpectExact(int64_t head_ms, int64_t step_ms = kMinuteMs) {
    s.truth.Recount();
    for (const WindowView& window : windows_of_all ? s.View().windows : std::vector<WindowView>()) {
      const oracle::Sums sums = s.truth.Window(head_ms, window.length.count());
      EXPECT_NEAR(window.bad, static_cast<double>(sums.bad), 0.01) << window.length.count();
      EXPECT_NEAR(window.total, static_cast<double>(sums.total), 0.01) << window.length.count();
    }
    for (const auto& [labels, points] : Found()) {
      SCOPED_TRACE(labels.ToString());
      const CounterPoint first = points.begin()->second;
      EXPECT_EQ(first.total, 0) << "it begins at nothing";
      EXPECT_EQ(s.truth.Window(first.time_ms, 30 * 24 * kHourMs).total, 0)
          << "and nothing was before";
      CounterPoint before = first;  // of the step
      CounterPoint last = first;
      for (const auto& [t, point] : points) {
        SCOPED_TRACE("at +" + std::to_string(t - kStartMs) + " ms, " + std::to_string(head_ms - t) +
                     " ms ago");
        EXPECT_EQ(t % kMinuteMs, 0);
        ASSERT_GE(point.bad, last.bad);
        ASSERT_GE(point.total, last.total);
        last = point;
        if (t % step_ms != 0) continue;
        const oracle::Sums a = s.truth.Window(head_ms, head_ms - before.time_ms);
        const oracle::Sums b = s.truth.Window(head_ms, head_ms - t);
        ASSERT_NEAR(point.bad - before.bad, static_cast<double>(a.bad - b.bad), 0.01);
        ASSERT_NEAR(point.total - before.total, static_cast<double>(a.total - b.total), 0.01);
        before = point;
      }
    }
  }

  Scenario s;
  bool windows_of_all = true;  // nothing is excluded
  std::unique_ptr<EventCounters> counters;
  std::vector<Labels> alive;
};

// 100 requests every 15 s, of which one fails.
void Scrape(Scenario& s, const std::string& target, int64_t t, int n) {
  s.Write("requests " + target, t, 100.0 * n);
  s.Write("errors " + target, t, 1.0 * n);
}

// `rounds` scrapes of "a", one a minute from the `n`-th at `t` on, each recorded.
void GoOn(Day& day, int rounds, int& n, int64_t& t) {
  for (int i = 0; i < rounds; ++i, ++n, t += kMinuteMs) {
    Scrape(day.s, "a", t, n);
    day.Record(t + 200);
  }
}

TEST(EventCounters, CountOnAndOnEveryMinute) {
  Day day;
  int64_t t = kStartMs;
  for (int n = 1; n <= 60; ++n, t += 15'000) {
    Scrape(day.s, "a", t, n);
    day.Record(t + 200);
  }
  const Stored found = day.Found();
  ASSERT_EQ(found.size(), 1U);
  const Labels ids = {{"sloth_id", "shop-requests"},
                      {"sloth_service", "shop"},
                      {"sloth_slo", "requests"},
                      {"owner", "team-checkout"}};
  EXPECT_EQ(found.begin()->first, ids);
  EXPECT_EQ(found.begin()->second.size(), 16U) << "one a minute, and the nothing before them";
  EXPECT_EQ(day.alive.size(), 2U);
  day.ExpectExact(t - 15'000);
}

TEST(EventCounters, ARestartNeitherLosesNorResets) {
  Day day;
  int64_t t = kStartMs;
  for (int n = 1; n <= 120; ++n, t += 15'000) {
    // Down for a while: what was sent meanwhile is stored later.
    const bool down = n > 40 && n < 60;
    if (n % 7 == 0 && !down) day.Restart(t - 5'000);
    Scrape(day.s, "a", t, n);
    if (!down) day.Record(t + 200);
    if (!down) day.ExpectExact(t);
  }
  EXPECT_EQ(day.Found().begin()->second.size(), 31U);
}

TEST(EventCounters, WhatWasNotStoredIsGivenAgain) {
  Day day;
  int64_t t = kStartMs;
  for (int n = 1; n <= 40; ++n, t += 15'000) {
    Scrape(day.s, "a", t, n);
    day.Record(t + 200, /*fails=*/n % 5 != 0);
  }
  day.ExpectExact(t - 15'000);
  EXPECT_EQ(day.Found().begin()->second.rbegin()->first, (t - 15'000) / kMinuteMs * kMinuteMs);
}

TEST(EventCounters, LateSamplesCountWhereTheyBelong) {
  Day day;
  int64_t t = kStartMs;
  int n = 1;
  for (; n <= 400; ++n, t += 15'000) {
    Scrape(day.s, "a", t, n);
    if (n % 50 == 10) Scrape(day.s, "b", t, n);
    day.Record(t + 200);
  }
  // "b" was cut off, and now sends what it has: an hour and a half of it.
  for (int m = 11; m < 400; ++m) {
    if (m % 50 != 10) Scrape(day.s, "b", kStartMs + (m - 1) * 15'000, m);
  }
  for (int i = 0; i < 3; ++i, ++n, t += 15'000) {
    Scrape(day.s, "a", t, n);
    day.Record(t + 7'000);
    if (i == 0) day.Restart(t + 8'000);
  }
  day.Record(t + 7'000);
  day.ExpectExact(t - 15'000);
}

TEST(EventCounters, WhatComesLaterThanADayIsLeftToTheLedger) {
  Day day;
  int64_t t = kStartMs;
  int n = 1;
  Scrape(day.s, "b", t, 1);
  GoOn(day, 27 * 60, n, t);
  const CounterPoint before = day.Found().begin()->second.rbegin()->second;
  // 9900 more in the first hour, and 10000 more two hours ago.
  day.s.Write("requests b", kStartMs + 60'000, 10'000);
  day.s.Write("requests b", t - 2 * kHourMs - 60'000, 10'000);
  day.s.Write("requests b", t - 2 * kHourMs, 20'000);
  GoOn(day, 3, n, t);
  const CounterPoint after = day.Found().begin()->second.rbegin()->second;
  EXPECT_NEAR(after.total - before.total, 3 * 100 + 10'000, 0.01);
  // The ledger has all of it.
  EXPECT_NEAR(day.s.View().budget.consumed, n - 2, 0.01);
  day.s.truth.Recount();
  EXPECT_NEAR(day.s.View().windows.back().total,
              static_cast<double>(day.s.truth.Window(t - 60'000, 30 * 24 * kHourMs).total), 0.01);
}

TEST(EventCounters, DeletedSamplesTakeTheirEventsAlongAndNothingFalls) {
  Day day;
  int64_t t = kStartMs;
  for (int n = 1; n <= 200; ++n, t += 15'000) {
    Scrape(day.s, "a", t, n);
    day.Record(t + 200);
    if (n != 150) continue;
    const int64_t from = t - 40 * 15'000;
    for (const char* name : {"requests a", "errors a"}) {
      day.s.store.Delete(Scenario::LabelsOf(name), from, t - 10 * 15'000);
      auto& samples = day.s.truth.series[name].samples;
      samples.erase(samples.lower_bound(from), samples.upper_bound(t - 10 * 15'000));
    }
  }
  day.ExpectExact(t - 15'000);
}

TEST(EventCounters, AGroupBeginsAtNothingBeforeItsFirstEvents) {
  Day day("instance");
  int64_t t = kStartMs;
  for (int n = 1; n <= 60; ++n, t += 15'000) {
    Scrape(day.s, "a", t, n);
    if (n >= 20) {
      day.s.Write("up b", t - 1'000, 1);
      if (n >= 21) Scrape(day.s, "b", t, n - 20);
    }
    day.Record(t + 200);
  }
  const Stored found = day.Found();
  ASSERT_EQ(found.size(), 2U) << "and none of the total, which is their sum";
  const auto& [labels, points] = *found.rbegin();
  EXPECT_EQ(labels.Get("instance"), "b");
  EXPECT_EQ(points.begin()->second.total, 0);
  EXPECT_NEAR(points.rbegin()->second.total, 100 * 38, 200);
  EXPECT_GT(points.begin()->first, kStartMs + 4 * kMinuteMs);
}

TEST(EventCounters, ANewSloHasItsHistoryAtOnce) {
  Day day;
  ASSERT_TRUE(day.s.evaluator->SetDefinitions({}).ok());
  int64_t t = kStartMs;
  for (int n = 1; n <= 3 * 24 * 60; ++n, t += 60'000) Scrape(day.s, "a", t, n);
  EXPECT_TRUE(day.Record(t - 60'000 + 200).empty());
  ASSERT_TRUE(day.s.evaluator->SetDefinitions(ShopSlo()).ok());
  day.Record(t);
  day.ExpectExact(t - 60'000);
  const auto points = day.Found().begin()->second;
  EXPECT_LE(points.begin()->first, kStartMs + 6 * kHourMs);
  EXPECT_NEAR(points.rbegin()->second.total, 100 * (3 * 24 * 60 - 1), 100);
}

TEST(EventCounters, AnSloThatComesBackGoesOn) {
  for (const int away : {10, 400, 3000}) {
    SCOPED_TRACE(away);
    Day day;
    int64_t t = kStartMs;
    int n = 1;
    GoOn(day, 30, n, t);
    ASSERT_TRUE(day.s.evaluator->SetDefinitions({}).ok());
    GoOn(day, 1, n, t);
    EXPECT_TRUE(day.alive.empty());
    for (const auto& name : {kBadEventsName, kTotalEventsName}) {
      Labels labels = day.Found().begin()->first;
      labels.Set(kMetricName, name);
      day.s.store.WriteStale(labels, t);  // as the recorder does
    }
    GoOn(day, away, n, t);
    ASSERT_TRUE(day.s.evaluator->SetDefinitions(ShopSlo()).ok());
    GoOn(day, 5, n, t);
    day.ExpectExact(t - 60'000);
    EXPECT_EQ(day.alive.size(), 2U);
  }
}

TEST(EventCounters, ExclusionsRewriteNothing) {
  const std::filesystem::path path =
      std::filesystem::path(::testing::TempDir()) /
      ("event_counters_ledger_" + std::to_string(::getpid()) + ".yml");
  std::filesystem::remove(path);
  auto ledger = Ledger::Open(path.string());
  ASSERT_TRUE(ledger.ok());
  Day day;
  EvaluatorOptions options;
  options.clock = &day.s.clock;
  options.ledger = ledger->get();
  day.counters.reset();
  day.s.evaluator.reset();
  day.s.evaluator = std::make_unique<Evaluator>(day.s.store, day.s.sink, options);
  ASSERT_TRUE(day.s.evaluator->SetDefinitions(ShopSlo()).ok());
  day.counters = std::make_unique<EventCounters>(*day.s.evaluator, day.s.store);
  int64_t t = kStartMs;
  for (int n = 1; n <= 80; ++n, t += 15'000) {
    Scrape(day.s, "a", t, n);
    if (n == 40) {
      Exclusion exclusion;
      exclusion.slo = "shop-requests";
      exclusion.from_ms = kStartMs;
      exclusion.to_ms = t + 5 * kMinuteMs;
      exclusion.reason = "a test";
      ASSERT_TRUE((*ledger)->Add(exclusion, t).ok());
      day.s.evaluator->ReadLedger();
    }
    day.Record(t + 200);
  }
  EXPECT_LT(day.s.View().budget.consumed, 30) << "the ledger leaves it out";
  day.windows_of_all = false;
  day.ExpectExact(t - 15'000);
  std::filesystem::remove(path);
}

TEST(EventCounters, APassIsBoundedAndTheRestFollows) {
  Day day("instance");
  // Thirty days of 400 groups.
  constexpr int kGroups = 400;
  ASSERT_TRUE(day.s.evaluator->SetDefinitions({}).ok());
  const int64_t end = kStartMs + 30 * 24 * kHourMs;
  for (int g = 0; g < kGroups; ++g) {
    int n = 1;
    for (int64_t t = kStartMs; t < end; t += 4 * kHourMs) {
      const std::string target = std::to_string(g);
      day.s.store.Write(Scenario::LabelsOf("requests " + target), t, 100.0 * n);
      day.s.store.Write(Scenario::LabelsOf("errors " + target), t, 1.0 * n);
      ++n;
    }
  }
  day.s.clock.Set(end);
  ASSERT_TRUE(day.s.evaluator->SetDefinitions(ShopSlo("instance")).ok());
  size_t passes = 0;
  for (; passes < 20 && day.Found().size() < kGroups; ++passes) {
    EXPECT_LE(day.Record(end + 10'000).size(), kMaxCounterPoints + 2000);
  }
  EXPECT_EQ(day.Found().size(), static_cast<size_t>(kGroups));
  EXPECT_GT(passes, 1U);
  EXPECT_TRUE(day.Record(end + 10'000).empty());
}

uint64_t Number(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// Everything at once: targets that come, go, reset, fall silent and send late, restarts, reloads.
void PlayDay(uint64_t seed) {
  SCOPED_TRACE("BASALT_SLO_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto one_in = [&](uint64_t n) { return random() % n == 0; };
  struct Target {
    explicit Target(std::string of) : name(std::move(of)) {}
    std::string name;
    double requests = 0;
    double errors = 0;
    uint64_t silent = 0;  // rounds
    uint64_t held = 0;    // rounds, in which its samples wait
    std::vector<std::array<double, 3>> waiting;
  };
  std::array<Target, 3> targets{Target{"a"}, Target{"b"}, Target{"c"}};
  Day day;
  const int64_t scrape_ms = one_in(2) ? 15'000 : 60'000;
  int64_t t = kStartMs;
  // While samples are late by minutes, slots are a minute long, and every value is exact;
  // else those at the ends of slots are.
  const bool calm = seed % 2 == 0;
  const auto held_rounds = static_cast<uint64_t>((calm ? kHourMs / 3 : 5 * kHourMs) / scrape_ms);
  const int rounds = 200 + static_cast<int>(random() % 300);
  for (int i = 0; i < rounds; ++i, t += scrape_ms) {
    if (!calm && one_in(150)) t += static_cast<int64_t>(random() % 10) * kHourMs / 2;
    for (Target& target : targets) {
      if (one_in(60)) target.requests = target.errors = 0;
      const auto more = static_cast<double>(random() % 100);
      target.requests += more;
      target.errors += one_in(4) ? static_cast<double>(random() % 3) : 0;
      if (target.silent == 0 && one_in(40)) target.silent = random() % 30;
      if (target.name == "a" && one_in(60)) {
        for (const char* kind : {"requests ", "errors "}) day.s.WriteStale(kind + target.name, t);
        continue;
      }
      if (target.silent > 0) {
        --target.silent;
        continue;
      }
      if (target.held > 0) --target.held;
      if (target.held == 0 && one_in(60)) target.held = random() % held_rounds;
      target.waiting.push_back({static_cast<double>(t), target.requests, target.errors});
      if (target.held > 0) continue;
      if (one_in(2)) std::shuffle(target.waiting.begin(), target.waiting.end(), random);
      for (const auto& [at, requests, errors] : target.waiting) {
        day.s.Write("requests " + target.name, static_cast<int64_t>(at), requests);
        day.s.Write("errors " + target.name, static_cast<int64_t>(at), errors);
      }
      target.waiting.clear();
    }
    if (one_in(20)) day.Restart(t + 100);
    if (one_in(40)) {
      ASSERT_TRUE(day.s.evaluator->SetDefinitions(ShopSlo()).ok());
    }
    if (!one_in(4)) day.Record(t + 200, /*fails=*/one_in(10));
    if (one_in(10)) {
      // Once all has settled.
      for (int k = 1; k <= 5; ++k) day.Record(t + 200 + k * 2'900);
      const GroupView view = day.s.View();
      if (view.as_of.has_value()) {
        ASSERT_NO_FATAL_FAILURE(
            day.ExpectExact(ToMs(*view.as_of), calm ? kMinuteMs : 10 * kMinuteMs));
      }
    }
  }
}

TEST(EventCounters, RandomDaysAreCountedExactly) {
  const uint64_t one = Number("BASALT_SLO_SEED", 0);
  const uint64_t seeds = Number("BASALT_SLO_SEEDS", 12);
  for (uint64_t seed = 1; seed <= seeds && !::testing::Test::HasFailure(); ++seed) {
    PlayDay(one != 0 ? one : seed);
    if (one != 0) return;
  }
}

}  // namespace
}  // namespace basalt::slo
