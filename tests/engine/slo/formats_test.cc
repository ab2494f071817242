// The formats beside sloth's own: what each says here, and how a mistake in each is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "engine/slo/pyrra_loader.h"
#include "engine/slo/slo_files.h"

namespace basalt::slo {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using ::testing::HasSubstr;

std::vector<Definition> MustRead(const std::string& text) {
  CheckedSlos checked = CheckSloText(text, "slo.yml");
  for (const Problem& problem : checked.problems) {
    if (problem.is_error) ADD_FAILURE() << ToString(problem);
  }
  return std::move(checked.definitions);
}

std::string FirstError(const std::string& text) {
  for (const Problem& problem : CheckSloText(text, "slo.yml").problems) {
    if (problem.is_error) return ToString(problem);
  }
  return "none";
}

constexpr char kNative[] = R"(version: basalt/v1
service: shop
owner: checkout
slos:
  - name: requests
    objective: 99.9
    period: 28d
    sli:
      events:
        error_query: sum(rate(errors_total[{{.window}}]))
        total_query: sum(rate(requests_total[{{.window}}]))
    tiers:
      - {severity: page, long: 1h, budget_percent: 2}
      - {severity: ticket, long: 3d, short: 6h, factor: 1, for: 10m}
    alerting: {name: ShopErrors}
)";

TEST(NativeFormat, SaysPeriodTiersAndOwner) {
  const auto slos = MustRead(kNative);
  ASSERT_EQ(slos.size(), 1U);
  EXPECT_EQ(slos[0].origin, Origin::kBasalt);
  EXPECT_EQ(slos[0].owner, "checkout");
  EXPECT_EQ(slos[0].period, hours(28 * 24));
  ASSERT_EQ(slos[0].conditions.size(), 2U);
  EXPECT_EQ(slos[0].conditions[0].factor, (Fraction{336, 25}));  // 13.44
  EXPECT_EQ(slos[0].conditions[0].short_window, minutes(5));
  EXPECT_EQ(slos[0].conditions[1].hold_for, minutes(10));
  ASSERT_EQ(slos[0].layout->windows().size(), 5U);
  EXPECT_EQ(slos[0].layout->windows()[slos[0].period_index].length_ms, 28 * kMsPerDay);
}

struct MistakeCase {
  const char* name;
  const char* from;
  const char* to;
  const char* said;
};
class NativeMistake : public ::testing::TestWithParam<MistakeCase> {};

TEST_P(NativeMistake, IsSaidWithItsPlace) {
  std::string text = kNative;
  const size_t at = text.find(GetParam().from);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, std::string_view(GetParam().from).size(), GetParam().to);
  EXPECT_THAT(FirstError(text), HasSubstr(GetParam().said));
}

