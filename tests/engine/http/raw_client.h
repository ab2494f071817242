// tests/engine/http/raw_client.h -- a TCP client that says exactly the bytes it is told to.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/status.h"

namespace basalt::http {

// Every wait ends after kPatience, so a test fails instead of hanging. One thread.
class RawClient {
 public:
  static constexpr std::chrono::milliseconds kPatience{20'000};

  explicit RawClient(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    BASALT_CHECK(fd_ >= 0);
    connected_ = connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~RawClient() { Close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  [[nodiscard]] bool connected() const { return connected_; }
  // False if the server has closed.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  // One answer: header, and a body by Content-Length or chunks (left in their framing). What
  // arrived, if the server closes or is too slow.
  std::string Receive(bool head_only = false) {
    while (!Complete(head_only) && More()) {
    }
    const size_t bytes = Complete(head_only) ? complete_bytes_ : buffer_.size();
    std::string answer = buffer_.substr(0, bytes);
    buffer_.erase(0, bytes);
    return answer;
  }
  std::string Ask(std::string_view bytes) {
    Send(bytes);
    return Receive();
  }
  std::string ReceiveToEnd() {
    while (More()) {
    }
    return std::exchange(buffer_, {});
  }
  // True if the server closes (or resets) the connection in time.
  bool WaitForEnd() {
    ReceiveToEnd();
    return ended_;
  }
  void ShutdownWrite() { shutdown(fd_, SHUT_WR); }
  void ShrinkReceiveBuffer() {
    const int bytes = 4096;
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
  }
  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

 private:
  bool More() {
    pollfd wait{fd_, POLLIN, 0};
    if (poll(&wait, 1, static_cast<int>(kPatience.count())) <= 0) return false;
    std::array<char, 65536> chunk;
    const ssize_t got = recv(fd_, chunk.data(), chunk.size(), 0);
    if (got <= 0) {
      ended_ = true;
      return false;
    }
    buffer_.append(chunk.data(), static_cast<size_t>(got));
    return true;
  }
  bool Complete(bool head_only) {
    const size_t end = buffer_.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    complete_bytes_ = end + 4;
    const std::string_view head = std::string_view(buffer_).substr(0, end);
    if (head_only || head.substr(9, 3) == "204" || head.substr(9, 3) == "100") return true;
    if (head.find("Transfer-Encoding: chunked") != std::string_view::npos) {
      const size_t last = buffer_.find("\r\n0\r\n\r\n", end);
      if (last == std::string::npos) return false;
      complete_bytes_ = last + 7;
      return true;
    }
    const size_t length = head.find("Content-Length: ");
    if (length != std::string_view::npos)
      complete_bytes_ += std::stoul(std::string(head.substr(length + 16, 20)));
    return buffer_.size() >= complete_bytes_;
  }

  int fd_;
  bool connected_ = false;
  bool ended_ = false;
  std::string buffer_;
  size_t complete_bytes_ = 0;
};

}  // namespace basalt::http
