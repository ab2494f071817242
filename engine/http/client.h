// engine/http/client.h -- one HTTP/1.1 connection to one server, kept alive, blocking with a
// deadline.
//
// For Alertmanager, webhooks, the command line and the load generator; http and https. Boost and
// OpenSSL are inside and in no header.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/http/message.h"

namespace basalt::http {

// "http://host:port/prefix" or "https://...": port 80 or 443 if there is none; the prefix has no
// trailing slash.
struct Url {
  std::string host;
  std::string port = "80";
  std::string prefix;
  bool tls = false;
};
// kInvalidArgument naming what is wrong.
Result<Url> ParseUrl(std::string_view text);

// How a server is believed and what it is shown. Files are PEM and read again with each connection,
// so that renewed certificates take effect by themselves.
struct TlsOptions {
  enum class Version : uint8_t { kTls12, kTls13 };
  std::string ca_file;    // empty: the system's authorities
  std::string cert_file;  // ours, with `key_file`; empty: none is shown
  std::string key_file;
  std::string server_name;  // that the certificate must name, and SNI; empty: the URL's host
  // Believes any certificate: whoever sits in between reads and changes everything.
  bool insecure_skip_verify = false;
  Version min_version = Version::kTls12;
  friend bool operator==(const TlsOptions&, const TlsOptions&) = default;
};

struct ClientOptions {
  Duration timeout = std::chrono::seconds(10);  // of a whole exchange, connecting included
  Duration connect_timeout{0};                  // of connecting, TLS included; 0: `timeout`
  size_t max_response_bytes = 256u << 20;
  TlsOptions tls = {};  // for https
  // Set by another thread, if given: what is under way ends within kCancelLatency with kCancelled.
  const std::atomic<bool>* cancelled = nullptr;
};
inline constexpr Duration kCancelLatency{50};

struct ClientResponse {
  int status = 0;
  Headers headers;
  std::string body;
};

// One thread. Connects when needed; a connection that the server has closed in between is opened
// again once.
class Client {
 public:
  explicit Client(Url url, const ClientOptions& options = {});
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  // `path_and_query` begins with '/' and follows the URL's prefix. Any status the server sends is
  // an answer, not an error. kUnavailable: no connection, or it broke; kDeadlineExceeded;
  // kResourceExhausted: the answer is too large; kInvalidArgument: a file of TlsOptions;
  // kUnauthenticated: a certificate was not believed.
  Result<ClientResponse> Send(std::string_view method, std::string_view path_and_query,
                              const std::vector<std::pair<std::string, std::string>>& headers,
                              std::string_view body);
  Result<ClientResponse> Get(std::string_view path_and_query) {
    return Send("GET", path_and_query, {}, {});
  }

  // Of the next exchanges.
  void SetTimeout(Duration timeout);
  void Close();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace basalt::http
