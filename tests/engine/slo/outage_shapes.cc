// The outages that the evaluator is judged by. All times are on no grid of slots.
#include <functional>
#include <utility>

#include "tests/engine/slo/outage_script.h"

namespace basalt::slo {
namespace {

// One target, both counters in each scrape.
struct Script {
  int steps;
  std::function<double(int)> error_share;
  std::function<double(int)> requests = [](int) { return 1000.0; };
  std::function<bool(int)> scraped = [](int) { return true; };
  std::function<bool(int)> process_restarts = [](int) { return false; };  // counters reset
  std::function<bool(int)> basalt_restarts = [](int) { return false; };
  int64_t scrape_ms = kScrapeMs;
};

std::function<void(Play&)> Scripted(Script script) {
  return [script](Play& play) {
    Counters counters;
    for (int i = 0; i < script.steps && play.agrees(); ++i) {
      const int64_t t = At(i, script.scrape_ms);
      if (script.process_restarts(i)) counters = {};
      counters.Serve(script.requests(i), script.error_share(i));
      if (script.basalt_restarts(i)) play.Restart(t - 100);
      if (!script.scraped(i)) continue;
      counters.WriteTo(play, "a", t);
      play.Judge(t);
    }
  };
}

std::vector<OutageShape> MakeShapes() {
  std::vector<OutageShape> shapes;
  const auto scripted = [&](const char* name, int pages, Script script) {
    shapes.push_back({name, Scripted(std::move(script)), pages, pages == 1, "", 0, "", {}});
  };
  scripted("quiet", 0, {.steps = 100, .error_share = [](int) { return 0.0; }});
  scripted("within_budget", 0, {.steps = 300, .error_share = [](int) { return 0.0005; }});
  scripted("total_outage", 1,
           {.steps = 500, .error_share = [](int i) { return Outage(i, 250, 290, 1); }});
  scripted("total_outage_from_the_first_sample", 1,
           {.steps = 120, .error_share = [](int i) { return Outage(i, 0, 60, 1); }});
  scripted("partial_outage", 1,
           {.steps = 500, .error_share = [](int i) { return Outage(i, 200, 400, 0.05); }});
  scripted("exactly_at_the_threshold_does_not_fire", 0,
           {.steps = 300, .error_share = [](int) { return 0.006; }});
  scripted("just_above_the_threshold", 1, {.steps = 300, .error_share = [](int) { return 0.007; }});
  scripted("two_minutes_only", 1,
           {.steps = 300, .error_share = [](int i) { return Outage(i, 250, 258, 1); }});
  scripted("fifteen_seconds_do_not_page", 0,
           {.steps = 300, .error_share = [](int i) { return Outage(i, 250, 251, 1); }});
  scripted("flapping", -1,
           {.steps = 600, .error_share = [](int i) { return i % 40 < 8 ? 0.3 : 0.0; }});
  scripted("reset_in_the_middle", 1,
           {.steps = 400,
            .error_share = [](int i) { return Outage(i, 200, 260, 0.2); },
            .process_restarts = [](int i) { return i == 230; }});
  scripted("reset_every_minute", -1,
           {.steps = 400,
            .error_share = [](int i) { return Between(i, 200, 260) ? 0.2 : 0.001; },
            .process_restarts = [](int i) { return i % 4 == 3; }});
  scripted("gap_in_the_middle", -1,
           {.steps = 400,
            .error_share = [](int i) { return Outage(i, 200, 260, 0.4); },
            .scraped = [](int i) { return !Between(i, 220, 240); }});
  scripted("gap_over_the_end_of_the_outage", -1,
           {.steps = 400,
            .error_share = [](int i) { return Outage(i, 200, 240, 1); },
            .scraped = [](int i) { return !Between(i, 230, 300); }});
  scripted("gap_with_reset", -1,
           {.steps = 400,
            .error_share = [](int i) { return Outage(i, 200, 260, 0.4); },
            .scraped = [](int i) { return !Between(i, 220, 240); },
            .process_restarts = [](int i) { return i == 230; }});
  scripted("every_other_scrape_is_missing", -1,
           {.steps = 400,
            .error_share = [](int i) { return Outage(i, 200, 260, 0.1); },
            .scraped = [](int i) { return i % 2 == 0; }});
  scripted("traffic_stops_during_the_outage", -1,
           {.steps = 700,
            .error_share = [](int i) { return Outage(i, 200, 260, 1); },
            .requests = [](int i) { return Between(i, 230, 400) ? 0.0 : 1000.0; }});
  scripted("traffic_stops_for_good", -1,
           {.steps = 900,
            .error_share = [](int) { return 0.5; },
            .requests = [](int i) { return i > 200 ? 0.0 : 1000.0; },
            .scrape_ms = 60'000});
  scripted("little_traffic", -1,
           {.steps = 400,
            .error_share = [](int i) { return i % 97 == 5 ? 1.0 : 0.0; },
            .requests = [](int i) { return i % 7 == 5 ? 1.0 : 0.0; }});
  scripted("scraped_every_second", 1,
           {.steps = 1500,
            .error_share = [](int i) { return Outage(i, 900, 1000, 1); },
            .requests = [](int) { return 100.0; },
            .scrape_ms = 1'000});
  scripted("scraped_every_five_minutes", -1,
           {.steps = 400,
            .error_share = [](int i) { return Outage(i, 200, 220, 0.3); },
            .scrape_ms = 300'000});
  scripted("basalt_restarts_all_the_time", 1,
           {.steps = 400,
            .error_share = [](int i) { return Outage(i, 200, 260, 0.2); },
            .basalt_restarts = [](int i) { return i % 5 == 4; }});
  scripted("basalt_restarts_at_the_deciding_sample", 1,
           {.steps = 300,
            .error_share = [](int i) { return Outage(i, 250, 290, 1); },
            .basalt_restarts = [](int i) { return Between(i, 251, 258); }});
  scripted("restarts_gaps_and_resets", -1,
           {.steps = 600,
            .error_share = [](int i) { return Outage(i, 200, 300, 0.03); },
            .scraped = [](int i) { return i % 50 < 42; },
            .process_restarts = [](int i) { return i % 70 == 69; },
            .basalt_restarts = [](int i) { return i % 31 == 30; }});
  for (const OutageShape& played : PlayedOutages()) shapes.push_back(played);
  for (const OutageShape& played : TargetOutages()) shapes.push_back(played);
  for (const OutageShape& played : CalendarOutages()) shapes.push_back(played);
  scripted("daily_traffic_and_a_slow_burn", -1,
           {.steps = 4400,
            .error_share = [](int i) { return Between(i, 1500, 3000) ? 0.0035 : 0.0001; },
            .requests = [](int i) { return 1000.0 * (1 + i / 200 % 7); },
            .scrape_ms = 60'000});
  return shapes;
}

}  // namespace

const std::vector<OutageShape>& OutageShapes() {
  static const std::vector<OutageShape> shapes = MakeShapes();
  return shapes;
}

}  // namespace basalt::slo
