// The outbox over real sockets: a small Alertmanager on loopback that goes down and comes back.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <mutex>
#include <thread>

#include "engine/notify/outbox.h"

namespace basalt::notify {
namespace {

// Answers every request with `status` and closes; as plain as a server can be.
class TinyServer {
 public:
  explicit TinyServer(uint16_t port = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int yes = 1;
    ::setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(fd_, 16), 0);
    socklen_t length = sizeof(address);
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Run(); });
  }
  ~TinyServer() {
    ::shutdown(fd_, SHUT_RDWR);
    thread_.join();
    ::close(fd_);
  }
  [[nodiscard]] uint16_t port() const { return port_; }
  [[nodiscard]] std::vector<std::string> requests() {
    const std::lock_guard lock(mu_);
    return requests_;
  }
  std::atomic<int> status{200};

 private:
  void Run() {
    while (true) {
      const int connection = ::accept(fd_, nullptr, nullptr);
      if (connection < 0) return;
      std::string request;
      std::array<char, 4096> buffer{};
      size_t expected = std::string::npos;
      while (request.size() < expected) {
        const ssize_t n = ::recv(connection, buffer.data(), buffer.size(), 0);
        if (n <= 0) break;
        request.append(buffer.data(), static_cast<size_t>(n));
        const size_t end = request.find("\r\n\r\n");
        const size_t length = request.find("Content-Length: ");
        if (end != std::string::npos && length != std::string::npos) {
          expected = end + 4 + std::stoul(request.substr(length + 16));
        }
      }
      {
        const std::lock_guard lock(mu_);
        requests_.push_back(request);
      }
      const std::string answer = "HTTP/1.1 " + std::to_string(status.load()) +
                                 " X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
      ::send(connection, answer.data(), answer.size(), MSG_NOSIGNAL);
      ::close(connection);
    }
  }
  int fd_ = -1;
  uint16_t port_ = 0;
  std::mutex mu_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

bool Eventually(const std::function<bool()>& holds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::chrono::steady_clock::now() < until) {
    if (holds()) return true;
    std::this_thread::yield();
  }
  return false;
}

TEST(HttpDelivery, ReachesAServerThatRefusesThenIsDownThenIsBack) {
  const auto dir =
      std::filesystem::path(::testing::TempDir()) / ("http_delivery_" + std::to_string(::getpid()));
  std::filesystem::create_directories(dir);
  auto server = std::make_unique<TinyServer>();
  const uint16_t port = server->port();
  server->status = 503;
  OutboxOptions options;
  options.directory = dir;
  auto receivers = std::make_shared<Receivers>();
  receivers->alertmanagers.push_back(
      *AlertmanagerAt("http://127.0.0.1:" + std::to_string(port) + "/am"));
  options.receivers = receivers;
  auto outbox = Outbox::Open(options);
  ASSERT_TRUE(outbox.ok()) << outbox.status().ToString();

  Alert alert;
  alert.identity = Labels{{"alertname", "Down"}};
  alert.starts_at = FromMs(1'700'000'000'000);
  alert.urgent = true;
  ASSERT_TRUE((*outbox)->Publish({&alert, 1}).ok());
  ASSERT_TRUE(Eventually([&] { return (*outbox)->Stats().receivers[0].failures >= 1; }));
  EXPECT_NE(server->requests().at(0).find("POST /am/api/v2/alerts HTTP/1.1"), std::string::npos);
  EXPECT_NE(server->requests().at(0).find("\"startsAt\":\"2023-11-14T22:13:20.000Z\""),
            std::string::npos);
  server.reset();
  ASSERT_TRUE(Eventually([&] { return (*outbox)->Stats().receivers[0].failures >= 3; }));
  server = std::make_unique<TinyServer>(port);
  ASSERT_TRUE(Eventually([&] { return (*outbox)->Stats().receivers[0].sent == 1; }));
  EXPECT_TRUE((*outbox)->DeliveredAt(Fingerprint(alert)).has_value());
  outbox->reset();
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace basalt::notify
