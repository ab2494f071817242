// A simulation says what would have been; it is the evaluator's own code, so it has to say what
// was.
#include "engine/slo/simulation.h"

#include <gtest/gtest.h>

#include "tests/engine/slo/scenario.h"

namespace basalt::slo {
namespace {

constexpr int64_t kScrapeMs = 15'000;
constexpr int64_t kHourMs = 3'600'000;

int64_t At(int step) { return kStartMs + step * kScrapeMs; }

// Four hours; errors by step.
void Play(Scenario& s, const std::function<double(int)>& share, int restart_at = -1) {
  double requests = 0;
  double errors = 0;
  for (int i = 0; i < 960; ++i) {
    requests += 1000;
    errors += 1000 * share(i);
    if (i == restart_at) s.Restart(At(i) - 100);
    s.Write("requests a", At(i), requests);
    s.Write("errors a", At(i), errors);
    s.Sweep(At(i) + 200);
  }
}

SimulationReport MustSimulate(Scenario& s, std::vector<Injection> injections = {}) {
  auto report = Simulate(ShopSlo(), s.store, {kStartMs - kHourMs, At(960), std::move(injections)});
  EXPECT_TRUE(report.ok()) << report.status().ToString();
  return report.ok() ? *report : SimulationReport();
}

TEST(Simulation, SaysWhatWasPublishedLive) {
  Scenario s;
  Play(s, [](int i) { return i % 300 > 250 ? 0.4 : 0.0005; });
  std::vector<const notify::Alert*> resolved;
  for (const notify::Alert& alert : s.sink.published) {
    if (alert.resolved()) resolved.push_back(&alert);
  }
  ASSERT_GE(resolved.size(), 2U);
  const SimulationReport report = MustSimulate(s);
  size_t found = 0;
  for (const SimulatedAlert& alert : report.alerts) {
    EXPECT_EQ(alert.slo, "shop-requests");
    if (!alert.ends_ms.has_value()) continue;
    ASSERT_LT(found, resolved.size());
    EXPECT_EQ(ToMs(resolved[found]->starts_at), alert.starts_ms);
    EXPECT_EQ(ToMs(*resolved[found]->ends_at), *alert.ends_ms);
    EXPECT_EQ(resolved[found]->urgent, alert.severity == Severity::kPage);
    ++found;
  }
  EXPECT_EQ(found, resolved.size());
  ASSERT_EQ(report.slos.size(), 1U);
  EXPECT_EQ(report.slos[0].total, 959'000);
  EXPECT_EQ(report.rounds, 960U);
}

TEST(Simulation, AnInjectedOutagePagesWhereARealOneDoes) {
  Scenario quiet;
  Play(quiet, [](int) { return 0.0; });
  Scenario broken;
  Play(broken, [](int i) { return i >= 600 && i < 640 ? 1.0 : 0.0; });
  const SimulationReport real = MustSimulate(broken);
  EXPECT_TRUE(MustSimulate(quiet).alerts.empty());
  const SimulationReport injected = MustSimulate(quiet, {{"", At(600), At(640), Fraction{1, 1}}});
  ASSERT_EQ(real.alerts.size(), injected.alerts.size());
  ASSERT_FALSE(real.alerts.empty());
  for (size_t i = 0; i < real.alerts.size(); ++i) {
    EXPECT_EQ(real.alerts[i].starts_ms, injected.alerts[i].starts_ms);
  }
  EXPECT_TRUE(MustSimulate(quiet, {{"another", At(600), At(640), Fraction{1, 1}}}).alerts.empty());
}

TEST(Simulation, LeavesTheLiveEvaluatorAlone) {
  Scenario s;
  Play(s, [](int) { return 0.0; });
  (void)MustSimulate(s, {{"", At(600), At(640), Fraction{1, 1}}});
  EXPECT_TRUE(s.sink.published.empty());
  s.Write("requests a", At(960), 961'000);
  s.Write("errors a", At(960), 0);
  s.Sweep(At(960) + 200);
  EXPECT_EQ(ToMs(*s.View().as_of), At(960));
}

TEST(Simulation, NeedsATimeThatRunsForward) {
  Scenario s;
  EXPECT_EQ(Simulate(ShopSlo(), s.store, {5, 5, {}}).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace basalt::slo
