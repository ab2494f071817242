// tools/simulation_text.h -- how people write the times and the outages of a simulation.
#pragma once

#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/slo/simulation.h"
#include "engine/slo/trial.h"

namespace basalt::cli {

// Unix seconds, RFC 3339, or "-30d": so long before `base_ms`.
Result<int64_t> ParseMoment(const std::string& text, int64_t base_ms);
// "TIME for=2m [error=100%] [slo=ID]"; a relative TIME is before `base_ms`.
Result<slo::Injection> ParseInjection(const std::string& text, int64_t base_ms);
// A file of "FROM,TO[,SLO[,NAME]]" lines; "#" begins a comment, a first line "from,..." is a
// heading. kInvalidArgument names the line.
Result<std::vector<slo::Incident>> ReadIncidents(const std::string& path, int64_t base_ms);

}  // namespace basalt::cli
