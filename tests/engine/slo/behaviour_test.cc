// What the scripted outages do not reach: births, groups, late and skewed arrival, restarts without
// data, failures of the store, and what an alert says. All against the same oracle where there is a
// number.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>

#include "engine/slo/evaluator.h"
#include "tests/engine/slo/scenario.h"

namespace basalt::slo {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kScrapeMs = 15'000;

int64_t At(int step) { return kStartMs + step * kScrapeMs; }

// Requests and errors of target a in step, both cumulative.
void WriteBoth(Scenario& s, int step, double requests, double errors) {
  s.Write("requests a", At(step), requests);
  s.Write("errors a", At(step), errors);
}

TEST(Evaluator, ANewSloTakesItsHistoryAtOnce) {
  Scenario s;
  s.evaluator.reset();
  int i = 0;
  for (; i < 300; ++i) WriteBoth(s, i, 1000.0 * i, 3.0 * i + (i > 290 ? 500.0 * (i - 290) : 0));
  s.Restart(At(i - 1) + 500);
  s.truth.Recount();
  for (int k = 0; k < i; ++k) s.truth.Round(At(k));
  const GroupView view = s.View();
  ASSERT_EQ(ToMs(*view.as_of), At(i - 1));
  for (const WindowView& window : view.windows) {
    const oracle::Sums sums = s.truth.Window(At(i - 1), window.length.count());
    EXPECT_EQ(window.bad, static_cast<double>(sums.bad));
    EXPECT_EQ(window.total, static_cast<double>(sums.total));
  }
  // It was burning before anybody asked: the page is out after loading, and begins when it began.
  ASSERT_TRUE(s.truth.page.firing);
  ASSERT_FALSE(s.sink.published.empty());
  EXPECT_EQ(ToMs(*view.severities[0].starts_at), s.truth.page.starts_ms);
}

TEST(Evaluator, APageIsOutWithTheDecidingSample) {
  Scenario s;
  int i = 0;
  for (; i < 300; ++i) {
    WriteBoth(s, i, 1000.0 * i, 0);
    s.QuickRound(At(i));
  }
  // 75 min of history: 6 times the budget's rate over all of it is 1.8 scrapes of errors.
  for (int bad = 1; bad <= 2; ++bad, ++i) {
    EXPECT_TRUE(std::none_of(s.sink.published.begin(), s.sink.published.end(),
                             [](const notify::Alert& alert) { return alert.urgent; }));
    WriteBoth(s, i, 1000.0 * i, 1000.0 * bad);
    s.QuickRound(At(i));
  }
  const auto page = std::find_if(s.sink.published.begin(), s.sink.published.end(),
                                 [](const notify::Alert& alert) { return alert.urgent; });
  ASSERT_NE(page, s.sink.published.end());
  EXPECT_EQ(ToMs(page->starts_at), At(i - 1));
}

TEST(Evaluator, TheFirstErrorsOfANewSeriesCount) {
  Scenario s;
  for (int i = 0; i < 40; ++i) {
    s.Write("requests a", At(i), 1000.0 * i);
    if (i >= 30) s.Write("errors a", At(i), 700);  // born with 700, then flat
    s.Round(At(i));
    if (HasFatalFailure()) return;
  }
  EXPECT_EQ(s.truth.Window(At(39), 300'000).bad, 700.0L);
}

TEST(Evaluator, ACounterThatWasThereBeforeUsIsABaselineOnly) {
  Scenario s;
  for (int i = 0; i < 5; ++i) {
    WriteBoth(s, i, 1e9 + 1000.0 * i, 5e6);
    s.Round(At(i));
  }
  EXPECT_EQ(s.View().windows[0].total, 4000);
  EXPECT_EQ(s.View().windows[0].bad, 0);
}

TEST(Evaluator, AStartTimestampCountsAYoungSeriesFromItsStart) {
  Scenario s;
  s.Write("requests a", At(0), 600, At(0) - 30'000);
  s.Write("errors a", At(0), 6, At(0) - 300'000);  // old: a baseline
  s.Round(At(0));
  EXPECT_EQ(s.View().windows[0].total, 600);
  EXPECT_EQ(s.View().windows[0].bad, 0);
}

TEST(Evaluator, PresenceOfTheTargetIsEvidenceOfABirth) {
  Scenario s;
  s.Write("up a", At(0), 1);
  s.Sweep(At(0));
  s.Write("up a", At(1), 1);
  WriteBoth(s, 1, 100, 7);
  s.Round(At(1));
  EXPECT_EQ(s.View().windows[0].bad, 7);
}

TEST(Evaluator, EvidenceThatArrivesLateCountsTheBirthAfterAll) {
  Scenario s;
  WriteBoth(s, 1, 100, 7);
  s.Round(At(1));
  EXPECT_EQ(s.View().windows[0].bad, 0);
  s.Write("up a", At(0), 1);  // the slow shard
  s.Sweep(At(1) + 1000);
  s.truth.Recount();
  EXPECT_EQ(s.View().windows[0].bad, 7);
  EXPECT_EQ(s.truth.Window(At(1), 300'000).bad, 7.0L);
}

TEST(Evaluator, StaleMarkersAndReturningSeriesAreCounted) {
  Scenario s;
  double requests = 0;
  for (int i = 0; i < 60; ++i) {
    requests += 100;
    if (i == 20 || i == 40) {
      s.WriteStale("requests a", At(i));
      s.WriteStale("errors a", At(i));
      s.Sweep(At(i) + 200);
      continue;
    }
    if (i > 20 && i < 24) continue;
    if (i > 40 && i < 43) continue;
    if (i == 43) requests = 50;  // came back with a reset
    WriteBoth(s, i, requests, requests / 50);
    s.Round(At(i));
    if (HasFatalFailure()) return;
  }
}

TEST(Evaluator, ASeriesThatLeftMemoryIsCountedOnWhenItComesBack) {
  Scenario s;
  for (int i = 0; i < 80; ++i) {
    if (i == 30) {
      s.store.Forget(Scenario::LabelsOf("errors a"));
      s.store.Forget(Scenario::LabelsOf("requests a"));
      s.Sweep(At(i));
    }
    if (i >= 30 && i < 45) continue;
    if (i == 60) s.Restart(At(i) - 100);
    WriteBoth(s, i, 100.0 * i, i / 2.0);
    s.Round(At(i));
    if (HasFatalFailure()) return;
  }
}

TEST(Evaluator, LateOverwrittenAndDeletedSamplesAreCorrected) {
  Scenario s;
  for (int i = 0; i < 120; ++i) {
    if (i % 10 != 7) {
      WriteBoth(s, i, 100.0 * i, 1.0 * i);
      s.Round(At(i));
      if (HasFatalFailure()) return;
    }
    const auto compare = [&] {
      s.Sweep(s.clock.now_ms() + 300);
      s.truth.Recount();
      const GroupView view = s.View();
      const int64_t as_of = ToMs(*view.as_of);
      for (const WindowView& window : view.windows) {
        const oracle::Sums sums = s.truth.Window(as_of, window.length.count());
        EXPECT_NEAR(window.bad, static_cast<double>(sums.bad), 0.01) << i;
        EXPECT_NEAR(window.total, static_cast<double>(sums.total), 0.01) << i;
      }
    };
    if (i % 10 == 9) {
      WriteBoth(s, i - 2, 100.0 * (i - 2), 1.0 * (i - 2) - 0.5);  // was left out
      compare();
    }
    if (i == 50) {
      s.Write("errors a", At(40), 45);  // overwritten, then a reset
      compare();
      s.Write("errors a", At(50), 55);  // the newest
      compare();
    }
    if (i == 80) {
      s.store.Delete(Scenario::LabelsOf("errors a"), At(60), At(70));
      auto& samples = s.truth.series["errors a"].samples;
      samples.erase(samples.lower_bound(At(60)), samples.upper_bound(At(70)));
      compare();
    }
    if (HasFailure()) return;
  }
}

TEST(Evaluator, HalfAScrapeDoesNotPage) {
  Scenario s;
  double requests = 0;
  double errors = 0;
  for (int i = 0; i < 280; ++i) {
    requests += 1000;
    errors += 12;  // 1.2 %: below 14.4 x 0.1 %; but above it without the last scrape's requests
    s.Write("errors a", At(i), errors);
    s.Sweep(At(i) + 100);
    s.Write("requests a", At(i), requests);
    s.Sweep(At(i) + 3000);
    for (const notify::Alert& alert : s.sink.published) {
      // 30m/6h at 6 x 0.1 % is exceeded from the start; the page that must not be is the fast one.
      EXPECT_THAT(std::string(alert.annotations.Get("slo_why")), ::testing::Not(HasSubstr("14.4")));
    }
  }
}

TEST(Evaluator, SkewedArrivalDecidesAsIfAllHadComeAtOnce) {
  Scenario s;
  double requests = 0;
  double errors = 0;
  for (int i = 0; i < 330; ++i) {
    requests += 1000;
    errors += i > 250 ? 300 : 0;
    s.Write("errors a", At(i), errors);
    s.Sweep(At(i) + 100);
    s.Write("requests a", At(i), requests);
    s.QuickRound(At(i) + 0);
    if (HasFatalFailure()) return;
  }
  ASSERT_TRUE(s.truth.page.firing);
}

TEST(Evaluator, AClearBreachPagesBeforeTheRestOfTheScrapeIsThere) {
  Scenario s;
  int i = 0;
  for (; i < 280; ++i) {
    WriteBoth(s, i, 1000.0 * i, 0);
    s.QuickRound(At(i));
  }
  const int begin = i;
  for (; i < begin + 8 && s.sink.published.empty(); ++i) {
    s.Write("errors a", At(i), 1000.0 * (i - begin + 1));
    s.Sweep(At(i) + 100);
    if (!s.sink.published.empty()) break;
    s.Write("requests a", At(i), 1000.0 * i);
    s.QuickRound(At(i));
  }
  ASSERT_FALSE(s.sink.published.empty());
  EXPECT_EQ(ToMs(s.sink.published[0].starts_at), At(i));  // by errors alone, requests still missing
  s.Write("requests a", At(i), 1000.0 * i);
  s.QuickRound(At(i));
}

TEST(Evaluator, ASeriesThatStaysAwayDelaysTheDecisionByTheTimeoutOnly) {
  Scenario s;
  for (int i = 0; i < 20; ++i) {
    WriteBoth(s, i, 1000.0 * i, 0);
    s.QuickRound(At(i));
  }
  s.Write("requests a", At(20), 20'000);
  s.Sweep(At(20) + 5900);
  EXPECT_EQ(ToMs(*s.View().as_of), At(19));
  s.Sweep(At(20) + 12'000);
  EXPECT_EQ(ToMs(*s.View().as_of), At(20));
  // And is not waited for again.
  s.Write("requests a", At(21), 21'000);
  s.Sweep(At(21) + 100);
  EXPECT_EQ(ToMs(*s.View().as_of), At(21));
}

TEST(Evaluator, TargetsAtDifferentOffsetsFormOneGroup) {
  Scenario s;
  for (int i = 0; i < 300; ++i) {
    for (int target = 0; target < 3; ++target) {
      const std::string name = std::string(1, static_cast<char>('a' + target));
      const int64_t t = At(i) + target * 4'321;
      s.Write("requests " + name, t, 100.0 * i * (target + 1));
      s.Write("errors " + name, t, target == 1 ? std::max(0, i - 200) * 20.0 : 0);
      if (i % 20 == 0) {
        s.Round(t);
      } else {
        s.QuickRound(t);
      }
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_TRUE(s.truth.page.firing);
}

TEST(Evaluator, EachGroupHasItsOwnStateAndNewGroupsAppear) {
  Scenario s("instance");
  for (int i = 0; i < 100; ++i) {
    WriteBoth(s, i, 1000.0 * i, 0);
    if (i >= 50) {
      s.Write("requests b", At(i), 1000.0 * (i - 49));
      s.Write("errors b", At(i), 800.0 * (i - 49));
    }
    s.Sweep(At(i) + 200);
  }
  const auto slo = s.evaluator->Slo(kDefaultTenant, "shop-requests");
  ASSERT_EQ(slo->groups.size(), 2U);
  EXPECT_EQ(slo->groups[0].labels.Get("instance"), "b");  // firing ones first
  EXPECT_EQ(slo->groups[0].severities[0].state, SeverityState::kFiring);
  EXPECT_EQ(slo->groups[1].severities[0].state, SeverityState::kInactive);
  for (const notify::Alert& alert : s.sink.published) {
    EXPECT_EQ(alert.identity.Get("instance"), "b");
  }
  EXPECT_EQ(s.evaluator->Slo(kDefaultTenant, "shop-requests", 1)->groups_omitted, 1U);
}

TEST(Evaluator, AFiringAlertStaysThroughARestartWithoutDataAndKeepsItsStart) {
  Scenario s;
  for (int i = 0; i < 60; ++i) {
    WriteBoth(s, i, 1000.0 * i, 500.0 * i);
    s.QuickRound(At(i));
  }
  ASSERT_TRUE(s.truth.page.firing);
  const size_t published = s.sink.published.size();
  s.Restart(At(60));
  EXPECT_EQ(s.sink.published.size(), published) << "a restart is no news";
  EXPECT_EQ(ToMs(*s.View().severities[0].starts_at), s.truth.page.starts_ms);
  // Three hours of silence resolve nothing, with a restart in the middle.
  s.Sweep(At(60) + 3 * 3'600'000);
  s.Restart(At(60) + 12 * 3'600'000);
  EXPECT_EQ(s.View().severities[0].state, SeverityState::kFiring);
  EXPECT_EQ(s.sink.published.size(), published);
}

TEST(Evaluator, LateSamplesDoNotMoveAPublishedStartOverARestart) {
  Scenario s;
  for (int i = 0; i < 60; ++i) {
    if (i == 20) continue;
    WriteBoth(s, i, 1000.0 * i, i < 30 ? 0 : 500.0 * (i - 29));
    s.Sweep(At(i) + 200);
  }
  const Timestamp start = *s.View().severities[0].starts_at;
  WriteBoth(s, 20, 20'000, 900);  // with a reset after it: errors long before
  s.Sweep(At(60));
  s.Restart(At(60) + 1000);
  EXPECT_EQ(*s.View().severities[0].starts_at, start);
}

TEST(Evaluator, AlertsOfRemovedSlosAreResolved) {
  Scenario s;
  for (int i = 0; i < 60; ++i) {
    WriteBoth(s, i, 1000.0 * i, 500.0 * i);
    s.QuickRound(At(i));
  }
  ASSERT_EQ(s.sink.Firing().size(), 2U);
  ASSERT_TRUE(s.evaluator->SetDefinitions({}).ok());
  EXPECT_TRUE(s.sink.Firing().empty());
}

TEST(Evaluator, ErrorsOutsideTheTotalAreSaidAndNeverPage) {
  Scenario s;
  for (int i = 0; i < 60; ++i) {
    WriteBoth(s, i, 10.0 * i, 500.0 * i);
    s.Sweep(At(i) + 200);
  }
  EXPECT_TRUE(s.sink.published.empty());
  EXPECT_FALSE(s.View().healthy);
  EXPECT_THAT(s.View().problem, HasSubstr("more events than total_query"));
}

TEST(Evaluator, AStoreThatCannotBeReadIsTriedAgain) {
  Scenario s;
  for (int i = 0; i < 60; ++i) WriteBoth(s, i, 1000.0 * i, 500.0 * i);
  s.store.FailReads(true);
  EvaluatorOptions options;
  options.clock = &s.clock;
  s.clock.Set(At(60));
  s.evaluator = std::make_unique<Evaluator>(s.store, s.sink, options);
  EXPECT_EQ(s.evaluator->SetDefinitions(ShopSlo()).code(), StatusCode::kUnavailable);
  EXPECT_EQ(s.evaluator->Sweep().code(), StatusCode::kUnavailable);
  s.store.FailReads(false);
  EXPECT_TRUE(s.evaluator->Sweep().ok());
  EXPECT_EQ(s.View().severities[0].state, SeverityState::kFiring);
}

TEST(Evaluator, MoreSamplesThanFitAreReadBackFromTheStore) {
  Scenario s;
  EvaluatorOptions options;
  options.clock = &s.clock;
  options.max_queued = 50;
  s.evaluator.reset();
  s.evaluator = std::make_unique<Evaluator>(s.store, s.sink, options);
  ASSERT_TRUE(s.evaluator->SetDefinitions(ShopSlo()).ok());
  for (int i = 0; i < 25; ++i) WriteBoth(s, i, 1000.0 * i, 2.0 * i);
  s.Sweep(At(25));  // exactly full
  EXPECT_EQ(s.evaluator->Stats().loads, 1U);
  for (int i = 25; i < 60; ++i) WriteBoth(s, i, 1000.0 * i, 2.0 * i);
  s.clock.Set(At(60));
  EXPECT_EQ(s.evaluator->Sweep().code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(s.evaluator->Sweep().ok());
  EXPECT_EQ(s.evaluator->Stats().loads, 2U);
  s.truth.Recount();
  EXPECT_EQ(s.View().windows[2].total,
            static_cast<double>(s.truth.Window(At(59), 3'600'000).total));
}

TEST(Evaluator, AnAlertSaysWhatBurnedSinceWhenAndWhy) {
  Scenario s;
  for (int i = 0; i < 60; ++i) {
    WriteBoth(s, i, 1000.0 * i, 250.0 * i);
    s.QuickRound(At(i));
  }
  ASSERT_EQ(s.sink.published.size(), 2U);  // page and ticket
  const notify::Alert& page = s.sink.published[0];
  EXPECT_EQ(page.identity, (Labels{{"alertname", "ShopErrors"},
                                   {"sloth_id", "shop-requests"},
                                   {"sloth_service", "shop"},
                                   {"sloth_severity", "page"},
                                   {"sloth_slo", "requests"}}));
  EXPECT_EQ(page.labels, (Labels{{"owner", "team-checkout"}}));
  EXPECT_EQ(page.annotations.Get("title"),
            "(page) shop requests SLO error budget burn rate is too fast.");
  EXPECT_EQ(page.annotations.Get("slo_why"),
            "burn rate 250 over 5m and 250 over 1h, both above 14.4 (error ratio above 0.0144)");
  EXPECT_THAT(std::string(page.annotations.Get("slo_burned")),
              HasSubstr("25 % of events were bad over 5m (250 of 1000)"));
  EXPECT_THAT(std::string(page.annotations.Get("slo_budget")), HasSubstr("30d budget"));
  EXPECT_EQ(page.annotations.Get("slo_objective"), "99.9 % over 30d");
  EXPECT_THAT(std::string(page.annotations.Get("slo_since")), HasSubstr("2023-11-14"));
}

TEST(Evaluator, RulesShowASloAsAnAlertingRule) {
  Scenario s;
  for (int i = 0; i < 60; ++i) {
    WriteBoth(s, i, 1000.0 * i, 250.0 * i);
    s.QuickRound(At(i));
  }
  const auto rules = s.evaluator->AlertRules(kDefaultTenant);
  ASSERT_EQ(rules.size(), 2U);
  EXPECT_EQ(rules[0].name, "ShopErrors");
  EXPECT_EQ(rules[0].group, "sloth-slo-alerts-shop-requests");
  ASSERT_EQ(rules[0].firing.size(), 1U);
  EXPECT_EQ(rules[0].firing[0].labels.Get("owner"), "team-checkout");
  EXPECT_TRUE(s.evaluator->AlertRules(TenantId{7}).empty());
}

// A target restarts, and by its next scrape has served more requests than before: its counter of
// requests hides the restart, that of errors shows all of its errors.
TEST(Evaluator, MoreErrorsThanRequestsAreSaidAndNeverPaged) {
  Scenario s;
  WriteBoth(s, 0, 100, 0);
  s.Round(At(0));
  WriteBoth(s, 1, 150, 150);
  s.Round(At(1));
  EXPECT_FALSE(s.View().healthy);
  EXPECT_THAT(s.View().problem, HasSubstr("more events than total_query"));
  EXPECT_EQ(s.View().severities[0].state, SeverityState::kInactive);
  EXPECT_TRUE(s.sink.published.empty());
  // As soon as the requests can have held these errors, they count.
  WriteBoth(s, 2, 250, 150);
  s.Round(At(2));
  EXPECT_TRUE(s.View().healthy);
  EXPECT_EQ(s.View().severities[0].state, SeverityState::kFiring);
  // The same once more: nobody knows, so the page stays.
  WriteBoth(s, 3, 450, 450);
  s.Round(At(3));
  EXPECT_FALSE(s.View().healthy);
  EXPECT_EQ(s.View().severities[0].state, SeverityState::kFrozen);
}

// One target's step in a random history.
struct RandomStep {
  bool scraped;
  int requests;
  int errors;
  bool reset;
  bool stale;
  bool late;
  bool restart;
};

// How rapidcheck tells a failed history.
void showValue(const RandomStep& step, std::ostream& os) {
  os << (step.reset ? "reset " : "") << (step.restart ? "restart " : "");
  if (!step.scraped) {
    os << "not scraped (" << step.requests << ", " << step.errors << ")";
    return;
  }
  os << (step.late ? "late " : "") << (step.stale ? "stale " : "") << "+" << step.requests
     << " requests +" << step.errors << " errors";
}

rc::Gen<RandomStep> GenStep() {
  return rc::gen::map(
      rc::gen::tuple(rc::gen::inRange(0, 100), rc::gen::inRange(0, 50), rc::gen::inRange(0, 100)),
      [](const std::tuple<int, int, int>& t) {
        const auto [dice, requests, share] = t;
        RandomStep step{};
        step.scraped = dice >= 8;
        step.requests = requests;
        // Errors come in runs of all, some and none.
        step.errors = share < 60 ? 0 : share < 90 ? requests / 20 : requests;
        step.reset = dice >= 8 && dice < 12;
        step.stale = dice >= 12 && dice < 14;
        step.late = dice >= 14 && dice < 20;
        step.restart = dice >= 20 && dice < 23;
        return step;
      });
}

RC_GTEST_PROP(EvaluatorProperty, AgreesWithBruteForceOnAnyHistory, ()) {
  const auto steps = *rc::gen::container<std::vector<RandomStep>>(120, GenStep());
  Scenario s;
  std::array<double, 2> requests{};
  std::array<double, 2> errors{};
  std::array<int64_t, 2> last{};
  bool had_late = false;
  for (size_t i = 0; i < steps.size(); ++i) {
    const RandomStep& step = steps[i];
    const size_t target = i % 2;
    const std::string name(1, static_cast<char>('a' + target));
    const int64_t t = kStartMs + static_cast<int64_t>(i) * 7'500;
    if (step.reset) requests[target] = errors[target] = 0;
    requests[target] += step.requests;
    errors[target] += step.errors;
    // A restart sees late samples at once where they belong; the oracle judged rounds without them.
    if (step.restart && !had_late) s.Restart(t - 500);
    if (!step.scraped) continue;
    if (step.stale) {
      s.WriteStale("errors " + name, t);
      s.Sweep(t + 200);
      continue;
    }
    if (step.late && last[target] != 0 && i > steps.size() / 2) {
      had_late = true;
      s.Write("requests " + name, last[target] - 3'000, requests[target] / 2);
      s.Sweep(t - 400);
    }
    s.Write("requests " + name, t, requests[target]);
    s.Write("errors " + name, t, errors[target]);
    last[target] = t;
    s.Sweep(t + 200);
    if (ToMs(*s.View().as_of) != t) s.Sweep(t + 6'300);  // somebody is overdue
    s.truth.Recount();
    s.truth.Round(t);
    const GroupView view = s.View();
    RC_ASSERT(ToMs(*view.as_of) == t);
    RC_ASSERT((view.severities[0].state != SeverityState::kInactive) == s.truth.page.firing);
    RC_ASSERT((view.severities[1].state != SeverityState::kInactive) == s.truth.ticket.firing);
    if (s.truth.page.firing) {
      RC_ASSERT(ToMs(*view.severities[0].starts_at) == s.truth.page.starts_ms);
    }
    for (const WindowView& window : view.windows) {
      const oracle::Sums sums = s.truth.Window(t, window.length.count());
      RC_ASSERT(std::abs(window.bad - static_cast<double>(sums.bad)) < 0.05);
      RC_ASSERT(std::abs(window.total - static_cast<double>(sums.total)) < 0.05);
    }
  }
}

}  // namespace
}  // namespace basalt::slo
