// The server over real sockets: what session_test.cc cannot see, which is threads, the kernel, and
// stopping.
#include "engine/http/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/mutex.h"
#include "tests/engine/http/raw_client.h"

namespace basalt::http {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::string_view kGet = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";

// Endless; counts what was asked of it.
class Endless final : public BodySource {
 public:
  Endless(std::atomic<int>& asked, std::atomic<bool>& gone) : asked_(asked), gone_(gone) {}
  ~Endless() override { gone_ = true; }
  More Next(std::string& piece) override {
    ++asked_;
    piece.assign(kPieceBytes, 'x');
    return More::kMore;
  }

 private:
  std::atomic<int>& asked_;
  std::atomic<bool>& gone_;
};

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    options_.listen = "127.0.0.1:0";
    options_.executors = {&ingest_, &query_, &admin_};
    Handle(Method::kGet, "/hello", RouteClass::kAdmin,
           [](Request, ResponseWriter writer) { writer.Send(TextResponse(200, "hello")); });
    Handle(Method::kPost, "/size", RouteClass::kIngest, [](Request request, ResponseWriter writer) {
      writer.Send(TextResponse(200, std::to_string(request.body.size())));
    });
    Handle(Method::kGet, "/wait", RouteClass::kQuery,
           [this](Request request, ResponseWriter writer) {
             waiting_.count_down();
             while (!release_ && !request.cancel.stop_requested()) std::this_thread::yield();
             cancelled_ = request.cancel.stop_requested();
             writer.Send(TextResponse(200, "waited"));
             waited_.count_down();
           });
    Handle(Method::kGet, "/endless", RouteClass::kQuery, [this](Request, ResponseWriter writer) {
      writer.Stream(Response{}, std::make_unique<Endless>(asked_, gone_));
    });
  }
  ~ServerTest() override { release_ = true; }

  void Handle(Method method, std::string_view pattern, RouteClass route_class, Handler handler) {
    router_.Add(method, pattern, {route_class, 64u << 20, std::move(handler)});
  }
  void Start() {
    Result<std::unique_ptr<Server>> server = Server::Start(options_, router_);
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = std::move(*server);
  }

  ThreadPool ingest_{"ingest", 2, 100};
  ThreadPool query_{"query", 1, 1};
  ThreadPool admin_{"admin", 1, 100};
  std::atomic<bool> release_ = false;
  std::atomic<bool> cancelled_ = false;
  std::atomic<int> asked_ = 0;
  std::atomic<bool> gone_ = false;
  std::latch waiting_{1};
  std::latch waited_{1};
  ServerOptions options_;
  Router router_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, ReportsThePortItGotAndServesManyThreads) {
  options_.io_threads = 2;
  Start();
  EXPECT_NE(server_->port(), 0);
  EXPECT_EQ(server_->address(), "127.0.0.1:" + std::to_string(server_->port()));
  std::vector<std::thread> clients;
  std::atomic<int> answered = 0;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&] {
      RawClient client(server_->port());
      for (int k = 0; k < 50; ++k) {
        if (client.Ask(kGet).ends_with("hello\n")) ++answered;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(answered, 400);
}

TEST_F(ServerTest, TakesLargeBodiesPipelinedAndGivesTheirMemoryBack) {
  Start();
  RawClient client(server_->port());
  const std::string body(5'000'000, 'b');
  const std::string request =
      "POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) +
      "\r\n\r\n" + body;
  std::thread sender([&] { client.Send(request + request + std::string(kGet)); });
  EXPECT_THAT(client.Receive(), EndsWith("5000000\n"));
  EXPECT_THAT(client.Receive(), EndsWith("5000000\n"));
  EXPECT_THAT(client.Receive(), EndsWith("hello\n"));
  sender.join();
  EXPECT_EQ(server_->body_bytes_in_flight(), 0U);
}

TEST_F(ServerTest, NamesTheOptionThatIsWrong) {
  for (const char* listen : {"nonsense", "127.0.0.1:99999", "127.0.0.1:", "[::1"}) {
    options_.listen = listen;
    const auto server = Server::Start(options_, router_);
    ASSERT_FALSE(server.ok()) << listen;
    EXPECT_EQ(server.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(server.status().message()), HasSubstr("listen"));
  }
  options_.listen = "127.0.0.1:0";
  options_.io_threads = 17;
  EXPECT_EQ(Server::Start(options_, router_).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(ServerTest, SaysThatTheAddressIsTaken) {
  Start();
  options_.listen = server_->address();
  const auto second = Server::Start(options_, router_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(server_->address()));
}

TEST_F(ServerTest, CancelsTheQueryOfAClientThatDisconnects) {
  Start();
  RawClient client(server_->port());
  client.Send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  waiting_.wait();
  client.Close();
  waited_.wait();
  EXPECT_TRUE(cancelled_);
}

TEST_F(ServerTest, AnswersUnavailableBeyondTheQueryQueueWhileIngestGoesOn) {
  Start();
  RawClient busy(server_->port());
  RawClient queued(server_->port());
  RawClient third(server_->port());
  busy.Send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  waiting_.wait();  // one runs ...
  queued.Send("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
  while (query_.queued() == 0)
    std::this_thread::yield();  // ... and one waits, which is all there is room for
  EXPECT_THAT(third.Ask("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(third.Ask("POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na"),
              EndsWith("1\n"));
  release_ = true;
  EXPECT_THAT(busy.Receive(), EndsWith("waited\n"));
}

TEST_F(ServerTest, StopsAskingForPiecesWhenTheClientStopsReading) {
  options_.session.write_timeout = Duration(300);
  Start();
  RawClient client(server_->port());
  client.ShrinkReceiveBuffer();
  client.Send("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
  // The write timeout ends it, so the source is let go; kernel buffers are all that was filled.
  while (!gone_) std::this_thread::yield();
  EXPECT_LT(asked_, 400) << "pieces of 64 KiB that went into kernel buffers";
}

TEST_F(ServerTest, RefusesConnectionsBeyondTheCapAndTakesThemAgainLater) {
  options_.max_connections = 2;
  Start();
  auto first = std::make_unique<RawClient>(server_->port());
  RawClient second(server_->port());
  EXPECT_THAT(first->Ask(kGet), EndsWith("hello\n"));
  EXPECT_THAT(second.Ask(kGet), EndsWith("hello\n"));
  {
    RawClient third(server_->port());
    EXPECT_THAT(third.ReceiveToEnd(),
                testing::AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("Retry-After: 1\r\n")));
  }
  first.reset();
  while (server_->connections() > 1) std::this_thread::yield();
  RawClient fourth(server_->port());
  EXPECT_THAT(fourth.Ask(kGet), EndsWith("hello\n"));
}

TEST_F(ServerTest, CutsASlowHeaderInRealTime) {
  options_.session.header_timeout = Duration(50);
  options_.session.linger_timeout = Duration(50);
  Start();
  RawClient client(server_->port());
  client.Send("GET /hello HTT");
  EXPECT_THAT(client.ReceiveToEnd(), StartsWith("HTTP/1.1 408 "));
}

TEST_F(ServerTest, DrainLetsARequestFinishAndClosesTheRest) {
  Start();
  RawClient idle(server_->port());
  EXPECT_THAT(idle.Ask(kGet), EndsWith("hello\n"));
  RawClient busy(server_->port());
  busy.Send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  waiting_.wait();
  std::thread stopper([&] { server_->Stop(std::chrono::seconds(20)); });
  EXPECT_TRUE(idle.WaitForEnd());
  EXPECT_FALSE(RawClient(server_->port()).connected());
  release_ = true;
  const std::string answer = busy.ReceiveToEnd();
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(answer, EndsWith("waited\n"));
  busy.Close();
  stopper.join();
  EXPECT_FALSE(cancelled_);
  EXPECT_EQ(server_->connections(), 0U);
}

TEST_F(ServerTest, DrainCancelsWhatDoesNotFinishInTime) {
  Start();
  RawClient busy(server_->port());
  busy.Send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  waiting_.wait();
  server_->Stop(Duration(20));
  waited_.wait();
  EXPECT_TRUE(cancelled_);
  EXPECT_TRUE(busy.WaitForEnd());
}

TEST_F(ServerTest, OutlivesNoHandlerAndMindsNone) {
  Start();
  RawClient busy(server_->port());
  busy.Send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  waiting_.wait();
  server_.reset();  // cancels the handler, which answers into nothing
  waited_.wait();
  query_.Stop();
}

TEST_F(ServerTest, ListensOnIpv6WhereThereIsAny) {
  options_.listen = "[::1]:0";
  const auto server = Server::Start(options_, router_);
  if (!server.ok()) GTEST_SKIP() << "no IPv6 here: " << server.status().ToString();
  EXPECT_THAT((*server)->address(), StartsWith("[::1]:"));
}

}  // namespace
}  // namespace basalt::http
