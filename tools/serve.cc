#include "tools/serve.h"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigwait is POSIX, not C++
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <memory>
#include <mutex>
#include <thread>

#include "engine/actionability/journal.h"
#include "engine/actionability/metrics.h"
#include "engine/admin/scrubber.h"
#include "engine/admin/self_metrics.h"
#include "engine/admin/snapshots.h"
#include "engine/base/log.h"
#include "engine/http/api/api.h"
#include "engine/http/server.h"
#include "engine/notify/outbox.h"
#include "engine/notify/receivers_yaml.h"
#include "engine/rpc/server.h"
#include "engine/slo/evaluator.h"
#include "engine/slo/slo_watch.h"
#include "query/engine.h"
#include "storage/store.h"
#include "tools/export_stream.h"
#include "tools/ingest_views.h"
#include "tools/late_bound.h"
#include "tools/maintenance_doors.h"
#include "tools/query_metrics.h"
#include "tools/self_slo.h"
#include "tools/serve_setup.h"
#include "tools/slo_recorder.h"
#include "tools/slo_views.h"

namespace basalt::cli {
namespace {

// SIGTERM promises an exit within 10 s: most of it for requests in flight, the rest for the store.
constexpr Duration kDrain{4000};

class ServerProcess {
 public:
  ServerProcess(const ServeOptions& options, admin::Config config)
      : options_(options),
        config_(std::move(config)),
        executors_(config_.query),
        engine_(MakeEngineOptions(config_, executors_)),
        reader_(config_.storage.partitions) {}

  Status Start();
  Status Reload();
  void Stop();
  [[nodiscard]] std::string base_url() const {
    return "http://" + http_->address() + config_.http.path_prefix;
  }

 private:
  Status StartHttp();
  Status StartSlos(std::vector<slo::Definition> definitions);
  Status ReloadAll();
  // SLO files changed on disk: all or nothing, as with Reload.
  void ReloadSlos();
  void NoteReload(bool ok);
  [[nodiscard]] std::string ExternalUrl() const {
    return config_.alerting.external_url.empty() ? base_url() : config_.alerting.external_url;
  }
  // Says what is allowed and unwise.
  void WarnOfReceivers() const {
    const notify::Receivers& receivers = config_.alerting.receivers;
    if (!config_.alerting.slo_paths.empty() && receivers.alertmanagers.empty() &&
        receivers.webhooks.empty()) {
      BASALT_LOG(kWarn,
                 "nobody is told of alerts, which are only at /api/v1/alerts: name an Alertmanager "
                 "(--alertmanager, alerting.alertmanagers) or one of alerting.webhooks");
    }
    for (const std::string& warning : notify::Warnings(receivers))
      BASALT_LOG(kWarn, "alert receivers", {"warning", warning});
  }
  void Welcome() const;

  const ServeOptions options_;
  admin::Config config_;
  const Timestamp started_ = SystemClock().Now();
  metrics::Registry registry_;
  Executors executors_;
  query::Engine engine_;
  LateReader reader_;
  // In turns with other tenants'.
  FairHandler Fair(http::api::WriteHandler& handler, ingest::Protocol protocol) {
    return {handler, executors_.tenants, [this, protocol](TenantId tenant) {
              // Nothing is counted while the log is replayed.
              ingest::WriteService* const service = counts_;
              if (service == nullptr) return;
              service->Refuse(tenant, protocol, ingest::Refusal::kOverload,
                              "too many requests of this tenant wait");
            }};
  }
  std::atomic<ingest::WriteService*> counts_ = nullptr;

