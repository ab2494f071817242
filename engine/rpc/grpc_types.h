// engine/rpc/grpc_types.h -- our types from and to gRPC's. Private to this folder.
#pragma once

#include <grpcpp/grpcpp.h>

#include "engine/base/ids.h"
#include "engine/base/status.h"

namespace basalt::rpc {

grpc::Status ToGrpc(const Status& status);

// From the metadata x-scope-orgid. kInvalidArgument if it is no tenant number.
Result<TenantId> TenantOf(const grpc::CallbackServerContext& context);

}  // namespace basalt::rpc
