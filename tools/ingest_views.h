// tools/ingest_views.h -- what came in and what did not, as /api/v1/status/ingest tells it.
#pragma once

#include <string>

#include "engine/ingest/write_service.h"

namespace basalt::cli {

// A JSON object: `protocols` (what each has brought), `rejected` (items left out of requests, by
// reason) and `refused` (requests, by reason), each with its count and the last one; `recent`,
// newest first; `pairs` of senders and who leads; `tenants` with their use and limits. README:
// engine/ingest.
std::string IngestStatusJson(const ingest::WriteService& service);

}  // namespace basalt::cli
