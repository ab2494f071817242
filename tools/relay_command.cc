#include "tools/relay_command.h"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigwait is POSIX, not C++

#include <array>
#include <cstdio>
#include <fstream>
#include <memory>

#include "engine/admin/config.h"
#include "engine/base/log.h"
#include "engine/http/api/endpoint.h"
#include "engine/http/json_writer.h"
#include "engine/http/server.h"
#include "engine/relay/forwarder.h"
#include "engine/relay/spool.h"
#include "engine/relay/spool_store.h"
#include "tools/ingest_views.h"
#include "tools/late_bound.h"

namespace basalt::cli {
namespace {

constexpr Duration kDrain{4000};
constexpr size_t kIngestQueue = 256;
// A record must fit a message of the server's, with its labels spelled out.
constexpr size_t kMaxBody = 16u << 20;

ingest::Limits RelayLimits() {
  ingest::Limits limits;
  limits.max_body_bytes = kMaxBody;
  // Pairs are the server's business; it knows them by remote write alone, so a relay's senders are
  // none.
  limits.ha.cluster.clear();
  return limits;
}

void Answer(http::ResponseWriter writer, std::string json) {
  http::Response response;
  response.content_type = "application/json";
  response.body = std::move(json);
  writer.Send(std::move(response));
}

class RelayProcess {
 public:
  explicit RelayProcess(RelayCommandOptions options) : options_(std::move(options)) {}

  Status Start();
  void Stop();

 private:
  Status StartHttp();
  void RegisterMetrics();
  [[nodiscard]] std::string StatusJson() const;

