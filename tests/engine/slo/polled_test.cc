// SLIs that are asked by query: the same machine, fed by the poller. What it decides is compared
// with sums over the very samples that were written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "engine/slo/simulation.h"
#include "engine/slo/slo_files.h"
#include "query/engine.h"
#include "tests/engine/slo/fake_store.h"
#include "tests/engine/slo/scenario.h"
#include "tests/engine/slo/world.h"
#include "tests/support/temporary_directory.h"

namespace basalt::slo {
namespace {

using ::testing::HasSubstr;

constexpr char kProbe[] = R"(
version: prometheus/v1
service: net
labels: {owner: web}
slos:
  - name: probes
    objective: 99
    sli:
      raw:
        error_ratio_query: 1 - (sum(sum_over_time(probe_success[{{.window}}]) * 1) / sum(count_over_time(probe_success[{{.window}}])))
    alerting: {name: ProbesFail}
)";

const Labels kProbeSeries{{"__name__", "probe_success"}, {"instance", "a"}};

// Up but for an outage of 20 minutes, beginning after two hours and a bit.
double ProbeAt(int64_t t_ms) {
  const int64_t at = t_ms - kBegin;
  return at > 7'205'000 && at <= 8'405'000 ? 0 : 1;
}

double FailedShare(int64_t t_ms, int64_t window_ms) {
  double failed = 0;
  double all = 0;
  for (int64_t t = kBegin + kScrape; t <= t_ms; t += kScrape) {
    if (t <= t_ms - window_ms) continue;
    failed += 1 - ProbeAt(t);
    all += 1;
  }
  return all > 0 ? failed / all : 0;
}

// The workbook's page at 99 %: 14.4 over 1 h and 5 min, or 6 over 6 h and 30 min.
bool ShouldPage(int64_t t) {
  const auto both = [&](int64_t short_ms, int64_t long_ms, double threshold) {
    return FailedShare(t, short_ms) > threshold && FailedShare(t, long_ms) > threshold;
  };
  return both(300'000, 3'600'000, 0.144) || both(1'800'000, 6 * 3'600'000, 0.06);
}

TEST(PolledSlis, PageAndResolveAtTheVeryTimesTheirWindowsSay) {
  World world(kProbe);
  bool paging = false;
  int64_t since = 0;
  int pages = 0;
  for (int64_t t = kBegin + kScrape; t < kBegin + 3 * 3'600'000; t += kScrape) {
    world.store.Write(kProbeSeries, t, ProbeAt(t));
    if (t % kPollIntervalMs != 0) continue;
    if (t == kBegin + 7'950'000) world.Restart(t + 100);  // while it fires
    world.Step(t + kPollDelayMs);
    if (ShouldPage(t) && !paging) {
      since = t;
      ++pages;
    }
    paging = ShouldPage(t);
    const SeverityView page = world.Page("net-probes");
    ASSERT_EQ(page.state == SeverityState::kFiring, paging) << (t - kBegin) / 1000;
    if (paging) {
      ASSERT_EQ(ToMs(*page.starts_at), since);
    }
  }
  EXPECT_EQ(pages, 1);
  size_t fired = 0;
  for (const notify::Alert& alert : world.sink.published) {
    if (alert.urgent && !alert.resolved()) ++fired;
  }
  EXPECT_EQ(fired, 1U) << "a restart publishes nothing anew";
  const auto slo = world.evaluator->Slo(kDefaultTenant, "net-probes");
  EXPECT_TRUE(slo->polled);
  EXPECT_THAT(slo->polled_why, HasSubstr("is not rate(...) or increase(...)"));

  // The same instants, simulated.
  const auto report = Simulate(world.Definitions(), world.store,
                               {kBegin + kScrape, kBegin + 3 * 3'600'000, {}}, &world.queries);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  size_t simulated = 0;
  for (const SimulatedAlert& alert : report->alerts) {
    if (alert.severity != Severity::kPage) continue;
    ++simulated;
    EXPECT_EQ(alert.starts_ms, since);
    EXPECT_TRUE(alert.ends_ms.has_value());
  }
  EXPECT_EQ(simulated, 1U);
}

TEST(PolledSlis, NoDataResolvesNothing) {
  World world(kProbe);
  int64_t t = kBegin + kScrape;
  for (; t < kBegin + 8'100'000; t += kScrape) {
    world.store.Write(kProbeSeries, t, ProbeAt(t));
    if (t % kPollIntervalMs == 0) world.Step(t + kPollDelayMs);
  }
  ASSERT_EQ(world.Page("net-probes").state, SeverityState::kFiring);
  // The probe is gone: its windows run empty, the shortest first.
  for (int i = 0; i < 70; ++i, t += kPollIntervalMs) world.Step(t + kPollDelayMs);
  EXPECT_EQ(world.Page("net-probes").state, SeverityState::kFrozen);
}

constexpr char kSlices[] = R"(
apiVersion: openslo/v1
kind: SLO
metadata: {name: pages, labels: {team: web}}
spec:
  service: web
  indicator:
    metadata: {name: ratio}
    spec:
      ratioMetric:
        counter: true
        bad: {metricSource: {type: Prometheus, spec: {query: sum(bad_total)}}}
        total: {metricSource: {type: Prometheus, spec: {query: sum(all_total)}}}
  timeWindow: [{duration: 1d, isRolling: true}]
  budgetingMethod: Timeslices
  objectives: [{target: 0.9, timeSliceTarget: 0.95, timeSliceWindow: 1m}]
)";

void WriteSlices(World& world, int64_t t, double& bad, double& all) {
  const int64_t minute = (t - 1 - kBegin) / 60'000;
  all += 100;
  bad += minute % 10 < 3 ? 6 : minute % 10 == 4 ? 5 : 0;  // 5 % is just good
  world.store.Write(Labels{{"__name__", "bad_total"}}, t, bad);
  world.store.Write(Labels{{"__name__", "all_total"}}, t, all);
}

TEST(PolledSlis, TimeslicesCountMinutesAndHistoryIsReadBack) {
  const int64_t begin = kBegin / 60'000 * 60'000;
  World world(kSlices, begin);
  double bad = 0;
  double all = 0;
  int64_t bad_minutes = 0;
  int64_t minutes = 0;
  for (int64_t t = begin; t <= begin + 4 * 3'600'000; t += kScrape) {
    WriteSlices(world, t, bad, all);
    if (t % 60'000 != 0 || t == begin) continue;
    ++minutes;
    // The slice (t - 1m, t] has the scrapes at t - 45 s to t.
    double of_slice = 0;
    for (int64_t s = t - 45'000; s <= t; s += kScrape) {
      const int64_t minute = (s - 1 - kBegin) / 60'000;
      of_slice += minute % 10 < 3 ? 6 : minute % 10 == 4 ? 5 : 0;
    }
    if (of_slice / 400 > 0.05) ++bad_minutes;
    world.Step(t + kPollDelayMs);
    const BudgetView budget = world.Group("web-pages").budget;
    ASSERT_DOUBLE_EQ(budget.consumed, static_cast<double>(bad_minutes)) << minutes;
  }
  EXPECT_GT(bad_minutes, 30);
  EXPECT_LT(bad_minutes, minutes);
  const BudgetView before = world.Group("web-pages").budget;
  world.Restart(world.clock.now_ms());
  for (int i = 0; i < 5; ++i) world.Step(world.clock.now_ms());
  const BudgetView after = world.Group("web-pages").budget;
  EXPECT_DOUBLE_EQ(after.consumed, before.consumed);
  EXPECT_DOUBLE_EQ(after.total, before.total);
}

// --- groups, exclusions and outages of SLIs by windows --------------------------

// Joined with what streams cannot see, so it is polled; by windows, in events.
std::string GroupedByWindows(const std::string& more = "", bool is_ratio = false) {
  const std::string errors = "sum by (pod) (idelta(e[{{.window}}]) * 0 + increase(e[{{.window}}]))";
  const std::string total = "sum by (pod) (idelta(r[{{.window}}]) * 0 + increase(r[{{.window}}]))";
  return R"(version: basalt/v1
service: shop
owner: checkout
slos:
  - name: pods
    objective: 99
    period: 30d
    tiers: [{severity: page, long: 1h, short: 5m, factor: 10}]
)" + more +
         R"(    sli:
)" +
         (is_ratio ? "      raw:\n        error_ratio_query: max by (pod) (" + errors + " / " +
                         total + ")\n"
                   : "      events:\n        error_query: " + errors +
                         "\n        total_query: " + total + "\n") +
         R"(    alerting: {name: PodsFail}
)";
}

