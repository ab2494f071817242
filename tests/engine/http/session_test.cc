#include "engine/http/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <new>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/compress.h"
#include "tests/engine/http/session_fixture.h"

namespace basalt::http {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

TEST_F(SessionTest, AnswersAndKeepsTheConnection) {
  h_.Open();
  const std::string answer = h_.Ask(kGet);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 6\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; charset=utf-8\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr("Connection:")));
  EXPECT_EQ(BodyOf(answer), "hello\n");
  EXPECT_EQ(BodyOf(h_.Ask(kGet)), "hello\n");
  EXPECT_FALSE(h_.transport.closed);
}

TEST_F(SessionTest, TakesAnyFragmentationOfTheBytes) {
  for (const size_t at_a_time : {1, 2, 3, 7, 64}) {
    SessionHarness harness;
    harness.router().Add(Method::kPost, "/echo",
                         {RouteClass::kIngest, 1000, [](Request request, ResponseWriter writer) {
                            writer.Send(TextResponse(200, request.body.view()));
                          }});
    harness.transport.max_read = at_a_time;
    harness.Open();
    EXPECT_EQ(BodyOf(harness.Ask(
                  "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world")),
              "hello world\n");
    EXPECT_EQ(
        BodyOf(harness.Ask("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nTrailer: ignored\r\n\r\n")),
        "hello world\n");
  }
}

TEST_F(SessionTest, AnswersPipelinedRequestsInOrder) {
  h_.Open();
  const std::string answers = h_.Ask(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1"
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n2\r\n0\r\n\r\n"
      "\r\nGET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n3");
  EXPECT_THAT(answers, testing::ContainsRegex(
                           "\r\n\r\n1HTTP.*\r\n\r\n2HTTP.*404.*page not found\nHTTP.*\r\n\r\n3$"));
  EXPECT_FALSE(h_.transport.closed);
}

TEST_F(SessionTest, HoldsBackPipelinedRequestsWhileOneIsHandled) {
  h_.Open();
  h_.Say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
  h_.Say(kGet);
  EXPECT_THAT(h_.Heard(), IsEmpty());
  held_->Send(TextResponse(200, "first"));
  h_.Run();
  const std::string answers = h_.Heard();
  EXPECT_LT(answers.find("first"), answers.find("hello"));
  EXPECT_NE(answers.find("hello"), std::string::npos);
}

TEST_F(SessionTest, ReadsAheadNoFurtherThanItsBuffer) {
  h_.Open();
  h_.Say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
  h_.Say(std::string(1 << 20, 'x'));
  EXPECT_GE(h_.transport.inbound.size(), (1u << 20) - Session::kFirstBufferBytes);
  EXPECT_FALSE(h_.transport.reading());
}

