// engine/slo/trial.h -- SLOs tried before they are deployed: what a simulation's pages are worth
// beside the incidents that were, which settings would do better, and what differs between two
// versions of the same files.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/slo/definition.h"
#include "engine/slo/simulation.h"

namespace basalt::slo {

// What people say has been.
struct Incident {
  int64_t from_ms = 0;
  int64_t to_ms = 0;
  std::string slo;  // an id; empty: any
  std::string name;
};

// A page belongs to an incident if it fires at any time of it, or starts this soon after it.
inline constexpr Duration kIncidentGrace = std::chrono::minutes(5);

struct Verdict {
  size_t incidents = 0;
  size_t found = 0;                 // that some page belongs to
  size_t pages = 0;                 // that would have been sent
  size_t right = 0;                 // that belong to some incident
  std::optional<double> precision;  // right / pages
  std::optional<double> recall;     // found / incidents
  // From an incident's begin to its first page, and from its end until its last one is over.
  std::optional<Duration> detection_median;
  std::optional<Duration> detection_longest;
  std::optional<Duration> reset_median;
  std::optional<Duration> reset_longest;
};
// Of one SLO's pages and the incidents that it ought to have seen; of all with an empty `slo`.
Verdict Judge(const std::vector<SimulatedAlert>& alerts, const std::vector<Incident>& incidents,
              const std::string& slo);

// ---- sweeps of parameters ----

// Settings of one sweep together, at most: each costs a simulation's rounds.
inline constexpr size_t kMaxSettings = 100;

// One parameter over a range: "factor=10:20:2" (the fastest page's), "for=0s:5m:1m" (of pages),
// "min_bad=0:20:5", "min_total=...", "objective=99:99.9:0.3" (percent), "windows=0.5:2:0.5" (all of
// them, times that), "keep_firing_for=0s:10m:5m". Also a list: "objective=99|99.5|99.9".
struct Sweep {
  std::string parameter;
  std::vector<std::string> values;
};
// kInvalidArgument names what is wrong; kResourceExhausted: more than kMaxSettings values.
Result<Sweep> ParseSweep(const std::string& text);

// "factor=12 for=2m".
using Setting = std::vector<std::pair<std::string, std::string>>;
std::string ToString(const Setting& setting);
// Every combination.
Result<std::vector<Setting>> SettingsOf(const std::vector<Sweep>& sweeps);
// The definition with the setting in place, also in `Definition::setting`. kInvalidArgument: it
// cannot be.
Result<Definition> WithSetting(Definition definition, const Setting& setting);

// SLOs times settings of one simulation, at most: each is simulated as an SLO of its own, with its
// own groups, over samples that are read once.
inline constexpr size_t kMaxVariants = 1000;
// Each SLO with each combination of `sweeps` (ParseSweep's texts), an SLO's settings one after
// another. kInvalidArgument and kResourceExhausted name the sweep or the SLO and say what to do.
Result<std::vector<Definition>> VariantsOf(const std::vector<Definition>& definitions,
                                           const std::vector<std::string>& sweeps);

// ---- two versions ----

// "objective: 99.9 -> 99.95", one a line; empty: they decide alike.
std::vector<std::string> Differences(const Definition& before, const Definition& after);

struct AlertDifference {
  SimulatedAlert alert;
  bool comes = false;  // only the new version has it; false: only the old one
};
// Alerts that only one of two reports has: same SLO, group and severity, at overlapping times is
// the same alert.
std::vector<AlertDifference> Differences(const SimulationReport& before,
                                         const SimulationReport& after);

}  // namespace basalt::slo
