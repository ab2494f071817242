// tools/simulation_text.h -- how people write the times and the outages of a simulation.
#pragma once

#include <string>

#include "engine/base/status.h"
#include "engine/slo/simulation.h"

namespace basalt::cli {

// Unix seconds, RFC 3339, or "-30d": so long before `base_ms`.
Result<int64_t> ParseMoment(const std::string& text, int64_t base_ms);
// "TIME for=2m [error=100%] [slo=ID]"; a relative TIME is before `base_ms`.
Result<slo::Injection> ParseInjection(const std::string& text, int64_t base_ms);

}  // namespace basalt::cli
