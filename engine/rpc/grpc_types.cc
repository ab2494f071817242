#include "engine/rpc/grpc_types.h"

#include <charconv>
#include <string>

namespace basalt::rpc {

grpc::Status ToGrpc(const Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

Result<TenantId> TenantOf(const grpc::CallbackServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto it = metadata.find("x-scope-orgid");
  if (it == metadata.end()) return kDefaultTenant;
  uint32_t id = 0;
  const char* const end = it->second.data() + it->second.size();
  const auto [at, error] = std::from_chars(it->second.data(), end, id);
  if (error != std::errc() || at != end) {
    return InvalidArgument("x-scope-orgid: \"" + std::string(it->second.data(), it->second.size()) +
                           "\" is not a tenant number");
  }
  return TenantId{id};
}

}  // namespace basalt::rpc
