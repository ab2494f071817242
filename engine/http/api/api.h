// engine/http/api/api.h -- Prometheus' HTTP API, and the operator's endpoints, over a reader and a
// query engine.
//
// Answers, error texts, status codes and key order are those of Prometheus' main branch; where
// Basalt has more to say, it says so under keys of its own. README.md beside this lists the
// endpoints.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/ids.h"
#include "engine/base/metrics.h"
#include "engine/base/status.h"
#include "engine/http/api/alerts_view.h"
#include "engine/http/api/export_source.h"
#include "engine/http/api/maintenance_view.h"
#include "engine/http/api/slo_source.h"
#include "engine/http/api/write_handler.h"
#include "engine/http/router.h"
#include "engine/notify/delivery_stats.h"
#include "query/engine.h"
#include "storage/reader.h"

namespace basalt::storage {
class Store;
struct StoreStats;
}  // namespace basalt::storage

namespace basalt::actionability {
class Journal;
}  // namespace basalt::actionability

namespace basalt::http::api {

// The header that names a tenant: a decimal TenantId. Absent or empty is the default tenant.
inline constexpr std::string_view kTenantHeader = "X-Scope-OrgID";

struct BuildInfo {
  std::string version;  // Basalt's own; `version` in the answer is the Prometheus whose API this is
  std::string revision;
  std::string branch;
  std::string build_date;
};

// One protocol of ingest and the path it listens on (POST).
struct WriteRoute {
  std::string path;  // "/api/v1/write"
  WriteHandler* handler = nullptr;
  size_t max_body_bytes = 32u << 20;
};

struct LastReload {
  bool ok = true;       // of the latest try, SLO files that changed on disk included
  Timestamp success{};  // when one last succeeded; at first when the process started
};

// Everything pointed at must outlive the server. Members marked (optional) may be null or empty.
struct ApiContext {
  const storage::Reader* reader = nullptr;
  const query::Engine* engine = nullptr;
  const Clock* clock = &SystemClock();
  const AlertsView* alerts = nullptr;     // (optional) no rules, no alerts
  SloSource* slos = nullptr;              // (optional) an empty list at /api/v1/slo
  std::vector<WriteRoute> writes;         // (optional)
  metrics::Registry* registry = nullptr;  // (optional) /metrics answers 404 without it
  std::function<Status()>
      ready;  // (optional) not ok: /-/ready and the API answer 503 with the message
  std::function<Status()> reload;  // (optional) POST and PUT /-/reload; runs on the admin executor
  std::function<LastReload()> last_reload;  // (optional) /api/v1/status/runtimeinfo
  std::function<Status()> settle;           // (optional) POST /-/settle; runs on the admin executor
  std::function<std::string()>
      ingest_status;       // (optional) /api/v1/status/ingest; JSON, what Prometheus calls `data`
  OpenExport open_export;  // (optional) /api/v1/export
  std::function<storage::StoreStats()> stats;  // (optional) /api/v1/status/tsdb
  // (optional) deletes and their receipts; null while the store is not open
  std::function<storage::Store*()> store;
  bool admin_api = false;  // what changes data by hand is answered; otherwise 503, as upstream
  MaintenanceDoor* maintenance = nullptr;  // (optional) snapshots and scrubs
  BuildInfo build;
  std::vector<std::pair<std::string, std::string>> flags;  // sorted by name; /api/v1/status/flags
  // (optional) where alerts are POSTed now; /api/v1/alertmanagers
  std::function<std::vector<std::string>()> alertmanagers;
  // (optional) /api/v1/slo/alerts and /api/v1/slo/delivery; nothing while they are not open
  std::function<actionability::Journal*()> journal;
  std::function<std::optional<notify::OutboxStats>()> delivery;
  std::function<std::string()> config_yaml;  // (optional) /api/v1/status/config
  std::string data_directory;
  Duration retention{0};  // zero: unlimited
  Timestamp started{};
};

// Adds the routes. The handlers keep copies of `context`.
void RegisterApi(const ApiContext& context, Router& router);

}  // namespace basalt::http::api
