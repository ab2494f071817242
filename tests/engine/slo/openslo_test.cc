// OpenSLO: what its objects say here, and how a mistake in each is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "engine/slo/slo_files.h"
#include "tests/engine/slo/slo_texts.h"

namespace basalt::slo {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using ::testing::AllOf;
using ::testing::HasSubstr;

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

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(OpenSlo, WhatIsMissingOrNotSupportedIsNamed) {
  EXPECT_THAT(FirstError(Replaced(kOpenSlo, "indicatorRef: web", "indicatorRef: wep")),
              HasSubstr("refers to the SLI \"wep\", which no file defines"));
  EXPECT_THAT(FirstError(Replaced(kOpenSlo, "Occurrences", "Sometimes")),
              HasSubstr("spec.budgetingMethod: \"Sometimes\" is not Occurrences"));
  EXPECT_THAT(FirstError(Replaced(kOpenSlo, "Occurrences", "Timeslices")),
              HasSubstr("spec.objectives[0]: lacks `timeSliceTarget`"));
  EXPECT_THAT(FirstError(Replaced(kOpenSlo, "isRolling: true",
                                  "calendar: {startTime: 2026-01-01, timeZone: Mars/Olympus}")),
              HasSubstr("\"Mars/Olympus\" is not an IANA time zone"));
  EXPECT_THAT(
      FirstError(Replaced(kOpenSlo, "{target: 0.99}", "{target: 0.99, compositeWeight: 2}")),
      HasSubstr("objectives[0].compositeWeight: is of a composite SLO"));
  EXPECT_THAT(
      FirstError(Replaced(Replaced(kOpenSlo, "type: Prometheus", "type: Datadog"),
                          "'sum(rate(good_total[{{.window}}]))'", "'sum:hits{*}.as_count()'")),
      HasSubstr("is a query of \"Datadog\": only PromQL can be asked here"));
  EXPECT_THAT(FirstError("apiVersion: v1\nkind: Pod\n"), HasSubstr("is not known"));
}

constexpr char kSlices[] = R"(- apiVersion: openslo/v1
  kind: SLO
  metadata: {name: main-page, labels: {env: [prod, dev], team: web}}
  spec:
    service: web
    indicator:
      metadata: {name: ratio}
      spec:
        ratioMetric:
          counter: true
          good: {metricSource: {type: Prometheus, spec: {query: 'sum by (region) (ok_total{a="b"})'}}}
          total: {metricSource: {type: Prometheus, spec: {query: sum by (region) (all_total)}}}
    timeWindow:
      - duration: 1M
        isRolling: false
        calendar: {startTime: 2022-01-31 12:00:00, timeZone: America/New_York}
    budgetingMethod: Timeslices
    objectives:
      - {op: gt, target: 0.995, timeSliceTarget: 0.95, timeSliceWindow: 5}
    alertPolicies:
)";

TEST(OpenSlo, TimeslicesOverACalendarsMonth) {
  const auto slos = MustRead(kSlices);
  ASSERT_EQ(slos.size(), 1U);
  const Definition& slo = slos[0];
  EXPECT_EQ(slo.labels.Get("env"), "prod,dev");
  EXPECT_EQ(slo.owner, "web");
  ASSERT_NE(slo.calendar, nullptr);
  EXPECT_EQ(slo.calendar->text(), "1M from 2022-01-31 12:00:00 America/New_York");
  EXPECT_EQ(slo.period, hours(31 * 24 + 1));
  ASSERT_TRUE(slo.polled.has_value());
  EXPECT_EQ(slo.polled->slice, minutes(5));  // a bare number is in minutes
  EXPECT_EQ(slo.polled->slice_budget, PolledSli::SliceBudget::kTarget);
  EXPECT_EQ(slo.polled->slice_target, (Fraction{19, 20}));
  EXPECT_EQ(slo.polled->total, "sum by (region) (increase(all_total[{{.window}}] anchored))");
  EXPECT_EQ(slo.sli.group_by, std::vector<std::string>{"region"});
}

