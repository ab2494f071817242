// tools/slo_remote.h -- a simulation over the data of a running server, which has its directory
// open.
#pragma once

#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/slo/simulation.h"

namespace basalt::cli {

// POSTs the files to /api/v1/slo/simulate of the server at `url`. Errors are the server's.
Result<slo::SimulationReport> SimulateOnServer(const std::string& url,
                                               const std::vector<std::string>& paths,
                                               const slo::SimulationOptions& options,
                                               const std::vector<std::string>& injections);

}  // namespace basalt::cli
