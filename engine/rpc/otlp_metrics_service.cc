#include "engine/rpc/otlp_metrics_service.h"

#include <string>
#include <utility>
#include <vector>

#include "engine/rpc/grpc_types.h"

namespace basalt::rpc {
namespace {

// Exporters retry UNAVAILABLE, and RESOURCE_EXHAUSTED only with details that we do not send; what
// cannot be cured by sending it again is INVALID_ARGUMENT.
Status ForExporter(const Status& status) {
  switch (status.code()) {
    case StatusCode::kResourceExhausted:
    case StatusCode::kCancelled:
    case StatusCode::kDeadlineExceeded:
      return Unavailable(std::string(status.message()));
    case StatusCode::kOutOfRange:
      return InvalidArgument(std::string(status.message()));
    default:
      return status;
  }
}

std::string Flatten(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string out;
  if (!buffer.Dump(&slices).ok()) return out;
  out.reserve(buffer.Length());
  for (const grpc::Slice& slice : slices)
    out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return out;
}

}  // namespace

grpc::ServerUnaryReactor* OtlpMetricsService::Export(grpc::CallbackServerContext* context,
                                                     const grpc::ByteBuffer* request,
                                                     grpc::ByteBuffer* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const auto tenant = TenantOf(*context);
  if (!tenant.ok()) {
    reactor->Finish(ToGrpc(tenant.status()));
    return reactor;
  }
  // Decoding is not for gRPC's threads. `request` and `response` live until Finish.
  const bool posted = ingest_.Post(*tenant, [this, tenant = *tenant, request, response, reactor] {
    const std::string body = Flatten(*request);
    exports_.Export(
        {.tenant = tenant, .content_encoding = {}, .body = body},
        [response, reactor](const ingest::otlp::ExportAnswer& answer) {
          if (!answer.status.ok()) return reactor->Finish(ToGrpc(ForExporter(answer.status)));
          const grpc::Slice slice(ResponseBody(answer, ingest::otlp::Encoding::kProtobuf));
          *response = grpc::ByteBuffer(&slice, 1);
          reactor->Finish(grpc::Status::OK);
        });
  });
  if (!posted)
    reactor->Finish(ToGrpc(Unavailable("export: too many requests wait; send it again")));
  return reactor;
}

}  // namespace basalt::rpc
