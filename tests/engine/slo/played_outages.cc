// Outages played by hand, step by step, of targets that stay.
#include <array>
#include <cmath>
#include <limits>

#include "tests/engine/slo/outage_script.h"

namespace basalt::slo {
namespace {

void LateData(Play& play) {
  Counters counters;
  Counters kept;
  for (int i = 0; i < 500 && play.agrees(); ++i) {
    counters.Serve(1000, Outage(i, 250, 330, 0.4));
    if (i % 8 == 5) {
      kept = counters;
      continue;
    }
    if (i % 8 == 7) kept.WriteTo(play, "a", At(i - 2));
    counters.WriteTo(play, "a", At(i));
    play.Judge(At(i));
  }
}

void SkewedShards(Play& play) {
  Counters counters;
  for (int i = 0; i < 500 && play.agrees(); ++i) {
    counters.Serve(1000, Outage(i, 250, 330, 0.1) + 0.001);
    const bool errors_first = i % 3 != 0;
    if (errors_first) play.Write("errors a", At(i), counters.errors);
    if (!errors_first) play.Write("requests a", At(i), counters.requests);
    play.Sweep(At(i) + 100);
    play.Sweep(At(i) + 2'000);
    counters.WriteTo(play, "a", At(i));
    play.Judge(At(i));
  }
}

void RestartAtEachStep(Play& play) {
  Counters counters;
  for (int i = 0; i < 330 && play.agrees(); ++i) {
    counters.Serve(1000, Outage(i, 250, 290, 1));
    const bool restart = Between(i, 245, 325);
    if (restart && i % 4 == 0) play.Restart(At(i) - 50);
    play.Write("errors a", At(i), counters.errors);
    if (restart && i % 4 == 1) play.Restart(At(i) + 20);  // half a scrape is there
    play.Sweep(At(i) + 50);
    if (restart && i % 4 == 2) play.Restart(At(i) + 70);
    play.Write("requests a", At(i), counters.requests);
    if (restart && i % 4 == 3) play.Restart(At(i) + 90);  // all of it, and no sweep yet
    play.Judge(At(i));
    if (restart && i % 4 == 3) play.Restart(At(i) + 300);
  }
}

// The wall clock jumps; samples carry their sender's times.
void ClockSteps(Play& play) {
  Counters counters;
  for (int i = 0; i < 500 && play.agrees(); ++i) {
    if (i == 100) play.StepWallClock(3 * kHourMs);
    if (i == 200) play.StepWallClock(-2 * kHourMs);
    if (i == 280) play.StepWallClock(40'000);
    if (i == 350) play.StepWallClock(0);
    if (i % 50 == 10) play.Restart(At(i) - 100);
    counters.Serve(1000, Outage(i, 250, 330, 0.3));
    counters.WriteTo(play, "a", At(i));
    play.Judge(At(i));
  }
}

// Whole minutes, as the ledger keeps them.
int64_t Minute(int64_t time_ms) { return time_ms / 60'000 * 60'000; }

// Maintenance that is announced: its errors page nobody, neither then nor in the windows after it.
void AnExclusionBefore(Play& play) {
  Counters counters;
  for (int i = 0; i < 700 && play.agrees(); ++i) {
    counters.Serve(1000, Outage(i, 250, 330, 1) + Outage(i, 500, 520, 0.5));
    counters.WriteTo(play, "a", At(i));
    if (i == 200) play.Exclude(Minute(At(245)), Minute(At(336)));
    if (i == 300 || i == 400) play.Restart(At(i) + 50);
    play.Judge(At(i));
  }
}

// An outage that turns out to be somebody else's, while it pages; and the second thoughts.
void AnExclusionAfterwards(Play& play) {
  Counters counters;
  for (int i = 0; i < 900 && play.agrees(); ++i) {
    counters.Serve(1000, Outage(i, 250, 330, 0.5) + 0.0005);
    counters.WriteTo(play, "a", At(i));
    if (i == 310) play.Exclude(Minute(At(240)), Minute(At(290)));
    if (i == 420) play.Exclude(Minute(At(290)), Minute(At(335)));
    if (i == 600) play.IncludeAgain();
    play.Judge(At(i));
  }
}

// The same with slots of minutes only, long gone: the edges are read back.
void AnExclusionLongAfterwards(Play& play) {
  Counters counters;
  for (int i = 0; i < 1700 && play.agrees(); ++i) {
    counters.Serve(1000, Outage(i, 250, 330, 0.6) + 0.0005);
    counters.WriteTo(play, "a", At(i, 60'000));
    if (i == 1000) play.Exclude(Minute(At(270, 60'000)) + 7 * 60'000, Minute(At(333, 60'000)));
    if (i == 1500) play.IncludeAgain();
    if (i % 5 == 0 || i > 990) {
      play.Judge(At(i, 60'000));
    } else {
      play.Sweep(At(i, 60'000) + 200);
      play.Pass(At(i, 60'000));
    }
  }
}

void EverythingTwice(Play& play) {
  Counters counters;
  for (int i = 0; i < 330 && play.agrees(); ++i) {
    counters.Serve(1000, Outage(i, 250, 290, 0.2));
    counters.WriteTo(play, "a", At(i));
    counters.WriteTo(play, "a", At(i));
    play.Judge(At(i));
    counters.WriteTo(play, "a", At(i));  // a retry after the answer was lost
  }
}

void OverwrittenSamples(Play& play) {
  Counters counters;
  for (int i = 0; i < 400 && play.agrees(); ++i) {
    counters.Serve(1000, Outage(i, 250, 290, 0.5));
    counters.WriteTo(play, "a", At(i));
    play.Judge(At(i));
    if (i % 10 == 9) play.Write("errors a", At(i - 3), counters.errors);  // now a step and a reset
    if (i % 10 == 4) play.Write("errors a", At(i), counters.errors + 3);
    if (i % 10 == 4) counters.errors += 3;
    play.Sweep(At(i) + 300);
  }
}

void ErrorsAppearOnlyInTheOutage(Play& play) {
  Counters counters;
  for (int i = 0; i < 400 && play.agrees(); ++i) {
    counters.Serve(1000, Outage(i, 250, 300, 0.3));
    play.Write("requests a", At(i), counters.requests);
    if (counters.errors > 0) play.Write("errors a", At(i), counters.errors);
    play.Judge(At(i));
  }
}

void TheErrorSeriesMissesScrapes(Play& play) {
  Counters counters;
  for (int i = 0; i < 400 && play.agrees(); ++i) {
    counters.Serve(1000, Outage(i, 250, 320, 0.3));
    play.Write("requests a", At(i), counters.requests);
    if (i % 9 > 2) play.Write("errors a", At(i), counters.errors);
    play.Judge(At(i));
  }
}

void DeletedInTheMiddle(Play& play) {
  Counters counters;
  for (int i = 0; i < 500 && play.agrees(); ++i) {
    counters.Serve(1000, Outage(i, 250, 330, 0.2));
    counters.WriteTo(play, "a", At(i));
    play.Judge(At(i));
    if (i == 340) {
      play.Delete("errors a", At(255), At(325));
      play.Delete("requests a", At(255), At(325));
    }
  }
}

void StrangeValues(Play& play) {
  Counters counters;
  for (int i = 0; i < 400 && play.agrees(); ++i) {
    counters.Serve(1000, Outage(i, 250, 300, 0.3));
    counters.WriteTo(play, "a", At(i));
    if (i % 20 == 3) play.Write("errors a", At(i) + 5'000, std::nan(""));
    if (i % 20 == 8) play.Write("errors a", At(i) + 5'000, -5);
    if (i % 20 == 13)
      play.Write("requests a", At(i) + 5'000, std::numeric_limits<double>::infinity());
    play.Judge(At(i));
  }
}

void StartTimestampsTellTheResets(Play& play) {
  Counters counters;
  int64_t start = kStartMs - 10 * kHourMs;
  for (int i = 0; i < 400 && play.agrees(); ++i) {
    if (i % 90 == 80) {
      counters = {};
      start = At(i) - 4'000;
    }
    // So busy that a scrape after a restart the counter stands higher than before.
    counters.Serve(i % 90 == 80 ? 200'000 : 1000, Outage(i, 250, 300, 0.3));
    play.Write("requests a", At(i), counters.requests, start);
    play.Write("errors a", At(i), counters.errors, start);
    play.Judge(At(i));
  }
}

void Backlog(Play& play) {
  // The sender was cut off for half an hour and then pushes everything at once, oldest first.
  Counters counters;
  for (int i = 0; i < 500 && play.agrees(); ++i) {
    counters.Serve(1000, Outage(i, 250, 300, 0.5));
    counters.WriteTo(play, "a", At(i));
    if (i == 240) play.Sweep(At(360));
    play.Judge(At(i));
  }
}

// Errors exactly at the threshold, and each scrape's arrive before its requests: with Basalt
// restarted before the other half has come, or before the scrape, so that nobody has reported yet.
void HalfAScrapeThroughARestart(Play& play) {
  Counters counters;
  for (int i = 0; i < 200 && play.agrees(); ++i) {
    counters.Serve(1000, 0.006);
    if (i % 5 == 2) play.Restart(At(i) - 100);
    play.Write("errors a", At(i), counters.errors);
    if (i % 5 == 4) play.Restart(At(i) + 20);
    play.Sweep(At(i) + 50);
    if (i % 15 == 14) play.Sweep(At(i) + 3'000);  // its sender tries again
    play.Write("requests a", At(i), counters.requests);
    play.Judge(At(i));
  }
}

// The outage stops all traffic, which comes back and fails on.
void FrozenAndFailingAgain(Play& play) {
  Counters counters;
  for (int i = 0; i < 700 && play.agrees(); ++i) {
    const bool silent = Between(i, 270, 410) || Between(i, 430, 560);
    counters.Serve(silent ? 0 : 1000, Outage(i, 250, 580, 0.8));
    counters.WriteTo(play, "a", At(i));
    play.Judge(At(i));
  }
}

// Requests travel 4 s longer than errors, at a scrape a second: several rounds wait at once, and a
// later one is clear before the first one is decided.
void ASlowShardAndManyOpenRounds(Play& play) {
  constexpr int kLag = 4;
  std::vector<Counters> rounds;
  Counters counters;
  for (int i = 0; i < 500 && play.agrees(); ++i) {
    // A little above the threshold, as will show, and in the next round far above it.
    counters.Serve(1000, i == 50 ? 0.31 : Outage(i, 51, 90, 1));
    rounds.push_back(counters);
    play.Write("errors a", At(i, 1'000), counters.errors);
    play.Sweep(At(i, 1'000) + 100);
    if (Between(i, kLag, 2 * kLag)) continue;
    const int settled = i < kLag ? i : i - kLag;
    play.Write("requests a", At(settled, 1'000), rounds[static_cast<size_t>(settled)].requests);
    play.Judge(At(settled, 1'000));
  }
}

// b's samples arrive after the next ones of a, which are later.
void ASlowTarget(Play& play) {
  Counters a;
  Counters b;
  for (int i = 0; i < 400 && play.agrees(); ++i) {
    a.Serve(500, 0);
    a.WriteTo(play, "a", At(i));
    play.Sweep(At(i) + 200);  // nobody knows of b before it has a beat
    const int64_t t = At(i) - 3'000;
    if (i > 0) {
      b.Serve(500, Outage(i, 250, 300, 0.3));
      b.WriteTo(play, "b", t);
      if (i > 3) play.Pass(t);  // it settles together with the next one of a
    }
    if (i > 3) play.Judge(At(i));
  }
}

// The queries do not fit together for a while: that pages nobody, and resolves nothing either.
void MoreErrorsThanRequests(Play& play) {
  Counters counters;
  for (int i = 0; i < 900 && play.agrees(); ++i) {
    const double share = Between(i, 250, 300)   ? 1.5
                         : Between(i, 300, 420) ? 0.6
                         : Between(i, 420, 470) ? 3
                         : Between(i, 540, 600) ? 1
                                                : 0;
    counters.Serve(1000, share);
    counters.WriteTo(play, "a", At(i));
    play.Judge(At(i));
  }
}

// Steady burns that fire, until many times the traffic comes, and all of it is well, or errors that
// belong to no requests. At each of some rounds, since it must not matter which of them are looked
// at closely.
void AFlood(Play& play, double requests, double share) {
  std::array<Counters, 6> targets;
  for (int i = 0; i < 330 && play.agrees(); ++i) {
    for (size_t k = 0; k < targets.size(); ++k) {
      const int begin = 300 + static_cast<int>(k);
      const std::string target(1, static_cast<char>('a' + k));
      targets[k].Serve(i >= begin ? requests : 1000, i >= begin ? share : Outage(i, 200, 330, 0.2));
      targets[k].WriteTo(play, target, At(i) + static_cast<int64_t>(k) * 1'000);
      play.Judge(At(i) + static_cast<int64_t>(k) * 1'000, target);
    }
  }
}
void AFloodOfGoodEvents(Play& play) { AFlood(play, 20'000'000, 0); }
void AFloodOfErrorsWithoutRequests(Play& play) { AFlood(play, 1000, 5000); }

// Three groups, one of which burns; what the total says is judged beside each of them.
void TheTotalOfGroups(Play& play) {
  std::array<Counters, 3> groups;
  for (int i = 0; i < 500 && play.agrees(); ++i) {
    for (size_t k = 0; k < groups.size(); ++k) {
      groups[k].Serve(300 * static_cast<double>(k + 1), k == 0 ? Outage(i, 250, 300, 0.5) : 0);
      const std::string name(1, static_cast<char>('a' + k));
      const int64_t t = At(i) + static_cast<int64_t>(k) * 3'333;
      groups[k].WriteTo(play, name, t);
      if (k == 0 && i % 9 == 8) play.Write("errors a", At(i - 6), groups[0].errors);  // late
      play.Judge(t, name);
      play.Judge(t, Play::kTotal);
    }
    if (i == 270 || i == 320) play.Restart(At(i) + 7'000);
  }
}

// Two groups may be; three come, and the third and fourth count together.
void MoreGroupsThanMayBe(Play& play) {
  std::array<Counters, 4> groups;
  for (int i = 0; i < 450 && play.agrees(); ++i) {
    for (size_t k = 0; k < groups.size(); ++k) {
      if (i < 10 * static_cast<int>(k)) continue;
      groups[k].Serve(500, k == 3 ? Outage(i, 250, 300, 0.9) : 0);
      const int64_t t = At(i) + static_cast<int64_t>(k) * 3'000;
      groups[k].WriteTo(play, std::string(1, static_cast<char>('a' + k)), t);
      play.Judge(t, k < 2 ? std::string(1, static_cast<char>('a' + k)) : Play::kOther);
      play.Judge(t, Play::kTotal);
    }
  }
}

}  // namespace

std::vector<OutageShape> PlayedOutages() {
  std::vector<OutageShape> shapes;
  const auto add = [&](const char* name, void (*play)(Play&), int pages = -1,
                       const char* group_by = "", int max_groups = 0) {
    shapes.push_back({name, play, pages, pages == 1, group_by, max_groups, "", {}});
  };
  add("late_data", LateData);
  add("an_exclusion_before", AnExclusionBefore, 1);
  add("an_exclusion_afterwards", AnExclusionAfterwards);
  add("an_exclusion_long_afterwards", AnExclusionLongAfterwards);
  add("skewed_shards", SkewedShards);
  add("basalt_restarts_at_each_step", RestartAtEachStep, 1);
  add("half_a_scrape_through_a_restart", HalfAScrapeThroughARestart, 0);
  add("clock_steps", ClockSteps, 1);
  add("the_total_of_groups", TheTotalOfGroups, -1, "instance", 10);
  add("more_groups_than_may_be", MoreGroupsThanMayBe, -1, "instance", 2);
  add("everything_twice", EverythingTwice, 1);
  add("overwritten_samples", OverwrittenSamples);
  add("errors_appear_only_in_the_outage", ErrorsAppearOnlyInTheOutage, 1);
  add("the_error_series_misses_scrapes", TheErrorSeriesMissesScrapes);
  add("deleted_in_the_middle", DeletedInTheMiddle);
  add("strange_values", StrangeValues, 1);
  add("start_timestamps_tell_the_resets", StartTimestampsTellTheResets);
  add("backlog", Backlog);
  add("frozen_and_failing_again", FrozenAndFailingAgain);
  add("a_slow_shard_and_many_open_rounds", ASlowShardAndManyOpenRounds);
  add("a_slow_target", ASlowTarget);
  add("more_errors_than_requests", MoreErrorsThanRequests);
  add("a_flood_of_good_events", AFloodOfGoodEvents, -1, "instance");
  add("a_flood_of_errors_without_requests", AFloodOfErrorsWithoutRequests, -1, "instance");
  return shapes;
}

}  // namespace basalt::slo
