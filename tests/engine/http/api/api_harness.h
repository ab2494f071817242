// tests/engine/http/api/api_harness.h -- the API behind a session, asked with raw bytes.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "engine/http/api/api.h"
#include "engine/http/url.h"
#include "tests/engine/http/fake_transport.h"
#include "tests/support/memory_reader.h"

namespace basalt::http::api {

struct RawAnswer {
  int status = 0;
  std::string head;
  std::string body;
  [[nodiscard]] nlohmann::json json() const { return nlohmann::json::parse(body); }
};

// Time is 2023-11-14T22:13:20Z (1700000000) throughout.
class ApiHarness {
 public:
  ApiHarness() {
    context.reader = &reader;
    context.clock = &session.clock;
    context.registry = &session.registry;
  }

  // After the routes were registered.
  RawAnswer Ask(std::string_view raw) {
    if (!std::exchange(open_, true)) session.Open();
    const std::string bytes = session.Ask(raw);
    RawAnswer answer;
    const size_t end = bytes.find("\r\n\r\n");
    answer.head = bytes.substr(0, end);
    answer.body = end == std::string::npos ? "" : bytes.substr(end + 4);
    answer.status = bytes.size() > 12 ? std::stoi(bytes.substr(9, 3)) : 0;
    if (answer.head.find("Transfer-Encoding: chunked") != std::string::npos)
      answer.body = Unchunk(answer.body);
    return answer;
  }
  RawAnswer Get(std::string_view target, std::string_view headers = "") {
    return Ask("GET " + std::string(target) + " HTTP/1.1\r\nHost: x\r\n" + std::string(headers) +
               "\r\n");
  }
  RawAnswer Post(std::string_view target, std::string_view form, std::string_view headers = "") {
    return Ask("POST " + std::string(target) +
               " HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n" +
               "Content-Length: " + std::to_string(form.size()) + "\r\n" + std::string(headers) +
               "\r\n" + std::string(form));
  }

  basalt::testing::MemoryReader reader;
  SessionHarness session;
  ApiContext context;

 private:
  static std::string Unchunk(std::string_view framed) {
    std::string out;
    while (!framed.empty()) {
      const size_t bytes =
          std::stoul(std::string(framed.substr(0, framed.find('\r'))), nullptr, 16);
      framed.remove_prefix(framed.find('\n') + 1);
      if (bytes == 0) break;
      out += framed.substr(0, bytes);
      framed.remove_prefix(bytes + 2);
    }
    return out;
  }
  bool open_ = false;
};

inline constexpr int64_t kNowMs = 1'700'000'000'000;

}  // namespace basalt::http::api
