// Groups, their total, and what is beyond max_groups: what is counted where, and what is sent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "engine/slo/slo_files.h"
#include "tests/engine/slo/scenario.h"

namespace basalt::slo {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kScrapeMs = 15'000;

int64_t At(int step) { return kStartMs + step * kScrapeMs; }

// Cumulative counters of some groups, all scraped at once.
class Shop {
 public:
  explicit Shop(Scenario& s) : s_(s) {}
  void Serve(const std::string& group, double requests, double errors) {
    auto& [all, bad] = counters_[group];
    all += requests;
    bad += errors;
  }
  void Scrape(int step) {
    for (const auto& [group, counters] : counters_) {
      s_.Write("requests " + group, At(step), counters.first);
      s_.Write("errors " + group, At(step), counters.second);
    }
    s_.Sweep(At(step) + 200);
  }

 private:
  Scenario& s_;
  std::map<std::string, std::pair<double, double>> counters_;
};

SloView ViewOf(Scenario& s) { return *s.evaluator->Slo(kDefaultTenant, "shop-requests"); }

// Pages of a group ("": of the total), as published.
std::vector<notify::Alert> PagesOf(const Scenario& s, const std::string& group) {
  std::vector<notify::Alert> pages;
  for (const notify::Alert& alert : s.sink.published) {
    if (alert.urgent && alert.identity.Get("instance") == group) pages.push_back(alert);
  }
  return pages;
}

const SeverityView& PageOf(const SloView& view, const std::string& group) {
  for (const GroupView& one : view.groups) {
    if (one.labels.Get("instance") == group) return one.severities[0];
  }
  ADD_FAILURE() << "no group " << group;
  return view.total->severities[0];
}

TEST(Groups, TheTotalIsTheSumOfAllOfThem) {
  Scenario s("instance");
  Shop shop(s);
  for (int i = 0; i < 40; ++i) {
    shop.Serve("a", 100, 1);
    shop.Serve("b", 200, 0);
    shop.Scrape(i);
  }
  const SloView view = ViewOf(s);
  ASSERT_TRUE(view.total.has_value());
  EXPECT_EQ(view.groups.size(), 2U);
  EXPECT_EQ(view.total->windows[0].bad, 20);
  EXPECT_EQ(view.total->windows[0].total, 6000);
  EXPECT_EQ(view.total->budget.consumed, 39);
  // It is only shown: nobody asked for its alerts.
  EXPECT_EQ(view.total->severities[0].state, SeverityState::kDisabled);
  const auto history = s.evaluator->BudgetHistory(kDefaultTenant, "shop-requests", std::nullopt);
  ASSERT_EQ(history->size(), 3U);
  EXPECT_TRUE(history->front().is_total);
}

TEST(Groups, AnSloWithoutGroupsHasNoTotal) {
  Scenario s;
  Shop shop(s);
  shop.Serve("a", 100, 1);
  shop.Scrape(0);
  EXPECT_FALSE(ViewOf(s).total.has_value());
}

// a burns first and is sent; then the total; b burns under it and is held back until the total is
// over, when it is sent with the start that it had.
TEST(Groups, WhileTheTotalFiresItsGroupsAreHeldBack) {
  Scenario s("instance", "", kStartMs, true);
  Shop shop(s);
  int b_fires = 0;
  bool shown = false;
  for (int i = 0; i < 420; ++i) {
    shop.Serve("a", 1000, i >= 100 && i < 140 ? 1000 : 0);
    shop.Serve("b", 4, i >= 115 ? 4 : 0);
    shop.Serve("c", 1000, 0);
    shop.Scrape(i);
    const SloView view = ViewOf(s);
    const SeverityView& b = PageOf(view, "b");
    if (b.state == SeverityState::kFiring && b_fires == 0) b_fires = i;
    if (b.held_back) {
      shown = true;
      EXPECT_EQ(view.total->severities[0].state, SeverityState::kFiring);
      EXPECT_TRUE(PagesOf(s, "b").empty());
    }
  }
  EXPECT_TRUE(shown);
  const auto total = PagesOf(s, "");
  ASSERT_EQ(total.size(), 2U);
  EXPECT_TRUE(total[1].resolved());
  EXPECT_THAT(std::string(total[0].annotations.Get("slo_worst_groups")), HasSubstr("instance=a"));
  const auto b = PagesOf(s, "b");
  ASSERT_EQ(b.size(), 1U);
  EXPECT_FALSE(b[0].resolved());
  EXPECT_EQ(ToMs(b[0].starts_at), At(b_fires));
  EXPECT_LT(b[0].starts_at, *total[1].ends_at);
  // Who was told that it fires is told that it is over.
  const auto a = PagesOf(s, "a");
  ASSERT_EQ(a.size(), 2U);
  EXPECT_TRUE(a[1].resolved());
}

TEST(Groups, AGroupThatIsWellBeforeItsTotalIsNeverSent) {
  Scenario s("instance", "", kStartMs, true);
  Shop shop(s);
  for (int i = 0; i < 500; ++i) {
    shop.Serve("a", 1000, i >= 100 && i < 240 ? 300 : 0);
    shop.Serve("b", 4, i >= 115 && i < 120 ? 4 : 0);
    shop.Scrape(i);
  }
  EXPECT_EQ(PagesOf(s, "").size(), 2U);
  EXPECT_TRUE(PagesOf(s, "b").empty());
}

TEST(Groups, ARestartHoldsBackWhatWasHeldBack) {
  Scenario s("instance", "", kStartMs, true);
  Shop shop(s);
  for (int i = 0; i < 160; ++i) {
    shop.Serve("a", 1000, i >= 100 ? 1000 : 0);
    shop.Serve("b", 4, i >= 115 ? 4 : 0);
    if (i == 150) s.Restart(At(i) - 100);
    shop.Scrape(i);
  }
  EXPECT_TRUE(PageOf(ViewOf(s), "b").held_back);
  EXPECT_TRUE(PagesOf(s, "b").empty());
  EXPECT_EQ(PagesOf(s, "").size(), 1U);
}

TEST(Groups, WhatIsBeyondMaxGroupsCountsTogetherAndIsATicket) {
  Scenario s("instance", "    max_groups: 2\n");
  Shop shop(s);
  for (int i = 0; i < 40; ++i) {  // which two have their own is a matter of partitions
    for (const char* group : {"a", "b", "c", "d"}) shop.Serve(group, 100, 1);
    shop.Scrape(i);
  }
  SloView view = ViewOf(s);
  ASSERT_EQ(view.groups.size(), 3U);
  const auto other = std::find_if(view.groups.begin(), view.groups.end(), [](const auto& group) {
    return group.labels.Get("instance") == kOtherGroup;
  });
  ASSERT_NE(other, view.groups.end());
  EXPECT_EQ(other->windows[0].total, 4000);
  EXPECT_EQ(other->windows[0].bad, 40);
  EXPECT_EQ(view.total->windows[0].bad, 80);
  EXPECT_EQ(view.total->windows[0].total, 8000);
  EXPECT_EQ(view.other_series, 4U);
  const auto told = [&] {
    std::vector<notify::Alert> out;
    for (const notify::Alert& alert : s.sink.published) {
      if (alert.identity.Get("alertname") == "SLOTooManyGroups") out.push_back(alert);
    }
    return out;
  };
  ASSERT_EQ(told().size(), 1U);
  EXPECT_FALSE(told()[0].urgent);
  EXPECT_THAT(std::string(told()[0].annotations.Get("summary")),
              HasSubstr("raise max_groups of the SLO (it stands at shop.yml:"));
  s.Restart(At(40) - 100);  // it is still so: no second message
  shop.Scrape(40);
  EXPECT_EQ(told().size(), 1U);
  // With room for all of them it is over.
  ASSERT_TRUE(s.evaluator->SetDefinitions(ShopSlo("instance", "    max_groups: 4\n")).ok());
  ASSERT_EQ(told().size(), 2U);
  EXPECT_TRUE(told()[1].resolved());
  EXPECT_EQ(ViewOf(s).groups.size(), 4U);
}

TEST(Groups, AsManyAsMaxGroupsHaveTheirOwn) {
  Scenario s("instance", "    max_groups: 2\n");
  Shop shop(s);
  for (int i = 0; i < 5; ++i) {
    for (const char* group : {"a", "b"}) shop.Serve(group, 100, 0);
    shop.Scrape(i);
  }
  EXPECT_EQ(ViewOf(s).groups.size(), 2U);
  EXPECT_EQ(ViewOf(s).other_series, 0U);
}

// Whether a leaf was born at its first sample is read off the others of its target.
TEST(Groups, ManyNewOnesOfOneTargetAreReadInProportion) {
  Scenario s("path", "    max_groups: 1000\n");
  constexpr uint64_t kPaths = 300;
  for (int i = 0; i < 3; ++i) {
    for (const std::string name : {"errors_total", "requests_total"}) {
      for (uint64_t p = 0; p < kPaths; ++p) {
        const Labels labels{{"__name__", name},
                            {"instance", "a"},
                            {"job", "shop"},
                            {"path", "/" + std::to_string(p)}};
        s.store.Write(labels, At(i), i);
      }
    }
  }
  s.Sweep(At(2) + 200);
  ASSERT_EQ(s.evaluator->Stats().groups, kPaths + 1);  // and the total
  const uint64_t live = s.store.series_read();
  EXPECT_LT(live, 10 * 2 * kPaths);
  s.Restart(At(2) + 300);
  ASSERT_EQ(s.evaluator->Stats().groups, kPaths + 1);  // and the total
  EXPECT_LT(s.store.series_read() - live, 10 * 2 * kPaths);
}

TEST(Groups, ATotalThatAlertsNoLongerIsResolved) {
  Scenario s("instance", "", kStartMs, true);
  Shop shop(s);
  for (int i = 0; i < 140; ++i) {
    shop.Serve("a", 1000, i >= 100 ? 1000 : 0);
    shop.Scrape(i);
  }
  ASSERT_EQ(PagesOf(s, "").size(), 1U);
  ASSERT_TRUE(s.evaluator->SetDefinitions(ShopSlo("instance", "", false)).ok());
  ASSERT_EQ(PagesOf(s, "").size(), 2U);
  EXPECT_TRUE(PagesOf(s, "")[1].resolved());
}

TEST(Groups, ATotalLeavesOutWhatItsGroupsLeaveOut) {
  Scenario s("instance");
  const auto dir = std::filesystem::path(::testing::TempDir()) / "slo_groups_ledger";
  std::filesystem::remove_all(dir);
  std::filesystem::create_directories(dir);
  auto ledger = Ledger::Open((dir / "ledger.yml").string());
  ASSERT_TRUE(ledger.ok());
  EvaluatorOptions options;
  options.clock = &s.clock;
  options.ledger = ledger->get();
  s.evaluator.reset();
  s.evaluator = std::make_unique<Evaluator>(s.store, s.sink, options);
  ASSERT_TRUE(s.evaluator->SetDefinitions(ShopSlo("instance")).ok());
  Shop shop(s);
  for (int i = 0; i < 80; ++i) {
    shop.Serve("a", 100, i >= 30 && i < 50 ? 50 : 0);
    shop.Serve("b", 100, 1);
    shop.Scrape(i);
  }
  const auto bad = [&] { return ViewOf(s).total->budget.consumed; };
  const double all = bad();
  EXPECT_EQ(all, 1000 + 79);
  Exclusion exclusion;
  exclusion.group.Set("instance", "a");
  exclusion.from_ms = At(20) / 60'000 * 60'000;
  exclusion.to_ms = At(64) / 60'000 * 60'000;
  exclusion.reason = "moved house";
  const auto added = (*ledger)->Add(exclusion, At(79));
  ASSERT_TRUE(added.ok());
  s.evaluator->ReadLedger();
  EXPECT_EQ(bad(), 79);
  // The same time again, for everybody: it is not left out twice.
  exclusion.group = {};
  const auto whole = (*ledger)->Add(exclusion, At(79));
  ASSERT_TRUE(whole.ok());
  s.evaluator->ReadLedger();
  const auto total = [&] { return ViewOf(s).total->budget; };
  EXPECT_GT(total().consumed, 0);
  EXPECT_LT(total().consumed, 79 - 40);
  ASSERT_TRUE((*ledger)->Remove(added->id, At(79)).ok());
  s.evaluator->ReadLedger();
  const double without = total().consumed;
  EXPECT_GT(without, 0);
  ASSERT_TRUE((*ledger)->Remove(whole->id, At(79)).ok());
  s.evaluator->ReadLedger();
  EXPECT_EQ(bad(), all);
  std::filesystem::remove_all(dir);
}

struct FileCase {
  const char* name;
  const char* version;
  const char* slo_key;
  const char* alert_key;
  const char* problem;  // "": none
};

class GroupKeys : public ::testing::TestWithParam<FileCase> {};

TEST_P(GroupKeys, AreCheckedWhenTheyAreRead) {
  const FileCase& one = GetParam();
  const CheckedSlos checked = CheckSloText(std::string("version: ") + one.version + R"(
service: shop
labels: {owner: team-checkout}
slos:
  - name: requests
    objective: 99.9
)" + one.slo_key + R"(
    sli:
      events:
        error_query: sum by (instance) (rate(errors_total[{{.window}}]))
        total_query: sum by (instance) (rate(requests_total[{{.window}}]))
    alerting: {name: ShopErrors)" + one.alert_key +
                                               "}\n",
                                           "shop.yml");
  if (*one.problem == '\0') {
    ASSERT_TRUE(checked.ok()) << ToString(checked.problems[0]);
    return;
  }
  ASSERT_FALSE(checked.ok());
  EXPECT_THAT(ToString(checked.problems[0]), HasSubstr(one.problem));
}

INSTANTIATE_TEST_SUITE_P(
    Table, GroupKeys,
    ::testing::Values(
        FileCase{"most", "basalt/v1", "    max_groups: 100000", "", ""},
        FileCase{"one_too_many", "basalt/v1", "    max_groups: 100001", "", "from 1 to 100000"},
        FileCase{"none", "basalt/v1", "    max_groups: 0", "", "max_groups"},
        FileCase{"half", "basalt/v1", "    max_groups: 1.5", "", "whole number"},
        FileCase{"total", "basalt/v1", "", ", total_alert: {disable: true}", ""},
        FileCase{"not_sloths", "prometheus/v1", "    max_groups: 5", "", "max_groups"},
        FileCase{"nor_its_total", "prometheus/v1", "", ", total_alert: {disable: true}",
                 "is a key of basalt/v1"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(Groups, FormatsThatKnowOfNoTotalHaveNoneThatAlerts) {
  const CheckedSlos checked = CheckSloText(R"(version: prometheus/v1
service: shop
labels: {owner: team-checkout}
slos:
  - name: requests
    objective: 99.9
    sli:
      events:
        error_query: sum by (instance) (rate(errors_total[{{.window}}]))
        total_query: sum by (instance) (rate(requests_total[{{.window}}]))
    alerting: {name: ShopErrors}
)",
                                           "shop.yml");
  ASSERT_TRUE(checked.ok());
  EXPECT_FALSE(checked.definitions[0].total_alerts);
  EXPECT_EQ(checked.definitions[0].max_groups, kMaxGroupsPerSlo);
  EXPECT_TRUE(ShopSlo("instance", "", true)[0].total_alerts);
  EXPECT_EQ(ShopSlo("instance", "", true)[0].max_groups, kDefaultMaxGroups);
}

// As many SLOs as asked for, all alike but for their ids.
std::vector<Definition> Many(size_t count) {
  std::vector<Definition> all;
  for (size_t i = 0; i < count; ++i) {
    all.push_back(ShopSlo().front());
    all.back().id += "-" + std::to_string(i);
    all.back().file = "many.yml";
    all.back().line = static_cast<int>(10 * (i + 1));
  }
  return all;
}

TEST(Limits, MoreSlosThanFitAreRefusedByNameAndThoseBeforeGoOn) {
  Scenario s;
  EvaluatorOptions options;
  options.clock = &s.clock;
  options.max_slos = 3;
  s.evaluator.reset();
  s.evaluator = std::make_unique<Evaluator>(s.store, s.sink, options);
  ASSERT_TRUE(s.evaluator->SetDefinitions(Many(3)).ok());
  const Status refused = s.evaluator->SetDefinitions(Many(5));
  EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()),
              ::testing::AllOf(HasSubstr("many.yml:40:1: error: "), HasSubstr("shop-requests-3"),
                               HasSubstr("one more than the 3"), HasSubstr("slo.max_slos"),
                               HasSubstr("of 5 in all"), HasSubstr("by (label)")));
  EXPECT_EQ(s.evaluator->Stats().slos, 3U);
  EXPECT_EQ(s.evaluator->Slos(kDefaultTenant).size(), 3U);
}

// Pods a and b of two series each: four in all.
void ServeTwoPods(Scenario& s) {
  Shop shop(s);
  for (int i = 0; i < 5; ++i) {
    for (const char* pod : {"a", "b"}) shop.Serve(pod, 100, 1);
    shop.Scrape(i);
  }
}

TEST(Limits, AnSloOfMoreSeriesThanItMayHaveSaysSoAndOthersGoOn) {
  for (const size_t max_leaves : {size_t{3}, size_t{4}}) {
    SCOPED_TRACE(max_leaves);
    Scenario s;
    ServeTwoPods(s);
    std::vector<Definition> all = ShopSlo();
    all.push_back(ShopSlo().front());  // over the errors of both alone: two series
    all.back().id = "shop-small";
    all.back().sli.total = all.back().sli.bad;
    EvaluatorOptions options;
    options.clock = &s.clock;
    options.max_leaves = max_leaves;
    s.evaluator.reset();
    s.evaluator = std::make_unique<Evaluator>(s.store, s.sink, options);
    ASSERT_TRUE(s.evaluator->SetDefinitions(all).ok());
    s.Sweep(At(5));
    const auto big = s.evaluator->Slo(kDefaultTenant, all[0].id);
    const auto small = s.evaluator->Slo(kDefaultTenant, "shop-small");
    EXPECT_EQ(small->problem, "");
    ASSERT_EQ(small->groups.size(), 1U);
    EXPECT_GT(small->groups[0].windows[0].total, 0);
    const std::vector<SloProblem> problems = s.evaluator->Stats().problems;
    if (max_leaves == 4) {
      EXPECT_EQ(big->problem, "");
      EXPECT_EQ(big->groups.size(), 1U);
      EXPECT_TRUE(problems.empty());
      continue;
    }
    EXPECT_THAT(big->problem,
                ::testing::AllOf(HasSubstr("it is not evaluated"), HasSubstr("match 4 series"),
                                 HasSubstr("may have 3 (kMaxLeavesPerSlo)"), HasSubstr("Narrow")));
    EXPECT_TRUE(big->groups.empty()) << "half of it would be wrong both ways";
    ASSERT_EQ(problems.size(), 1U);
    EXPECT_EQ(problems[0].id, all[0].id);
    for (const SloAlertRule& rule : s.evaluator->AlertRules(kDefaultTenant)) {
      const bool is_big = rule.group.ends_with(all[0].id);
      EXPECT_EQ(rule.healthy, !is_big) << rule.group;
      if (is_big) {
        EXPECT_EQ(rule.last_error, big->problem);
      }
    }
  }
}

TEST(Limits, SeriesThatComeLaterThanTheLastThatFitsAreSaidNotToCount) {
  Scenario s;
  EvaluatorOptions options;
  options.clock = &s.clock;
  options.max_leaves = 3;
  s.evaluator.reset();
  s.evaluator = std::make_unique<Evaluator>(s.store, s.sink, options);
  ASSERT_TRUE(s.evaluator->SetDefinitions(ShopSlo()).ok());
  ServeTwoPods(s);
  s.Sweep(At(5));
  EXPECT_THAT(
      s.evaluator->Slo(kDefaultTenant, ShopSlo()[0].id)->problem,
      ::testing::AllOf(HasSubstr("beyond 3 are not counted"), HasSubstr("kMaxLeavesPerSlo")));
}

TEST(Limits, GroupsOfAllSlosTogetherAreBoundedAndTheRestCountsAsOther) {
  // A total, a and b of the first SLO; the second has a total, one group and __other__.
  for (const size_t max_groups : {size_t{5}, size_t{6}}) {
    SCOPED_TRACE(max_groups);
    Scenario s("instance");
    ServeTwoPods(s);
    std::vector<Definition> all = ShopSlo("instance");
    all.push_back(all.front());
    all.back().id = "shop-second";
    EvaluatorOptions options;
    options.clock = &s.clock;
    options.max_groups = max_groups;
    s.evaluator.reset();
    s.evaluator = std::make_unique<Evaluator>(s.store, s.sink, options);
    ASSERT_TRUE(s.evaluator->SetDefinitions(all).ok());
    s.Sweep(At(5));
    const auto second = s.evaluator->Slo(kDefaultTenant, "shop-second");
    ASSERT_TRUE(second.has_value() && second->total.has_value());
    EXPECT_EQ(second->total->windows[0].total,
              s.evaluator->Slo(kDefaultTenant, all[0].id)->total->windows[0].total);
    std::string told;
    for (const notify::Alert& alert : s.sink.published) {
      if (alert.identity.Get("alertname") == "SLOTooManyGroups") {
        told += alert.annotations.Get("summary");
      }
    }
    if (max_groups == 6) {
      EXPECT_EQ(told, "");
      EXPECT_EQ(second->other_series, 0U);
    } else {
      EXPECT_THAT(told, ::testing::AllOf(HasSubstr("raise slo.max_groups"), HasSubstr("5 groups"),
                                         HasSubstr("__other__")));
      EXPECT_GT(second->other_series, 0U);
    }
  }
}

TEST(Limits, MoreMeasuresThanFitAreRefusedWhoeverSetsThem) {
  Scenario s;
  // Counters always have a place.
  std::vector<Definition> all = Many(2);
  for (size_t i = 1; i < kMaxMeasures; ++i) {
    all[0].sli.bad.push_back(all[0].sli.bad.front());
    Measure& measure = all[0].sli.bad.back().measure;
    measure.kind = MeasureKind::kHistogramRange;
    measure.upper = static_cast<double>(i);
  }
  ASSERT_TRUE(s.evaluator->SetDefinitions(all).ok());
  all[1].sli.bad.front().measure = all[0].sli.bad.back().measure;
  EXPECT_TRUE(s.evaluator->SetDefinitions(all).ok());
  all[1].sli.bad.front().measure.upper = 0.5;
  const Status refused = s.evaluator->SetDefinitions(all);
  EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()),
              ::testing::AllOf(HasSubstr("many.yml:20:1: error: "), HasSubstr("shop-requests-1"),
                               HasSubstr("more than 4096 measures")));
}

}  // namespace
}  // namespace basalt::slo
