// engine/rpc/client_stream.h -- the writer's end of one Push stream: connects, greets, sends, and
// keeps what the server has acknowledged and refused. What the messages say is its users' business
// (push_client.h, push_relay.h). Private to this folder; gRPC stays inside the .cc file.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/rpc/push_client.h"

namespace basalt::v1 {
class PushRequest;
}  // namespace basalt::v1

namespace basalt::rpc {

// A connection of its own. Write, Finish and Cancel by one thread; all else is thread-safe.
class ClientStream {
 public:
  struct Options {
    std::string address;  // host:port
    std::string writer;   // 16 bytes, or empty for an anonymous writer
    TenantId tenant = kDefaultTenant;
    Duration connect_timeout = std::chrono::seconds(10);
  };

  // kUnavailable: no connection in that time; otherwise what the server answered the greeting with.
  // Messages begin with the address.
  static Result<std::unique_ptr<ClientStream>> Open(const Options& options);
  virtual ~ClientStream() = default;

  // Durable at the server when the stream was opened.
  [[nodiscard]] virtual uint64_t last_seq() const = 0;

  // Waits while the transport is full. False: the stream has ended; Finish says why.
  virtual bool Write(const v1::PushRequest& request) = 0;

  // Waits until `seq` is acknowledged or the stream has ended, at most `patience` if given; returns
  // what is acknowledged. May return early.
  virtual uint64_t WaitForAck(uint64_t seq, std::optional<Duration> patience) = 0;
  [[nodiscard]] virtual uint64_t acked() const = 0;
  [[nodiscard]] virtual LogPosition token() const = 0;
  [[nodiscard]] virtual bool ended() const = 0;
  // What the server has refused since the last call.
  virtual std::vector<PushRejection> TakeRejections() = 0;

  // Says that nothing follows, waits until the server has ended the stream, and returns its status.
  // Of Finish and Cancel the first one counts; later ones return the same.
  virtual Status Finish() = 0;
  // Gives up what is under way; the server's status if it was the server that ended the stream.
  virtual Status Cancel() = 0;
};

}  // namespace basalt::rpc
