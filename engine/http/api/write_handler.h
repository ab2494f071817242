// engine/http/api/write_handler.h -- the HTTP side of ingest: a body goes to whoever decodes it, an
// answer comes back.
#pragma once

#include <functional>
#include <stop_token>

#include "engine/base/ids.h"
#include "engine/http/message.h"

namespace basalt::http::api {

struct WriteRequest {
  TenantId tenant = kDefaultTenant;
  Headers headers;  // Content-Type and Content-Encoding say what the body is
  Body body;        // as it came; keep it only while its bytes are needed
  std::stop_token cancel;
};

// Answers the request: exactly once, on any thread.
using WriteDone = std::function<void(Response)>;

// One protocol. Thread-safe.
class WriteHandler {
 public:
  virtual ~WriteHandler() = default;
  // Called on the ingest executor; returns without waiting for the disk. Status codes are the
  // protocol's: remote write senders drop what is answered 4xx and retry what is answered 5xx.
  virtual void Write(WriteRequest request, WriteDone done) = 0;
};

}  // namespace basalt::http::api
