#include "engine/http/client.h"
#include "engine/notify/outbox.h"

namespace basalt::notify {
namespace {

// A receiver that takes longer is overloaded; the alert is tried again.
constexpr Duration kPostTimeout = std::chrono::seconds(5);
constexpr size_t kMaxAnswerBytes = 1u << 20;

class HttpPoster final : public AlertPoster {
 public:
  explicit HttpPoster(http::Url url)
      : client_(std::move(url), {.timeout = kPostTimeout, .max_response_bytes = kMaxAnswerBytes}) {}

  Result<int> Post(std::string_view body) override {
    BASALT_TRY_ASSIGN(
        const http::ClientResponse response,
        client_.Send("POST", "/api/v2/alerts", {{"Content-Type", "application/json"}}, body));
    return response.status;
  }

 private:
  http::Client client_;
};

}  // namespace

Result<std::unique_ptr<AlertPoster>> MakeHttpPoster(const std::string& url) {
  BASALT_TRY_ASSIGN(http::Url parsed, http::ParseUrl(url));
  return std::unique_ptr<AlertPoster>(std::make_unique<HttpPoster>(std::move(parsed)));
}

}  // namespace basalt::notify
