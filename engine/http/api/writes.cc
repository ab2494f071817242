// The HTTP side of ingest: one route a protocol, bodies handed on as they came.
#include <memory>
#include <utility>

#include "engine/http/api/endpoint.h"
#include "engine/http/api/params.h"

namespace basalt::http::api {

void RegisterWrites(const SharedContext& context, Router& router) {
  for (const WriteRoute& write : context->writes) {
    WriteHandler* const handler = write.handler;
    router.Add(Method::kPost, write.path,
               {RouteClass::kIngest, write.max_body_bytes,
                [context, handler](Request request, ResponseWriter writer) {
                  // 503 makes remote write senders wait and try again; they would drop what a 4xx
                  // answers.
                  if (context->ready != nullptr) {
                    if (const Status ready = context->ready(); !ready.ok()) {
                      return writer.Send(TextResponse(503, ready.message()));
                    }
                  }
                  const Result<TenantId> tenant = ParseTenant(request.headers.Get(kTenantHeader));
                  if (!tenant.ok())
                    return writer.Send(TextResponse(400, tenant.status().message()));
                  // std::function wants copyable.
                  auto shared = std::make_shared<ResponseWriter>(std::move(writer));
                  handler->Write(
                      {*tenant, std::move(request.headers), std::move(request.body),
                       std::move(request.cancel)},
                      [shared](Response response) { shared->Send(std::move(response)); });
                }});
  }
}

}  // namespace basalt::http::api
