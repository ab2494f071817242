// What is tried before it is deployed: pages beside incidents, settings, versions; and what is
// checked afterwards: explanations and audits.
#include "engine/slo/trial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "tests/engine/slo/scenario.h"

namespace basalt::slo {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kScrapeMs = 15'000;
constexpr int64_t kMinuteMs = 60'000;

int64_t At(int step) { return kStartMs + step * kScrapeMs; }

SimulatedAlert Page(int64_t starts_ms, std::optional<int64_t> ends_ms, const char* slo = "a") {
  return {slo, {}, Severity::kPage, starts_ms, ends_ms, false};
}

TEST(Verdict, PagesOfIncidentsAreRightAndOthersWrong) {
  const std::vector<Incident> incidents = {{0, 10 * kMinuteMs, "", "one"},
                                           {60 * kMinuteMs, 70 * kMinuteMs, "", "missed"}};
  SimulatedAlert ticket = Page(2 * kMinuteMs, 3 * kMinuteMs);
  ticket.severity = Severity::kTicket;
  SimulatedAlert held_back = Page(65 * kMinuteMs, 66 * kMinuteMs);
  held_back.held_back = true;
  const Verdict v = Judge(
      {Page(kMinuteMs, 14 * kMinuteMs), Page(30 * kMinuteMs, 31 * kMinuteMs), ticket, held_back},
      incidents, "a");
  EXPECT_EQ(v.pages, 2U);
  EXPECT_EQ(v.precision, 0.5);
  EXPECT_EQ(v.recall, 0.5);
  EXPECT_EQ(v.detection_median, Duration(kMinuteMs));
  EXPECT_EQ(v.reset_longest, Duration(4 * kMinuteMs));
}

TEST(Verdict, APageBelongsToAnIncidentUntilItsGraceIsOver) {
  const std::vector<Incident> one = {{0, kMinuteMs, "", ""}};
  const int64_t last = kMinuteMs + kIncidentGrace.count();
  EXPECT_EQ(Judge({Page(last, std::nullopt)}, one, "").right, 1U);
  EXPECT_EQ(Judge({Page(last + 1, std::nullopt)}, one, "").right, 0U);
  EXPECT_EQ(Judge({Page(-kMinuteMs, 0)}, one, "").right, 0U) << "it was over";
  EXPECT_EQ(Judge({Page(-kMinuteMs, 1)}, one, "").detection_median, Duration(0));
}

TEST(Verdict, IncidentsOfOtherSlosAreNotMissed) {
  const std::vector<Incident> other = {{0, kMinuteMs, "b", ""}};
  EXPECT_EQ(Judge({}, other, "a").incidents, 0U);
  EXPECT_FALSE(Judge({}, other, "a").recall.has_value());
  EXPECT_EQ(Judge({}, other, "").recall, 0);
}

TEST(Sweeps, AreRangesAndLists) {
  EXPECT_THAT(ParseSweep("factor=10:12.5:1.25")->values, ElementsAre("10", "11.25", "12.5"));
  EXPECT_THAT(ParseSweep("for=0s:2m:1m")->values, SizeIs(3));
  EXPECT_THAT(ParseSweep("objective=99|99.9")->values, ElementsAre("99", "99.9"));
  for (const char* wrong : {"factor", "speed=1:2:1", "factor=1:2", "factor=2:1:1", "factor=1:2:0",
                            "for=1:2:x", "min_bad=a|b"}) {
    EXPECT_EQ(ParseSweep(wrong).status().code(), StatusCode::kInvalidArgument) << wrong;
  }
  EXPECT_TRUE(ParseSweep("min_bad=1:100:1").ok());
  EXPECT_EQ(ParseSweep("min_bad=1:101:1").status().code(), StatusCode::kResourceExhausted);
  const Sweep ten = *ParseSweep("min_bad=1:10:1");
  EXPECT_THAT(*SettingsOf({ten, ten}), SizeIs(kMaxSettings));
  EXPECT_FALSE(SettingsOf({ten, ten, {"factor", {"1", "2"}}}).ok());
}

TEST(Sweeps, ASettingChangesWhatItNames) {
  const Definition base = ShopSlo()[0];
  const auto with = [&](const Setting& setting) { return *WithSetting(base, setting); };
  EXPECT_EQ(with({{"factor", "20"}}).conditions[0].factor, (Fraction{20, 1}));
  EXPECT_EQ(with({{"factor", "20"}}).conditions[1].factor, base.conditions[1].factor);
  EXPECT_EQ(with({{"objective", "99"}}).conditions[0].threshold, (Fraction{18, 125}));
  EXPECT_EQ(with({{"windows", "0.5"}}).conditions[0].long_window, std::chrono::minutes(30));
  EXPECT_EQ(with({{"for", "2m"}}).conditions[0].hold_for, std::chrono::minutes(2));
  EXPECT_EQ(with({{"min_bad", "7"}}).guard.min_bad, 7);
  EXPECT_EQ(with({{"keep_firing_for", "5m"}}).keep_firing_for, std::chrono::minutes(5));
  EXPECT_FALSE(WithSetting(base, {{"windows", "0.0001"}}).ok());
  EXPECT_FALSE(WithSetting(base, {{"objective", "101"}}).ok());
  EXPECT_FALSE(WithSetting(base, {{"min_total", "1.5"}}).ok());
  EXPECT_FALSE(WithSetting(base, {{"factor", "-1"}}).ok());
}

TEST(Sweeps, EverySloIsTriedWithEverySetting) {
  const auto variants = VariantsOf(ShopSlo(), {"factor=10|20", "for=0s|2m"});
  ASSERT_TRUE(variants.ok()) << variants.status().ToString();
  std::vector<std::string> settings;
  for (const Definition& variant : *variants) {
    EXPECT_EQ(variant.id, ShopSlo()[0].id) << "the ledger and outages name SLOs by id";
    settings.push_back(variant.setting);
  }
  EXPECT_THAT(settings, ElementsAre("factor=10 for=0s", "factor=10 for=2m", "factor=20 for=0s",
                                    "factor=20 for=2m"));
}

TEST(Sweeps, SayWhatToDoAboutWhatCannotBeTried) {
  const auto refused = [](size_t slos, const std::vector<std::string>& sweeps) {
    const auto variants = VariantsOf(std::vector<Definition>(slos, ShopSlo()[0]), sweeps);
    return variants.ok() ? std::string() : variants.status().ToString();
  };
  EXPECT_THAT(refused(1, {"factors=10"}), HasSubstr("sweep: \"factors=10\" is not factor="));
  EXPECT_THAT(refused(1, {"factor=10|11", "factor=12"}), HasSubstr("write its values as one list"));
  EXPECT_THAT(refused(1, {"objective=99|101"}), HasSubstr("slo shop-requests"));
  EXPECT_EQ(refused(kMaxVariants / 100, {"min_bad=0:9:1", "min_total=0:9:1"}), "");
  EXPECT_THAT(refused(kMaxVariants / 100 + 1, {"min_bad=0:9:1", "min_total=0:9:1"}),
              HasSubstr("100 settings of 11 SLOs are more than 1000 together; sweep fewer"));
}

TEST(Versions, SayWhatDiffers) {
  const Definition base = ShopSlo()[0];
  EXPECT_THAT(Differences(base, base), IsEmpty());
  const Definition stricter = *WithSetting(base, {{"objective", "99.95"}});
  EXPECT_THAT(Differences(base, stricter), ElementsAre("objective: 99.9 -> 99.95"));
  EXPECT_THAT(Differences(base, *WithSetting(base, {{"factor", "20"}})),
              ElementsAre(HasSubstr("alerts: page above 14.4")));
}

TEST(Versions, AlertsThatOnlyOneHasComeOrGo) {
  SimulationReport before;
  SimulationReport after;
  before.alerts = {Page(0, 10), Page(20, 30)};
  after.alerts = {Page(5, 12), Page(40, std::nullopt)};
  const auto found = Differences(before, after);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_FALSE(found[0].comes);
  EXPECT_EQ(found[0].alert.starts_ms, 20);
  EXPECT_TRUE(found[1].comes);
  EXPECT_EQ(found[1].alert.starts_ms, 40);
}

// Two hours of 1000 requests a scrape; all fail from step 300 to 320.
void Outage(Scenario& s) {
  double requests = 0;
  double errors = 0;
  for (int i = 0; i < 480; ++i) {
    requests += 1000;
    errors += i >= 300 && i < 320 ? 1000 : 0;
    s.Write("requests a", At(i), requests);
    s.Write("errors a", At(i), errors);
    s.Sweep(At(i) + 200);
  }
}

TEST(Simulation, LeavesOutWhatTheLedgerExcludes) {
  Scenario s;
  Outage(s);
  SimulationOptions options{At(0) - 1, At(480), {}, {}};
  EXPECT_FALSE(Simulate(ShopSlo(), s.store, options)->alerts.empty());
  Exclusion exclusion;
  exclusion.from_ms = At(296);
  exclusion.to_ms = At(324);
  options.exclusions = {exclusion};
  EXPECT_THAT(Simulate(ShopSlo(), s.store, options)->alerts, IsEmpty());
}

// What a setting is compared by has to be there in each of them.
TEST(Simulation, OfASweepHasTheSamePastInEverySetting) {
  Scenario s;
  Outage(s);
  const std::string id = ShopSlo()[0].id;
  const auto variants = *VariantsOf(ShopSlo(), {"factor=10|14.4", "objective=99.9|99.95"});
  SimulationOptions options{At(0) - 1, At(480), {}, {}};
  const auto settings_with_alerts = [&] {
    std::set<std::string> settings;
    const auto report = Simulate(variants, s.store, options);
    for (const SimulatedAlert& alert : report->alerts) settings.insert(alert.setting);
    return settings;
  };
  EXPECT_EQ(settings_with_alerts().size(), variants.size());
  Exclusion exclusion;
  exclusion.slo = id;
  exclusion.from_ms = At(296);
  exclusion.to_ms = At(324);
  options.exclusions = {exclusion};
  EXPECT_EQ(settings_with_alerts().size(), 0U) << "an exclusion names the SLO, not a setting";
  options.injections = {{id, At(400), At(420)}};
  EXPECT_EQ(settings_with_alerts().size(), variants.size()) << "and so does an outage";
}

TEST(Simulation, OfASettingIsWhatAnSloWrittenSoWouldHaveDone) {
  Scenario s;
  Outage(s);
  const SimulationOptions options{At(0) - 1, At(480), {}, {}};
  const auto together =
      Simulate(*VariantsOf(ShopSlo(), {"factor=2|14.4|300", "for=0s|5m"}), s.store, options);
  ASSERT_EQ(together->slos.size(), 6U);
  size_t alerts = 0;
  for (const SimulatedSlo& one : together->slos) {
    const auto variants = *VariantsOf(ShopSlo(), {"factor=2|14.4|300", "for=0s|5m"});
    const auto variant = std::find_if(variants.begin(), variants.end(), [&](const Definition& v) {
      return v.setting == one.setting;
    });
    ASSERT_NE(variant, variants.end()) << one.setting;
    const auto alone = Simulate({*variant}, s.store, options);
    std::vector<SimulatedAlert> own;
    for (const SimulatedAlert& alert : together->alerts) {
      if (alert.setting == one.setting) own.push_back(alert);
    }
    ASSERT_EQ(own.size(), alone->alerts.size()) << one.setting;
    for (size_t i = 0; i < own.size(); ++i) {
      EXPECT_EQ(own[i].starts_ms, alone->alerts[i].starts_ms) << one.setting;
      EXPECT_EQ(own[i].ends_ms, alone->alerts[i].ends_ms) << one.setting;
    }
    alerts += own.size();
  }
  EXPECT_GT(alerts, 6U);
}

TEST(Explain, SaysWhatWasSeenAndDecidedThen) {
  Scenario s;
  Outage(s);
  const auto explained = [&](int step) {
    const auto groups = Explain(ShopSlo()[0], s.store, At(step) + 5, {});
    EXPECT_TRUE(groups.ok() && groups->size() == 1);
    return groups->at(0);
  };
  const ExplainedGroup before = explained(299);
  EXPECT_EQ(before.as_of_ms, At(299));
  EXPECT_TRUE(before.firing.empty());
  EXPECT_EQ(before.conditions[0].holds, Truth::kNo);
  const ExplainedGroup in_it = explained(310);
  ASSERT_FALSE(in_it.firing.empty());
  const auto page = std::find_if(s.sink.published.begin(), s.sink.published.end(),
                                 [](const notify::Alert& alert) { return alert.urgent; });
  ASSERT_NE(page, s.sink.published.end());
  EXPECT_EQ(ToMs(page->starts_at), in_it.firing[0].starts_ms);
  EXPECT_EQ(in_it.conditions[0].holds, Truth::kYes);
  EXPECT_EQ(in_it.conditions[0].in_short.bad, 11'000);
  EXPECT_EQ(in_it.conditions[0].in_short.total, 20'000);
  EXPECT_EQ(explained(479).conditions[0].holds, Truth::kNo);
}

TEST(Audit, FindsNothingThroughLateSamplesDeletesAndRestarts) {
  Scenario s("instance", "", kStartMs, true);
  double requests = 0;
  for (int i = 0; i < 300; ++i) {
    for (const char* target : {"a", "b"}) {
      requests += 10;
      s.Write(std::string("requests ") + target, At(i), requests);
      s.Write(std::string("errors ") + target, At(i), requests / 50);
    }
    if (i % 30 == 29) s.Write("errors a", At(i - 10) + 5'000, requests / 50);
    if (i == 150) s.store.Delete(Scenario::LabelsOf("requests b"), At(100), At(120));
    if (i == 200) s.Restart(At(i) + 100);
    s.Sweep(At(i) + 7'000);
    s.evaluator->Audit(20);
  }
  s.Sweep(At(300) + 7'000);
  s.evaluator->Audit(500);
  s.Sweep(At(300) + 8'000);
  s.evaluator->Audit(0);
  const EvaluatorStats stats = s.evaluator->Stats();
  EXPECT_GT(stats.audited_slots, 500U);
  EXPECT_EQ(stats.audit_mismatches, 0U) << stats.audit_last_mismatch;
}

TEST(Audit, FindsASampleThatNobodyWasToldOf) {
  Scenario s;
  Outage(s);
  for (const auto& series : s.store.series()) {
    for (auto& [t, point] : series->points) point.value += t > At(200) ? 5 : 0;
  }
  s.evaluator->Audit(2000);
  EXPECT_EQ(s.evaluator->Stats().audit_mismatches, 0U) << "suspected, and looked at once more";
  s.Sweep(At(480) + 1'000);
  s.evaluator->Audit(0);
  EXPECT_GT(s.evaluator->Stats().audit_mismatches, 0U);
  EXPECT_THAT(s.evaluator->Stats().audit_last_mismatch, HasSubstr("shop-requests"));
}

}  // namespace
}  // namespace basalt::slo
