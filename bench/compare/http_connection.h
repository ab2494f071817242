// bench/compare/http_connection.h -- one kept-alive connection to a server, with one request in
// flight. Calls that might block return, and go on when epoll says so.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/base/status.h"

namespace basalt::bench {

struct Answer {
  int status = 0;
  double retry_after_s = 0;  // 0: not said
  std::string body;
};

// One thread.
class Connection {
 public:
  Connection() = default;
  ~Connection() { Close(); }
  Connection(Connection&&) = delete;

  // To host:port, IPv4. From now on `epoll`, a descriptor, tells with `token` each time that there
  // is something to read or room to write. kInvalidArgument, kUnavailable.
  Status Open(const std::string& address, int epoll, uint64_t token);
  void Close();

  // The next request: `head`, which may hold a body, and `bytes` of the file that is written from.
  void Start(std::string head, size_t offset = 0, size_t bytes = 0);
  // False: the connection is gone. `file`: a descriptor, of no interest without bytes of it.
  bool Write(int file = -1);
  // False: the connection is gone.
  bool Read();
  // True when the whole answer is there, which is then in `answer`.
  bool Answered(Answer& answer);
  [[nodiscard]] bool writing() const { return head_sent_ < head_.size() || body_at_ < body_end_; }
  [[nodiscard]] int fd() const { return fd_; }  // -1: closed

 private:
  int fd_ = -1;
  std::string head_;
  size_t head_sent_ = 0;
  off_t body_at_ = 0;
  off_t body_end_ = 0;
  std::string in_;
};

}  // namespace basalt::bench
