// engine/rpc/otlp_metrics_service.h -- OpenTelemetry's MetricsService on gRPC, raw bytes. Included
// by server.cc only.
#pragma once

#include <grpcpp/grpcpp.h>

#include "engine/ingest/fair_queue.h"
#include "engine/ingest/otlp/otlp_service.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.grpc.pb.h"

namespace basalt::rpc {

namespace otlp_v1 = opentelemetry::proto::collector::metrics::v1;

class OtlpMetricsService final : public otlp_v1::MetricsService::WithRawCallbackMethod_Export<
                                     otlp_v1::MetricsService::Service> {
 public:
  OtlpMetricsService(ingest::FairQueue& ingest, ingest::otlp::OtlpService& exports)
      : ingest_(ingest), exports_(exports) {}

  grpc::ServerUnaryReactor* Export(grpc::CallbackServerContext* context,
                                   const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override;

 private:
  ingest::FairQueue& ingest_;
  ingest::otlp::OtlpService& exports_;
};

}  // namespace basalt::rpc
