// Answers that handlers' threads write past the I/O thread.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/engine/http/session_fixture.h"

namespace basalt::http {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// What the same requests are answered with when everything is written by the I/O thread.
std::string Usually(std::string_view request);

class DirectWrite : public SessionTest {
 protected:
  void Open() {
    h_.transport.AllowDirectWrites();
    h_.Open();
  }
};

class Usual : public SessionTest {
 public:
  void TestBody() override {}
  void Prepare(size_t takes) {
    h_.transport.AllowDirectWrites();
    h_.transport.direct_takes = takes;
  }
  std::string Ask(std::string_view request) {
    h_.Open();
    return h_.Ask(request);
  }
};
std::string Usually(std::string_view request) { return Usual().Ask(request); }

TEST_F(DirectWrite, GivesTheSameBytesHoweverManyThePeerTakesAtOnce) {
  for (const std::string_view request :
       {std::string_view("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"),
        std::string_view("HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n"),
        std::string_view("GET /hello HTTP/1.0\r\n\r\n"),
        std::string_view("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        std::string_view("GET /big HTTP/1.1\r\nHost: x\r\n\r\n"),
        std::string_view("GET /big HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"),
        std::string_view("GET /drop HTTP/1.1\r\nHost: x\r\n\r\n"),
        std::string_view("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"),
        std::string_view("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
                         "GET /big HTTP/1.1\r\nHost: x\r\n\r\n")}) {
    const std::string expected = Usually(request);
    for (const size_t takes : {size_t{0}, size_t{1}, size_t{100}, expected.size() - 1, SIZE_MAX}) {
      Usual fresh;
      fresh.Prepare(takes);
      EXPECT_EQ(fresh.Ask(request), expected) << request << " taking " << takes;
    }
  }
}

TEST_F(DirectWrite, TheConnectionGoesOnAfterwards) {
  Open();
  for (int i = 0; i < 3; ++i) EXPECT_THAT(h_.Ask(kGet), HasSubstr("hello"));
  EXPECT_EQ(h_.transport.direct_writes, 3);
  h_.Wait(h_.options().idle_timeout);
  EXPECT_TRUE(h_.transport.closed);
}

TEST_F(DirectWrite, APeerThatTakesNoMoreHasAWriteTimeout) {
  Open();
  h_.transport.direct_takes = 10;
  h_.transport.stalled = true;
  h_.Say(kGet);
  EXPECT_FALSE(h_.transport.closed);
  h_.Wait(h_.options().write_timeout);
  EXPECT_TRUE(h_.transport.closed);
}

TEST_F(DirectWrite, ADrainingSessionSaysThatItsAnswerIsTheLast) {
  Open();
  h_.Say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
  h_.session().Drain();
  held_->Send(TextResponse(200, "late"));
  h_.Run();
  EXPECT_EQ(h_.transport.direct_writes, 0);
  EXPECT_THAT(h_.Heard(), HasSubstr("Connection: close"));
}

TEST_F(DirectWrite, IsNotForWhatTakesSamples) {
  h_.router().Add(Method::kPost, "/write",
                  {RouteClass::kIngest, 1000, [](Request, ResponseWriter writer) {
                     writer.Send(TextResponse(200, "taken"));
                   }});
  Open();
  EXPECT_THAT(h_.Ask("POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"),
              HasSubstr("taken"));
  EXPECT_EQ(h_.transport.direct_writes, 0);
}

TEST_F(DirectWrite, ARequestThatFindsNoRoomIsAnsweredOnce) {
  Open();
  h_.executor().capacity = 0;
  const std::string answer = h_.Ask(kGet);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(answer.substr(8), Not(HasSubstr("HTTP/1.1")));
  h_.executor().capacity = 1;
  EXPECT_THAT(h_.Ask(kGet), HasSubstr("hello"));
}

TEST_F(DirectWrite, AnAnswerToAClosedSessionGoesNowhere) {
  Open();
  h_.Say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
  h_.session().Drain();
  h_.session().Abort();
  held_->Send(TextResponse(200, "late"));
  h_.Run();
  EXPECT_EQ(h_.Heard(), "");
}

}  // namespace
}  // namespace basalt::http