INSTANTIATE_TEST_SUITE_P(
    Table, NativeMistake,
    ::testing::Values(
        MistakeCase{"period_too_long", "28d", "401d", "slo.yml:7:13: error: slos[0].period: 401d"},
        MistakeCase{"period_too_short", "28d", "59s", "59s is not a period from 1m to 400d"},
        MistakeCase{"not_a_length", "28d", "soon", "\"soon\" is not a length of time"},
        MistakeCase{"no_factor", ", budget_percent: 2", "", "either `factor` or `budget_percent`"},
        MistakeCase{"both", "factor: 1", "factor: 1, budget_percent: 1", "needs either"},
        MistakeCase{"severity", "severity: page", "severity: call", "neither page nor ticket"},
        MistakeCase{"short_above_long", "short: 6h", "short: 4d", "`short` longer than its `long`"},
        MistakeCase{"unknown_key", "for: 10m", "fro: 10m", "slos[0].tiers[1].fro: is not a known"},
        MistakeCase{"no_owner_key_in_sloth", "basalt/v1", "prometheus/v1",
                    "is a key of basalt/v1"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(WorkbookTiers, FollowThePeriod) {
  const auto month = WorkbookTiers(kDefaultPeriod);
  EXPECT_EQ(month[0].factor, (Fraction{72, 5}));
  EXPECT_EQ(month[3].long_window, hours(72));
  EXPECT_EQ(WorkbookTiers(hours(28 * 24))[0].factor, (Fraction{336, 25}));
  const auto week = WorkbookTiers(hours(7 * 24));
  EXPECT_EQ(week[0].factor, (Fraction{72, 5}));
  EXPECT_EQ(week[0].long_window, std::chrono::seconds(840));
  EXPECT_EQ(week[0].short_window, std::chrono::seconds(70));
  for (const Duration period : {kMinPeriod, kMaxPeriod}) {
    for (const Tier& tier : WorkbookTiers(period)) {
      EXPECT_GT(tier.short_window.count(), 0);
      EXPECT_LT(tier.short_window, tier.long_window);
    }
  }
}

TEST(SlothResource, IsReadLikeAFile) {
  const auto slos = MustRead(R"(apiVersion: sloth.slok.dev/v1
kind: PrometheusServiceLevel
metadata: {name: x, namespace: y}
spec:
  service: shop
  labels: {owner: checkout}
  slos:
    - name: requests
      objective: 99
      sli:
        raw:
          errorRatioQuery: 1 - (sum(rate(good_total[{{.window}}])) / sum(rate(all_total[{{.window}}])))
      alerting:
        name: ShopErrors
        pageAlert: {labels: {severity: page}}
        ticketAlert: {disable: true}
)");
  ASSERT_EQ(slos.size(), 1U);
  EXPECT_EQ(slos[0].id, "shop-requests");
  ASSERT_EQ(slos[0].sli.bad.size(), 2U);  // all - good
  EXPECT_EQ(slos[0].sli.bad[1].coefficient, -1);
  EXPECT_FALSE(slos[0].alert(Severity::kTicket).enabled);
}

constexpr char kPyrra[] = R"(apiVersion: pyrra.dev/v1alpha1
kind: ServiceLevelObjective
metadata:
  name: api-latency
  namespace: monitoring
  labels: {prometheus: k8s, pyrra.dev/team: api}
spec:
  target: "99.5"
  window: 4w
  indicator:
    latency:
      success: {metric: 'duration_seconds_bucket{job="api",le="0.5"}'}
      total: {metric: 'duration_seconds_count{job="api"}'}
      grouping: [handler]
)";

TEST(PyrraResource, HasItsWindowsNamesAndHolding) {
  const auto slos = MustRead(kPyrra);
  ASSERT_EQ(slos.size(), 1U);
  const Definition& slo = slos[0];
  EXPECT_EQ(slo.origin, Origin::kPyrra);
  EXPECT_EQ(slo.id, "monitoring-api-latency");
  EXPECT_EQ(slo.owner, "api");
  EXPECT_EQ(slo.labels.Get("slo"), "api-latency");
  EXPECT_EQ(slo.alert_name, "ErrorBudgetBurn");
  EXPECT_EQ(slo.sli.group_by, std::vector<std::string>{"handler"});
  EXPECT_EQ(slo.sli.bad.size(), 2U);
  ASSERT_EQ(slo.conditions.size(), 4U);
  EXPECT_EQ(slo.conditions[0].hold_for, minutes(2));
  EXPECT_EQ(slo.conditions[3].long_window, hours(96));
}

TEST(PyrraResource, ScalesItsWindowsToMinutes) {
  // pyrra's own numbers for 30 and 90 days.
  const auto month = PyrraTiers(hours(30 * 24));
  EXPECT_EQ(month[0].long_window, minutes(64));
  EXPECT_EQ(month[1].short_window, minutes(32));
  EXPECT_EQ(month[3].hold_for, minutes(193));
  const auto quarter = PyrraTiers(hours(90 * 24));
  EXPECT_EQ(quarter[0].short_window, minutes(16));
  EXPECT_EQ(quarter[3].long_window, minutes(18'514));
}

TEST(PyrraResource, WhatIsNotSupportedIsNamed) {
  std::string text = kPyrra;
  text.replace(text.find("    latency:"), 12, "    bool_gauge:");
  EXPECT_THAT(FirstError(text), HasSubstr("indicator.bool_gauge: bool_gauge is not supported"));
}

constexpr char kOpenSlo[] = R"(apiVersion: openslo/v1
kind: SLI
metadata: {name: web}
spec:
  ratioMetric:
    counter: true
    good: {metricSource: {type: Prometheus, spec: {query: 'sum(rate(good_total[{{.window}}]))'}}}
    total: {metricSource: {type: Prometheus, spec: {query: 'sum(rate(all_total[{{.window}}]))'}}}
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: burn}
spec:
  alertWhenBreaching: true
  conditions:
    - kind: AlertCondition
      metadata: {name: fast}
      spec:
        severity: page
        condition: {kind: burnrate, op: gt, threshold: 2, lookbackWindow: 1h, alertAfter: 5m}
  notificationTargets: [{targetRef: on-call}]
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: web-availability, labels: {team: web}}
spec:
  service: web
  indicatorRef: web
  timeWindow: [{duration: 28d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives:
    - {target: 0.99}
    - {targetPercent: 99.9}
  alertPolicies: [{alertPolicyRef: burn}]
)";

TEST(OpenSlo, ReadsReferencesAndMakesAnSloOfEachObjective) {
  const auto slos = MustRead(kOpenSlo);
  ASSERT_EQ(slos.size(), 2U);
  EXPECT_EQ(slos[0].id, "web-web-availability");
  EXPECT_EQ(slos[1].id, "web-web-availability-2");
  EXPECT_EQ(slos[0].objective, (Fraction{99, 100}));
  EXPECT_EQ(slos[1].objective, (Fraction{999, 1000}));
  ASSERT_EQ(slos[0].conditions.size(), 1U);
  EXPECT_EQ(slos[0].conditions[0].factor, (Fraction{2, 1}));
  EXPECT_EQ(slos[0].conditions[0].hold_for, minutes(5));
  EXPECT_TRUE(slos[0].alert(Severity::kPage).enabled);
  EXPECT_FALSE(slos[0].alert(Severity::kTicket).enabled);
  EXPECT_EQ(slos[0].alert(Severity::kPage).labels.Get("notification_target"), "on-call");
}

TEST(OpenSlo, WhatIsMissingOrNotSupportedIsNamed) {
  std::string text = kOpenSlo;
  text.replace(text.find("indicatorRef: web"), 17, "indicatorRef: wep");
  EXPECT_THAT(FirstError(text), HasSubstr("refers to the SLI \"wep\", which no file defines"));
  text = kOpenSlo;
  text.replace(text.find("Occurrences"), 11, "Timeslices");
  EXPECT_THAT(FirstError(text), HasSubstr("spec.budgetingMethod: \"Timeslices\" is not supported"));
  EXPECT_THAT(FirstError("apiVersion: v1\nkind: Pod\n"), HasSubstr("is not known"));
}

// The formats' own published examples, if they lie in BASALT_SLO_EXAMPLES: prints what is refused.
TEST(PublishedExamples, LoadAsFarAsTheFormatsAreRead) {
  const char* directory = std::getenv("BASALT_SLO_EXAMPLES");
  if (directory == nullptr) GTEST_SKIP() << "BASALT_SLO_EXAMPLES names no folder of examples";
  size_t files = 0;
  size_t sound = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    const std::string extension = entry.path().extension();
    if (extension != ".yml" && extension != ".yaml") continue;
    const CheckedSlos checked = CheckSloFile(entry.path());
    ++files;
    if (checked.ok()) ++sound;
    for (const Problem& problem : checked.problems) {
      if (problem.is_error) std::printf("%s\n", ToString(problem).c_str());
    }
  }
  std::printf("%zu of %zu files load\n", sound, files);
  EXPECT_GT(files, 0U);
}

}  // namespace
}  // namespace basalt::slo