TEST(OpenSlo, RatioTimeslicesThresholdsAndGauges) {
  std::string text = Replaced(kSlices, "Timeslices", "RatioTimeslices");
  text = Replaced(text, "timeSliceTarget: 0.95, ", "");
  EXPECT_EQ(MustRead(text).at(0).polled->slice_budget, PolledSli::SliceBudget::kMean);

  text = Replaced(kSlices, "counter: true", "counter: false");
  text = Replaced(text, "Timeslices", "Occurrences");
  const auto gauges = MustRead(text);
  EXPECT_FALSE(gauges.at(0).polled.has_value());  // so do sums of gauges' values
  EXPECT_EQ(gauges[0].total_query, "sum by (region) (sum_over_time(all_total[{{.window}}]))");
  EXPECT_EQ(gauges[0].sli.total.at(0).measure.kind, MeasureKind::kValues);
  const auto counters = MustRead(Replaced(kSlices, "Timeslices", "Occurrences"));
  EXPECT_FALSE(counters.at(0).polled.has_value());  // counters stream
  EXPECT_EQ(counters[0].sli.bad.size(), 2U);

  const std::string threshold = R"(apiVersion: openslo/v1
kind: SLO
metadata: {name: lag}
spec:
  service: web
  indicator:
    metadata: {name: lag}
    spec: {thresholdMetric: {metricSource: {spec: {query: max(lag_seconds)}}}}
  timeWindow: [{duration: 2w, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{op: lt, value: 2.5, target: 0.99}]
)";
  const auto lag = MustRead(threshold);
  EXPECT_EQ(lag.at(0).polled->kind, PolledSli::Kind::kThreshold);
  EXPECT_EQ(lag[0].polled->op, Comparison::kLess);
  EXPECT_EQ(lag[0].polled->bound, 2.5);
  for (const auto& [op, comparison] :
       {std::pair("lte", Comparison::kLessOrEqual), std::pair("gt", Comparison::kGreater),
        std::pair("gte", Comparison::kGreaterOrEqual)}) {
    const auto other = MustRead(Replaced(threshold, "op: lt", std::string("op: ") + op));
    EXPECT_EQ(other.at(0).polled->op, comparison) << op;
  }
  EXPECT_THAT(FirstError(Replaced(threshold, "op: lt", "op: below")),
              HasSubstr("\"below\" is not lt"));
}

TEST(OpenSlo, ConditionsCompareABurnRateUpwards) {
  const auto with = [](const std::string& op) {
    return Replaced(kOpenSlo, "op: gt, threshold", "op: " + op + ", threshold");
  };
  EXPECT_EQ(MustRead(with("gte")).at(0).conditions.at(0).factor, (Fraction{2, 1}));
  EXPECT_THAT(FirstError(with("eq")), HasSubstr("\"eq\" is not lt, lte, gt or gte"));
}

TEST(OpenSlo, AlphaIsReadAsSlothReadsIt) {
  const auto slos = MustRead(R"(apiVersion: openslo/v1alpha
kind: SLO
metadata: {name: api, displayName: API}
spec:
  service: web
  budgetingMethod: Occurrences
  objectives:
    - ratioMetrics:
        good: {source: prometheus, queryType: promql, query: 'sum(rate(g[{{.window}}]))'}
        total: {source: prometheus, queryType: promql, query: 'sum(rate(t[{{.window}}]))'}
      target: 0.999
  timeWindows: [{count: 30, unit: Day}]
)");
  EXPECT_EQ(slos.at(0).id, "web-api-0");
  EXPECT_FALSE(slos[0].polled.has_value());
  EXPECT_FALSE(slos[0].alert(Severity::kPage).enabled);
}

TEST(OpenSlo, ObjectsOfOtherFilesAreFoundAndTheirMistakesNamedThere) {
  const auto dir = std::filesystem::path(::testing::TempDir()) / "openslo_across_files";
  std::filesystem::create_directories(dir);
  const std::string text = kOpenSlo;
  const size_t at = text.rfind("---\n");
  std::ofstream(dir / "a-slo.yml") << text.substr(at + 4);
  std::ofstream(dir / "b-objects.yml") << text.substr(0, at);
  const auto both = LoadSloFiles({dir});
  ASSERT_TRUE(both.ok()) << both.status().ToString();
  EXPECT_EQ(both->size(), 2U);
  std::ofstream(dir / "b-objects.yml")
      << Replaced(text.substr(0, at), "sum(rate(all_total[{{.window}}]))", "sum(rate(");
  const auto wrong = LoadSloFiles({dir});
  ASSERT_FALSE(wrong.ok());
  EXPECT_THAT(std::string(wrong.status().message()), HasSubstr("b-objects.yml:7:"));
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace basalt::slo
