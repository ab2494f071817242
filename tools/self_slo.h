// tools/self_slo.h -- the SLO that Basalt keeps on itself, and what it counts of SLOs.
#pragma once

#include "engine/base/metrics.h"
#include "engine/notify/outbox.h"
#include "engine/slo/evaluator.h"

namespace basalt::cli {

// sloth's format: 99.9 % of the requests to Basalt are answered without a server error, over the
// series that Basalt stores of itself. Not loaded if a file defines a service named basalt.
extern const char* const kSelfSlo;

// basalt_slo_* and basalt_alert_*. Both arguments must outlive the registry's use.
void RegisterSloMetrics(metrics::Registry& registry, const slo::Evaluator& slos,
                        const notify::Outbox& outbox);

}  // namespace basalt::cli
