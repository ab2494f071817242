// What stands around the burn rates: guards against low traffic, and keep_firing_for.
#include <gtest/gtest.h>

#include "tests/engine/slo/scenario.h"

namespace basalt::slo {
namespace {

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

}  // namespace
}  // namespace basalt::slo
