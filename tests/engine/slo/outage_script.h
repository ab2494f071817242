// tests/engine/slo/outage_script.h -- what scripted and hand-played outages are made of.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/engine/slo/outage.h"

namespace basalt::slo {

inline constexpr int64_t kScrapeMs = 15'000;
inline constexpr int64_t kHourMs = 3'600'000;

inline int64_t At(int step, int64_t scrape_ms = kScrapeMs) { return kStartMs + step * scrape_ms; }
inline bool Between(int i, int from, int to) { return i >= from && i < to; }
inline double Outage(int i, int from, int to, double share) {
  return Between(i, from, to) ? share : 0;
}

// Cumulative counters of one target.
struct Counters {
  double requests = 0;
  double errors = 0;
  void Serve(double n, double share) {
    requests += n;
    errors += std::floor(n * share);
  }
  void WriteTo(Play& play, const std::string& target, int64_t t) const {
    play.Write("requests " + target, t, requests);
    play.Write("errors " + target, t, errors);
  }
};

// Outages that no script describes: several targets or groups, shards, replicas, exclusions.
std::vector<OutageShape> PlayedOutages();
// Of targets that come and go.
std::vector<OutageShape> TargetOutages();
// Around clock changes, for budgets of a local day.
std::vector<OutageShape> CalendarOutages();

}  // namespace basalt::slo