TEST_F(SessionTest, ABufferGrowsWithAHeaderAndIsNotKept) {
  h_.Open();
  EXPECT_EQ(h_.transport.room(), Session::kFirstBufferBytes);
  const std::string wide = "X-Wide: " + std::string(60'000, 'w') + "\r\n";
  EXPECT_THAT(h_.Ask("GET /hello HTTP/1.1\r\nHost: x\r\n" + wide + "\r\n"), HasSubstr("hello"));
  EXPECT_EQ(h_.transport.room(), Session::kFirstBufferBytes) << "of 64 KiB that it was";
  // The same in the smallest pieces, and pipelined behind another request.
  h_.transport.max_read = 100;
  EXPECT_THAT(h_.Ask(std::string(kGet) + "GET /hello HTTP/1.1\r\nHost: x\r\n" + wide + "\r\n"),
              testing::ContainsRegex("hello.*hello\n$"));
  EXPECT_EQ(h_.transport.room(), Session::kFirstBufferBytes);
}

TEST_F(SessionTest, TakesAnEmptyBodyInChunksThatComesInPieces) {
  h_.transport.max_read = 1;
  h_.Open();
  EXPECT_THAT(h_.Ask(Post("Transfer-Encoding: chunked\r\n", "0\r\n\r\n")),
              StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(h_.Ask(Post("Transfer-Encoding: chunked\r\n", "0\r\nA: b\r\n\r\n")),
              StartsWith("HTTP/1.1 200 "));
}

TEST_F(SessionTest, ABodyInChunksIsReadInLargePieces) {
  h_.Open();
  h_.Say(Post("Transfer-Encoding: chunked\r\n"));
  EXPECT_EQ(h_.transport.room(), 64u << 10);
  h_.Say("5\r\nhello\r\n0\r\n\r\n");
  EXPECT_THAT(h_.Heard(), HasSubstr("\r\n\r\nhello"));
  EXPECT_EQ(h_.transport.room(), Session::kFirstBufferBytes);
}

struct BadCase {
  std::string name;
  std::string bytes;
  int status;
};
class Rejects : public SessionTest, public testing::WithParamInterface<BadCase> {};
TEST_P(Rejects, WithAStatusAndClosesTheConnection) {
  h_.Open();
  const std::string answer = h_.Ask(GetParam().bytes);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 " + std::to_string(GetParam().status) + " "));
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(h_.transport.write_shut);
  h_.Wait(h_.options().linger_timeout);
  EXPECT_TRUE(h_.transport.closed);
}
INSTANTIATE_TEST_SUITE_P(
    Table, Rejects,
    testing::Values(
        BadCase{"garbage", "\x16\x03\x01\x02 not http\r\n\r\n", 400},
        BadCase{"bare_line_feeds", "GET / HTTP/1.1\nHost: x\n\n", 400},
        BadCase{"http2", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", 400},
        BadCase{"no_host", "GET / HTTP/1.1\r\n\r\n", 400},
        BadCase{"two_hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        BadCase{"authority_target", "GET hello HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        BadCase{"space_before_colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400},
        BadCase{"header_too_large", "GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(70'000, 'a'),
                431},
        BadCase{"length_and_chunked",
                Post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "abc"), 400},
        BadCase{"two_lengths", Post("Content-Length: 3\r\nContent-Length: 4\r\n", "abc"), 400},
        BadCase{"negative_length", Post("Content-Length: -3\r\n"), 400},
        BadCase{"length_overflow", Post("Content-Length: 99999999999999999999\r\n"), 400},
        BadCase{"length_far_too_large", Post("Content-Length: 18446744073709551615\r\n"), 413},
        BadCase{"one_byte_too_large", Post("Content-Length: 100001\r\n"), 413},
        BadCase{"chunks_too_large",
                Post("Transfer-Encoding: chunked\r\n", "186A1\r\n" + std::string(100'001, 'a')),
                413},
        BadCase{"other_coding", Post("Transfer-Encoding: gzip, chunked\r\n"), 501},
        BadCase{"bad_chunk_size", Post("Transfer-Encoding: chunked\r\n", "zz\r\n"), 400},
        BadCase{"chunk_size_overflow",
                Post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n"), 400},
        BadCase{"chunk_without_end", Post("Transfer-Encoding: chunked\r\n", "1\r\naXX0\r\n\r\n"),
                400},
        BadCase{"endless_chunk_extension",
                Post("Transfer-Encoding: chunked\r\n", "1;" + std::string(70'000, 'a')), 400},
        BadCase{"chunked_in_http10", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
                400},
        BadCase{"unknown_expectation", Post("Expect: the worst\r\nContent-Length: 3\r\n"), 417}),
    [](const auto& tested) { return tested.param.name; });

TEST_F(SessionTest, TakesABodyOfExactlyTheLimit) {
  h_.Open();
  const std::string body(100'000, 'b');
  EXPECT_EQ(BodyOf(h_.Ask(Post("Content-Length: 100000\r\n", body))), body);
  EXPECT_EQ(
      BodyOf(h_.Ask(Post("Transfer-Encoding: chunked\r\n", "186a0\r\n" + body + "\r\n0\r\n\r\n"))),
      body);
}

TEST_F(SessionTest, SendsContinueOnlyWhenItWantsTheBody) {
  h_.Open();
  EXPECT_EQ(h_.Ask(Post("Expect: 100-continue\r\nContent-Length: 3\r\n")),
            "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(BodyOf(h_.Ask("abc")), "abc");

  // A client that did not wait gets no "100 Continue".
  EXPECT_THAT(h_.Ask(Post("Expect: 100-continue\r\nContent-Length: 3\r\n", "abc")),
              StartsWith("HTTP/1.1 200 OK"));

  EXPECT_THAT(h_.Ask(Post("Expect: 100-continue\r\nContent-Length: 100001\r\n")),
              StartsWith("HTTP/1.1 413 "));
  EXPECT_TRUE(h_.transport.write_shut);
}

TEST_F(SessionTest, DiscardsTheSmallBodyOfARefusedRequestAndGoesOn) {
  h_.Open();
  const std::string answers =
      h_.Ask("POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + std::string(kGet));
  EXPECT_THAT(answers, StartsWith("HTTP/1.1 405 Method Not Allowed\r\n"));
  EXPECT_THAT(answers, HasSubstr("Allow: GET, HEAD, OPTIONS\r\n"));
  EXPECT_THAT(answers, EndsWith("hello\n"));
  EXPECT_THAT(h_.Ask("POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n"),
              HasSubstr("Connection: close\r\n"));
}

TEST_F(SessionTest, AnswersHeadWithTheHeadersOfGet) {
  h_.Open();
  const std::string answer = h_.Ask("HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("Content-Length: 6\r\n"));
  EXPECT_EQ(BodyOf(answer), "");
  EXPECT_THAT(h_.Ask("HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n"), EndsWith("\r\n\r\n"));
  EXPECT_EQ(source_.asked, 1);
  EXPECT_TRUE(source_.destroyed);
  EXPECT_EQ(BodyOf(h_.Ask(kGet)), "hello\n");
}

TEST_F(SessionTest, AnswersOptionsAndCors) {
  h_.Open();
  const std::string preflight =
      h_.Ask("OPTIONS /echo HTTP/1.1\r\nHost: x\r\nOrigin: http://ui\r\n\r\n");
  EXPECT_THAT(preflight, StartsWith("HTTP/1.1 204 No Content\r\n"));
  EXPECT_THAT(preflight, HasSubstr("Allow: POST, OPTIONS\r\n"));
  EXPECT_THAT(preflight, HasSubstr("Access-Control-Allow-Origin: *\r\n"));
  EXPECT_THAT(preflight, HasSubstr("Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n"));
  EXPECT_THAT(h_.Ask("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 204 "));
  EXPECT_THAT(h_.Ask(kGet), Not(HasSubstr("Access-Control")));

  h_.options().cors_origin = "http://ui";
  EXPECT_THAT(h_.Ask("GET /hello HTTP/1.1\r\nHost: x\r\nOrigin: http://ui\r\n\r\n"),
              HasSubstr("Access-Control-Allow-Origin: http://ui\r\n"));
  EXPECT_THAT(h_.Ask("GET /hello HTTP/1.1\r\nHost: x\r\nOrigin: http://evil\r\n\r\n"),
              Not(HasSubstr("Access-Control-Allow-Origin")));
}

TEST_F(SessionTest, LivesUnderAPathPrefix) {
  h_.options().path_prefix = "/basalt";
  h_.Open();
  EXPECT_EQ(BodyOf(h_.Ask("GET /basalt/hello HTTP/1.1\r\nHost: x\r\n\r\n")), "hello\n");
  EXPECT_THAT(h_.Ask(kGet), HasSubstr("404 page not found"));
  EXPECT_THAT(h_.Ask("GET /basalthello HTTP/1.1\r\nHost: x\r\n\r\n"),
              HasSubstr("404 page not found"));
  EXPECT_THAT(h_.Ask("GET http://x/basalt/hello HTTP/1.1\r\nHost: x\r\n\r\n"), EndsWith("hello\n"));
}

TEST_F(SessionTest, CompressesWhatIsWorthItForWhoTakesIt) {
  h_.Open();
  const std::string answer =
      h_.Ask("GET /big HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br, gzip;q=0.5\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("Content-Encoding: gzip\r\n"));
  EXPECT_THAT(answer, HasSubstr("Vary: Accept-Encoding\r\n"));
  std::string plain;
  ASSERT_TRUE(Decompress(ContentCoding::kGzip, BodyOf(answer), 1 << 20, plain).ok());
  EXPECT_EQ(plain, std::string(5000, 'a') + "\n");
  EXPECT_THAT(h_.Ask("GET /big HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip;q=0\r\n\r\n"),
              Not(HasSubstr("Content-Encoding")));
  EXPECT_THAT(h_.Ask("GET /hello HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"),
              Not(HasSubstr("Content-Encoding")));
}

TEST_F(SessionTest, SendsOnePieceWholeAndMoreChunked) {
  h_.Open();
  pieces_ = 1;
  EXPECT_THAT(h_.Ask("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"),
              HasSubstr("Content-Length: 2\r\n"));
  pieces_ = 3;
  source_ = {};
  const std::string answer = h_.Ask("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("Transfer-Encoding: chunked\r\n"));
  EXPECT_EQ(BodyOf(answer), "2\r\n0;\r\n2\r\n1;\r\n2\r\n2;\r\n0\r\n\r\n");
  EXPECT_TRUE(source_.destroyed);
  EXPECT_EQ(BodyOf(h_.Ask(kGet)), "hello\n");
}

TEST_F(SessionTest, EndsAStreamedAnswerToHttp10ByClosing) {
  h_.Open();
  const std::string answer = h_.Ask("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_THAT(answer, Not(HasSubstr("chunked")));
  EXPECT_EQ(BodyOf(answer), "0;1;2;");
  EXPECT_TRUE(h_.transport.write_shut);
}

TEST_F(SessionTest, KeepsAnHttp10ConnectionWhenAsked) {
  h_.Open();
  EXPECT_THAT(h_.Ask("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
              HasSubstr("Connection: keep-alive\r\n"));
  EXPECT_THAT(h_.Ask("GET /hello HTTP/1.0\r\n\r\n"), HasSubstr("Connection: close\r\n"));
}

TEST_F(SessionTest, AsksForNoMorePiecesThanTheClientTakes) {
  h_.Open();
  pieces_ = 100;
  h_.transport.stalled = true;
  h_.Say("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(source_.asked, 2) << "one on its way, one ready";
  h_.transport.stalled = false;
  h_.Run();
  EXPECT_EQ(source_.asked, 100);
  EXPECT_THAT(h_.Heard(), EndsWith("99;\r\n0\r\n\r\n"));
}

TEST_F(SessionTest, CompressesAStream) {
  h_.options().min_gzip_bytes = 1;
  pieces_ = 1000;
  h_.Open();
  const std::string answer =
      h_.Ask("GET /stream HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
  std::string packed;
  std::string rest = BodyOf(answer);
  for (;;) {
    size_t digits = 0;
    const size_t bytes = std::stoul(rest, &digits, 16);
    if (bytes == 0) break;
    packed += rest.substr(digits + 2, bytes);
    rest.erase(0, digits + 2 + bytes + 2);
  }
  EXPECT_EQ(rest, "0\r\n\r\n");
  std::string plain;
  ASSERT_TRUE(Decompress(ContentCoding::kGzip, packed, 1 << 20, plain).ok());
  EXPECT_THAT(plain, StartsWith("0;1;2;"));
  EXPECT_THAT(plain, EndsWith("998;999;"));
}

TEST_F(SessionTest, CutsAStreamThatAborts) {
  h_.Open();
  abort_at_ = 2;
  EXPECT_THAT(h_.Ask("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"), Not(HasSubstr("0\r\n\r\n")));
  EXPECT_TRUE(h_.transport.closed);
  EXPECT_TRUE(source_.destroyed);
}

TEST_F(SessionTest, AsksAgainForAPieceThatAFullExecutorRefused) {
  h_.Open();
  h_.hold_handlers = true;
  h_.Say("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(h_.executor().RunOne());
  h_.executor().capacity = 0;
  h_.Run();
  EXPECT_EQ(source_.asked, 1);
  h_.executor().capacity = SIZE_MAX;
  h_.hold_handlers = false;
  h_.Wait(Duration(10));
  EXPECT_EQ(source_.asked, 3);
  EXPECT_THAT(h_.Heard(), EndsWith("0\r\n\r\n"));
}

TEST_F(SessionTest, AnswersFiveHundredForAHandlerThatForgets) {
  h_.Open();
  EXPECT_THAT(h_.Ask("GET /drop HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 500 "));
  EXPECT_EQ(BodyOf(h_.Ask(kGet)), "hello\n");
}

TEST_F(SessionTest, AnswersFiveHundredForAHandlerThatThrows) {
  Handle(Method::kGet, "/throw", [](Request, ResponseWriter) { throw std::bad_alloc(); });
  h_.Open();
  EXPECT_THAT(h_.Ask("GET /throw HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 500 "));
  EXPECT_EQ(BodyOf(h_.Ask(kGet)), "hello\n");
}

TEST_F(SessionTest, ForgetsWhatTheRequestBeforeWas) {
  h_.Open();
  h_.Ask("HEAD /hello HTTP/1.1\r\nHost: x\r\nOrigin: http://ui\r\n\r\n");
  const std::string answer = h_.Ask("rubbish\r\n\r\n");
  EXPECT_THAT(answer, Not(HasSubstr("Access-Control")));
  EXPECT_THAT(BodyOf(answer), Not(IsEmpty()));
}

TEST_F(SessionTest, LeavesASourceAloneWhileAPieceOfItIsMade) {
  h_.Open();
  pieces_ = 100;
  h_.hold_handlers = true;
  h_.Say("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(h_.executor().RunOne());
  h_.Run();
  ASSERT_EQ(h_.executor().tasks.size(), 1U) << "the next piece was asked for";
  h_.session().Abort();
  EXPECT_EQ(h_.executor().tasks.size(), 1U) << "no task that would free the source beside it";
  ASSERT_TRUE(h_.executor().RunOne());
  h_.Run();
  EXPECT_TRUE(source_.destroyed);
}

TEST_F(SessionTest, LetsNoHandlerValueBeginAHeaderOfItsOwn) {
  Handle(Method::kGet, "/inject", [](Request, ResponseWriter writer) {
    Response response;
    response.headers.emplace_back("Location", "/a\r\nSet-Cookie: evil");
    writer.Send(std::move(response));
  });
  h_.Open();
  EXPECT_THAT(h_.Ask("GET /inject HTTP/1.1\r\nHost: x\r\n\r\n"), Not(HasSubstr("\nSet-Cookie")));
}

TEST_F(SessionTest, CountsWhatItDid) {
  h_.Open();
  h_.Ask(kGet);
  h_.Ask("rubbish\r\n\r\n");
  const std::string text = metrics::RenderText(h_.registry.Collect());
  EXPECT_THAT(text, HasSubstr(R"(basalt_http_requests_total{class="query",code="200"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(basalt_http_refused_total{reason="malformed"} 1)"));
}

// Whatever the cuts between reads, the answers are the same.
RC_GTEST_PROP(Session, AnswersTheSameForEveryCut, (std::vector<uint8_t> cuts)) {
  const std::string script =
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"
      "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"
      "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
  const auto run = [&script](const std::vector<uint8_t>& sizes) {
    SessionHarness harness;
    harness.router().Add(Method::kPost, "/echo",
                         {RouteClass::kIngest, 100, [](Request request, ResponseWriter writer) {
                            writer.Send(TextResponse(200, request.body.view()));
                          }});
    harness.Open();
    std::string_view rest = script;
    for (const uint8_t size : sizes) {
      harness.Say(rest.substr(0, size));
      rest.remove_prefix(std::min<size_t>(size, rest.size()));
    }
    harness.Say(rest);
    return harness.Heard();
  };
  const std::string whole = run({});
  RC_ASSERT(whole.find("ok\n") != std::string::npos);
  RC_ASSERT(run(cuts) == whole);
}

}  // namespace
}  // namespace basalt::http