// Pods a, b, c; a scrape each 15 s, 100 requests each; `bad` of them fail at a pod.
struct Pods {
  explicit Pods(World& in) : world(in) {}
  void Scrape(int64_t t, const std::function<double(int)>& bad) {
    for (int k = 0; k < 3; ++k) {
      requests[k] += 100;
      errors[k] += bad(k);
      const std::string pod(1, static_cast<char>('a' + k));
      world.store.Write(Labels{{"__name__", "r"}, {"pod", pod}}, t, requests[k]);
      world.store.Write(Labels{{"__name__", "e"}, {"pod", pod}}, t, errors[k]);
    }
    if (t % kPollIntervalMs == 0) world.Step(t + kPollDelayMs);
  }
  World& world;
  double requests[3] = {};
  double errors[3] = {};
};

TEST(PolledSlis, HaveATotalAndWhatIsBeyondMaxGroupsTogetherIfTheyCountEvents) {
  const std::string text = GroupedByWindows("    max_groups: 2\n");
  World world(text);
  ASSERT_TRUE(world.Definitions()[0].polled.has_value());
  ASSERT_TRUE(world.Definitions()[0].polled->by_windows());
  Pods pods(world);
  int64_t t = kBegin + kScrape;
  const auto compare = [&] {
    const auto slo = world.evaluator->Slo(kDefaultTenant, "shop-pods");
    ASSERT_TRUE(slo.has_value() && slo->total.has_value());
    ASSERT_EQ(slo->groups.size(), 3U);  // two of their own and __other__
    for (size_t w = 0; w < 2; ++w) {
      double bad = 0;
      double total = 0;
      for (const GroupView& group : slo->groups) {
        bad += group.windows[w].bad;
        total += group.windows[w].total;
      }
      EXPECT_NEAR(slo->total->windows[w].bad, bad, 0.01) << w;
      EXPECT_NEAR(slo->total->windows[w].total, total, 0.01) << w;
      EXPECT_GT(total, 0);
    }
    EXPECT_EQ(slo->other_series, 1U);
  };
  // c fails: 1 in 3 of all is over 10 %, and only c's own group and the total burn.
  for (; t < kBegin + 2 * 3'600'000; t += kScrape) {
    pods.Scrape(t, [&](int k) { return k == 2 && t > kBegin + 5'400'000 ? 100 : 0; });
    if (t % 600'000 == 0 && t > kBegin + 600'000) compare();
  }
  compare();
  const auto slo = world.evaluator->Slo(kDefaultTenant, "shop-pods");
  EXPECT_TRUE(slo->total_alerts);
  ASSERT_EQ(slo->total->severities[0].state, SeverityState::kFiring);
  const int64_t since = ToMs(*slo->total->severities[0].starts_at);
  std::vector<std::string> told;
  for (const notify::Alert& alert : world.sink.published) {
    if (alert.identity.Get("alertname") == "SLOTooManyGroups") told.push_back("x");
  }
  EXPECT_EQ(told.size(), 1U);

  // The same after a restart, and simulated.
  world.Restart(t);
  world.Step(t + kPollDelayMs);
  compare();
  const auto again = world.evaluator->Slo(kDefaultTenant, "shop-pods");
  ASSERT_EQ(again->total->severities[0].state, SeverityState::kFiring);
  EXPECT_EQ(ToMs(*again->total->severities[0].starts_at), since);
  const auto report =
      Simulate(world.Definitions(), world.store, {kBegin + kScrape, t, {}, {}}, &world.queries);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  std::vector<int64_t> starts;
  for (const SimulatedAlert& alert : report->alerts) {
    if (alert.group.empty()) starts.push_back(alert.starts_ms);
  }
  EXPECT_EQ(starts, std::vector<int64_t>{since});
}

