#include "bench/compare/flood.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>

#include "bench/compare/http_connection.h"
#include "engine/base/file_limit.h"
#include "engine/base/varint.h"

namespace basalt::bench {
namespace {

using Clock = std::chrono::steady_clock;

// Times between 2004 and 2109 have varints of this length, so that one replaces another.
constexpr size_t kTimeBytes = 6;
// Being late by more than this is not made up for: what is offered is a rate, not a backlog.
constexpr double kMostLateSeconds = 1;
constexpr double kSlowSeconds = 1;
// Descriptors of this process beside its connections.
constexpr uint64_t kOtherFiles = 16;

std::string Digits(uint32_t n) {
  char text[16];
  std::snprintf(text, sizeof text, "%05u", n);
  return text;
}

std::string Field(char tag, std::string_view bytes) {
  std::string out(1, tag);
  AppendVarint(bytes.size(), out);
  return out.append(bytes);
}

std::string Label(std::string_view name, std::string_view value) {
  return Field('\x0A', Field('\x0A', name) + Field('\x12', value));
}

// A request of one target in snappy's block format. All its series are of one length and differ
// behind the same place: each is a copy of the one before up to there, and a literal.
class Body {
 public:
  Body(uint32_t target, uint32_t series) {
    std::string unpacked;
    std::string packed;
    for (uint32_t i = 0; i < series; ++i) {
      const std::string one = Series(target, i);
      // All up to the digits, the value and the time, which come last.
      const size_t differs = 5 + 2 + 9 + 1 + kTimeBytes;
      const size_t same = one.size() - differs;
      if (i == 0) {
        packed += static_cast<char>((same - 1) << 2);
        packed.append(one, 0, same);
      } else {
        packed += static_cast<char>(2 | (same - 1) << 2);
        packed += static_cast<char>(one.size());
        packed += '\0';
      }
      packed += static_cast<char>((differs - 1) << 2);
      packed.append(one, same);
      times_.push_back(packed.size() - kTimeBytes);
      unpacked += one;
    }
    AppendVarint(unpacked.size(), bytes_);
    for (size_t& at : times_) at += bytes_.size();
    bytes_ += packed;
  }

  // `head` and the body, with this time.
  [[nodiscard]] std::string At(int64_t ms, const std::string& head) const {
    std::string out;
    out.reserve(head.size() + bytes_.size());
    out = head;
    out += bytes_;
    std::string time;
    AppendVarint(static_cast<uint64_t>(ms), time);
    for (const size_t at : times_)
      std::memcpy(out.data() + head.size() + at, time.data(), kTimeBytes);
    return out;
  }
  [[nodiscard]] size_t bytes() const { return bytes_.size(); }

 private:
  // Of WriteRequest, the field of one series.
  static std::string Series(uint32_t target, uint32_t i) {
    std::string sample(9, '\0');
    sample[0] = '\x09';
    const double value = i;
    std::memcpy(sample.data() + 1, &value, sizeof value);
    sample += '\x10';
    sample.append(kTimeBytes, '\0');  // At writes it
    return Field('\x0A', Label("__name__", "load") + Label("job", Digits(target)) +
                             Label("s", Digits(i)) + Field('\x12', sample));
  }

  std::string bytes_;
  std::vector<size_t> times_;  // where they stand in bytes_
};

struct Lane {
  Connection connection;
  bool busy = false;
  double begun_s = 0;
};

class Flooder {
 public:
  explicit Flooder(const FloodOptions& options) : options_(options) {}
  ~Flooder() {
    if (epoll_ >= 0) ::close(epoll_);
  }
  Flooder(const Flooder&) = delete;
  Flooder& operator=(const Flooder&) = delete;

  Result<FloodReport> Run() {
    BASALT_TRY(Prepare());
    start_ = Clock::now();
    for (double now = 0; now < options_.seconds; now = Now()) {
      OfferWhatIsDue(now);
      BASALT_TRY(Wait());
    }
    report_.seconds = Now();
    // What is under way is still answered, so that it is known what became of it.
    while (busy_ > 0 && Now() < report_.seconds + 60) BASALT_TRY(Wait());
    report_.unknown += busy_;
    return std::move(report_);
  }

