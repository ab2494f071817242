// engine/http/client.h -- one HTTP/1.1 connection to one server, kept alive, blocking with a
// deadline.
//
// For Alertmanager, the command line and the load generator. Plain http only. Boost is inside and
// in no header.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/http/message.h"

namespace basalt::http {

// "http://host:port/prefix": port 80 if there is none; the prefix has no trailing slash.
struct Url {
  std::string host;
  std::string port = "80";
  std::string prefix;
};
// kInvalidArgument naming what is wrong; https is not spoken.
Result<Url> ParseUrl(std::string_view text);

struct ClientOptions {
  Duration timeout = std::chrono::seconds(10);  // of a whole exchange, connecting included
  size_t max_response_bytes = 256u << 20;
};

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
  // kResourceExhausted: the answer is too large.
  Result<ClientResponse> Send(std::string_view method, std::string_view path_and_query,
                              const std::vector<std::pair<std::string, std::string>>& headers,
                              std::string_view body);
  Result<ClientResponse> Get(std::string_view path_and_query) {
    return Send("GET", path_and_query, {}, {});
  }

  void Close();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace basalt::http
