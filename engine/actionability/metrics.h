// engine/actionability/metrics.h -- the journal's counters as series by team.
#pragma once

#include "engine/actionability/journal.h"
#include "engine/base/metrics.h"

namespace basalt::actionability {

// basalt_alerts_*{team,service,severity}. Both must outlive the registry's use.
void RegisterMetrics(metrics::Registry& registry, const Journal& journal);

}  // namespace basalt::actionability