TEST(PolledSlis, WhatARatioCannotTellIsSaidAndNotShownAsNothing) {
  const std::string text = GroupedByWindows("    max_groups: 2\n", true);
  const CheckedSlos checked = CheckSloText(text, "slo.yml");
  ASSERT_TRUE(checked.ok());
  std::string said;
  for (const Problem& problem : checked.problems) said += ToString(problem) + "\n";
  for (const char* part : {"no total over its groups", "basalt_slo_total_events_total",
                           "An exclusion keeps a condition from deciding"}) {
    EXPECT_THAT(said, HasSubstr(part));
  }
  World world(text);
  Pods pods(world);
  for (int64_t t = kBegin + kScrape; t < kBegin + 1'200'000; t += kScrape) {
    pods.Scrape(t, [](int) { return 1; });
  }
  const auto slo = world.evaluator->Slo(kDefaultTenant, "shop-pods");
  EXPECT_FALSE(slo->total.has_value());
  EXPECT_FALSE(slo->total_alerts);
  EXPECT_EQ(slo->groups.size(), 2U);
  EXPECT_EQ(slo->limitations.size(), 3U);
  std::string told;
  for (const notify::Alert& alert : world.sink.published) {
    if (alert.identity.Get("alertname") == "SLOTooManyGroups") {
      told += alert.annotations.Get("summary");
    }
  }
  EXPECT_THAT(told, HasSubstr("is left out, since ratios do not add up"));
}

