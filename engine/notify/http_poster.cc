#include <utility>

#include "engine/http/client.h"
#include "engine/notify/outbox.h"

namespace basalt::notify {
namespace {

constexpr size_t kMaxAnswerBytes = 1u << 20;

class HttpPoster final : public AlertPoster {
 public:
  HttpPoster(http::Url url, std::string path, Endpoint endpoint, const std::atomic<bool>& cancelled)
      : endpoint_(std::move(endpoint)),
        path_(std::move(path)),
        client_(std::move(url), {.timeout = endpoint_.http().timeout,
                                 .connect_timeout = kConnectTimeout,
                                 .max_response_bytes = kMaxAnswerBytes,
                                 .tls = endpoint_.http().tls,
                                 .cancelled = &cancelled}) {}

  Result<int> Post(std::string_view body, Duration timeout) override {
    std::vector<std::pair<std::string, std::string>> headers = {
        {"Content-Type", "application/json"}};
    BASALT_TRY_ASSIGN(std::string authorization, AuthorizationHeader(endpoint_.http().credentials));
    if (!authorization.empty()) headers.emplace_back("Authorization", std::move(authorization));
    client_.SetTimeout(timeout);
    BASALT_TRY_ASSIGN(const http::ClientResponse response,
                      client_.Send("POST", path_, headers, body));
    return response.status;
  }

 private:
  const Endpoint endpoint_;
  const std::string path_;
  http::Client client_;
};

}  // namespace

Result<std::unique_ptr<AlertPoster>> MakeHttpPoster(const Endpoint& endpoint,
                                                    const std::atomic<bool>& cancelled) {
  BASALT_TRY_ASSIGN(http::Url url, http::ParseUrl(endpoint.url));
  // As it is written: a final slash may mean something to whoever listens.
  const size_t slash = endpoint.url.find('/', endpoint.url.find("://") + 3);
  std::string path = slash == std::string::npos ? "/" : endpoint.url.substr(slash);
  url.prefix.clear();
  return std::unique_ptr<AlertPoster>(
      std::make_unique<HttpPoster>(std::move(url), std::move(path), endpoint, cancelled));
}

}  // namespace basalt::notify
