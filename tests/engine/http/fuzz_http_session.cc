// Any bytes from a client, in reads of any size: no crash, every answer well framed, and the same
// answers however the bytes were cut.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "tests/engine/http/fake_transport.h"

namespace basalt::http {
namespace {

class TwoPieces final : public BodySource {
 public:
  More Next(std::string& piece) override {
    piece = "piece";
    return ++asked_ == 2 ? More::kDone : More::kMore;
  }

 private:
  int asked_ = 0;
};

// What a session says to `bytes`, read `at_a_time`.
std::string Converse(std::string_view bytes, size_t at_a_time) {
  SessionHarness harness;
  harness.options().max_header_bytes = 2048;
  harness.options().linger_bytes = 1 << 20;
  harness.options().min_gzip_bytes = 1;
  harness.context().bodies = std::make_shared<BodyPool>(
      BodyPool::Limits{.max_in_flight_bytes = 64 << 10, .max_idle_bytes = 64 << 10});
  harness.router().Add(
      Method::kPost, "/echo/{name}",
      {RouteClass::kIngest, 20'000, [](Request request, ResponseWriter writer) {
         writer.Send(TextResponse(
             200, std::string(request.body.view()) + std::string(request.path_param("name"))));
       }});
  harness.router().Add(Method::kGet, "/stream/*",
                       {RouteClass::kQuery, 0, [](Request, ResponseWriter writer) {
                          writer.Stream(Response{}, std::make_unique<TwoPieces>());
                        }});
  harness.transport.max_read = at_a_time;
  harness.Open();
  harness.Say(bytes);
  harness.transport.peer_closed = true;
  harness.Run();
  harness.Wait(std::chrono::minutes(10));
  BASALT_CHECK(harness.transport.closed, "a client that has gone leaves nothing open");
  BASALT_CHECK(harness.context().bodies->in_flight_bytes() == 0, "bodies give their memory back");
  return harness.Heard();
}

// True if `answers` ends at `at` or goes on with a refusal of bytes that are no request.
bool EndsOrRefuses(std::string_view answers, size_t at) {
  const std::string_view rest = answers.substr(at);
  return rest.empty() || rest.starts_with("HTTP/1.1 400 ") || rest.starts_with("HTTP/1.1 431 ");
}

// The parser looks at a header that came in one piece before its end has been seen, and refuses it
// early; cut, it waits for the end, which may never come. All else must be the same.
bool SameAnswers(std::string_view a, std::string_view b) {
  if (a == b) return true;
  size_t same = 0;
  while (same < std::min(a.size(), b.size()) && a[same] == b[same]) ++same;
  const size_t last = a.substr(0, same).rfind("HTTP/1.1 ");
  const size_t from = last == std::string_view::npos ? 0 : last;
  return (EndsOrRefuses(a, from) && EndsOrRefuses(b, from)) ||
         (EndsOrRefuses(a, same) && EndsOrRefuses(b, same));
}

}  // namespace
}  // namespace basalt::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t at_a_time = std::max<size_t>(data[0], 1);
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::string whole = basalt::http::Converse(bytes, SIZE_MAX);
  BASALT_CHECK(whole.empty() || whole.starts_with("HTTP/1.1 "), "an answer begins with its status");
  // "100 Continue" is sent only if the body has not come yet, which does depend on the cuts.
  if (whole.find("100 Continue") != std::string::npos) return 0;
  const std::string cut = basalt::http::Converse(bytes, at_a_time);
  if (cut.find("100 Continue") != std::string::npos) return 0;
  BASALT_CHECK(basalt::http::SameAnswers(cut, whole), "the same bytes get the same answers");
  return 0;
}