  LateWriteHandler writes_;
  LateOtlpHandler otlp_;
  LateImportHandler import_json_{LateImportHandler::Lines::kJson};
  LateImportHandler import_text_{LateImportHandler::Lines::kExposition};
  LateImportHandler import_native_{LateImportHandler::Lines::kNative};
  FairHandler fair_writes_ = Fair(writes_, ingest::Protocol::kRemoteWrite1);
  FairHandler fair_otlp_ = Fair(otlp_, ingest::Protocol::kOtlp);
  FairHandler fair_json_ = Fair(import_json_, ingest::Protocol::kJsonLines);
  FairHandler fair_native_ = Fair(import_native_, ingest::Protocol::kNative);
  FairHandler fair_text_ = Fair(import_text_, ingest::Protocol::kExposition);
  struct WritePath {
    std::string_view path;
    FairHandler* handler;
  };
  // OTLP at the path of Prometheus' receiver, and at the one that exporters use by default.
  const std::array<WritePath, 6> write_paths_ = {
      {{.path = "/api/v1/write", .handler = &fair_writes_},
       {.path = "/api/v1/otlp/v1/metrics", .handler = &fair_otlp_},
       {.path = "/v1/metrics", .handler = &fair_otlp_},
       {.path = "/api/v1/import", .handler = &fair_json_},
       {.path = "/api/v1/import/native", .handler = &fair_native_},
       {.path = "/api/v1/import/prometheus", .handler = &fair_text_}}};
  SloViews slo_views_;
  MaintenanceDoors maintenance_;
  std::atomic<bool> ready_ = false;
  std::mutex reload_mu_;
  std::atomic<bool> reload_ok_ = true;
  std::atomic<int64_t> reloaded_ms_ = started_.time_since_epoch().count();
  std::mutex alerting_mu_;  // whether outbox_ is there, for requests

