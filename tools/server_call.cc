#include "tools/server_call.h"

#include <simdjson.h>

#include <chrono>
#include <utility>

#include "engine/http/client.h"

namespace basalt::cli {

Result<std::string> CallServer(const std::string& url, std::string_view method,
                               std::string_view path) {
  BASALT_TRY_ASSIGN(http::Url parsed, http::ParseUrl(url));
  // A snapshot links thousands of files; nothing that is asked here takes minutes.
  http::Client client(std::move(parsed), {.timeout = std::chrono::minutes(10)});
  auto response = client.Send(method, path, {}, {});
  if (!response.ok()) {
    return response.status().WithContext("no answer from " + url +
                                         " (is 'basalt serve' running there?)");
  }
  if (response->status / 100 == 2) return std::move(response->body);
  return Unavailable(url + ": " + RefusalText(response->status, response->body));
}

std::string RefusalText(int status, std::string_view body) {
  simdjson::dom::parser parser;
  simdjson::dom::element answer;
  std::string_view text;
  if (parser.parse(body.data(), body.size()).get(answer) == simdjson::SUCCESS &&
      answer["error"].get(text) == simdjson::SUCCESS) {
    return std::string(text);
  }
  return "HTTP status " + std::to_string(status) + ": " + std::string(body.substr(0, 200));
}

}  // namespace basalt::cli