  const RelayCommandOptions options_;
  metrics::Registry registry_;
  InlineExecutor hand_on_;
  ThreadPool ingest_{"ingest", 2, kIngestQueue};
  ingest::FairQueue queue_{ingest_, kIngestQueue};
  // Each of them waits for the disk; those that wait at once share one sync.
  ThreadPool syncs_{"spool", 16, kIngestQueue};
  ThreadPool admin_{"admin", 1, 64};
  std::unique_ptr<relay::Spool> spool_;
  std::unique_ptr<relay::SpoolStore> store_;
  std::unique_ptr<ingest::WriteService> writes_;
  std::unique_ptr<ingest::otlp::OtlpService> otlp_;
  std::unique_ptr<relay::Forwarder> forwarder_;
  LateWriteHandler write_handler_;
  LateOtlpHandler otlp_handler_;
  FairHandler fair_writes_{write_handler_, queue_, [this](TenantId tenant) {
                             writes_->Refuse(tenant, ingest::Protocol::kRemoteWrite1,
                                             ingest::Refusal::kOverload, "too many requests wait");
                           }};
  FairHandler fair_otlp_{otlp_handler_, queue_, [this](TenantId tenant) {
                           writes_->Refuse(tenant, ingest::Protocol::kOtlp,
                                           ingest::Refusal::kOverload, "too many requests wait");
                         }};
  std::unique_ptr<http::Server> http_;
};

std::string RelayProcess::StatusJson() const {
  const relay::Spool::Stats spool = spool_->GetStats();
  const relay::Forwarder::Stats forwarder = forwarder_->GetStats();
  std::string out;
  http::JsonWriter json(out);
  const auto number = [&json](std::string_view key, uint64_t value) {
    json.Key(key);
    json.Uint(value);
  };
  json.BeginObject();
  json.Field("status", "success");
  json.Key("data");
  json.BeginObject();
  json.Field("server", options_.server);
  json.Key("connected");
  json.Bool(forwarder.connected);
  number("recordsWaiting", spool.records);
  number("newestRecord", spool.newest);
  if (spool.oldest_taken.has_value()) {
    json.Key("waitingSince");
    json.Time(*spool.oldest_taken);
  }
  number("spoolBytes", spool.bytes);
  number("lostRecords", spool.lost_records);
  number("recordsSent", forwarder.sent);
  number("recordsAcknowledged", forwarder.acked);
  number("attempts", forwarder.attempts);
  number("rejectedItems", forwarder.rejected_items);
  json.Field("lastRejection", forwarder.last_rejection);
  json.Field("lastError", forwarder.last_error);
  json.EndObject();
  json.EndObject();
  return out;
}

void RelayProcess::RegisterMetrics() {
  registry_.AddCollector([this](std::vector<metrics::Family>& families) {
    const relay::Spool::Stats spool = spool_->GetStats();
    const relay::Forwarder::Stats forwarder = forwarder_->GetStats();
    const auto add = [&families](std::string_view name, std::string_view help, metrics::Type type,
                                 double value) {
      metrics::AppendValue(families, name, help, type, value);
    };
    using metrics::Type;
    const double behind =
        spool.oldest_taken.has_value()
            ? std::chrono::duration<double>(SystemClock().Now() - *spool.oldest_taken).count()
            : 0;
    add("basalt_relay_connected", "Whether there is a stream to the server.", Type::kGauge,
        forwarder.connected ? 1 : 0);
    add("basalt_relay_spool_bytes", "Size of the spool.", Type::kGauge,
        static_cast<double>(spool.bytes));
    add("basalt_relay_spool_records", "Requests that the server has not acknowledged.",
        Type::kGauge, static_cast<double>(spool.records));
    add("basalt_relay_behind_seconds", "Age of the oldest of them, or more by one spool file.",
        Type::kGauge, behind);
    add("basalt_relay_records_sent_total", "Requests sent to the server.", Type::kCounter,
        static_cast<double>(forwarder.sent));
    add("basalt_relay_records_acknowledged_total", "Requests that the server has made durable.",
        Type::kCounter, static_cast<double>(forwarder.acked));
    add("basalt_relay_records_lost_total", "Requests lost to damage of the spool.", Type::kCounter,
        static_cast<double>(spool.lost_records));
    add("basalt_relay_rejected_total", "Items that the server has left out.", Type::kCounter,
        static_cast<double>(forwarder.rejected_items));
  });
}

Status RelayProcess::StartHttp() {
  http::api::ApiContext context;
  context.writes = {
      {.path = "/api/v1/write", .handler = &fair_writes_, .max_body_bytes = kMaxBody},
      {.path = "/api/v1/otlp/v1/metrics", .handler = &fair_otlp_, .max_body_bytes = kMaxBody},
      {.path = "/v1/metrics", .handler = &fair_otlp_, .max_body_bytes = kMaxBody}};
  context.registry = &registry_;
  const auto shared = std::make_shared<const http::api::ApiContext>(context);
  http::Router router;
  http::api::RegisterWrites(shared, router);
  http::api::RegisterAdmin(shared, router);
  router.Add(http::Method::kGet, "/api/v1/status/relay",
             {.handler = [this](http::Request, http::ResponseWriter writer) {
               Answer(std::move(writer), StatusJson());
             }});
  router.Add(http::Method::kGet, "/api/v1/status/ingest",
             {.handler = [this](http::Request, http::ResponseWriter writer) {
               Answer(std::move(writer),
                      R"({"status":"success","data":)" + IngestStatusJson(*writes_) + "}");
             }});
  http::ServerOptions server;
  server.listen = options_.listen;
  server.executors = {&hand_on_, &admin_, &admin_};
  server.registry = &registry_;
  server.session.admit = [this](const http::Request& request) -> std::optional<http::Response> {
    if (request.method != http::Method::kPost) return std::nullopt;
    if (request.path == "/api/v1/write") return fair_writes_.Admit(request.headers);
    const bool is_otlp = request.path == "/v1/metrics" || request.path == "/api/v1/otlp/v1/metrics";
    return is_otlp ? fair_otlp_.Admit(request.headers) : std::nullopt;
  };
  BASALT_TRY_ASSIGN(http_, http::Server::Start(server, std::move(router)));
  return OkStatus();
}

Status RelayProcess::Start() {
  relay::SpoolOptions spool;
  spool.directory = options_.spool;
  BASALT_TRY_ASSIGN(spool.max_bytes, admin::ParseBytes(options_.max_spool));
  const auto max = spool.max_bytes;
  spool.file_bytes = std::max<uint64_t>(1u << 20, std::min<uint64_t>(spool.file_bytes, max / 8));
  BASALT_TRY_ASSIGN(spool_, relay::Spool::Open(spool));
  const TenantId tenant{options_.tenant};
  store_ = std::make_unique<relay::SpoolStore>(*spool_, tenant, SystemClock(), syncs_);
  writes_ =
      std::make_unique<ingest::WriteService>(*store_, SystemClock(), registry_, RelayLimits());
  otlp_ = std::make_unique<ingest::otlp::OtlpService>(*store_, SystemClock(), *writes_,
                                                      ingest::otlp::Settings());
  write_handler_.Bind(writes_.get());
  otlp_handler_.Bind(otlp_.get());
  relay::ForwarderOptions forwarder;
  forwarder.address = options_.server;
  forwarder.tenant = tenant;
  forwarder_ = std::make_unique<relay::Forwarder>(*spool_, forwarder);
  RegisterMetrics();
  BASALT_TRY(StartHttp());
  forwarder_->Start();
  BASALT_LOG(kInfo, "relaying", {"http", http_->address()}, {"server", options_.server},
             {"records_waiting", spool_->GetStats().records});
  if (options_.ready_file.empty()) return OkStatus();
  // Renamed into place: whoever waits for it never reads half an address.
  const std::string temporary = options_.ready_file + ".tmp";
  std::ofstream(temporary) << "http://" << http_->address() << '\n';
  if (std::rename(temporary.c_str(), options_.ready_file.c_str()) != 0)
    return Unavailable("--ready-file " + options_.ready_file + ": cannot be written");
  return OkStatus();
}

void RelayProcess::Stop() {
  BASALT_LOG(kInfo, "stopping");
  if (http_ != nullptr) http_->Stop(kDrain);
  if (forwarder_ != nullptr) forwarder_->Stop();
  ingest_.Stop();
  syncs_.Stop();
  admin_.Stop();
  BASALT_LOG(kInfo, "stopped",
             {"records_waiting", spool_ == nullptr ? 0 : spool_->GetStats().records});
}

}  // namespace

int RunRelay(const RelayCommandOptions& options) {
  // Blocked before the first thread is made, so that they arrive here and nowhere else.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);

  RelayProcess relay(options);
  if (const Status status = relay.Start(); !status.ok()) {
    std::fprintf(stderr, "basalt relay: %s\n", std::string(status.message()).c_str());
    relay.Stop();
    return 1;
  }
  int signal = 0;
  sigwait(&signals, &signal);
  relay.Stop();
  return 0;
}

}  // namespace basalt::cli
