// engine/rpc/push_client.h -- a C++ writer for the Push stream: series once, then columns. Used by
// our load generator and tests, and meant to be read by who writes one in another language. gRPC
// stays inside the .cc file.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/labels.h"
#include "engine/base/status.h"
#include "engine/base/time.h"

namespace basalt::rpc {

struct PushClientOptions {
  std::string address;  // host:port
  std::string writer;   // 16 bytes, or empty for an anonymous writer
  TenantId tenant = kDefaultTenant;
  size_t max_unacked = 64;  // Send waits beyond this
};

struct PushRejection {
  uint64_t seq = 0;
  uint64_t items = 0;
  std::vector<std::string> details;
};

// One stream. One thread writes; everything else is inside. Not reused after an error: make another
// and resume after acked().
class PushClient {
 public:
  // Connects and greets; last_seq() then says where to go on. Errors: as ClientStream::Open.
  static Result<std::unique_ptr<PushClient>> Open(const PushClientOptions& options);
  virtual ~PushClient() = default;

  [[nodiscard]] virtual uint64_t last_seq() const = 0;

  // The next message is built by these, then sent by Send. A reference is dense, from 0, in the
  // order of Define.
  virtual uint32_t Define(const Labels& labels) = 0;
  // One sample for each reference in [first, first + values.size()), all at one time.
  virtual void AddScrape(uint32_t first, Timestamp time, std::span<const double> values) = 0;
  // Parallel columns.
  virtual void AddSamples(std::span<const uint32_t> refs, std::span<const int64_t> time_ms,
                          std::span<const double> values) = 0;
  // Sends what was added as one message and returns its sequence number. Waits while max_unacked
  // are out.
  virtual Result<uint64_t> Send() = 0;

  // Waits until everything sent is acknowledged.
  virtual Status Flush() = 0;
  [[nodiscard]] virtual uint64_t acked() const = 0;
  [[nodiscard]] virtual LogPosition token() const = 0;
  // What was refused since the last call.
  virtual std::vector<PushRejection> TakeRejections() = 0;
  // Flushes and ends the stream.
  virtual Status Close() = 0;
};

}  // namespace basalt::rpc
