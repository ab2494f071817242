// engine/rpc/push_relay.h -- requests that others have decoded, on their way through a Push stream.
// gRPC stays inside the .cc file.
//
// A message is a PushRequest without sequence number that stands for itself: it defines all series
// that it uses, with references from 0. On the stream each series is defined once.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/rpc/push_client.h"
#include "storage/ingest_batch.h"

namespace basalt::rpc {

// The batches of one request, all of whose series bring their labels, as a message.
// kInvalidArgument: a series has none. A start that is not before its sample's time is left out.
Result<std::string> EncodePushMessage(const std::vector<storage::IngestBatch>& batches);

struct PushRelayOptions {
  std::string address;  // host:port
  std::string writer;   // 16 bytes
  TenantId tenant = kDefaultTenant;
  Duration connect_timeout = std::chrono::seconds(10);
};

// One stream. Send by one thread; all else is thread-safe. Not reused after an error.
class PushRelay {
 public:
  // Series that have a reference on a stream; beyond it references are given anew.
  static constexpr size_t kMaxReferences = 1'000'000;

  // Connects and greets; last_seq() then says where to go on. Errors: as ClientStream::Open.
  static Result<std::unique_ptr<PushRelay>> Open(const PushRelayOptions& options);
  virtual ~PushRelay() = default;

  // Durable at the server when the stream was opened.
  [[nodiscard]] virtual uint64_t last_seq() const = 0;
  // Numbers must rise. Waits while the transport is full, not for the acknowledgement. kDataLoss:
  // `message` is none. kUnavailable: the stream has ended; End() says why.
  virtual Status Send(uint64_t seq, std::string_view message) = 0;
  // Waits until more than `seq` is acknowledged or the stream has ended, at most `patience`;
  // returns what is acknowledged.
  virtual uint64_t WaitForAck(uint64_t seq, Duration patience) = 0;
  [[nodiscard]] virtual bool ended() const = 0;
  // What the server has refused since the last call.
  virtual std::vector<PushRejection> TakeRejections() = 0;
  // Cancels what is under way; the status that the server gave, if it was the server that ended it.
  virtual Status End() = 0;
};

}  // namespace basalt::rpc
