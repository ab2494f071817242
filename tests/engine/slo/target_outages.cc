// Outages played by hand in which targets, or series of theirs, come, go, and come back.
#include <array>
#include <string>

#include "tests/engine/slo/outage_script.h"

namespace basalt::slo {
namespace {

// Each time a target comes back after its markers half of its scrape is stored when Basalt
// restarts. Alone, either half says something else than both.
void BackInShardsThroughARestart(Play& play) {
  Counters counters;
  for (int i = 0; i < 600 && play.agrees(); ++i) {
    counters.Serve(1000, Outage(i, 250, 400, 0.0145));
    const int beat = i % 30;
    if (beat == 20) {
      play.Stale("requests a", At(i));
      play.Stale("errors a", At(i));
    }
    if (Between(beat, 20, 28)) continue;
    const bool is_back = beat == 28;
    const bool errors_first = i / 30 % 2 == 0;
    if (is_back) {
      play.Write(errors_first ? "errors a" : "requests a", At(i),
                 errors_first ? counters.errors : counters.requests);
      play.Restart(At(i) + 20);
      play.Sweep(At(i) + 50);
    }
    counters.WriteTo(play, "a", At(i));
    play.Judge(At(i));
  }
}

// The errors leave memory, and it is their marker that brings them back to it: they have ended with
// their target all the same, so that the first half of its next scrape waits for the other.
void MarkedWhileOutOfMemory(Play& play) {
  Counters counters;
  for (int i = 0; i < 600 && play.agrees(); ++i) {
    counters.Serve(1000, Outage(i, 250, 400, 0.0145) + Outage(i, 450, 453, 1));
    const int beat = i % 30;
    if (beat == 20) {
      play.Forget("errors a");
      play.Sweep(At(i));
    }
    if (beat == 24) {
      play.Stale("requests a", At(i));
      play.Stale("errors a", At(i));
      play.Sweep(At(i) + 100);
    }
    if (Between(beat, 20, 28)) continue;
    if (beat == 28) {
      const bool errors_first = i / 30 % 2 == 0;
      play.Write(errors_first ? "errors a" : "requests a", At(i),
                 errors_first ? counters.errors : counters.requests);
      play.Sweep(At(i) + 50);
    }
    counters.WriteTo(play, "a", At(i));
    play.Judge(At(i));
  }
}

void NewLabelGroup(Play& play) {
  Counters a;
  Counters b;
  for (int i = 0; i < 400 && play.agrees(); ++i) {
    a.Serve(1000, 0);
    a.WriteTo(play, "a", At(i));
    play.Judge(At(i), "a");
    if (i < 240) continue;
    b.Serve(100, Outage(i, 240, 300, 0.5));  // breaks from its first breath
    play.Write("up b", At(i) + 2'000 - (i == 240 ? 15'000 : 0), 1);
    b.WriteTo(play, "b", At(i) + 2'000);
    play.Judge(At(i) + 2'000, "b");
  }
}

void SeveralTargetsOneBurns(Play& play) {
  std::array<Counters, 4> targets;
  for (int i = 0; i < 400 && play.agrees(); ++i) {
    for (size_t k = 0; k < targets.size(); ++k) {
      targets[k].Serve(300, k == 2 ? Outage(i, 250, 300, 0.5) : 0);
      const int64_t t = At(i) + static_cast<int64_t>(k) * 3'333;
      targets[k].WriteTo(play, std::string(1, static_cast<char>('a' + k)), t);
      play.Judge(t);
    }
  }
}

void ATargetDiesInTheOutage(Play& play) {
  Counters a;
  Counters b;
  for (int i = 0; i < 500 && play.agrees(); ++i) {
    a.Serve(500, Outage(i, 250, 280, 1));
    b.Serve(500, 0);
    if (i < 270) a.WriteTo(play, "a", At(i));
    if (i == 270) {
      play.Stale("requests a", At(i));
      play.Stale("errors a", At(i));
    }
    if (i == 400) a = {};  // restarted, and well
    if (i >= 400) a.WriteTo(play, "a", At(i));
    b.WriteTo(play, "b", At(i));
    play.Judge(At(i));
  }
}

// The outage kills the process: no markers, nothing, for good; the other target goes on.
void ATargetVanishes(Play& play) {
  Counters a;
  Counters b;
  for (int i = 0; i < 400 && play.agrees(); ++i) {
    a.Serve(500, Outage(i, 250, 280, 1));
    b.Serve(500, 0);
    if (i < 262) a.WriteTo(play, "a", At(i));
    if (i < 262) play.Judge(At(i));
    b.WriteTo(play, "b", At(i) + 5'000);
    play.Judge(At(i) + 5'000);
  }
}

void RollingUpdate(Play& play) {
  Counters counters;
  int generation = 0;
  for (int i = 0; i < 500 && play.agrees(); ++i) {
    std::string pod = "pod" + std::to_string(generation);
    if (i % 60 == 59) {
      play.Stale("requests " + pod, At(i));
      play.Stale("errors " + pod, At(i));
      pod = "pod" + std::to_string(++generation);
      counters = {};
      play.Write("up " + pod, At(i) - 5'000, 1);
    }
    counters.Serve(800, Outage(i, 300, 370, 0.15));
    counters.WriteTo(play, pod, At(i));
    play.Judge(At(i));
  }
}

// A twin takes over whose scrapes come at another time and whose clock is 3 s off: its counters
// show what the first one's showed 2 s earlier.
void ReplicaSwitch(Play& play) {
  Counters counters;
  double requests_before = 0;
  int64_t shift = 0;
  for (int i = 0; i < 500 && play.agrees(); ++i) {
    requests_before = counters.requests;
    counters.Serve(1000, Outage(i, 350, 400, 0.2) + 0.002);
    if (i == 150 || i == 300) {
      // 12 s early by its clock, with less than the other one showed last.
      shift -= 12'000;
      play.Write("requests a", At(i) + shift, requests_before - 130);
      play.Write("errors a", At(i) + shift, std::floor(counters.errors * 0.99));
    } else {
      counters.WriteTo(play, "a", At(i) + shift);
    }
    play.Judge(At(i) + shift);
  }
}

void SilentForADayAndMore(Play& play) {
  Counters counters;
  for (int i = 0; i < 200 && play.agrees(); ++i) {
    counters.Serve(1000, Outage(i, 20, 60, 0.5));
    const int64_t t = At(i) + (i >= 100 ? 26 * kHourMs : 0);
    counters.WriteTo(play, "a", t);
    play.Judge(t);
  }
}

void SeriesLeaveMemory(Play& play) {
  Counters counters;
  for (int i = 0; i < 450 && play.agrees(); ++i) {
    counters.Serve(1000, Outage(i, 250, 300, 0.3));
    if (i % 40 == 30) {
      play.Forget("errors a");
      if (i % 80 == 30) play.Forget("requests a");
      play.Sweep(At(i) - 100);
    }
    if (i % 40 >= 30 && i % 40 < 36) continue;
    counters.WriteTo(play, "a", At(i));
    play.Judge(At(i));
  }
}

// Marked stale and back after two scrapes: when in between the events happened, nobody knows.
void BrieflyStale(Play& play) {
  Counters counters;
  for (int i = 0; i < 400 && play.agrees(); ++i) {
    counters.Serve(1000, Outage(i, 250, 300, 0.3));
    if (i % 13 == 11) {
      play.Stale("requests a", At(i));
      play.Stale("errors a", At(i));
    }
    if (i % 13 >= 11) continue;
    counters.WriteTo(play, "a", At(i));
    play.Judge(At(i));
  }
}

// A target goes, marked stale or left to be forgotten, and comes back with the errors of its first
// scrape before the requests.
void BackInShards(Play& play) {
  Counters counters;
  for (int i = 0; i < 300 && play.agrees(); ++i) {
    counters.Serve(1000, 0.006);
    const bool is_gone = i % 60 >= 32;
    if (is_gone && i % 60 > 32) continue;
    if (is_gone && i < 120) {
      play.Stale("requests a", At(i));
      play.Stale("errors a", At(i));
      continue;
    }
    if (is_gone) {
      play.Forget("requests a");
      play.Sweep(At(i));
      continue;
    }
    play.Write("errors a", At(i), counters.errors);
    play.Sweep(At(i) + 50);
    play.Write("requests a", At(i), counters.requests);
    play.Judge(At(i));
  }
}

}  // namespace

std::vector<OutageShape> TargetOutages() {
  std::vector<OutageShape> shapes;
  const auto add = [&](const char* name, void (*play)(Play&), int pages = -1,
                       const char* group_by = "") {
    shapes.push_back({name, play, pages, pages == 1, group_by, 0, "", {}});
  };
  add("back_in_shards_through_a_restart", BackInShardsThroughARestart);
  add("marked_while_out_of_memory", MarkedWhileOutOfMemory);
  add("new_label_group", NewLabelGroup, 1, "instance");
  add("several_targets_one_burns", SeveralTargetsOneBurns, 1);
  add("a_target_dies_in_the_outage", ATargetDiesInTheOutage);
  add("a_target_vanishes", ATargetVanishes);
  add("rolling_update", RollingUpdate);
  add("replica_switch", ReplicaSwitch);
  add("silent_for_a_day_and_more", SilentForADayAndMore);
  add("series_leave_memory", SeriesLeaveMemory);
  add("briefly_stale", BrieflyStale);
  add("back_in_shards", BackInShards, 0);
  return shapes;
}

}  // namespace basalt::slo
