// The evaluator against an independent computation, over scripted outages and random ones.
#include "engine/slo/evaluator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <functional>
#include <set>

#include "tests/engine/slo/scenario.h"

namespace basalt::slo {
namespace {

constexpr int64_t kScrapeMs = 15'000;

// What happens in one scripted outage, by step of `scrape_ms`.
struct Shape {
  const char* name;
  int steps;
  std::function<double(int)> error_share;
  std::function<double(int)> requests = [](int) { return 1000.0; };
  std::function<bool(int)> scraped = [](int) { return true; };
  std::function<bool(int)> process_restarts = [](int) { return false; };  // counters reset
  std::function<bool(int)> basalt_restarts = [](int) { return false; };
  int64_t scrape_ms = kScrapeMs;
  int pages = -1;  // how many are expected; -1: whatever the oracle says
};

bool Between(int i, int from, int to) { return i >= from && i < to; }

std::vector<Shape> Shapes() {
  std::vector<Shape> shapes;
  const auto add = [&](Shape shape) { shapes.push_back(std::move(shape)); };
  add({.name = "quiet", .steps = 100, .error_share = [](int) { return 0.0; }, .pages = 0});
  add({.name = "within_budget",
       .steps = 300,
       .error_share = [](int) { return 0.0005; },
       .pages = 0});
  add({.name = "total_outage",
       .steps = 500,
       .error_share = [](int i) { return Between(i, 250, 290) ? 1.0 : 0.0; },
       .pages = 1});
  add({.name = "total_outage_from_the_first_sample",
       .steps = 120,
       .error_share = [](int i) { return i < 60 ? 1.0 : 0.0; },
       .pages = 1});
  add({.name = "partial_outage",
       .steps = 500,
       .error_share = [](int i) { return Between(i, 200, 400) ? 0.05 : 0.0; },
       .pages = 1});
  add({.name = "exactly_at_the_threshold_does_not_fire",
       .steps = 300,
       .error_share = [](int) { return 0.006; },
       .pages = 0});
  add({.name = "just_above_the_threshold",
       .steps = 300,
       .error_share = [](int) { return 0.007; },
       .pages = 1});
  add({.name = "two_minutes_only",
       .steps = 300,
       .error_share = [](int i) { return Between(i, 250, 258) ? 1.0 : 0.0; },
       .pages = 1});
  add({.name = "fifteen_seconds_do_not_page",
       .steps = 300,
       .error_share = [](int i) { return i == 250 ? 1.0 : 0.0; },
       .pages = 0});
  add({.name = "flapping", .steps = 600, .error_share = [](int i) {
         return i % 40 < 8 ? 0.3 : 0.0;
       }});
  add({.name = "reset_in_the_middle",
       .steps = 400,
       .error_share = [](int i) { return Between(i, 200, 260) ? 0.2 : 0.0; },
       .process_restarts = [](int i) { return i == 230; },
       .pages = 1});
  add({.name = "reset_every_minute",
       .steps = 400,
       .error_share = [](int i) { return Between(i, 200, 260) ? 0.2 : 0.001; },
       .process_restarts = [](int i) { return i % 4 == 3; }});
  add({.name = "gap_in_the_middle",
       .steps = 400,
       .error_share = [](int i) { return Between(i, 200, 260) ? 0.4 : 0.0; },
       .scraped = [](int i) { return !Between(i, 220, 240); }});
  add({.name = "gap_over_the_end_of_the_outage",
       .steps = 400,
       .error_share = [](int i) { return Between(i, 200, 240) ? 1.0 : 0.0; },
       .scraped = [](int i) { return !Between(i, 230, 300); }});
  add({.name = "gap_with_reset",
       .steps = 400,
       .error_share = [](int i) { return Between(i, 200, 260) ? 0.4 : 0.0; },
       .scraped = [](int i) { return !Between(i, 220, 240); },
       .process_restarts = [](int i) { return i == 230; }});
  add({.name = "every_other_scrape_is_missing",
       .steps = 400,
       .error_share = [](int i) { return Between(i, 200, 260) ? 0.1 : 0.0; },
       .scraped = [](int i) { return i % 2 == 0; }});
  add({.name = "traffic_stops_during_the_outage",
       .steps = 700,
       .error_share = [](int i) { return Between(i, 200, 260) ? 1.0 : 0.0; },
       .requests = [](int i) { return Between(i, 230, 400) ? 0.0 : 1000.0; }});
  add({.name = "traffic_stops_for_good",
       .steps = 900,
       .error_share = [](int) { return 0.5; },
       .requests = [](int i) { return i > 200 ? 0.0 : 1000.0; },
       .scrape_ms = 60'000});
  add({.name = "little_traffic",
       .steps = 400,
       .error_share = [](int i) { return i % 97 == 5 ? 1.0 : 0.0; },
       .requests = [](int i) { return i % 7 == 5 ? 1.0 : 0.0; }});
  add({.name = "daily_traffic_and_a_slow_burn",
       .steps = 4400,
       .error_share = [](int i) { return Between(i, 1500, 3000) ? 0.0035 : 0.0001; },
       .requests = [](int i) { return 1000.0 * (1 + i / 200 % 7); },
       .scrape_ms = 60'000});
  add({.name = "basalt_restarts_all_the_time",
       .steps = 400,
       .error_share = [](int i) { return Between(i, 200, 260) ? 0.2 : 0.0; },
       .basalt_restarts = [](int i) { return i % 5 == 4; },
       .pages = 1});
  add({.name = "basalt_restarts_at_the_deciding_sample",
       .steps = 300,
       .error_share = [](int i) { return Between(i, 250, 290) ? 1.0 : 0.0; },
       .basalt_restarts = [](int i) { return Between(i, 251, 258); },
       .pages = 1});
  add({.name = "restarts_gaps_and_resets",
       .steps = 600,
       .error_share = [](int i) { return Between(i, 200, 300) ? 0.03 : 0.0; },
       .scraped = [](int i) { return i % 50 < 42; },
       .process_restarts = [](int i) { return i % 70 == 69; },
       .basalt_restarts = [](int i) { return i % 31 == 30; }});
  return shapes;
}

class OutageShape : public ::testing::TestWithParam<Shape> {};

TEST_P(OutageShape, FiresAndResolvesWhereBruteForceSays) {
  const Shape& shape = GetParam();
  Scenario scenario;
  double requests = 0;
  double errors = 0;
  int restarts = 0;
  for (int i = 0; i < shape.steps; ++i) {
    const int64_t t = kStartMs + i * shape.scrape_ms;
    if (shape.process_restarts(i)) requests = errors = 0;
    const double n = shape.requests(i);
    requests += n;
    errors += std::floor(n * shape.error_share(i));
    if (shape.basalt_restarts(i)) {
      scenario.Restart(t - 100);
      ++restarts;
    }
    if (!shape.scraped(i)) continue;
    scenario.Write("requests a", t, requests);
    scenario.Write("errors a", t, errors);
    if (i % 10 == 0 || shape.steps < 200) {
      scenario.Round(t);
    } else {
      scenario.QuickRound(t);
    }
    if (::testing::Test::HasFailure()) return;
  }
  std::set<Timestamp> page_starts;
  for (const notify::Alert& alert : scenario.sink.published) {
    if (alert.urgent) page_starts.insert(alert.starts_at);
  }
  if (shape.pages >= 0) {
    EXPECT_EQ(page_starts.size(), static_cast<size_t>(shape.pages));
  }
  // A restart publishes nothing: the receiver would see the alert twice.
  if (restarts > 0 && shape.pages == 1) {
    int fired = 0;
    for (const notify::Alert& alert : scenario.sink.published) {
      fired += alert.urgent && !alert.resolved() ? 1 : 0;
    }
    EXPECT_EQ(fired, 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Table, OutageShape, ::testing::ValuesIn(Shapes()),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace basalt::slo
