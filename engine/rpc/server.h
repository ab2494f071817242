// engine/rpc/server.h -- the gRPC server: basalt.v1.Ingest, OpenTelemetry's MetricsService, health
// and reflection. gRPC stays inside the .cc files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/clock.h"
#include "engine/base/status.h"
#include "engine/ingest/fair_queue.h"
#include "engine/ingest/otlp/otlp_service.h"
#include "engine/ingest/write_service.h"
#include "storage/store.h"

namespace basalt::rpc {

struct ServerOptions {
  std::string address = "127.0.0.1:7481";  // port 0 picks a free one
  size_t max_message_bytes = 64u << 20;
  // Appends of one stream that wait for their ack. Beyond it the server stops reading that stream.
  size_t max_in_flight_per_stream = 32;
  uint32_t max_streams_per_connection = 1000;
  // Of a stream beyond the message that is being read: what its writer may send ahead.
  size_t max_read_ahead_per_stream = 256u << 10;
  // Of all calls together that gRPC has read and nobody has decoded. Beyond it gRPC stops reading,
  // and at last ends calls, whose writers resume with what was not acknowledged.
  size_t max_read_bytes = 128u << 20;
};

// Everything passed in must outlive the server. Thread-safe.
class Server {
 public:
  // Listens and serves. kUnavailable naming the address if it cannot be had.
  static Result<std::unique_ptr<Server>> Start(const ServerOptions& options, storage::Store& store,
                                               const Clock& clock, ingest::FairQueue& ingest,
                                               ingest::WriteService& counts,
                                               ingest::otlp::OtlpService& exports);
  virtual ~Server() = default;
  // The port that was bound.
  [[nodiscard]] virtual int port() const = 0;
  // Tells health checks "not serving", lets streams finish what they have sent, and cuts them off
  // after `grace`. Idempotent.
  virtual void Shutdown(Duration grace) = 0;
};

}  // namespace basalt::rpc
