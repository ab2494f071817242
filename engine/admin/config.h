// engine/admin/config.h -- everything that can be set, from defaults, a YAML file and flags; flags
// win.
//
// The file's keys are listed, with their meaning and defaults, by `basalt serve --help-config`
// (ConfigHelp). An unknown key, a wrong type or a value out of range is an error with file and
// line; nothing is ignored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/ingest/ha_tracker.h"
#include "engine/ingest/limits.h"
#include "engine/ingest/otlp/settings.h"
#include "engine/ingest/tenants.h"
#include "engine/notify/receivers.h"
#include "storage/store.h"

namespace basalt::admin {

struct HttpConfig {
  std::string listen = "127.0.0.1:7480";
  std::string path_prefix;
  std::string cors_origin = "*";
  bool admin_api = false;
  size_t max_connections = 4096;
};

struct GrpcConfig {
  bool enabled = true;
  std::string listen = "127.0.0.1:7481";
};

struct StorageConfig {
  std::string directory = "./data";
  uint32_t partitions = 8;
  storage::SyncMode sync = storage::SyncMode::kAlways;
  Duration sync_interval{1000};
  Duration retention{0};       // 0: unlimited
  size_t retention_bytes = 0;  // 0: unlimited
  std::vector<storage::RetentionRule> retention_rules;
  Duration purge_delay = std::chrono::minutes(10);
  size_t rewrite_bytes_per_second = 64u << 20;
  size_t head_memory_bytes = 512u << 20;
  size_t cache_memory_bytes = 512u << 20;
  size_t log_bytes = 1u << 30;
  size_t disk_reserve_bytes = 256u << 20;  // 0: only a write that fails makes it read-only
  size_t disk_resume_bytes = 512u << 20;
  Duration scrub_interval = std::chrono::hours(7 * 24);  // 0: only when asked
  size_t scrub_bytes_per_second = 32u << 20;             // 0: no bound
};

struct QueryConfig {
  Duration timeout = std::chrono::minutes(2);
  Duration lookback = std::chrono::minutes(5);
  uint64_t max_samples = 50'000'000;
  uint32_t max_concurrent = 16;
  size_t result_cache_bytes = 64u << 20;
  size_t memory_bytes = 1u << 30;
  size_t max_series = 10'000'000;
};

struct AlertingConfig {
  std::vector<std::string> slo_paths;
  bool sloth_period_ratio = false;  // recorded: sloth's mean of ratios instead of events'
  size_t max_slos = 100'000;        // engine/slo/slo_limits.h says where both come from
  size_t max_slo_groups = 1'000'000;
  notify::Receivers receivers;  // everything else below `alerting`
  std::string external_url;     // links in alerts; empty: http://<http.listen>
};

struct SelfConfig {
  Duration interval = std::chrono::seconds(15);  // of storing Basalt's own metrics; 0 turns it off
  bool slo = true;                               // the SLO on itself
};

struct LogConfig {
  log::Level level = log::Level::kInfo;
  log::Format format = log::Format::kLogfmt;
};

struct Config {
  HttpConfig http;
  GrpcConfig grpc;
  StorageConfig storage;
  QueryConfig query;
  ingest::Limits ingest;
  ingest::HaSettings ha;
  std::vector<std::string> tenant_limits;  // as ingest::ParseTenantLimits reads them
  ingest::otlp::Settings otlp;             // its lookback is query.lookback
  AlertingConfig alerting;
  SelfConfig self;
  LogConfig log;
};

// What `storage.retention*` come to.
storage::RetentionPolicy RetentionOf(const StorageConfig& config);

// Overlays `config` with the YAML of `text`. kInvalidArgument: "<name>:<line>: <key>: what is
// wrong". `config` is then unchanged.
Status ApplyYaml(std::string_view text, std::string_view name, Config& config);
// The same from a file; kNotFound or kUnavailable if it cannot be read.
Status ApplyYamlFile(const std::string& path, Config& config);

// `ingest` for everybody and what `tenant_limits` says of some. The configuration must be valid.
ingest::LimitTable LimitsOf(const Config& config);

// Bounds that hold whatever the source: partitions a power of two, budgets not absurd.
// kInvalidArgument naming the key.
Status ValidateConfig(const Config& config);

// What a reload may change is applied at once; for the rest, the keys that need a restart.
std::vector<std::string> KeysThatNeedRestart(const Config& running, const Config& wanted);

// Key, value as YAML would have it: for /api/v1/status/config and --help-config.
struct ConfigEntry {
  std::string key;  // "storage.retention"
  std::string value;
  std::string help;
  bool reloadable = false;
};
std::vector<ConfigEntry> DescribeConfig(const Config& config);

// The configuration as a file that ApplyYaml reads back to the same, but for secrets, which are
// shown as "<secret>".
std::string RenderYaml(const Config& config);

// "512MiB", "1GiB", "1000": bytes. kInvalidArgument with the forms there are.
Result<size_t> ParseBytes(std::string_view text);
std::string FormatBytes(size_t bytes);

}  // namespace basalt::admin
