// SLIs that are asked by query: the same machine, fed by the poller. What it decides is compared
// with sums over the very samples that were written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/slo/simulation.h"
#include "engine/slo/slo_files.h"
#include "query/engine.h"
#include "tests/engine/slo/fake_store.h"
#include "tests/engine/slo/scenario.h"

namespace basalt::slo {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kScrape = 15'000;
constexpr int64_t kBegin = 1'700'000'010'000;  // a multiple of 30 s

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

class World {
 public:
  explicit World(const std::string& text, int64_t now_ms = kBegin) : clock(now_ms), text_(text) {
    Restart(now_ms);
  }
  std::vector<Definition> Definitions() const {
    CheckedSlos checked = CheckSloText(text_, "slo.yml");
    for (const Problem& problem : checked.problems) {
      if (problem.is_error) ADD_FAILURE() << ToString(problem);
    }
    return checked.definitions;
  }
  void Restart(int64_t now_ms) {
    clock.Set(now_ms);
    EvaluatorOptions options;
    options.clock = &clock;
    options.queries = &queries;
    evaluator.reset();
    evaluator = std::make_unique<Evaluator>(store, sink, options);
    EXPECT_TRUE(evaluator->SetDefinitions(Definitions()).ok());
  }
  void Step(int64_t now_ms) {
    clock.Set(now_ms);
    evaluator->Poll();
    EXPECT_TRUE(evaluator->Sweep().ok());
  }
  GroupView Group(const std::string& id) {
    const auto slo = evaluator->Slo(kDefaultTenant, id);
    if (!slo.has_value() || slo->groups.empty()) return {};
    return slo->groups[0];
  }
  SeverityView Page(const std::string& id) {
    const GroupView group = Group(id);
    return group.severities.empty() ? SeverityView{} : group.severities[0];
  }

  FakeClock clock;
  FakeStore store;
  query::Engine engine{query::EngineOptions{}};
  EngineQueries queries{engine, store};
  RecordingSink sink;
  std::unique_ptr<Evaluator> evaluator;

