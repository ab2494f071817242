// tools/serve_setup.h -- what `basalt serve` makes of its configuration: threads, options, SLOs.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/admin/config.h"
#include "engine/base/executor.h"
#include "engine/base/status.h"
#include "engine/ingest/fair_queue.h"
#include "engine/ingest/otlp/settings.h"
#include "engine/slo/definition.h"
#include "query/engine.h"
#include "storage/store.h"
#include "tools/late_bound.h"

namespace basalt::cli {

// Queues are bounded; beyond them the HTTP server answers 503 and gRPC RESOURCE_EXHAUSTED.
inline constexpr size_t kIngestQueue = 1024;

// The threads, each kind for work that must not starve the others (DESIGN decision 17).
struct Executors {
  explicit Executors(const admin::QueryConfig& query);
  InlineExecutor hand_on;  // HTTP writes go to `tenants` at once
  ThreadPool ingest;
  ingest::FairQueue tenants{ingest, kIngestQueue};
  ThreadPool query_requests;
  ThreadPool query_work;
  ThreadPool admin;
  ThreadPool apply;
  ThreadPool background;
};

// Both point at `executors`, which must outlive what is made with them.
storage::StoreOptions MakeStoreOptions(const admin::Config& config, Executors& executors);
query::EngineOptions MakeEngineOptions(const admin::Config& config, Executors& executors);

ingest::otlp::Settings MakeOtlpSettings(const admin::Config& config);

// Lets this process have as many files and sockets as its configuration needs; warns if the system
// does not.
void RaiseFileLimitFor(const admin::Config& config);

// What people put into --slo, and the SLO that Basalt keeps on itself. kInvalidArgument holds one
// line a problem; warnings are logged.
Result<std::vector<slo::Definition>> LoadDefinitions(const admin::Config& config);

}  // namespace basalt::cli
