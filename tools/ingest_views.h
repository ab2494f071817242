// tools/ingest_views.h -- what came in and what did not, as /api/v1/status/ingest tells it.
#pragma once

#include <string>

#include "engine/base/metrics.h"
#include "engine/ingest/write_service.h"

namespace basalt::cli {

// A JSON object: `protocols` (what each has brought), `rejected` (items left out of requests, by
// reason) and `refused` (requests, by reason), each with its count and the last one; `recent`,
// newest first; `pairs` of senders and who leads; `folded` counters with an example; `tenants` with
// their use and limits. README: engine/ingest.
std::string IngestStatusJson(const ingest::WriteService& service);

// basalt_ingest_folded_series and basalt_ingest_folded_samples_total, a tenant each. `service` must
// live until `registry` is asked no more.
void RegisterFoldMetrics(metrics::Registry& registry, const ingest::WriteService& service);

}  // namespace basalt::cli
