#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "engine/slo/linear_sli.h"
#include "engine/slo/slo_files.h"
#include "engine/slo/yaml_checker.h"

namespace basalt::slo {
namespace {

using ::testing::HasSubstr;

constexpr char kGood[] = R"(version: "prometheus/v1"
service: shop
labels:
  owner: team-checkout
  tier: 2
slos:
  - name: requests
    objective: 99.9
    description: Requests are answered without a server error.
    labels: {area: web}
    sli:
      events:
        error_query: sum(rate(http_requests_total{job="shop",code=~"5.."}[{{.window}}]))
        total_query: sum(rate(http_requests_total{job="shop"}[{{.window}}]))
    alerting:
      name: ShopErrors
      labels: {category: availability}
      annotations: {runbook: "https://runbooks/shop"}
      page_alert:
        labels: {severity: page}
      ticket_alert:
        disable: true
)";

std::string With(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(SlothLoader, ReadsAnEventsSloWithEverythingItSays) {
  const CheckedSlos checked = CheckSloText(kGood, "shop.yml");
  for (const Problem& problem : checked.problems) ADD_FAILURE() << ToString(problem);
  ASSERT_EQ(checked.definitions.size(), 1U);
  const Definition& slo = checked.definitions[0];
  EXPECT_EQ(slo.id, "shop-requests");
  EXPECT_EQ(slo.owner, "team-checkout");
  EXPECT_EQ(slo.objective, (Fraction{999, 1000}));
  EXPECT_EQ(slo.period, std::chrono::hours(720));
  EXPECT_EQ(slo.labels, (Labels{{"area", "web"}, {"owner", "team-checkout"}, {"tier", "2"}}));
  EXPECT_EQ(slo.line, 7);
  ASSERT_EQ(slo.sli.bad.size(), 1U);
  EXPECT_EQ(slo.sli.bad[0].coefficient, 1);
  EXPECT_EQ(slo.sli.bad[0].matchers.size(), 3U);
  EXPECT_TRUE(slo.sli.group_by.empty());
  EXPECT_TRUE(slo.alert(Severity::kPage).enabled);
  EXPECT_FALSE(slo.alert(Severity::kTicket).enabled);
  EXPECT_EQ(slo.alert(Severity::kPage).labels,
            (Labels{{"category", "availability"}, {"severity", "page"}}));
  ASSERT_EQ(slo.conditions.size(), 4U);
  EXPECT_EQ(slo.conditions[0].threshold, (Fraction{9, 625}));  // 0.0144
  EXPECT_EQ(slo.conditions[3].threshold, (Fraction{1, 1000}));
}

struct BadCase {
  const char* name;
  const char* from;
  const char* to;
  int line;
  const char* message;
};
class SlothLoaderRefuses : public ::testing::TestWithParam<BadCase> {};

TEST_P(SlothLoaderRefuses, WithLineFieldAndWhatToDo) {
  const BadCase& c = GetParam();
  const CheckedSlos checked = CheckSloText(With(kGood, c.from, c.to), "shop.yml");
  ASSERT_FALSE(checked.problems.empty());
  EXPECT_FALSE(checked.ok());
  EXPECT_EQ(checked.problems[0].line, c.line) << ToString(checked.problems[0]);
  EXPECT_THAT(ToString(checked.problems[0]), HasSubstr(c.message));
}

INSTANTIATE_TEST_SUITE_P(
    Table, SlothLoaderRefuses,
    ::testing::Values(
        BadCase{"version", "prometheus/v1", "prometheus/v9", 1,
                "\"prometheus/v9\" is not supported"},
        BadCase{"unknown_key", "    alerting:", "    alertng:", 15,
                "slos[0].alertng: is not a known key; known here: name, description"},
        BadCase{"unknown_top_key", "service: shop", "servce: shop", 2,
                "known here: version, service"},
        BadCase{"twice", "    objective: 99.9", "    objective: 99.9\n    objective: 99", 9,
                "slos[0].objective: stands twice"},
        BadCase{"not_a_number", "99.9", "often", 8, "\"often\" is not a plain decimal"},
        BadCase{"above_100", "99.9", "100.1", 8, "is not in (0, 100]"},
        BadCase{"zero", "99.9", "0", 8, "is not in (0, 100]"},
        BadCase{"bad_name", "name: requests", "name: requests!", 7, "is not a valid name"},
        BadCase{"label_name", "tier: 2", "ti-er: 2", 5, "labels.ti-er: is not a label name"},
        BadCase{"labels_type", "labels: {area: web}", "labels: [area]", 10,
                "has to be a map of strings"},
        BadCase{"no_alert_name", "      name: ShopErrors\n", "", 16, "alerting: lacks `name`"},
        BadCase{"disable_type", "disable: true", "disable: perhaps", 22, "has to be true or false"},
        BadCase{"two_owners", "area: web", "team: other", 7, "has two owners"},
        BadCase{"raw", "events:\n        error_query: sum", "raw:\n        error_ratio_query: sum",
                14, "sli.raw.total_query: is not a known key"},
        BadCase{"not_yaml", "labels: {area: web}", "labels: {area: web", 11, "is not YAML"},
        BadCase{"no_window", "code=~\"5..\"}[{{.window}}]", "code=~\"5..\"}[5m]", 13,
                "events.error_query: has no {{.window}}"},
        BadCase{"bad_promql", "sum(rate(http_requests_total{job=\"shop\"}[{{.window}}]))",
                "sum(rate({{.window}}", 14, "total_query: is not PromQL"}),
    [](const auto& test) { return test.param.name; });

TEST(SlothLoader, FindsAllMistakesInOneGo) {
  std::string text = With(kGood, "99.9", "often");
  text = With(text, "disable: true", "disable: perhaps");
  EXPECT_EQ(CheckSloText(text, "x").problems.size(), 2U);
}

TEST(SlothLoader, WarnsOfMissingOwnersAndOfAlertsThatCannotFire) {
  std::string text = With(kGood, "  owner: team-checkout\n", "");
  CheckedSlos checked = CheckSloText(text, "shop.yml");
  ASSERT_TRUE(checked.ok());
  ASSERT_EQ(checked.problems.size(), 1U);
  EXPECT_THAT(ToString(checked.problems[0]), HasSubstr("warning: slos[0]: has no owner"));

  checked = CheckSloText(With(kGood, "99.9", "90"), "shop.yml");
  ASSERT_TRUE(checked.ok());
  ASSERT_EQ(checked.problems.size(), 1U);
  EXPECT_THAT(checked.problems[0].message, HasSubstr("burn rate 14.4 can never fire"));
}

TEST(SlothLoader, NamesAreUniqueOverDocumentsAndFiles) {
  const std::string twice = std::string(kGood) + "---\n" + kGood;
  EXPECT_THAT(ToString(CheckSloText(twice, "x").problems.at(0)),
              HasSubstr("already stands in line 7"));

  const auto dir = std::filesystem::path(::testing::TempDir()) / "sloth_loader_test";
  std::filesystem::create_directories(dir);
  std::ofstream(dir / "a.yml") << kGood;
  std::ofstream(dir / "b.yaml") << kGood;
  EXPECT_TRUE(LoadSloFiles({dir / "a.yml"}).ok());
  const auto both = LoadSloFiles({dir});
  ASSERT_FALSE(both.ok());
  EXPECT_THAT(std::string(both.status().message()), HasSubstr("already stands at"));
  std::filesystem::remove_all(dir);
}

TEST(SlothLoader, SaysWhichFileCannotBeRead) {
  const auto missing = LoadSloFiles({"/nowhere/slo.yml"});
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("/nowhere/slo.yml"));
}

TEST(SlothLoader, EmptyAndHugeAndDeepTextsAreRefused) {
  EXPECT_FALSE(CheckSloText("", "x").ok());
  EXPECT_FALSE(CheckSloText(std::string(kMaxSloFileBytes + 1, '#'), "x").ok());
  EXPECT_FALSE(CheckSloText(std::string(100'000, '['), "x").ok());
  std::string dashes;
  for (int i = 0; i < 5000; ++i) dashes += "- ";
  EXPECT_FALSE(CheckSloText(dashes, "x").ok());
}

// --- the PromQL of an SLI ---------------------------------------------------

std::string Rate(const std::string& selector) { return "rate(" + selector + "[{{.window}}])"; }

TEST(LinearSli, UnderstandsLatencyByBucket) {
  const auto sli = CompileEventsSli(
      "(\n sum(rate(d_count{verb!=\"WATCH\"}[{{ .window }}]))\n -\n "
      "sum(rate(d_bucket{le=\"0.4\",verb!=\"WATCH\"}[{{.window}}]))\n)",
      "sum(rate(d_count{verb!=\"WATCH\"}[{{.window}}]))");
  ASSERT_TRUE(sli.ok()) << sli.status().ToString();
  ASSERT_EQ(sli->bad.size(), 2U);
  EXPECT_EQ(sli->bad[0].coefficient, 1);
  EXPECT_EQ(sli->bad[1].coefficient, -1);
}

TEST(LinearSli, ConstantsBecomeIntegersWithOneScale) {
  const auto sli =
      CompileEventsSli("sum by (b, a, b) (" + Rate("x") + ") * 0.5 + -(sum by (a, b) (" +
                           Rate("y") + ") / 4) or vector(0)",
                       "(sum by (a, b) (" + Rate("z") + ")) > 0");
  ASSERT_TRUE(sli.ok()) << sli.status().ToString();
  EXPECT_EQ(sli->scale, 4);
  EXPECT_EQ(sli->bad[0].coefficient, 2);
  EXPECT_EQ(sli->bad[1].coefficient, -1);
  EXPECT_EQ(sli->total[0].coefficient, 4);
  EXPECT_EQ(sli->group_by, (std::vector<std::string>{"a", "b"}));
}

struct NotLinear {
  const char* name;
  const char* error_query;
  const char* message;
};
class LinearSliRefuses : public ::testing::TestWithParam<NotLinear> {};

TEST_P(LinearSliRefuses, NamingTheSubExpression) {
  const auto sli = CompileEventsSli(GetParam().error_query, "sum(rate(t[{{.window}}]))");
  ASSERT_FALSE(sli.ok());
  EXPECT_THAT(std::string(sli.status().message()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Table, LinearSliRefuses,
    ::testing::Values(
        NotLinear{
            "quantile", "histogram_quantile(0.9, sum(rate(x[{{.window}}])))",
            "error_query: `histogram_quantile(0.9, sum(rate(x[{{.window}}])))` is not a linear"},
        NotLinear{"inner", "sum(rate(x[{{.window}}])) + max(rate(y[{{.window}}]))",
                  "`max(rate(y[{{.window}}]))` aggregates by max"},
        NotLinear{"no_sum", "rate(x[{{.window}}])", "write sum(rate(x[{{.window}}]))"},
        NotLinear{"product", "sum(rate(x[{{.window}}])) * sum(rate(x[{{.window}}]))",
                  "multiplies two"},
        NotLinear{"ratio", "sum(rate(x[{{.window}}])) / sum(rate(y[{{.window}}]))",
                  "divides by a rate"},
        NotLinear{"offset", "sum(rate(x[{{.window}}] offset 1h))", "has offset"},
        NotLinear{"mixed", "sum(rate(x[{{.window}}])) + sum(increase(x[{{.window}}]))",
                  "mixes rate()"},
        NotLinear{"increase", "sum(increase(x[{{.window}}]))", "the other increase()"},
        NotLinear{"grouping", "sum by (a) (rate(x[{{.window}}]))", "sum by different labels"},
        NotLinear{"without", "sum without (a) (rate(x[{{.window}}]))", "sums `without`"},
        NotLinear{"gauge", "sum(avg_over_time(x[{{.window}}]))",
                  "is not rate(...) or increase(...)"},
        NotLinear{"subquery", "sum(rate(x[{{.window}}:1m]))", "is not a plain selector"},
        NotLinear{"or_series", "sum(rate(x[{{.window}}])) or sum(rate(y[{{.window}}]))",
                  "uses `or`"},
        NotLinear{"template", "sum(rate(x{a=\"{{.x}}\"}[{{.window}}]))", "other than {{.window}}"},
        NotLinear{"big", "sum(rate(x[{{.window}}])) * 100000", "outside what integers"},
        NotLinear{"fixed", "sum(rate(x[{{.window}}])) + sum(rate(y[5m]))", "has a fixed range"}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace basalt::slo
