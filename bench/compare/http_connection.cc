#include "bench/compare/http_connection.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace basalt::bench {
namespace {

// The whole answer at the front of `in`, taken out of it; false if more must come. Servers here
// give a Content-Length or no body.
bool TakeAnswer(std::string& in, Answer& answer) {
  const size_t end = in.find("\r\n\r\n");
  if (end == std::string::npos || in.size() < 12) return false;
  std::string head = in.substr(0, end + 2);
  std::transform(head.begin(), head.end(), head.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto number = [&](const char* name) -> double {
    const size_t at = head.find(std::string("\r\n") + name + ":");
    return at == std::string::npos
               ? 0
               : std::strtod(head.c_str() + at + 3 + std::strlen(name), nullptr);
  };
  const auto length = static_cast<size_t>(number("content-length"));
  if (in.size() < end + 4 + length) return false;
  answer.status = std::atoi(head.c_str() + 9);
  answer.retry_after_s = number("retry-after");
  answer.body = in.substr(end + 4, length);
  in.erase(0, end + 4 + length);
  return true;
}

}  // namespace

void Connection::Close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  in_.clear();
}

Status Connection::Open(const std::string& address, int epoll, uint64_t token) {
  Close();
  const size_t colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::atoi(address.c_str() + colon + 1)));
  if (colon == std::string::npos ||
      ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1)
    return InvalidArgument("--to: \"" + address + "\" is no IPv4 host:port");
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (fd_ < 0 || ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0 ||
      ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
    return Unavailable("connect to " + address + ": " + std::strerror(errno));
  // Not before: connecting may wait. sendfile knows no MSG_DONTWAIT.
  ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLET;
  event.data.u64 = token;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd_, &event) != 0)
    return Unavailable(std::string("epoll: ") + std::strerror(errno));
  return OkStatus();
}

void Connection::Start(std::string head, size_t offset, size_t bytes) {
  head_ = std::move(head);
  head_sent_ = 0;
  body_at_ = static_cast<off_t>(offset);
  body_end_ = body_at_ + static_cast<off_t>(bytes);
}

bool Connection::Write(int file) {
  while (head_sent_ < head_.size()) {
    const ssize_t n = ::send(fd_, head_.data() + head_sent_, head_.size() - head_sent_,
                             MSG_NOSIGNAL | MSG_DONTWAIT | (body_at_ < body_end_ ? MSG_MORE : 0));
    if (n < 0) return errno == EAGAIN;
    head_sent_ += static_cast<size_t>(n);
  }
  // Thousands of connections that wait for their answers keep no requests.
  std::string().swap(head_);
  head_sent_ = 0;
  while (body_at_ < body_end_) {
    const ssize_t n = ::sendfile(fd_, file, &body_at_, static_cast<size_t>(body_end_ - body_at_));
    if (n <= 0) return n < 0 && errno == EAGAIN;
  }
  return true;
}

bool Connection::Read() {
  char piece[16384];
  const ssize_t n = ::recv(fd_, piece, sizeof(piece), MSG_DONTWAIT);
  if (n <= 0) return n < 0 && errno == EAGAIN;
  in_.append(piece, static_cast<size_t>(n));
  return true;
}

bool Connection::Answered(Answer& answer) { return TakeAnswer(in_, answer); }

}  // namespace basalt::bench
