#include "engine/rpc/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <mutex>

#include "engine/rpc/otlp_metrics_service.h"
#include "engine/rpc/push_service.h"

namespace basalt::rpc {
namespace {

// A client may ping an idle connection this often; Go's clients use 30 s at the least.
constexpr int kMinPingIntervalMs = 10'000;

class GrpcServer final : public Server {
 public:
  GrpcServer(const ServerOptions& options, storage::Store& store, const Clock& clock,
             ingest::FairQueue& ingest, ingest::WriteService& counts,
             ingest::otlp::OtlpService& exports)
      : push_(options, store, clock, ingest, counts), otlp_(ingest, exports) {}
  ~GrpcServer() override { Shutdown(Duration(0)); }
  GrpcServer(const GrpcServer&) = delete;
  GrpcServer& operator=(const GrpcServer&) = delete;

  Status Listen(const ServerOptions& options) {
    static std::once_flag plugins;
    std::call_once(plugins, [] {
      grpc::EnableDefaultHealthCheckService(true);
      grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    });
    grpc::ServerBuilder builder;
    builder.AddListeningPort(options.address, grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&push_);
    builder.RegisterService(&otlp_);
    builder.SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
    // Left to itself gRPC widens a stream's window to what the line could carry, which on one
    // machine is megabytes a stream that wait undecoded, outside every bound of ours.
    builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES,
                               static_cast<int>(options.max_read_ahead_per_stream));
    builder.SetResourceQuota(grpc::ResourceQuota("basalt-rpc").Resize(options.max_read_bytes));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                               static_cast<int>(options.max_streams_per_connection));
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                               kMinPingIntervalMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    // Two servers on one port would share its connections silently.
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port_ == 0) {
      return Unavailable("gRPC: cannot listen on " + options.address +
                         "; is another process there?");
    }
    return OkStatus();
  }

  [[nodiscard]] int port() const override { return port_; }

  void Shutdown(Duration grace) override {
    const std::lock_guard lock(shutdown_mu_);
    if (server_ == nullptr) return;
    if (auto* health = server_->GetHealthCheckService(); health != nullptr)
      health->SetServingStatus(false);
    push_.Drain();
    server_->Shutdown(std::chrono::system_clock::now() + grace);
    server_->Wait();
    server_.reset();
  }

 private:
  PushService push_;
  OtlpMetricsService otlp_;
  int port_ = 0;
  std::mutex shutdown_mu_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options, storage::Store& store,
                                              const Clock& clock, ingest::FairQueue& ingest,
                                              ingest::WriteService& counts,
                                              ingest::otlp::OtlpService& exports) {
  auto server = std::make_unique<GrpcServer>(options, store, clock, ingest, counts, exports);
  BASALT_TRY(server->Listen(options));
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace basalt::rpc