TEST(PolledSlis, ByWindowsPageNobodyOfWhatIsExcludedAndOfWhatGoesOnAfterIt) {
  // Failing from 70 to 100 min; maintenance from 70 to 90, announced before or said at 120.
  for (const bool before : {true, false}) {
    SCOPED_TRACE(before);
    World world(GroupedByWindows());
    auto ledger = Ledger::Open(world.directory.path("ledger.yml"));
    ASSERT_TRUE(ledger.ok());
    world.ledger = ledger->get();
    world.Restart(kBegin);
    Pods pods(world);
    Exclusion maintenance;
    maintenance.slo = "shop-pods";
    maintenance.reason = "moving";
    const auto minute = [](int64_t m) { return (kBegin + m * 60'000) / 60'000 * 60'000; };
    maintenance.from_ms = minute(70);
    maintenance.to_ms = minute(90);
    if (before) {
      ASSERT_TRUE((*ledger)->Add(maintenance, kBegin).ok());
      world.evaluator->ReadLedger();
    }
    for (int64_t t = kBegin + kScrape; t < minute(180); t += kScrape) {
      pods.Scrape(t, [&](int) { return t > minute(70) && t <= minute(100) ? 100 : 0; });
      if (t == minute(98)) world.Restart(t + kPollDelayMs + 100);
    }
    std::vector<int64_t> starts;
    for (const notify::Alert& alert : world.sink.published) {
      if (alert.urgent && !alert.resolved() && alert.identity.Get("pod").empty()) {
        starts.push_back((ToMs(alert.starts_at) - minute(0)) / 60'000);
      }
    }
    ASSERT_EQ(starts.size(), 1U);
    if (before) {
      // What still burns when the short window is past the exclusion pages at once.
      EXPECT_EQ(starts[0], 95);
    } else {
      EXPECT_LT(starts[0], 80);
      ASSERT_TRUE((*ledger)->Add(maintenance, minute(120)).ok());
    }
    // With what is known now, both stories are one.
    const auto report =
        Simulate(world.Definitions(), world.store,
                 {kBegin + kScrape, minute(180), {}, (*ledger)->All()}, &world.queries);
    ASSERT_TRUE(report.ok());
    std::vector<int64_t> simulated;
    for (const SimulatedAlert& alert : report->alerts) {
      if (alert.group.empty()) simulated.push_back((alert.starts_ms - minute(0)) / 60'000);
    }
    EXPECT_EQ(simulated, std::vector<int64_t>{95});
  }
}

TEST(PolledSlis, AnOutageThatIsLaidOverThemPages) {
  for (const bool is_ratio : {false, true}) {
    SCOPED_TRACE(is_ratio);
    World world(GroupedByWindows("", is_ratio));
    Pods pods(world);
    const int64_t end = kBegin + 3 * 3'600'000;
    for (int64_t t = kBegin + kScrape; t < end; t += kScrape) {
      pods.Scrape(t, [](int) { return 0; });
    }
    const int64_t from = kBegin + 7'200'000;
    const auto report =
        Simulate(world.Definitions(), world.store,
                 {kBegin + kScrape, end, {{"", from, from + 900'000, {1, 1}}}, {}}, &world.queries);
    ASSERT_TRUE(report.ok());
    ASSERT_FALSE(report->alerts.empty());
    for (const SimulatedAlert& alert : report->alerts) {
      // Over 10 % of an hour: after six minutes.
      EXPECT_NEAR(static_cast<double>(alert.starts_ms - from), 360'000, 30'000);
      ASSERT_TRUE(alert.ends_ms.has_value());
      EXPECT_NEAR(static_cast<double>(*alert.ends_ms - from), 900'000 + 270'000, 30'000);
    }
  }
}

TEST(PolledSlis, BySlicesSeeTheirLongWindowsWhateverThePeriod) {
  // Windows of 6 h over a budget of 1 h: what failed five hours ago still counts in a ticket.
  std::vector<Definition> definitions = CheckSloText(kSlices, "slo.yml").definitions;
  ASSERT_EQ(definitions.size(), 1U);
  // OpenSLO has one window a condition, so the two are put together here.
  Definition& slo = definitions[0];
  slo.period = std::chrono::hours(1);
  const Tier tier{Severity::kTicket, std::chrono::minutes(10), std::chrono::hours(6), {2, 1}, {}};
  slo.conditions = *ConditionsOf({tier}, slo.objective);
  slo.alerts[1].enabled = true;
  LayOut(slo);
  const int64_t begin = kBegin / 60'000 * 60'000;
  World world(kSlices, begin);
  double bad = 0;
  double all = 0;
  const int64_t end = begin + 7 * 3'600'000;
  for (int64_t t = begin; t <= end; t += kScrape) {
    const int64_t minute = (t - 1 - begin) / 60'000;
    all += 100;
    bad += minute >= 60 && minute < 150 ? 50 : minute >= 390 ? 50 : 0;
    world.store.Write(Labels{{"__name__", "bad_total"}}, t, bad);
    world.store.Write(Labels{{"__name__", "all_total"}}, t, all);
  }
  // 20 % of 6 h are 72 minutes: 90 bad ones are long past the period, and 3 in the short window
  // make a ticket.
  const auto report =
      Simulate(definitions, world.store, {begin + 6 * 3'600'000, end, {}, {}}, &world.queries);
  ASSERT_TRUE(report.ok());
  ASSERT_EQ(report->alerts.size(), 1U);
  EXPECT_EQ(report->alerts[0].severity, Severity::kTicket);
  EXPECT_NEAR(static_cast<double>(report->alerts[0].starts_ms - begin) / 60'000, 393, 1);
}

class FailingQueries final : public SliQueries {
 public:
  Result<std::vector<SliSeries>> Range(TenantId, const std::string&, int64_t, int64_t,
                                       int64_t) override {
    if (fails) return ResourceExhausted("too many samples");
    return std::vector<SliSeries>{{Labels{}, {{at_ms, 0.5}}}};
  }
  bool fails = true;
  int64_t at_ms = 0;
};

TEST(PolledSlis, AFailedQueryIsShownAndAskedAgain) {
  World world(kProbe);
  FailingQueries queries;
  EvaluatorOptions options;
  options.clock = &world.clock;
  options.queries = &queries;
  Evaluator evaluator(world.store, world.sink, options);
  ASSERT_TRUE(evaluator.SetDefinitions(world.Definitions()).ok());
  evaluator.Poll();
  ASSERT_TRUE(evaluator.Sweep().ok());
  EXPECT_EQ(evaluator.Slo(kDefaultTenant, "net-probes")->poll_problem, "too many samples");
  queries.fails = false;
  queries.at_ms = kBegin - kPollIntervalMs;
  evaluator.Poll();
  ASSERT_TRUE(evaluator.Sweep().ok());
  const auto slo = evaluator.Slo(kDefaultTenant, "net-probes");
  EXPECT_EQ(slo->poll_problem, "");
  EXPECT_EQ(slo->groups.size(), 1U);
}

}  // namespace
}  // namespace basalt::slo