  // In the order of their making; Stop() takes them down backwards.
  std::unique_ptr<http::Server> http_;
  std::unique_ptr<storage::Store> store_;
  std::atomic<storage::Store*> store_for_http_ = nullptr;
  std::unique_ptr<ingest::WriteService> write_service_;
  std::unique_ptr<ingest::otlp::OtlpService> otlp_service_;
  std::unique_ptr<rpc::Server> rpc_;
  std::unique_ptr<admin::SelfScrape> self_scrape_;
  std::unique_ptr<actionability::Journal> journal_;
  std::atomic<actionability::Journal*> journal_for_http_ = nullptr;
  std::unique_ptr<notify::Outbox> outbox_;
  std::unique_ptr<slo::StoreSamples> slo_samples_;
  std::unique_ptr<slo::EngineQueries> slo_queries_;
  std::unique_ptr<slo::Ledger> slo_ledger_;
  std::unique_ptr<slo::Evaluator> slos_;
  std::unique_ptr<SloRecorder> slo_recorder_;
  std::unique_ptr<slo::SloWatch> slo_watch_;
};

Status ServerProcess::StartHttp() {
  http::api::ApiContext context;
  context.reader = &reader_;
  context.engine = &engine_;
  context.alerts = &slo_views_;
  context.slos = &slo_views_;
  const size_t max_body = config_.ingest.max_body_bytes;
  for (const auto& [path, handler] : write_paths_) {
    context.writes.push_back(
        {.path = std::string(path), .handler = handler, .max_body_bytes = max_body});
  }
  context.registry = &registry_;
  context.ready = [this] { return ready_ ? OkStatus() : Unavailable(kNotReady); };
  context.reload = [this] { return Reload(); };
  context.last_reload = [this] {
    return http::api::LastReload{reload_ok_, Timestamp(Duration(reloaded_ms_))};
  };
  context.settle = [this] {
    storage::Store* store = store_for_http_;
    return store == nullptr ? Unavailable(kNotReady) : store->Settle();
  };
  context.open_export = OpenExport;
  context.ingest_status = [this] {
    const ingest::WriteService* service = counts_;
    return service == nullptr ? std::string("{}") : IngestStatusJson(*service);
  };
  context.stats = [this] {
    storage::Store* store = store_for_http_;
    return store == nullptr ? storage::StoreStats() : store->Stats();
  };
  context.store = [this]() -> storage::Store* { return store_for_http_; };
  context.admin_api = config_.http.admin_api;
  context.maintenance = &maintenance_;
  context.build = {.version = kVersion, .revision = "", .branch = "", .build_date = ""};
  for (const admin::ConfigEntry& entry : admin::DescribeConfig(config_)) {
    context.flags.emplace_back(entry.key, entry.value);
  }
  std::sort(context.flags.begin(), context.flags.end());
  context.alertmanagers = [this] {
    const std::lock_guard lock(alerting_mu_);
    return outbox_ == nullptr ? std::vector<std::string>() : outbox_->AlertmanagerUrls();
  };
  context.journal = [this] { return journal_for_http_.load(); };
  context.delivery = [this]() -> std::optional<notify::OutboxStats> {
    const std::lock_guard lock(alerting_mu_);
    if (outbox_ == nullptr) return std::nullopt;
    return outbox_->Stats();
  };
  context.config_yaml = [this] {
    const std::lock_guard lock(reload_mu_);
    return admin::RenderYaml(config_);
  };
  context.data_directory = config_.storage.directory;
  context.retention = config_.storage.retention;
  context.started = started_;
  http::Router router;
  http::api::RegisterApi(context, router);

  http::ServerOptions options;
  options.listen = config_.http.listen;
  options.session.path_prefix = config_.http.path_prefix;
  options.session.cors_origin = config_.http.cors_origin;
  options.session.overload_status =
      [status = config_.ingest.overload_status](std::string_view user_agent) {
        return ingest::OverloadStatusFor(status, user_agent);
      };
  options.session.admit = [this](const http::Request& request) -> std::optional<http::Response> {
    if (request.method != http::Method::kPost) return std::nullopt;
    for (const auto& [path, handler] : write_paths_) {
      if (request.path == path) return handler->Admit(request.headers);
    }
    return std::nullopt;
  };
  options.max_connections = config_.http.max_connections;
  options.executors = {&executors_.hand_on, &executors_.query_requests, &executors_.admin};
  options.registry = &registry_;
  auto started = http::Server::Start(options, std::move(router));
  if (!started.ok()) return started.status().WithContext("--http (http.listen)");
  http_ = *std::move(started);
  return OkStatus();
}

Status ServerProcess::StartSlos(std::vector<slo::Definition> definitions) {
  notify::OutboxOptions outbox;
  outbox.directory = config_.storage.directory;
  std::vector<std::string> warnings;
  BASALT_TRY_ASSIGN(
      journal_, actionability::Journal::Open({.directory = config_.storage.directory}, &warnings));
  for (const std::string& warning : warnings)
    BASALT_LOG(kWarn, "alert history", {"problem", warning});
  outbox.observer = journal_.get();
  outbox.receivers = std::make_shared<const notify::Receivers>(config_.alerting.receivers);
  outbox.external_url = ExternalUrl();
  outbox.problem = [](const std::string& where, const std::string& problem) {
    if (problem.empty()) {
      BASALT_LOG(kInfo, "discovery of alert receivers works again", {"where", where});
    } else {
      BASALT_LOG(kWarn, "discovery of alert receivers", {"where", where}, {"problem", problem});
    }
  };
  WarnOfReceivers();
  warnings.clear();
  BASALT_TRY_ASSIGN(auto opened, notify::Outbox::Open(std::move(outbox), &warnings));
  for (const std::string& warning : warnings) BASALT_LOG(kWarn, "alert log", {"problem", warning});
  {
    const std::lock_guard lock(alerting_mu_);
    outbox_ = std::move(opened);
  }
  slo_samples_ = std::make_unique<slo::StoreSamples>(*store_);
  slo_queries_ = std::make_unique<slo::EngineQueries>(engine_, *slo_samples_);
  BASALT_TRY_ASSIGN(slo_ledger_, slo::Ledger::Open(config_.storage.directory + "/slo_ledger.yml"));
  slo::EvaluatorOptions options;
  options.ledger = slo_ledger_.get();
  options.queries = slo_queries_.get();
  options.max_slos = config_.alerting.max_slos;
  options.max_groups = config_.alerting.max_slo_groups;
  options.external_url = ExternalUrl();
  slos_ = std::make_unique<slo::Evaluator>(*slo_samples_, *outbox_, options);
  const size_t count = definitions.size();
  BASALT_TRY(slos_->SetDefinitions(std::move(definitions)));
  slos_->Start();
  slo_views_.BindHistory(*slo_samples_, *slo_queries_);
  slo_views_.Bind(slos_.get(), slo_ledger_.get());
  slo_recorder_ = std::make_unique<SloRecorder>(
      *slos_, *store_, SystemClock(),
      config_.alerting.sloth_period_ratio ? slo_queries_.get() : nullptr);
  RegisterSloMetrics(registry_, *slos_, *outbox_);
  slo_watch_ = std::make_unique<slo::SloWatch>(
      [this] {
        const std::lock_guard lock(reload_mu_);
        return config_.alerting.slo_paths;
      },
      [this] { ReloadSlos(); });
  actionability::RegisterMetrics(registry_, *journal_);
  journal_for_http_ = journal_.get();
  BASALT_LOG(kInfo, "SLOs are evaluated", {"count", count});
  return OkStatus();
}

Status ServerProcess::Start() {
  RaiseFileLimitFor(config_);
  // A wrong SLO file is noticed before anything is opened.
  BASALT_TRY_ASSIGN(std::vector<slo::Definition> definitions, LoadDefinitions(config_));
  // The port first: a taken one is noticed before a long replay, and health checks are answered
  // during it.
  BASALT_TRY(StartHttp());
  BASALT_LOG(kInfo, "opening the store", {"directory", config_.storage.directory});
  BASALT_TRY_ASSIGN(store_, storage::Store::Open(MakeStoreOptions(config_, executors_)));
  const storage::StoreStats stats = store_->Stats();
  BASALT_LOG(kInfo, "the store is open", {"series", stats.total_series},
             {"replayed_records", stats.replayed_records}, {"replay_ms", stats.replay_ms});
  admin::RegisterSelfMetrics(registry_, *store_, kVersion);
  registry_.AddCollector([this](std::vector<metrics::Family>& out) {
    metrics::AppendValue(out, "basalt_config_last_reload_successful",
                         "1 if the latest reload, or change of SLO files, was taken.",
                         metrics::Type::kGauge, reload_ok_ ? 1 : 0);
    metrics::AppendValue(out, "basalt_config_last_reload_success_timestamp_seconds",
                         "When the configuration was last taken, in seconds since 1970.",
                         metrics::Type::kGauge, static_cast<double>(reloaded_ms_) / 1000);
  });
  RegisterQueryMetrics(registry_, engine_);
  write_service_ = std::make_unique<ingest::WriteService>(*store_, SystemClock(), registry_,
                                                          admin::LimitsOf(config_), config_.ha);
  BASALT_TRY(write_service_->firewall().Open(config_.storage.directory + "/folds.journal"));
  RegisterFoldMetrics(registry_, *write_service_);
  counts_ = write_service_.get();
  otlp_service_ = std::make_unique<ingest::otlp::OtlpService>(
      *store_, SystemClock(), *write_service_, MakeOtlpSettings(config_));
  if (config_.grpc.enabled) {
    auto rpc = rpc::Server::Start({.address = config_.grpc.listen}, *store_, SystemClock(),
                                  executors_.tenants, *write_service_, *otlp_service_);
    if (!rpc.ok()) return rpc.status().WithContext("--grpc (grpc.listen)");
    rpc_ = *std::move(rpc);
  }
  if (config_.self.interval > Duration(0)) {
    self_scrape_ = std::make_unique<admin::SelfScrape>(registry_, *store_, SystemClock(),
                                                       http_->address(), config_.self.interval);
  }
  BASALT_TRY(StartSlos(std::move(definitions)));
  maintenance_.Bind(
      store_.get(),
      std::make_shared<admin::Snapshots>(*store_, config_.storage.directory, SystemClock()),
      std::make_shared<admin::Scrubber>(
          *store_, SystemClock(), registry_,
          admin::Scrubber::Options{.interval = config_.storage.scrub_interval,
                                   .bytes_per_second = config_.storage.scrub_bytes_per_second}));
  reader_.Bind(&store_->reader());
  writes_.Bind(write_service_.get());
  otlp_.Bind(otlp_service_.get());
  import_json_.Bind(write_service_.get());
  import_text_.Bind(write_service_.get());
  import_native_.Bind(write_service_.get());
  store_for_http_ = store_.get();
  ready_ = true;
  BASALT_LOG(kInfo, "ready", {"http", http_->address()},
             {"grpc_port", rpc_ == nullptr ? 0 : rpc_->port()});
  if (options_.welcome) Welcome();
  if (!options_.ready_file.empty()) {
    // Renamed into place: whoever waits for it never reads half an address.
    const std::string temporary = options_.ready_file + ".tmp";
    std::ofstream(temporary) << base_url() << '\n';
    if (std::rename(temporary.c_str(), options_.ready_file.c_str()) != 0) {
      return Unavailable("--ready-file " + options_.ready_file + ": cannot be written");
    }
  }
  return OkStatus();
}

void ServerProcess::Welcome() const {
  const std::string url = base_url();
  std::printf(
      "\nBasalt is ready.\n"
      "  Ask it something:        %s/api/v1/query?query=up\n"
      "  or on the command line:  build/release/basalt query 'rate(process_cpu_seconds_total[1m])' "
      "--since 10m --url %s\n"
      "  SLOs and their budgets:  %s/api/v1/slo\n"
      "  Alerts:                  %s/api/v1/alerts\n"
      "  Grafana data source:     type Prometheus, URL %s\n"
      "  prometheus.yml:\n"
      "    remote_write:\n"
      "      - url: %s/api/v1/write\n"
      "        send_exemplars: true\n\n",
      url.c_str(), url.c_str(), url.c_str(), url.c_str(), url.c_str(), url.c_str());
  std::fflush(stdout);
}

void ServerProcess::ReloadSlos() {
  const std::lock_guard lock(reload_mu_);
  auto definitions = LoadDefinitions(config_);
  NoteReload(definitions.ok());
  if (!definitions.ok()) {
    BASALT_LOG(kError, "changed SLO files are wrong; the ones before go on",
               {"error", std::string(definitions.status().message())});
    return;
  }
  const size_t count = definitions->size();
  const Status status = slos_->SetDefinitions(std::move(definitions).value());
  if (!status.ok()) {
    BASALT_LOG(kWarn, "changed SLOs are read again shortly", {"error", status.ToString()});
    return;
  }
  BASALT_LOG(kInfo, "changed SLO files are in effect", {"count", count});
}

void ServerProcess::NoteReload(bool ok) {
  reload_ok_ = ok;
  if (ok) reloaded_ms_ = SystemClock().Now().time_since_epoch().count();
}

Status ServerProcess::Reload() {
  const std::lock_guard lock(reload_mu_);
  const Status status = ReloadAll();
  NoteReload(status.ok());
  return status;
}

Status ServerProcess::ReloadAll() {
  BASALT_TRY_ASSIGN(admin::Config wanted, MakeConfig(options_));
  for (const std::string& key : admin::KeysThatNeedRestart(config_, wanted)) {
    BASALT_LOG(kWarn, "a changed setting needs a restart", {"key", key});
  }
  if (slos_ != nullptr) {
    // All or nothing: a file that is wrong leaves what runs as it is.
    BASALT_TRY_ASSIGN(std::vector<slo::Definition> definitions, LoadDefinitions(wanted));
    BASALT_TRY(slos_->SetDefinitions(std::move(definitions)));
    config_.alerting.slo_paths = wanted.alerting.slo_paths;
  }
  config_.alerting.receivers = wanted.alerting.receivers;
  if (outbox_ != nullptr) {
    WarnOfReceivers();
    outbox_->SetReceivers(std::make_shared<const notify::Receivers>(config_.alerting.receivers));
  }
  if (store_ != nullptr) {
    BASALT_TRY(store_->SetRetention(admin::RetentionOf(wanted.storage)));
    config_.storage.retention = wanted.storage.retention;
    config_.storage.retention_bytes = wanted.storage.retention_bytes;
    config_.storage.retention_rules = wanted.storage.retention_rules;
  }
  config_.ingest.max_samples_per_second = wanted.ingest.max_samples_per_second;
  config_.ingest.max_active_series = wanted.ingest.max_active_series;
  config_.ingest.max_folded_series = wanted.ingest.max_folded_series;
  config_.tenant_limits = wanted.tenant_limits;
  if (write_service_ != nullptr) write_service_->tenants().SetLimits(admin::LimitsOf(config_));
  log::Configure(wanted.log.level, wanted.log.format);
  config_.log = wanted.log;
  BASALT_LOG(kInfo, "configuration reloaded");
  return OkStatus();
}

void ServerProcess::Stop() {
  ready_ = false;
  BASALT_LOG(kInfo, "stopping");
  self_scrape_.reset();
  // Both drain at once.
  std::thread rpc_stop([this] {
    if (rpc_ != nullptr) rpc_->Shutdown(kDrain);
  });
  if (http_ != nullptr) http_->Stop(kDrain);
  rpc_stop.join();
  writes_.Bind(nullptr);
  otlp_.Bind(nullptr);
  import_json_.Bind(nullptr);
  import_text_.Bind(nullptr);
  import_native_.Bind(nullptr);
  reader_.Bind(nullptr);
  store_for_http_ = nullptr;
  slo_watch_.reset();
  slo_recorder_.reset();
  if (slos_ != nullptr) slos_->Stop();  // its queries use the threads that end now
  executors_.ingest.Stop();
  executors_.query_requests.Stop();
  executors_.query_work.Stop();
  executors_.admin.Stop();
  counts_ = nullptr;
  maintenance_.Bind(nullptr, nullptr, nullptr);
  slo_views_.Bind(nullptr, nullptr);
  slos_.reset();
  {
    std::unique_ptr<notify::Outbox> outbox;
    const std::lock_guard lock(alerting_mu_);
    outbox = std::move(outbox_);
  }
  journal_for_http_ = nullptr;
  journal_.reset();  // the outbox tells it
  if (store_ != nullptr) {
    if (const Status status = store_->Close(); !status.ok()) {
      BASALT_LOG(kError, "the store did not close cleanly; the log will be replayed",
                 {"error", status.ToString()});
    }
  }
  BASALT_LOG(kInfo, "stopped");
}

void PrintConfigHelp(const admin::Config& config) {
  for (const admin::ConfigEntry& entry : admin::DescribeConfig(config)) {
    std::printf("%-28s %s\n    %s%s\n", entry.key.c_str(), entry.value.c_str(), entry.help.c_str(),
                entry.reloadable ? " (reloadable)" : "");
  }
}

}  // namespace

int RunServe(const ServeOptions& options) {
  auto config = MakeConfig(options);
  if (!config.ok()) {
    std::fprintf(stderr, "basalt serve: %s\n", std::string(config.status().message()).c_str());
    return 1;
  }
  if (options.help_config) {
    PrintConfigHelp(*config);
    return 0;
  }
  log::Configure(config->log.level, config->log.format);

  // Blocked before the first thread is made, so that they arrive here and nowhere else.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);

  ServerProcess server(options, *std::move(config));
  if (const Status status = server.Start(); !status.ok()) {
    BASALT_LOG(kError, "cannot start", {"error", status.ToString()});
    std::fprintf(stderr, "basalt serve: %s\n", std::string(status.message()).c_str());
    server.Stop();
    return 1;
  }
  for (;;) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal != SIGHUP) break;
    if (const Status status = server.Reload(); !status.ok()) {
      BASALT_LOG(kError, "reload failed; what was running goes on", {"error", status.ToString()});
    }
  }
  server.Stop();
  return 0;
}

}  // namespace basalt::cli
