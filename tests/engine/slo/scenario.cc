#include "tests/engine/slo/scenario.h"

#include "engine/slo/slo_files.h"

namespace basalt::slo {

std::vector<Definition> ShopSlo(const std::string& group_by, const std::string& more,
                                bool total_alerts) {
  const std::string by = group_by.empty() ? "" : " by (" + group_by + ")";
  const CheckedSlos checked = CheckSloText(R"(
version: basalt/v1
service: shop
labels: {owner: team-checkout}
slos:
  - name: requests
    objective: 99.9
)" + more + R"(
    sli:
      events:
        error_query: sum)" + by + R"((rate(errors_total{job="shop"}[{{.window}}]))
        total_query: sum)" + by + R"((rate(requests_total{job="shop"}[{{.window}}]))
    alerting: {name: ShopErrors, total_alert: {disable: )" +
                                               (total_alerts ? "false" : "true") +
                                               R"(}}
)",
                                           "shop.yml");
  for (const Problem& problem : checked.problems) ADD_FAILURE() << ToString(problem);
  return checked.definitions;
}

Scenario::Scenario(const std::string& group_by, const std::string& more, int64_t start_ms,
                   bool total_alerts)
    : clock(start_ms), group_by_(group_by), more_(more), total_alerts_(total_alerts) {
  Restart(start_ms);
}

void Scenario::Restart(int64_t now_ms) {
  clock.Set(now_ms);
  EvaluatorOptions options;
  options.clock = &clock;
  evaluator.reset();
  evaluator = std::make_unique<Evaluator>(store, sink, options);
  const Status status = evaluator->SetDefinitions(ShopSlo(group_by_, more_, total_alerts_));
  EXPECT_TRUE(status.ok()) << status.ToString();
}

Labels Scenario::LabelsOf(const std::string& series) {
  const size_t space = series.find(' ');
  const std::string kind = series.substr(0, space);
  const std::string metric = kind == "up" ? kind : kind + "_total";
  return Labels{{"__name__", metric}, {"job", "shop"}, {"instance", series.substr(space + 1)}};
}

oracle::Series& Scenario::TrueSeries(const std::string& series) {
  oracle::Series& one = truth.series[series];
  one.target = series.substr(series.find(' ') + 1);
  one.bad = series.starts_with("errors") ? 1 : 0;
  one.total = series.starts_with("requests") ? 1 : 0;
  one.presence_only = series.starts_with("up");
  return one;
}

void Scenario::Write(const std::string& series, int64_t t_ms, double value, int64_t start_ms) {
  store.Write(LabelsOf(series), t_ms, value, start_ms);
  if (!series.starts_with("other")) TrueSeries(series).samples[t_ms] = {value, start_ms, false};
}

void Scenario::WriteStale(const std::string& series, int64_t t_ms) {
  store.WriteStale(LabelsOf(series), t_ms);
  TrueSeries(series).samples[t_ms] = {0, 0, true};
}

void Scenario::Sweep(int64_t now_ms) {
  clock.Set(now_ms);
  const Status status = evaluator->Sweep();
  EXPECT_TRUE(status.ok()) << status.ToString();
}

GroupView Scenario::View() {
  const auto slo = evaluator->Slo(kDefaultTenant, "shop-requests");
  if (!slo.has_value() || slo->groups.empty()) return {};
  return slo->groups[0];
}

namespace {

void ExpectSame(const oracle::Episode& expected, const SeverityView& found, const char* name) {
  const bool firing =
      found.state == SeverityState::kFiring || found.state == SeverityState::kFrozen;
  ASSERT_EQ(firing, expected.firing) << name;
  if (firing) {
    EXPECT_EQ(ToMs(*found.starts_at), expected.starts_ms) << name;
    EXPECT_EQ(found.state == SeverityState::kFrozen, expected.undefined_since_ms != 0) << name;
  }
}

}  // namespace

void Scenario::QuickRound(int64_t t_ms) {
  SCOPED_TRACE("round at +" + std::to_string(t_ms - kStartMs) + " ms");
  Sweep(t_ms + 200);
  truth.Recount();
  truth.Round(t_ms);
  const auto slo = evaluator->Slo(kDefaultTenant, "shop-requests", 1);
  ASSERT_TRUE(slo.has_value() && slo->groups.size() == 1);
  ASSERT_EQ(ToMs(*slo->groups[0].as_of), t_ms) << "the round has not settled";
  ExpectSame(truth.page, slo->groups[0].severities[0], "page");
  ExpectSame(truth.ticket, slo->groups[0].severities[1], "ticket");
}

void Scenario::Round(int64_t t_ms) {
  QuickRound(t_ms);
  SCOPED_TRACE("round at +" + std::to_string(t_ms - kStartMs) + " ms");
  for (const WindowView& window : View().windows) {
    const oracle::Sums sums = truth.Window(t_ms, window.length.count());
    // Shares of a gap are kept in 2^-16 of an event, rounded down.
    EXPECT_NEAR(window.bad, static_cast<double>(sums.bad), 0.01) << window.length.count();
    EXPECT_NEAR(window.total, static_cast<double>(sums.total), 0.01) << window.length.count();
    EXPECT_TRUE(window.exact);
  }
}

}  // namespace basalt::slo
