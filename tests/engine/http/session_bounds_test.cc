// What a session does at its bounds: memory, time, a full executor, a client that leaves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>

#include "engine/http/session.h"
#include "tests/engine/http/session_fixture.h"

namespace basalt::http {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

using SessionBounds = SessionTest;

TEST_F(SessionBounds, AnswersUnavailableWhenTheExecutorIsFull) {
  h_.Open();
  h_.executor().capacity = 0;
  const std::string answer = h_.Ask(kGet);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(answer, HasSubstr("Retry-After: 1\r\n"));
  EXPECT_THAT(answer, HasSubstr(R"("errorType":"unavailable")"));
  h_.executor().capacity = 10;
  EXPECT_EQ(BodyOf(h_.Ask(kGet)), "hello\n");
}

TEST_F(SessionBounds, AnswersTooManyRequestsWhenBodiesHoldAllMemory) {
  h_.context().bodies = std::make_shared<BodyPool>(
      BodyPool::Limits{.max_in_flight_bytes = 64 << 10, .max_idle_bytes = 0});
  h_.Open();
  Body other;
  ASSERT_TRUE(h_.context().bodies->Reserve(other, 48 << 10));
  const std::string answer = h_.Ask(Post("Content-Length: 20000\r\n"));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(answer, HasSubstr("Retry-After: 1\r\n"));

  SessionHarness again;
  again.context().bodies = h_.context().bodies;
  again.context().router = h_.router();
  again.Open();
  other.Release();
  EXPECT_THAT(again.Ask(Post("Content-Length: 20000\r\n", std::string(20000, 'a'))),
              StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(h_.context().bodies->in_flight_bytes(), 0U);
}

TEST_F(SessionBounds, AnswersWritesThatItHasNoRoomForAsTheirSenderNeeds) {
  h_.options().overload_status = [](std::string_view user_agent) {
    return user_agent == "drops" ? 503 : 429;
  };
  h_.router().Add(Method::kPost, "/write",
                  {RouteClass::kIngest, 100'000, [](Request, ResponseWriter) {}});
  h_.context().bodies = std::make_shared<BodyPool>(
      BodyPool::Limits{.max_in_flight_bytes = 64 << 10, .max_idle_bytes = 0});
  h_.Open();
  const std::string write = "POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: ";
  h_.executor().capacity = 0;
  std::string answer = h_.Ask(write + "1\r\n\r\nx");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 429 "));
  EXPECT_THAT(answer, HasSubstr("Retry-After: 1\r\n"));
  EXPECT_THAT(h_.Ask(kGet), StartsWith("HTTP/1.1 503 ")) << "a query is no write";
  EXPECT_THAT(h_.Ask(write + "1\r\nUser-Agent: drops\r\n\r\nx"), StartsWith("HTTP/1.1 503 "));
  Body other;
  ASSERT_TRUE(h_.context().bodies->Reserve(other, 48 << 10));
  answer = h_.Ask(write + "20000\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 429 "));
  EXPECT_THAT(answer, HasSubstr("Retry-After: 1\r\n"));
}

TEST_F(SessionBounds, RefusesChunksThatOutgrowTheMemoryOfBodies) {
  h_.context().bodies = std::make_shared<BodyPool>(
      BodyPool::Limits{.max_in_flight_bytes = 40 << 10, .max_idle_bytes = 0});
  h_.Open();
  const std::string chunk = "4000\r\n" + std::string(0x4000, 'a') + "\r\n";
  EXPECT_THAT(h_.Ask(Post("Transfer-Encoding: chunked\r\n", chunk + chunk + chunk)),
              StartsWith("HTTP/1.1 503 "));
  EXPECT_EQ(h_.context().bodies->in_flight_bytes(), 0U);
}

TEST_F(SessionBounds, AsksTheAdmissionHookBeforeItReadsABody) {
  h_.options().admit = [](const Request& request) -> std::optional<Response> {
    if (request.headers.Get("authorization") == "Bearer x") return std::nullopt;
    return TextResponse(401, "who are you?");
  };
  h_.Open();
  EXPECT_THAT(h_.Ask(Post("Authorization: Bearer x\r\nContent-Length: 1\r\n", "a")),
              StartsWith("HTTP/1.1 200 "));
  // What is refused is read, so that the connection can go on, and not kept.
  h_.Say(Post("Content-Length: 90000\r\n", std::string(30'000, 'a')));
  EXPECT_EQ(h_.context().bodies->in_flight_bytes(), 0U);
  EXPECT_THAT(h_.Heard(), IsEmpty());
  EXPECT_THAT(h_.Ask(std::string(60'000, 'a')), StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(h_.Ask(Post("Authorization: Bearer x\r\nContent-Length: 1\r\n", "a")),
              StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(
      h_.Ask(Post("Content-Length: " + std::to_string(Session::kMaxDiscardedBytes + 1) + "\r\n")),
      AllOf(StartsWith("HTTP/1.1 401 "), HasSubstr("Connection: close\r\n")));
}

TEST_F(SessionBounds, ClosesAnIdleConnectionInTime) {
  h_.Open();
  h_.Ask(kGet);
  h_.Wait(h_.options().idle_timeout - Duration(1));
  EXPECT_FALSE(h_.transport.closed);
  h_.Wait(Duration(1));
  EXPECT_TRUE(h_.transport.closed);
}

TEST_F(SessionBounds, AnswersTimeoutToAHeaderThatDripsIn) {
  h_.Open();
  h_.Say("GET /hello HTTP/1.1\r\n");
  for (int i = 0; i < 9; ++i) {
    h_.Wait(std::chrono::seconds(1));
    h_.Say("X: y\r\n");
  }
  EXPECT_THAT(h_.Heard(), IsEmpty());
  h_.Wait(std::chrono::seconds(1));
  EXPECT_THAT(h_.Heard(), StartsWith("HTTP/1.1 408 "));
}

TEST_F(SessionBounds, AnswersTimeoutToABodyThatDripsIn) {
  h_.Open();
  h_.Say(Post("Content-Length: 1000\r\n"));
  for (int i = 0; i < 59; ++i) {
    h_.Wait(std::chrono::seconds(1));
    h_.Say("x");
  }
  EXPECT_THAT(h_.Heard(), IsEmpty());
  h_.Wait(std::chrono::seconds(1));
  EXPECT_THAT(h_.Heard(), StartsWith("HTTP/1.1 408 "));
  h_.Wait(h_.options().linger_timeout);
  EXPECT_TRUE(h_.transport.closed);
  EXPECT_EQ(h_.context().bodies->in_flight_bytes(), 0U);
}

TEST_F(SessionBounds, CutsAClientThatTakesNothing) {
  h_.Open();
  h_.transport.stalled = true;
  pieces_ = 100;
  h_.Say("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
  h_.Wait(h_.options().write_timeout - Duration(1));
  EXPECT_FALSE(h_.transport.closed);
  h_.Wait(Duration(1));
  EXPECT_TRUE(h_.transport.closed);
  h_.Run();
  EXPECT_TRUE(source_.destroyed);
}

TEST_F(SessionBounds, GivesAHandlerAllTheTimeItTakes) {
  h_.Open();
  h_.Say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
  h_.Wait(std::chrono::hours(1));
  EXPECT_FALSE(held_cancel_.stop_requested());
  held_->Send(TextResponse(200, "late"));
  h_.Run();
  EXPECT_THAT(h_.Heard(), EndsWith("late\n"));
}

TEST_F(SessionBounds, CancelsTheRequestOfAClientThatLeaves) {
  h_.Open();
  h_.Say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_FALSE(held_cancel_.stop_requested());
  h_.transport.peer_closed = true;
  h_.Run();
  EXPECT_TRUE(held_cancel_.stop_requested());
  // It may only have closed its sending half: the answer still goes out.
  held_->Send(TextResponse(200, "anyway"));
  h_.Run();
  EXPECT_THAT(h_.Heard(), EndsWith("anyway\n"));
  EXPECT_TRUE(h_.transport.closed);
}

TEST_F(SessionBounds, DropsTheAnswerOfARequestWhoseConnectionIsGone) {
  h_.Open();
  h_.Say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
  h_.session().Abort();
  EXPECT_TRUE(held_cancel_.stop_requested());
  held_->Send(TextResponse(200, "to nobody"));
  h_.Run();
  EXPECT_THAT(h_.Heard(), IsEmpty());
}

TEST_F(SessionBounds, ThrowsAwayALimitedAmountAfterItsLastAnswer) {
  h_.Open();
  h_.Ask(Post("Content-Length: 100000000\r\n"));
  EXPECT_TRUE(h_.transport.write_shut);
  h_.Say(std::string(h_.options().linger_bytes, 'x'));
  EXPECT_FALSE(h_.transport.closed);
  h_.Say("x");
  EXPECT_TRUE(h_.transport.closed);
}

TEST_F(SessionBounds, DrainClosesWhatIsIdleAndFinishesWhatIsNot) {
  SessionHarness idle;
  idle.Open();
  idle.session().Drain();
  EXPECT_TRUE(idle.transport.closed);

  h_.Open();
  h_.Say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
  h_.session().Drain();
  EXPECT_FALSE(h_.transport.closed);
  held_->Send(TextResponse(200, "last"));
  h_.Run();
  const std::string answer = h_.Heard();
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(answer, EndsWith("last\n"));
  EXPECT_TRUE(h_.transport.write_shut);
}

}  // namespace
}  // namespace basalt::http
