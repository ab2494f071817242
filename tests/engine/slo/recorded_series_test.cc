// What sloth's and pyrra's dashboards find.
#include "engine/slo/recorded_series.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace basalt::slo {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

SloView Shop() {
  SloView view;
  view.id = "shop-requests";
  view.service = "shop";
  view.name = "requests";
  view.objective = 0.999;
  view.objective_text = "99.9";
  view.budget_share = 0.001;
  view.period = hours(720);
  view.labels = {{"tier", "1"}};
  GroupView group;
  group.labels = {{"region", "eu"}};
  group.as_of = FromMs(1'700'000'000'000);
  group.windows = {{minutes(5), 3, 600, 0.005, 5, true},
                   {hours(1), 0, 0, {}, {}, true},
                   {hours(720), 30, 60'000, 0.0005, 0.5, true}};
  group.budget.remaining_ratio = 0.5;
  SeverityView page;
  page.starts_at = FromMs(1'699'999'000'000);
  page.labels = {{"alertname", "ShopErrors"}, {"sloth_severity", "page"}};
  group.severities = {page, {}};
  view.groups = {group};
  return view;
}

// "name{label=value,...}" -> value.
std::map<std::string, double> Recorded(const SloView& view) {
  std::map<std::string, double> out;
  for (const RecordedSample& sample : RecordedSeries(view)) {
    std::string name(sample.labels.Get(kMetricName));
    name += "{";
    for (const Label& label : sample.labels) {
      if (label.name != kMetricName) name += label.name + "=" + label.value + ",";
    }
    EXPECT_TRUE(out.emplace(name + "}", sample.value).second) << name << " twice";
  }
  return out;
}

TEST(RecordedSeriesTest, HaveSlothsNamesAndLabels) {
  const std::string ids = "sloth_id=shop-requests,sloth_service=shop,sloth_slo=requests,";
  const std::string group = "{region=eu," + ids;
  const std::map<std::string, double> expected = {
      {"slo:objective:ratio{" + ids + "tier=1,}", 0.999},
      {"slo:error_budget:ratio{" + ids + "tier=1,}", 0.001},
      {"slo:time_period:days{" + ids + "tier=1,}", 30},
      {"sloth_slo_info{sloth_id=shop-requests,sloth_mode=streamed,sloth_objective=99.9,"
       "sloth_service=shop,sloth_slo=requests,sloth_spec=prometheus/v1,sloth_version=basalt,"
       "tier=1,}",
       1},
      {"slo:sli_error:ratio_rate5m" + group + "sloth_window=5m,tier=1,}", 0.005},
      {"slo:sli_error:ratio_rate30d" + group + "sloth_window=30d,tier=1,}", 0.0005},
      {"slo:current_burn_rate:ratio" + group + "tier=1,}", 5},
      {"slo:period_burn_rate:ratio" + group + "tier=1,}", 0.5},
      {"slo:period_error_budget_remaining:ratio" + group + "tier=1,}", 0.5},
      {"ALERTS{alertname=ShopErrors,alertstate=firing,sloth_severity=page,}", 1},
      {"ALERTS_FOR_STATE{alertname=ShopErrors,sloth_severity=page,}", 1'699'999'000},
  };
  EXPECT_EQ(Recorded(Shop()), expected);
}

TEST(RecordedSeriesTest, HavePyrrasNamesWhereTheSloIsPyrras) {
  SloView view = Shop();
  view.origin = Origin::kPyrra;
  view.record_metric = "http_requests";
  view.record_labels = {{"slo", "requests"}, {"team", "web"}};
  view.record_matchers = {{"job", "shop"}};
  const std::map<std::string, double> recorded = Recorded(view);
  const std::map<std::string, double> expected = {
      {"pyrra_objective{slo=requests,team=web,}", 0.999},
      {"pyrra_window{slo=requests,team=web,}", 2'592'000},
      {"pyrra_availability{region=eu,slo=requests,team=web,}", 0.9995},
      {"pyrra_requests:rate5m{region=eu,slo=requests,team=web,}", 2},
      {"pyrra_errors:rate5m{region=eu,slo=requests,team=web,}", 0.01},
      {"http_requests:burnrate5m{job=shop,region=eu,slo=requests,team=web,}", 0.005},
      {"http_requests:burnrate30d{job=shop,region=eu,slo=requests,team=web,}", 0.0005},
  };
  for (const auto& [name, value] : expected) {
    ASSERT_TRUE(recorded.contains(name)) << name;
    EXPECT_DOUBLE_EQ(recorded.at(name), value) << name;
  }
}

TEST(RecordedSeriesTest, AGroupWithoutDataHasNoRatios) {
  SloView view = Shop();
  view.groups[0].as_of.reset();
  view.groups[0].budget.remaining_ratio.reset();
  view.groups[0].severities[0].starts_at.reset();
  EXPECT_EQ(Recorded(view).size(), 4U) << "what is of the SLO itself";
}

}  // namespace
}  // namespace basalt::slo
