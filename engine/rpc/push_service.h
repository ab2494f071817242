// engine/rpc/push_service.h -- basalt.v1.Ingest on gRPC's callback API with raw bytes. Included by
// server.cc only.
//
// Raw, because protozero reads a 244 KB message in a third of the time of generated code
// (design/stack.md A.3).
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>
#include <vector>

#include "basalt/v1/ingest.grpc.pb.h"
#include "engine/rpc/push_stream.h"
#include "engine/rpc/server.h"

namespace basalt::rpc {

class PushReactor;

class PushService final : public v1::Ingest::WithRawCallbackMethod_Push<v1::Ingest::Service> {
 public:
  PushService(const ServerOptions& options, storage::Store& store, const Clock& clock,
              ingest::FairQueue& ingest, ingest::WriteService& counts)
      : options_(options), store_(store), clock_(clock), ingest_(ingest), counts_(counts) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Push(
      grpc::CallbackServerContext* context) override;

  // Streams then end, with kUnavailable, as soon as what they have sent is answered.
  void Drain() BASALT_EXCLUDES(mu_);
  [[nodiscard]] bool draining() const { return draining_; }

 private:
  friend class PushReactor;
  const ServerOptions options_;
  storage::Store& store_;
  const Clock& clock_;
  ingest::FairQueue& ingest_;
  ingest::WriteService& counts_;
  std::atomic<bool> draining_ = false;
  Mutex mu_;
  std::vector<std::weak_ptr<PushReactor>> streams_ BASALT_GUARDED_BY(mu_);
};

}  // namespace basalt::rpc
