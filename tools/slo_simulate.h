// tools/slo_simulate.h -- `basalt slo simulate`: what SLOs would have done over stored history.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/slo/simulation.h"

namespace basalt::cli {

struct SloSimulateOptions {
  std::vector<std::string> paths;  // SLO files or directories
  std::string data;                // a data directory that no server has open, or...
  std::string url;                 // ...the server that has it open
  std::string from;                // Unix seconds, RFC 3339, or "-30d": before `to`
  std::string to;                  // the same, before now; empty: now
  // "2026-10-03T12:00:00Z for=2m error=100% slo=shop-requests": error and slo may be absent.
  std::vector<std::string> injections;
  // Exit code 1 beyond these; negative or empty: no bound.
  std::string truth;  // a file of incidents: "FROM,TO[,SLO[,NAME]]" a line; # begins a comment
  // "factor=10:20:2" and the like (engine/slo/trial.h): every combination is tried. They compare,
  // so the bounds below cannot stand beside them.
  std::vector<std::string> sweeps;
  double max_pages_per_week = -1;
  double min_recall = -1;  // of the incidents in `truth`, as shares
  double min_precision = -1;
  std::string max_detection;  // of injected outages by a page
  bool markdown = false;
};

// Prints a report. 0: within the bounds; 1: beyond one of them; 2: it could not be simulated, which
// is said on standard error.
int RunSloSimulate(const SloSimulateOptions& options);

// For `slo diff`: the report alone.
Result<slo::SimulationReport> SimulateFiles(const SloSimulateOptions& options);
// `to`, or now, as Unix seconds.
Result<std::string> FixedEnd(const std::string& to);
std::string FormatMoment(int64_t time_ms);  // RFC 3339
// The SLO, its setting if there is one, and its group's labels.
std::string AlertName(const slo::SimulatedAlert& alert);

}  // namespace basalt::cli
