// The formats' own published examples: what of them is refused, and how that is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "engine/slo/slo_files.h"
#include "tests/engine/slo/slo_texts.h"

namespace basalt::slo {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// What published examples have that is refused (docs/format.md), each with its place and field.
std::string RefusedSloth(const std::string& sli, const std::string& end = "") {
  return R"(version: prometheus/v1
service: shop
labels: {owner: checkout}
slos:
  - name: requests
    objective: 99.9
    sli:
      )" +
         sli + R"(
    alerting: {name: ShopErrors}
)" + end;
}
std::string RefusedEvents(const std::string& errors, const std::string& total) {
  return RefusedSloth("events: {error_query: '" + errors + "', total_query: '" + total + "'}");
}
std::string RefusedOpenSlo(const std::string& version, const std::string& duration,
                           const std::string& objective) {
  return "apiVersion: " + version + R"(
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
  timeWindow: [{duration: )" +
         duration + R"(, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.9)" +
         objective + "}]\n";
}
constexpr char kPlain[] = "sum(rate(r_total[{{.window}}]))";

struct RefusedCase {
  const char* name;
  std::string text;
  const char* place;  // line, column, field
  const char* why;
};
class PublishedExamplesRefused : public ::testing::TestWithParam<RefusedCase> {};

TEST_P(PublishedExamplesRefused, AreNamedByFileLineAndField) {
  EXPECT_THAT(
      FirstError(GetParam().text),
      AllOf(HasSubstr(std::string("slo.yml:") + GetParam().place), HasSubstr(GetParam().why)));
}

INSTANTIATE_TEST_SUITE_P(
    Table, PublishedExamplesRefused,
    ::testing::Values(
        RefusedCase{"metricsql_function",
                    RefusedEvents("histogram_share(1, sum(rate(x_bucket[{{.window}}])))", kPlain),
                    "8:29: error: slos[0].sli.events.error_query: ", "is not PromQL"},
        RefusedCase{
            "metricsql_modifier",
            RefusedEvents(kPlain, "sum_over_time(vector(1)[{{.window}}:1m] keep_metric_names)"),
            "8:77: error: slos[0].sli.events.total_query: ", "is not PromQL"},
        RefusedCase{"sloth_sli_plugin", RefusedSloth("plugin: {id: acme/unknown}"),
                    "8:20: error: slos[0].sli.plugin.id: ", "SliPlugin"},
        RefusedCase{"sloth_slo_plugin",
                    RefusedSloth("events: {error_query: '" + std::string(kPlain) +
                                     "', total_query: '" + kPlain + "'}",
                                 "slo_plugins: {chain: [{id: acme/other}]}\n"),
                    "10:28: error: slo_plugins.chain[0].id: ", "Go code"},
        RefusedCase{
            "other_groups", RefusedEvents("sum by (a) (rate(e[{{.window}}]))", kPlain),
            "8:79: error: slos[0].sli.events.total_query: ", "have to come from the same `by`"},
        RefusedCase{
            "rate_and_increase",
            RefusedEvents("sum(increase(e[{{.window}}])) * max(x)",
                          "sum(rate(e[{{.window}}])) * max(x)"),
            "8:84: error: slos[0].sli.events.total_query: ", "rate() or increase() in both"},
        RefusedCase{
            "composite", RefusedOpenSlo("openslo/v1", "1d", ", indicatorRef: other"),
            "15:44: error: spec.objectives[0].indicatorRef: ", "an SLO for each of its parts"},
        RefusedCase{"composite_weight", RefusedOpenSlo("openslo/v1", "1d", ", compositeWeight: 2"),
                    "15:47: error: spec.objectives[0].compositeWeight: ", "composite SLO"},
        RefusedCase{"rolling_month", RefusedOpenSlo("openslo/v1", "1M", ""),
                    "13:27: error: spec.timeWindow[0].duration: ", "no fixed length"},
        RefusedCase{"v2alpha", RefusedOpenSlo("openslo.com/v2alpha", "1d", ""),
                    "1:1: error: apiVersion: ", "openslo.com/v2alpha"}),
    [](const auto& test) { return std::string(test.param.name); });

// The examples themselves, if they lie in BASALT_SLO_EXAMPLES: prints what is refused.
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