 private:
  Status Prepare() {
    std::string time;
    AppendVarint(static_cast<uint64_t>(options_.start_ms), time);
    if (time.size() != kTimeBytes)
      return InvalidArgument("--start-ms: " + std::to_string(options_.start_ms) +
                             " is no time of this century");
    const uint64_t files = options_.connections + kOtherFiles;
    if (const uint64_t allowed = RaiseFileLimit(files); allowed < files)
      return InvalidArgument("--connections: " + std::to_string(options_.connections) + " take " +
                             std::to_string(files) + " file descriptors; this process may have " +
                             std::to_string(allowed) + " (ulimit -Hn)");
    for (uint32_t t = 0; t < options_.targets; ++t) bodies_.emplace_back(t, options_.series);
    head_ = "POST /api/v1/write HTTP/1.1\r\nHost: " + options_.address +
            "\r\nContent-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n"
            "X-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: " +
            std::to_string(bodies_[0].bytes()) + "\r\n\r\n";
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    lanes_ = std::vector<Lane>(options_.connections);
    for (Lane& lane : lanes_) {
      BASALT_TRY(Open(lane));
      idle_.push_back(&lane);
    }
    next_ = options_.first_request;
    return OkStatus();
  }

  Status Open(Lane& lane) {
    return lane.connection.Open(options_.address, epoll_,
                                static_cast<uint64_t>(&lane - lanes_.data()));
  }

  void OfferWhatIsDue(double now) {
    while (!idle_.empty()) {
      if (options_.requests_per_second > 0) {
        due_s_ = std::max(due_s_, now - kMostLateSeconds);
        if (due_s_ > now) return;
        due_s_ += 1 / options_.requests_per_second;
      }
      Lane& lane = *idle_.back();
      idle_.pop_back();
      const uint64_t number = next_++;
      const int64_t ms =
          options_.start_ms + static_cast<int64_t>(number / options_.targets) * options_.step_ms;
      lane.connection.Start(bodies_[number % options_.targets].At(ms, head_));
      lane.busy = true;
      lane.begun_s = now;
      ++busy_;
      ++report_.offered;
      if (!lane.connection.Write()) Lost(lane);
    }
  }

  // The request that was on it may have been stored or not.
  void Lost(Lane& lane) {
    if (lane.busy) {
      ++report_.unknown;
      Free(lane);
    }
    if (!Open(lane).ok()) idle_.pop_back();  // Free has put it there; it is not used any more
  }
  void Free(Lane& lane) {
    lane.busy = false;
    --busy_;
    idle_.push_back(&lane);
  }

  Status Wait() {
    epoll_event events[256];
    const timespec timeout{0, 500'000};
    const int n = ::epoll_pwait2(epoll_, events, 256, &timeout, nullptr);
    if (n < 0 && errno != EINTR) return Unavailable(std::string("epoll: ") + std::strerror(errno));
    for (int i = 0; i < n; ++i) {
      Lane& lane = lanes_[events[i].data.u64];
      if (!lane.busy) continue;
      if (lane.connection.writing() && !lane.connection.Write()) {
        Lost(lane);
        continue;
      }
      if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) continue;
      Answer answer;
      const bool open = lane.connection.Read();
      if (lane.connection.Answered(answer)) {
        Finish(lane, answer);
      } else if (!open) {
        Lost(lane);
      }
    }
    return OkStatus();
  }

  void Finish(Lane& lane, const Answer& answer) {
    const double now = Now();
    const bool refused = answer.status == 429 || answer.status == 503;
    if (answer.status / 100 == 2) {
      ++report_.acked;
      report_.latency_us.push_back(static_cast<uint32_t>((now - lane.begun_s) * 1e6));
    } else if (refused) {
      ++report_.refused;
      if (answer.retry_after_s <= 0) ++report_.without_retry_after;
    } else {
      ++report_.failed;
    }
    if (answer.status / 100 != 2 && report_.first_refusal.empty())
      report_.first_refusal = std::to_string(answer.status) + " " + answer.body.substr(0, 300);
    if (refused || now - lane.begun_s > kSlowSeconds) report_.last_trouble_s = now;
    // An answer before the whole request is out ends the connection's use: the server closes it.
    const bool cut = lane.connection.writing();
    Free(lane);
    if (cut && !Open(lane).ok()) idle_.pop_back();
  }

  [[nodiscard]] double Now() const {
    return std::chrono::duration<double>(Clock::now() - start_).count();
  }

  const FloodOptions& options_;
  std::vector<Body> bodies_;
  std::string head_;
  std::vector<Lane> lanes_;
  std::vector<Lane*> idle_;
  size_t busy_ = 0;
  uint64_t next_ = 0;
  double due_s_ = 0;
  int epoll_ = -1;
  Clock::time_point start_;
  FloodReport report_;
};

}  // namespace

Result<FloodReport> Flood(const FloodOptions& options) { return Flooder(options).Run(); }

}  // namespace basalt::bench
