// tools/slo_remote.h -- a simulation over the data of a running server, which has its directory
// open.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/slo/simulation.h"

namespace basalt::cli {

// What is asked for as people wrote it: the server reads it by the same code.
struct RemoteSimulation {
  std::vector<std::string> paths;  // SLO files or directories
  std::vector<std::string> injections;
  std::vector<std::string> sweeps;
  int64_t from_ms = 0;
  int64_t to_ms = 0;
};

// POSTs it to /api/v1/slo/simulate of the server at `url`. Errors are the server's, or name `url`;
// kUnimplemented: a server that knows of no sweeps.
Result<slo::SimulationReport> SimulateOnServer(const std::string& url,
                                               const RemoteSimulation& simulation);

}  // namespace basalt::cli
