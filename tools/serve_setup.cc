#include "tools/serve_setup.h"

#include <algorithm>
#include <iterator>
#include <thread>
#include <utility>

#include "engine/base/file_limit.h"
#include "engine/base/log.h"
#include "engine/slo/slo_files.h"
#include "tools/self_slo.h"

namespace basalt::cli {
namespace {

size_t Cores() { return std::max(1U, std::thread::hardware_concurrency()); }

// As kIngestQueue.
constexpr size_t kAdminQueue = 64;
constexpr size_t kWorkQueue = 1u << 16;
// Of appends that wait for the disk: the largest request fits, and a second of what a fast machine
// takes. More would only make senders wait longer before they are told to come again.
constexpr size_t kLeastInFlightBytes = 64u << 20;
constexpr size_t kMostInFlightBytes = 256u << 20;
// Descriptors beside HTTP's connections: RocksDB keeps up to 4,096 files open; then the log, gRPC's
// connections and those to receivers of alerts.
constexpr uint64_t kOtherFiles = 4096 + 1024;

}  // namespace

Executors::Executors(const admin::QueryConfig& query)
    : ingest("ingest", Cores(), kIngestQueue),
      query_requests("query", std::min<size_t>(Cores(), query.max_concurrent),
                     query.max_concurrent),
      query_work("query-work", Cores(), kWorkQueue),
      admin("admin", 1, kAdminQueue),
      apply("apply", Cores(), kWorkQueue),
      background("background", 1, kWorkQueue) {}

storage::StoreOptions MakeStoreOptions(const admin::Config& config, Executors& executors) {
  storage::StoreOptions options;
  options.directory = config.storage.directory;
  options.partitions = config.storage.partitions;
  options.sync = config.storage.sync;
  options.sync_interval = config.storage.sync_interval;
  options.retention_policy = admin::RetentionOf(config.storage);
  options.purge_delay = config.storage.purge_delay;
  options.rewrite_bytes_per_second = config.storage.rewrite_bytes_per_second;
  options.head_budget_bytes = config.storage.head_memory_bytes;
  options.max_append_bytes_in_flight =
      std::clamp(config.storage.head_memory_bytes / 2, kLeastInFlightBytes, kMostInFlightBytes);
  options.block_cache_bytes = config.storage.cache_memory_bytes;
  options.log_budget_bytes = config.storage.log_bytes;
  options.disk_reserve_bytes = config.storage.disk_reserve_bytes;
  options.disk_resume_bytes = config.storage.disk_resume_bytes;
  options.apply = &executors.apply;
  options.background = &executors.background;
  return options;
}

void RaiseFileLimitFor(const admin::Config& config) {
  const uint64_t wanted = config.http.max_connections + kOtherFiles;
  const uint64_t allowed = RaiseFileLimit(wanted);
  if (allowed >= wanted) return;
  BASALT_LOG(kWarn,
             "few file descriptors: connections may be refused and files fail to open; raise the "
             "hard limit (ulimit -Hn, LimitNOFILE) or lower http.max_connections",
             {"allowed", allowed}, {"needed", wanted});
}

query::EngineOptions MakeEngineOptions(const admin::Config& config, Executors& executors) {
  query::EngineOptions options;
  options.lookback = config.query.lookback;
  options.timeout = config.query.timeout;
  options.max_samples = config.query.max_samples;
  options.max_series = config.query.max_series;
  options.memory_bytes = config.query.memory_bytes;
  options.result_cache_bytes = config.query.result_cache_bytes;
  options.executor = &executors.query_work;
  options.parallelism = Cores();
  options.use_start_timestamps = true;
  return options;
}

ingest::otlp::Settings MakeOtlpSettings(const admin::Config& config) {
  ingest::otlp::Settings settings = config.otlp;
  settings.lookback = config.query.lookback;
  return settings;
}

Result<std::vector<slo::Definition>> LoadDefinitions(const admin::Config& config) {
  std::vector<slo::Problem> warnings;
  BASALT_TRY_ASSIGN(std::vector<slo::Definition> definitions,
                    slo::LoadSloFiles(config.alerting.slo_paths, &warnings));
  for (const slo::Problem& warning : warnings)
    BASALT_LOG(kWarn, "SLO file", {"problem", slo::ToString(warning)});
  if (!config.self.slo || config.self.interval == Duration(0)) return definitions;
  const bool taken =
      std::any_of(definitions.begin(), definitions.end(),
                  [](const slo::Definition& definition) { return definition.service == "basalt"; });
  if (taken) return definitions;  // somebody keeps their own on us
  slo::CheckedSlos own = slo::CheckSloText(kSelfSlo, "built in");
  BASALT_CHECK(own.ok(), own.problems.empty() ? "" : slo::ToString(own.problems[0]));
  std::move(own.definitions.begin(), own.definitions.end(), std::back_inserter(definitions));
  return definitions;
}

}  // namespace basalt::cli
