// Our own format, pyrra's and sloth's: what each says here, and how a mistake in each is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "engine/slo/pyrra_loader.h"
#include "engine/slo/slo_files.h"
#include "tests/engine/slo/slo_texts.h"

namespace basalt::slo {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using ::testing::AllOf;
using ::testing::HasSubstr;

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

std::vector<Definition> OfCalendar(const std::string& period, const std::string& tiers = "") {
  return MustRead(R"(version: basalt/v1
service: shop
owner: checkout
slos:
  - name: requests
    objective: 99.9
    period: )" + period +
                  R"(
    calendar: {start: 2026-01-01 00:00:00, zone: Europe/Berlin}
)" + tiers + R"(    sli:
      events:
        error_query: sum(rate(errors_total[{{.window}}]))
        total_query: sum(rate(requests_total[{{.window}}]))
    alerting: {name: ShopErrors}
)");
}

TEST(WorkbookTiers, OfACalendarAreThoseOfThePeriodThatItIsCalled) {
  const std::pair<const char*, Duration> periods[] = {
      {"2h", hours(2)},      {"36h", hours(36)},     {"90m", minutes(90)},   {"1d", hours(24)},
      {"1w", hours(7 * 24)}, {"4w", hours(28 * 24)}, {"1M", kDefaultPeriod}, {"1Q", hours(91 * 24)},
  };
  for (const auto& [text, period] : periods) {
    const std::vector<Definition> slos = OfCalendar(text);
    ASSERT_EQ(slos.size(), 1U) << text;
    const std::vector<Tier> tiers = WorkbookTiers(period);
    ASSERT_EQ(slos[0].conditions.size(), tiers.size()) << text;
    for (size_t i = 0; i < tiers.size(); ++i) {
      EXPECT_EQ(slos[0].conditions[i].long_window, tiers[i].long_window) << text;
      EXPECT_EQ(slos[0].conditions[i].short_window, tiers[i].short_window) << text;
      EXPECT_EQ(slos[0].conditions[i].factor, tiers[i].factor) << text;
    }
  }
  // 2 % of 30 days' budget in an hour, whatever month it is.
  const std::vector<Definition> month =
      OfCalendar("1M", "    tiers: [{severity: page, long: 1h, budget_percent: 2}]\n");
  ASSERT_EQ(month.size(), 1U);
  EXPECT_EQ(month[0].conditions[0].factor, (Fraction{72, 5}));
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

std::string PyrraWith(const std::string& indicator) {
  std::string text = kPyrra;
  return text.substr(0, text.find("    latency:")) + indicator;
}

TEST(PyrraResource, BoolGaugesAndNativeHistogramsAreStreamed) {
  const auto gauge =
      MustRead(PyrraWith("    bool_gauge: {metric: probe_success, grouping: [target]}\n"));
  ASSERT_EQ(gauge.size(), 1U);
  ASSERT_FALSE(gauge[0].polled.has_value());
  ASSERT_EQ(gauge[0].sli.bad.size(), 2U);
  EXPECT_EQ(gauge[0].sli.bad[0].measure.kind, MeasureKind::kSamples);
  EXPECT_EQ(gauge[0].sli.bad[1].measure.kind, MeasureKind::kValues);
  EXPECT_EQ(gauge[0].sli.bad[1].coefficient, -1);
  EXPECT_EQ(gauge[0].sli.total.at(0).measure.kind, MeasureKind::kSamples);
  EXPECT_EQ(gauge[0].sli.group_by, std::vector<std::string>{"target"});
  EXPECT_EQ(gauge[0].record_metric, "probe_success");

  const auto native = MustRead(PyrraWith(
      "    latencyNative: {latency: 250ms, total: {metric: 'rpc_seconds{job=\"api\"}'}}\n"));
  ASSERT_EQ(native.size(), 1U);
  ASSERT_FALSE(native[0].polled.has_value());
  ASSERT_EQ(native[0].sli.bad.size(), 2U);
  EXPECT_EQ(native[0].sli.bad[0].measure, (Measure{MeasureKind::kHistogramCount}));
  EXPECT_EQ(native[0].sli.bad[1].measure, (Measure{MeasureKind::kHistogramRange, 0, 0.25}));
  EXPECT_EQ(native[0].sli.bad[1].coefficient, -1);
  EXPECT_EQ(native[0].sli.total.at(0).measure.kind, MeasureKind::kHistogramCount);
}

TEST(PyrraResource, WhatIsWrongIsNamed) {
  EXPECT_THAT(FirstError(PyrraWith("    bool_gauge: {grouping: [target]}\n")),
              HasSubstr("indicator.bool_gauge: lacks `metric`"));
  EXPECT_THAT(FirstError(PyrraWith("    latencyNative: {total: {metric: x}}\n")),
              HasSubstr("latencyNative: lacks `latency`"));
  EXPECT_THAT(FirstError(PyrraWith("    {}\n")), HasSubstr("needs one of `ratio`"));
}

// --- sloth ------------------------------------------------------------------

std::string Sloth(const std::string& sli, const std::string& service = "") {
  return "version: prometheus/v1\nservice: shop\nlabels: {owner: checkout, tier: \"2\"}\n" +
         service + "slos:\n  - name: requests\n    objective: 99\n    sli:\n" + sli +
         "    alerting: {name: ShopErrors}\n";
}
constexpr char kEvents[] =
    "      events: {error_query: 'sum(rate(e[{{.window}}]))', "
    "total_query: 'sum(rate(t[{{.window}}]))'}\n";

TEST(SlothFormat, WhatIsNoSumOfCountersIsPolledByWindows) {
  const auto slos = MustRead(
      Sloth("      events:\n"
            "        error_query: sum_over_time((count(g < 0.5))[{{.window}}:]) OR on() vector(0)\n"
            "        total_query: sum_over_time((count(g))[{{.window}}:])\n"));
  ASSERT_EQ(slos.size(), 1U);
  ASSERT_TRUE(slos[0].polled.has_value());
  EXPECT_EQ(slos[0].polled->kind, PolledSli::Kind::kEvents);
  EXPECT_THAT(slos[0].polled->why, HasSubstr("is not a linear combination"));

  const auto gauge = MustRead(
      Sloth("      raw:\n        error_ratio_query: 1 - (sum(sum_over_time(g[{{.window}}])) / "
            "sum(count_over_time(g[{{.window}}])))\n"));
  EXPECT_FALSE(gauge.at(0).polled.has_value());  // a quotient of sums over samples is streamed
  const auto slow =
      MustRead(Sloth("      raw: {error_ratio_query: '1 - histogram_fraction(0, 0.3, "
                     "sum(rate(rpc_seconds[{{.window}}])))'}\n"));
  EXPECT_FALSE(slow.at(0).polled.has_value());
  const auto scaled = MustRead(
      Sloth("      raw:\n        error_ratio_query: sum(sum_over_time(g[{{.window}}]) * 2) / "
            "sum(count_over_time(g[{{.window}}]))\n"));
  EXPECT_EQ(scaled.at(0).polled->kind, PolledSli::Kind::kEvents);  // a quotient has events
  const auto share =
      MustRead(Sloth("      raw: {error_ratio_query: 'max(1 - avg_over_time(g[{{.window}}]))'}\n"));
  EXPECT_EQ(share.at(0).polled->kind, PolledSli::Kind::kRatio);
  EXPECT_EQ(share.at(0).sli.scale, kRatioScale);
}

TEST(SlothFormat, KnownPluginsAreAppliedAndOthersNamed) {
  const auto chain = [](const std::string& plugins) {
    return Sloth(kEvents, "slo_plugins:\n  chain: [" + plugins + "]\n");
  };
  EXPECT_FALSE(MustRead(chain("{id: sloth.dev/core/debug/v1, priority: -5, config: {msg: x}}"))
                   .at(0)
                   .against_period);
  EXPECT_TRUE(MustRead(chain("{id: sloth.dev/contrib/denominator_corrected_rules/v1}"))
                  .at(0)
                  .against_period);
  EXPECT_EQ(MustRead(chain("{id: sloth.dev/contrib/info_labels/v1, config: {labels: {a-b: c}}}"))
                .at(0)
                .info_labels.Get("a-b"),
            "c");
  EXPECT_THAT(FirstError(chain("{id: acme/extra/v1}")),
              HasSubstr("slo_plugins.chain[0].id: \"acme/extra/v1\" is Go code"));
}

TEST(SlothFormat, SliPluginsAreTemplates) {
  const std::string use =
      Sloth("      plugin: {id: acme, options: {job: api, filter: '{a=\"b\"}'}}\n");
  EXPECT_THAT(FirstError(use), HasSubstr("give its query as a document of kind SliPlugin"));
  const std::string plugin =
      "---\napiVersion: basalt/v1\nkind: SliPlugin\nspec:\n  id: acme\n"
      "  required_options: [job]\n  error_ratio_query: sum(rate(e{ {{.filter}}job=\"{{.job}}\"}"
      "[{{.window}}])) / sum(rate(t{job=\"{{.job}}\"}[{{ .window }}]))\n";
  const auto slos = MustRead(use + plugin);
  EXPECT_EQ(slos.at(0).error_query, "sum(rate(e{ a=\"b\",job=\"api\"}[{{.window}}]))");
  EXPECT_FALSE(slos.at(0).polled.has_value());
  EXPECT_THAT(FirstError(Sloth("      plugin: {id: acme}\n") + plugin),
              HasSubstr("sli.plugin: lacks the option `job`"));
  EXPECT_THAT(FirstError(Sloth("      plugin: {id: acme, options: {job: a, jbo: b}}\n") + plugin),
              HasSubstr("has the option `jbo`"));
  EXPECT_EQ(
      MustRead(Sloth("      plugin: {id: getting_started_availability, options: {job: api}}\n"))
          .at(0)
          .sli.bad.size(),
      1U);
}

TEST(SlothFormat, AlertWindowsReplaceThoseOfTheirPeriod) {
  const std::string windows =
      "---\napiVersion: sloth.slok.dev/v1\nkind: AlertWindows\nspec:\n  sloPeriod: 30d\n"
      "  page:\n"
      "    quick: {errorBudgetPercent: 1, shortWindow: 2m, longWindow: 30m}\n"
      "    slow: {errorBudgetPercent: 2, shortWindow: 15m, longWindow: 3h}\n"
      "  ticket:\n"
      "    quick: {errorBudgetPercent: 5, shortWindow: 1h, longWindow: 12h}\n"
      "    slow: {errorBudgetPercent: 5, shortWindow: 3h, longWindow: 36h}\n";
  const auto slos = MustRead(Sloth(kEvents) + windows);
  ASSERT_EQ(slos.at(0).conditions.size(), 4U);
  EXPECT_EQ(slos[0].conditions[0].factor, (Fraction{72, 5}));  // 1 % of 30 d in 30 min
  EXPECT_EQ(slos[0].conditions[3].long_window, hours(36));
  EXPECT_THAT(FirstError(Sloth(kEvents) + windows + windows),
              HasSubstr("spec.sloPeriod: stands twice"));
}

TEST(SlothFormat, KeysOfTheOtherDialectInAResourceAreLeftOutWithAWarning) {
  const std::string text =
      "apiVersion: sloth.slok.dev/v1\nkind: PrometheusServiceLevel\nspec:\n  service: shop\n"
      "  slos:\n    - name: a\n      objective: 99\n      sli: {events: {errorQuery: "
      "'sum(rate(e[{{.window}}]))', totalQuery: 'sum(rate(t[{{.window}}]))'}}\n"
      "      alerting: {name: A, page_alert: {labels: {severity: x}}}\n";
  EXPECT_EQ(MustRead(text).at(0).alert(Severity::kPage).labels.Get("severity"), "");
  EXPECT_THAT(ToString(CheckSloText(text, "x").problems.at(0)), HasSubstr("write pageAlert"));
}

// --- all formats together ---------------------------------------------------

// A file of `slos` SLOs with `each` thresholds of a native histogram, from the `first` on.
std::string WithThresholds(const std::string& service, int first, int slos, int each) {
  const std::string of = "sum(rate(rpc_seconds[{{.window}}]))";
  std::string text = "version: prometheus/v1\nservice: " + service + "\nslos:\n";
  for (int slo = 0; slo < slos; ++slo) {
    std::string errors;
    for (int i = 0; i < each; ++i) {
      errors += (errors.empty() ? "" : " + ");
      errors += "histogram_count(" + of + ") * histogram_fraction(0, ";
      errors += std::to_string(first + slo * each + i) + ", " + of + ")";
    }
    text += "  - name: slo-" + std::to_string(slo) + "\n    objective: 99\n    sli:\n";
    text += "      events: {error_query: '" + errors + "', ";
    text += "total_query: 'histogram_count(" + of + ")'}\n    alerting: {name: Slow}\n";
  }
  return text;
}

TEST(SloFiles, MoreMeasuresThanFitAreRefusedOverAllFiles) {
  // Beside the thresholds: the histograms' whole counts, and counters, which always have a place.
  constexpr int kSlos = 46;
  constexpr int kEach = 89;
  static_assert(kSlos * kEach + 2 == kMaxMeasures);
  const std::string full = WithThresholds("full", 1, kSlos, kEach);
  const std::vector<Definition> fitting = MustRead(full);
  ASSERT_EQ(fitting.size(), static_cast<size_t>(kSlos));
  for (const Definition& slo : fitting) ASSERT_FALSE(slo.polled.has_value()) << slo.polled->why;

  EXPECT_THAT(FirstError(WithThresholds("over", 1, kSlos + 1, kEach)),
              AllOf(HasSubstr("slo.yml:" + std::to_string(4 + 5 * kSlos) + ":1: error: "),
                    HasSubstr("with the SLO \"over-slo-46\""), HasSubstr("more than 4096 measures"),
                    HasSubstr("Give SLOs the same thresholds")));

  const auto dir = std::filesystem::path(::testing::TempDir()) / "slo_files_measures";
  std::filesystem::create_directories(dir);
  std::ofstream(dir / "a.yml") << full;
  std::ofstream(dir / "b.yml") << WithThresholds("known", 1, 1, kEach);
  std::ofstream(dir / "c.yml") << WithThresholds("new", kSlos * kEach + 1, 1, 1);
  const auto same = LoadSloFiles({dir / "a.yml", dir / "b.yml"});
  EXPECT_TRUE(same.ok()) << same.status().ToString();
  const auto more = LoadSloFiles({dir});
  EXPECT_EQ(more.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(more.status().message()),
              AllOf(HasSubstr("c.yml:4:1: error: "), HasSubstr("with the SLO \"new-slo-0\"")));
  EXPECT_TRUE(CheckSloFile(dir / "c.yml").ok());
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace basalt::slo