 private:
  const std::string text_;
};

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

// --- calendars over streamed SLIs, against the oracle --------------------------

TEST(CalendarBudget, BeginsAtLocalMidnightAlsoWhenTheClocksChange) {
  constexpr int64_t kMidnight = 1'792'879'200'000;  // 2026-10-24T22:00Z: the 25th in Berlin
  constexpr int64_t kNextMidnight = kMidnight + 25 * 3'600'000;
  const int64_t begin = kMidnight - 2 * 3'600'000 + 13'217;
  Scenario scenario(
      "", "    period: 1d\n    calendar: {start: 2026-01-01 00:00:00, zone: Europe/Berlin}\n",
      begin);
  double requests = 0;
  double errors = 0;
  for (int i = 0; i < 28 * 60; ++i) {
    const int64_t t = begin + i * 60'000;
    requests += 100;
    errors += i % 7 == 0 ? 1 : 0;
    scenario.Write("requests a", t, requests);
    scenario.Write("errors a", t, errors);
    if (i % 400 == 399) scenario.Restart(t - 50);
    scenario.Sweep(t + 200);
    if (i % 11 != 0) continue;
    scenario.truth.Recount();
    const int64_t from = t <= kMidnight       ? kMidnight - 24 * 3'600'000
                         : t <= kNextMidnight ? kMidnight
                                              : kNextMidnight;
    const oracle::Sums sums = scenario.truth.Window(t, t - from);
    const BudgetView budget = scenario.View().budget;
    ASSERT_EQ(ToMs(budget.begins_at), from) << i;
    ASSERT_NEAR(budget.consumed, static_cast<double>(sums.bad), 0.01) << i;
    ASSERT_NEAR(budget.total, 0.001 * static_cast<double>(sums.total), 0.01) << i;
    ASSERT_TRUE(budget.exact);
  }
  const auto history =
      scenario.evaluator->BudgetHistory(kDefaultTenant, "shop-requests", std::nullopt);
  ASSERT_TRUE(history.has_value() && history->size() == 1);
  const BudgetHistoryView& way = history->front();
  ASSERT_FALSE(way.steps.empty());
  // The slot that midnight cuts counts in proportion.
  EXPECT_NEAR(way.steps.back().consumed, way.budget.consumed, 1.5);
  EXPECT_EQ(way.steps.front().begins_at, way.budget.begins_at);
  for (size_t i = 1; i < way.steps.size(); ++i) {
    ASSERT_EQ(way.steps[i].begins_at, way.steps[i - 1].ends_at);
  }
  EXPECT_GT(way.coverage, 0.99);
  EXPECT_FALSE(way.episodes.empty());
  EXPECT_FALSE(
      scenario.evaluator->BudgetHistory(kDefaultTenant, "other", std::nullopt).has_value());
}

// --- guards and keeping on, over streamed SLIs ---------------------------------

// 40 requests an hour; errors from minute 100 to 160, one in ten of the requests or more.
struct Quiet {
  explicit Quiet(const std::string& more) : scenario("", more) {}
  // Sample of each minute; true while the page fires.
  bool Minute(int i) {
    const int64_t t = kStartMs + i * 60'000;
    if (i % 3 != 2) ++requests;
    if (i >= 100 && i < 160 && i % 10 == 0) ++errors;
    scenario.Write("requests a", t, requests);
    scenario.Write("errors a", t, errors);
    scenario.Sweep(t + 200);
    const GroupView group = scenario.View();
    return !group.severities.empty() && group.severities[0].state == SeverityState::kFiring;
  }
  Scenario scenario;
  double requests = 0;
  double errors = 0;
};

TEST(LowTraffic, MinBadWaitsForSoManyErrorsInTheLongWindow) {
  Quiet without("");
  Quiet with("    min_bad: 3\n");
  int first_without = 0;
  int first_with = 0;
  for (int i = 0; i < 160; ++i) {
    if (without.Minute(i) && first_without == 0) first_without = i;
    if (with.Minute(i) && first_with == 0) first_with = i;
  }
  EXPECT_EQ(first_without, 100);  // one error pages
  EXPECT_EQ(first_with, 120);     // the third one
}

TEST(KeepFiringFor, LetsAPageThatFlapsStayOneEpisode) {
  Quiet without("    tiers: [{severity: page, long: 10m, short: 5m, factor: 14.4}]\n");
  Quiet with(
      "    tiers: [{severity: page, long: 10m, short: 5m, factor: 14.4}]\n"
      "    keep_firing_for: 10m\n");
  const auto episodes = [](const RecordingSink& sink) {
    size_t resolved = 0;
    for (const notify::Alert& alert : sink.published) resolved += alert.resolved() ? 1 : 0;
    return resolved;
  };
  for (int i = 0; i < 240; ++i) {
    without.Minute(i);
    with.Minute(i);
  }
  EXPECT_EQ(episodes(without.scenario.sink), 6U);
  EXPECT_EQ(episodes(with.scenario.sink), 1U);
  // The last error, at minute 150, leaves the short window at 155; ten more minutes.
  EXPECT_EQ(ToMs(*with.scenario.View().severities[0].ended_at), kStartMs + 165 * 60'000);
}

// --- absence --------------------------------------------------------------------

std::vector<notify::Alert> Absences(const RecordingSink& sink) {
  std::vector<notify::Alert> out;
  for (const notify::Alert& alert : sink.published) {
    if (alert.identity.Get("alertname") == "NoSamples") out.push_back(alert);
  }
  return out;
}

constexpr char kAbsent[] = R"(
version: basalt/v1
service: shop
owner: checkout
slos:
  - name: requests
    objective: 99.9
    sli:
      events:
        error_query: sum by (instance) (rate(errors_total{job="shop"}[{{.window}}]))
        total_query: sum by (instance) (rate(requests_total{job="shop"}[{{.window}}]))
    alerting: {name: ShopErrors, absent: true, absent_name: NoSamples}
)";

TEST(AbsenceAlert, FiresForAGroupThatFallsSilentAndEndsWithItsNextSample) {
  World world(kAbsent);
  double requests = 0;
  const auto scrape = [&](int64_t t) {
    requests += 100;
    world.store.Write(Scenario::LabelsOf("requests a"), t, requests);
    world.store.Write(Scenario::LabelsOf("errors a"), t, 0);
  };
  int64_t t = kBegin + kScrape;
  for (; t < kBegin + 600'000; t += kScrape) {
    scrape(t);
    world.Step(t + 1'000);
  }
  EXPECT_TRUE(Absences(world.sink).empty());
  const int64_t last = t - kScrape;
  // 51.84 s of an outage would page; with two minutes that is below the least, three minutes.
  const int64_t due = last + kMinAbsence.count();
  for (; t <= due; t += kScrape) world.Step(t);
  EXPECT_TRUE(Absences(world.sink).empty());
  world.Step(due + 1'001);
  ASSERT_EQ(Absences(world.sink).size(), 1U);
  EXPECT_EQ(ToMs(Absences(world.sink)[0].starts_at), due);
  EXPECT_EQ(Absences(world.sink)[0].identity.Get("instance"), "a");
  EXPECT_TRUE(Absences(world.sink)[0].urgent);

  world.Restart(due + 60'000);  // still silent: nothing new is said
  world.Step(due + 62'000);
  EXPECT_EQ(Absences(world.sink).size(), 1U);
  bool listed = false;
  for (const SloAlertRule& rule : world.evaluator->AlertRules(kDefaultTenant)) {
    listed |= rule.name == "NoSamples" && rule.firing.size() == 1;
  }
  EXPECT_TRUE(listed);

  const int64_t again = due + 90'000;
  scrape(again);
  world.Step(again + 7'000);
  world.Step(again + 9'000);
  ASSERT_EQ(Absences(world.sink).size(), 2U);
  EXPECT_EQ(ToMs(*Absences(world.sink)[1].ends_at), again);
}

TEST(AbsenceAlert, FiresForAnSloWhoseSelectorsMatchNothing) {
  World world(kAbsent);
  world.Step(kBegin + kMinAbsence.count());
  EXPECT_TRUE(Absences(world.sink).empty());
  world.Step(kBegin + kMinAbsence.count() + 2'000);
  ASSERT_EQ(Absences(world.sink).size(), 1U);
  world.store.Write(Scenario::LabelsOf("requests a"), kBegin + 190'000, 100);
  world.Step(kBegin + 197'000);
  world.Step(kBegin + 199'000);
  ASSERT_EQ(Absences(world.sink).size(), 2U);
  EXPECT_TRUE(Absences(world.sink)[1].resolved());
}

}  // namespace
}  // namespace basalt::slo
