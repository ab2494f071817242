// Alerts of what is not there: groups that fall silent, selectors that match nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/slo/scenario.h"
#include "tests/engine/slo/world.h"

namespace basalt::slo {
namespace {

using ::testing::HasSubstr;

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
