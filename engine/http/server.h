// engine/http/server.h -- an HTTP/1.1 server that never blocks on a client and never lets one take
// more than its share.
//
// I/O threads read, frame and write; they never decode a body or run a query. A handler is posted
// to the executor of its route's class and answers whenever it is done. Everything a client can
// make grow has a bound below, and every wait a deadline. Boost is inside and in no header.
//
// What is answered without a handler: 400 (malformed; the connection closes), 404 ("404 page not
// found"), 405 with Allow, 408 (too slow), 413, 417, 431, 501 (transfer coding), 503 with
// Retry-After (bodies in flight, executor's queue full: of writes, what `overload_status` says; too
// many connections, stopping), OPTIONS 204.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/clock.h"
#include "engine/base/executor.h"
#include "engine/base/metrics.h"
#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/http/body.h"
#include "engine/http/message.h"
#include "engine/http/router.h"

namespace basalt::http {

struct SessionOptions {
  // Path under which everything lives ("/basalt"), as behind a proxy; empty or "/" for none. Other
  // paths are 404.
  std::string path_prefix;
  // Start line and header fields, 1 KiB .. 1 MiB. Grafana puts whole queries into URLs, so far
  // above the usual 8 KiB.
  size_t max_header_bytes = 64u << 10;

  Duration header_timeout =
      std::chrono::seconds(10);  // from a request's first byte to the end of its header
  Duration body_timeout = std::chrono::seconds(60);  // from there to the end of its body
  Duration idle_timeout = std::chrono::minutes(5);   // between requests, and before the first
  Duration write_timeout =
      std::chrono::seconds(30);  // without the client taking any more of an answer
  // After an answer that closes the connection: how long and how much is read and thrown away, so
  // that the client reads the answer instead of a reset.
  Duration linger_timeout = std::chrono::seconds(2);
  size_t linger_bytes = 1u << 20;

  // With which status a sender of this User-Agent is told that there is no memory or no place for
  // what it writes. Unset: 503.
  std::function<int(std::string_view user_agent)> overload_status;

  // Origins that browsers may call from: "*", or one exact origin; empty sends no CORS headers at
  // all.
  std::string cors_origin = "*";
  // Answers smaller than this are not worth a gzip header and a window.
  size_t min_gzip_bytes = 1024;
  bool gzip = true;

  // Looked at on the I/O thread when a header is complete and before its body is read: an answer
  // refuses the request (authentication, readiness). Must be quick. Null admits everything.
  std::function<std::optional<Response>(const Request&)> admit;
};

struct ServerOptions {
  SessionOptions session;
  std::string listen =
      "127.0.0.1:7480";   // "host:port", "[::1]:port", ":port" for every address; port 0 picks one
  size_t io_threads = 1;  // 1..16
  size_t max_connections = 4096;  // further ones are answered 503 and closed
  BodyPool::Limits bodies;
  // By RouteClass; none may be null. Must outlive the server. A queue that is full answers 503.
  std::array<Executor*, kRouteClasses> executors{};
  metrics::Registry* registry = nullptr;  // may be null; must outlive the server otherwise
  const Clock* clock = &SystemClock();
};

// Thread-safe. Handlers that are still running when the server is gone answer into nothing.
class Server {
 public:
  // Listens and serves from here on. kInvalidArgument names the option; kUnavailable: the address
  // is taken or not ours.
  static Result<std::unique_ptr<Server>> Start(ServerOptions options, Router router);
  virtual ~Server() = default;  // Stop(0)

  // "127.0.0.1:34567": what was really bound.
  [[nodiscard]] virtual std::string address() const = 0;
  [[nodiscard]] virtual uint16_t port() const = 0;

  // Stops accepting, closes idle connections, lets requests in flight finish with "Connection:
  // close"; what is left after `drain` is cancelled and cut. Returns when every connection is
  // closed. Idempotent. Not from a handler.
  virtual void Stop(Duration drain) = 0;
  [[nodiscard]] virtual size_t connections() const = 0;
  [[nodiscard]] virtual size_t body_bytes_in_flight() const = 0;
};

}  // namespace basalt::http
