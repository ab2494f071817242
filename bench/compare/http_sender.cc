#include "bench/compare/http_sender.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <limits>
#include <utility>

#include "bench/compare/http_connection.h"

namespace basalt::bench {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::duration;

struct Request {
  uint64_t number = 0;  // in the file
  size_t body_offset = 0;
  uint32_t bytes = 0;
  uint32_t samples = 0;
  double due_s = 0;  // after the start; paced only
};

struct Lane {
  Connection connection;
  std::deque<Request> waiting;  // the front is in flight if `busy`
  bool busy = false;
  double begun_s = 0;       // of the first attempt, or when it was due
  double not_before_s = 0;  // after a refusal
  bool retrying = false;
  bool resent = false;  // the request in flight, on a second connection
};

class Sender {
 public:
  Sender(const RequestFile& file, const SendOptions& options) : file_(file), options_(options) {}
  ~Sender() {
    if (epoll_ >= 0) ::close(epoll_);
  }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  Result<SendReport> Run() {
    BASALT_TRY(Prepare());
    start_ = Clock::now();
    double said = 0;
    while (open_ != 0 && !report_.broken) {
      const double now = Now();
      double wait = 1;
      latest_ =
          Slowest() + (options_.lead > 0 ? options_.lead : kLeadPerConnection * lanes_.size());
      for (Lane& lane : lanes_) Advance(lane, now, wait);
      Wait(wait);
      if (now - said >= 1) {
        said = now;
        Say(now);
      }
    }
    report_.seconds = Now();
    std::fprintf(stderr, "\r");
    return std::move(report_);
  }

 private:
  Status Prepare() {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    lanes_ = std::vector<Lane>(file_.header().connections);
    double samples = 0;
    RequestHead head;
    Request request;
    for (size_t at = sizeof(RequestFileHeader); file_.Next(at, head, request.body_offset);) {
      request.bytes = head.bytes;
      request.samples = head.samples;
      ++request.number;
      if (options_.samples_per_second > 0) request.due_s = samples / options_.samples_per_second;
      samples += head.samples;
      lanes_[head.connection % lanes_.size()].waiting.push_back(request);
    }
    for (Lane& lane : lanes_) {
      BASALT_TRY(Open(lane));
      if (!lane.waiting.empty()) ++open_;
    }
    common_ = "POST " + options_.path + " HTTP/1.1\r\nHost: " + options_.address +
              "\r\nUser-Agent: basalt-compare/1\r\nContent-Encoding: snappy\r\n" +
              (file_.header().protocol == Protocol::kWrite2
                   ? "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request\r\n"
                     "X-Prometheus-Remote-Write-Version: 2.0.0\r\n"
                   : "Content-Type: application/x-protobuf\r\n"
                     "X-Prometheus-Remote-Write-Version: 0.1.0\r\n") +
              "Content-Length: ";
    return OkStatus();
  }

  Status Open(Lane& lane) {
    return lane.connection.Open(options_.address, epoll_,
                                static_cast<uint64_t>(&lane - lanes_.data()));
  }

  // Servers close connections that were idle for a while, and may do so while a request is on its
  // way. A server that is gone takes no new connection.
  void Lost(Lane& lane) {
    lane.connection.Close();
    if (!lane.busy) return;
    if (std::exchange(lane.resent, true) || !Open(lane).ok()) {
      report_.broken = true;
      return;
    }
    ++report_.reconnects;
    Start(lane);
  }

  void Start(Lane& lane) {
    const Request& next = lane.waiting.front();
    lane.connection.Start(common_ + std::to_string(next.bytes) + "\r\n\r\n", next.body_offset,
                          next.bytes);
    lane.busy = true;
    if (!lane.connection.Write(file_.fd())) Lost(lane);
  }

  // The first request of the file that is not answered.
  [[nodiscard]] uint64_t Slowest() const {
    uint64_t number = std::numeric_limits<uint64_t>::max();
    for (const Lane& lane : lanes_)
      if (!lane.waiting.empty()) number = std::min(number, lane.waiting.front().number);
    return number;
  }

  // Starts what is due; shortens `wait` to the next instant at which something will be.
  void Advance(Lane& lane, double now, double& wait) {
    if (lane.busy || lane.waiting.empty()) return;
    const Request& next = lane.waiting.front();
    if (next.number > latest_) return;  // an answer on another lane changes that
    const double due = std::max(next.due_s, lane.not_before_s);
    if (due > now) {
      wait = std::min(wait, due - now);
      return;
    }
    if (!lane.retrying) lane.begun_s = options_.samples_per_second > 0 ? next.due_s : now;
    if (lane.connection.fd() < 0 && !Open(lane).ok()) {
      report_.broken = true;
      return;
    }
    Start(lane);
  }

  void Wait(double seconds) {
    epoll_event events[64];
    const timespec timeout{static_cast<time_t>(seconds),
                           static_cast<long>((seconds - std::floor(seconds)) * 1e9)};
    const int n = ::epoll_pwait2(epoll_, events, 64, &timeout, nullptr);
    for (int i = 0; i < n; ++i) {
      Lane& lane = lanes_[events[i].data.u64];
      if (lane.connection.fd() < 0) continue;
      if (lane.busy && lane.connection.writing() && !lane.connection.Write(file_.fd())) {
        Lost(lane);
        continue;
      }
      if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) continue;
      // The answer is small, so one read drains the socket, as edge triggering wants.
      if (!lane.connection.Read()) {
        Lost(lane);
        continue;
      }
      Answer answer;
      if (lane.busy && lane.connection.Answered(answer)) Finish(lane, answer);
    }
  }

  void Finish(Lane& lane, const Answer& answer) {
    const Request& request = lane.waiting.front();
    const double now = Now();
    lane.busy = lane.resent = false;
    lane.retrying = answer.status == 429 || answer.status >= 500;
    if (answer.status / 100 != 2 && report_.first_refusal.empty())
      report_.first_refusal = std::to_string(answer.status) + " " + answer.body.substr(0, 300);
    if (lane.retrying) {
      ++report_.retries;
      lane.not_before_s = now + (answer.retry_after_s > 0 ? answer.retry_after_s : 0.1);
      return;
    }
    if (answer.status / 100 == 2) {
      ++report_.acked_requests;
      report_.acked_samples += request.samples;
      report_.latency_us.push_back(static_cast<uint32_t>((now - lane.begun_s) * 1e6));
    } else {
      ++report_.refused_requests;
    }
    lane.waiting.pop_front();
    if (lane.waiting.empty()) --open_;
  }

  void Say(double now) const {
    const auto all = static_cast<double>(file_.header().samples);
    const auto done = static_cast<double>(report_.acked_samples);
    std::fprintf(stderr, "\rsending: %3.0f %%  %.2f M samples, %.0f k/s ", 100 * done / all,
                 done / 1e6, done / 1e3 / now);
  }

  [[nodiscard]] double Now() const { return duration<double>(Clock::now() - start_).count(); }

  const RequestFile& file_;
  const SendOptions& options_;
  std::string common_;
  std::vector<Lane> lanes_;
  size_t open_ = 0;
  uint64_t latest_ = 0;  // of requests that may start
  int epoll_ = -1;
  Clock::time_point start_;
  SendReport report_;
};

}  // namespace

Result<SendReport> SendRequests(const RequestFile& file, const SendOptions& options) {
  return Sender(file, options).Run();
}

}  // namespace basalt::bench
