// tests/engine/http/session_fixture.h -- a session with a few routes, on a transport that is not
// there.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "tests/engine/http/fake_transport.h"

namespace basalt::http {

inline constexpr std::string_view kGet = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
inline std::string Post(std::string_view headers, std::string_view body = "") {
  return "POST /echo HTTP/1.1\r\nHost: x\r\n" + std::string(headers) + "\r\n" + std::string(body);
}

// A source of `pieces` pieces "<i>;" that tells how often it was asked and whether it is gone.
struct SourceLog {
  int asked = 0;
  bool destroyed = false;
};
class CountingSource final : public BodySource {
 public:
  CountingSource(SourceLog& log, int pieces, std::optional<int> abort_at = std::nullopt)
      : log_(log), pieces_(pieces), abort_at_(abort_at) {}
  ~CountingSource() override { log_.destroyed = true; }
  More Next(std::string& piece) override {
    const int i = log_.asked++;
    if (i == abort_at_) return More::kAbort;
    piece += std::to_string(i) + ";";
    return i + 1 == pieces_ ? More::kDone : More::kMore;
  }

 private:
  SourceLog& log_;
  const int pieces_;
  const std::optional<int> abort_at_;
};

class SessionTest : public testing::Test {
 protected:
  SessionTest() {
    Handle(Method::kGet, "/hello",
           [](Request, ResponseWriter writer) { writer.Send(TextResponse(200, "hello")); });
    Handle(
        Method::kPost, "/echo",
        [](Request request, ResponseWriter writer) {
          Response response;
          response.body = request.body.view();
          writer.Send(std::move(response));
        },
        /*max_body_bytes=*/100'000);
    Handle(Method::kGet, "/drop", [](Request, ResponseWriter) {});
    Handle(Method::kGet, "/big", [](Request, ResponseWriter writer) {
      writer.Send(TextResponse(200, std::string(5000, 'a')));
    });
    Handle(Method::kGet, "/stream", [this](Request, ResponseWriter writer) {
      writer.Stream(Response{}, std::make_unique<CountingSource>(source_, pieces_, abort_at_));
    });
    Handle(Method::kGet, "/hold", [this](Request request, ResponseWriter writer) {
      held_cancel_ = request.cancel;
      held_.emplace(std::move(writer));
    });
  }

  void Handle(Method method, std::string_view pattern, Handler handler,
              size_t max_body_bytes = 1000) {
    h_.router().Add(method, pattern, {RouteClass::kQuery, max_body_bytes, std::move(handler)});
  }

  SourceLog source_;
  int pieces_ = 3;
  std::optional<int> abort_at_;
  std::optional<ResponseWriter> held_;
  std::stop_token held_cancel_;
  SessionHarness h_;
};

}  // namespace basalt::http
