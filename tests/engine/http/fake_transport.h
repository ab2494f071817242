// tests/engine/http/fake_transport.h -- a session without sockets, threads or real time.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/clock.h"
#include "engine/base/executor.h"
#include "engine/base/status.h"
#include "engine/http/session.h"
#include "engine/http/transport.h"

namespace basalt::http {

class FakeClock final : public Clock {
 public:
  [[nodiscard]] Timestamp Now() const override {
    return FromMs(1'700'000'000'000) + std::chrono::floor<Duration>(now);
  }
  [[nodiscard]] std::chrono::nanoseconds Monotonic() const override { return now; }
  std::chrono::nanoseconds now{0};
};

// Keeps tasks until it is told to run them; refuses beyond `capacity`.
class ManualExecutor final : public Executor {
 public:
  bool Post(Task task) override {
    if (tasks.size() >= capacity) return false;
    tasks.push_back(std::move(task));
    return true;
  }
  bool RunOne() {
    if (tasks.empty()) return false;
    const Task task = std::move(tasks.front());
    tasks.pop_front();
    task();
    return true;
  }
  std::deque<Task> tasks;
  size_t capacity = SIZE_MAX;
};

// What the peer says is put in `inbound`; what the session says lands in `written`.
class FakeTransport final : public Transport {
 public:
  void Read(std::span<char> into) override { read_ = into; }
  void Write(std::string_view first, std::string_view second) override {
    write_pending = true;
    out_.assign(first).append(second);
  }
  void WakeAt(std::chrono::nanoseconds when) override { wake_at = when; }
  void ShutdownWrite() override { write_shut = true; }
  void Close() override { closed = true; }
  std::shared_ptr<DirectWriter> direct() override { return direct_; }
  // From now on other threads may write too; made before the session is.
  void AllowDirectWrites() { direct_ = std::make_shared<Direct>(*this); }
  [[nodiscard]] const std::string& peer() const override { return peer_; }

  // One event, if there is one to deliver.
  bool Step(TransportEvents& events) {
    if (closed) return false;
    if (write_pending && !stalled) {
      write_pending = false;
      written.append(out_);
      events.OnWritten(true);
      return true;
    }
    if (read_.empty() || (inbound.empty() && !peer_closed)) return false;
    const size_t bytes = std::min({read_.size(), inbound.size(), max_read});
    std::memcpy(read_.data(), inbound.data(), bytes);
    inbound.erase(0, bytes);
    read_ = {};
    events.OnRead(bytes);
    return true;
  }
  [[nodiscard]] bool reading() const { return !read_.empty(); }
  [[nodiscard]] size_t room() const { return read_.size(); }  // of the read that is asked for

  std::string inbound;
  std::string written;
  std::chrono::nanoseconds wake_at = std::chrono::nanoseconds::max();
  size_t max_read = SIZE_MAX;
  bool peer_closed = false;
  bool write_pending = false;
  bool stalled = false;  // the peer takes nothing
  bool write_shut = false;
  bool closed = false;

  size_t direct_takes = SIZE_MAX;  // bytes of each direct write
  int direct_writes = 0;

 private:
  class Direct final : public DirectWriter {
   public:
    explicit Direct(FakeTransport& transport) : transport_(transport) {}
    size_t TryWrite(std::string_view first, std::string_view second) override {
      if (shut_) return 0;
      BASALT_CHECK(!transport_.write_pending && !transport_.closed, "two writes at a time");
      ++transport_.direct_writes;
      const std::string both = std::string(first).append(second).substr(0, transport_.direct_takes);
      transport_.written += both;
      return both.size();
    }
    void Shut() override { shut_ = true; }

   private:
    FakeTransport& transport_;
    bool shut_ = false;
  };

  std::span<char> read_;
  std::string out_;
  std::shared_ptr<Direct> direct_;
  const std::string peer_ = "192.0.2.1:1234";
};

// A session with everything around it. Routes are added before Open().
class SessionHarness {
 public:
  SessionHarness() {
    for (Executor*& executor : context_->executors) executor = &executor_;
    context_->bodies = std::make_shared<BodyPool>(BodyPool::Limits{});
    context_->metrics = std::make_shared<HttpMetrics>(&registry);
    context_->clock = &clock;
  }
  ~SessionHarness() {
    if (session_ != nullptr) session_->Abort();
  }

  SessionOptions& options() { return context_->options; }
  Router& router() { return context_->router; }
  SessionContext& context() { return *context_; }
  ManualExecutor& executor() { return executor_; }
  Session& session() { return *session_; }

  void Open() {
    session_ = std::make_shared<Session>(context_, transport, loop_);
    session_->Start();
  }
  // Runs the session, and handlers unless `hold_handlers`, until nothing moves any more.
  void Run() {
    bool moved = true;
    while (moved) {
      moved = transport.Step(*session_);
      moved = loop_->RunOne() || moved;
      moved = (!hold_handlers && executor_.RunOne()) || moved;
    }
  }
  void Say(std::string_view bytes) {
    transport.inbound.append(bytes);
    Run();
  }
  // What was written since the last call.
  std::string Heard() { return std::exchange(transport.written, {}); }
  std::string Ask(std::string_view bytes) {
    Say(bytes);
    return Heard();
  }
  void Wait(Duration time) {
    const auto until = clock.now + time;
    while (!transport.closed && transport.wake_at <= until) {
      clock.now = std::max(clock.now, transport.wake_at);
      transport.wake_at = std::chrono::nanoseconds::max();
      session_->OnWake();
      Run();
    }
    clock.now = until;
  }

  FakeClock clock;
  FakeTransport transport;
  metrics::Registry registry;
  bool hold_handlers = false;

 private:
  std::shared_ptr<SessionContext> context_ = std::make_shared<SessionContext>();
  std::shared_ptr<ManualExecutor> loop_ = std::make_shared<ManualExecutor>();
  ManualExecutor executor_;
  std::shared_ptr<Session> session_;
};

// The body of one raw answer with Content-Length.
inline std::string BodyOf(std::string_view answer) {
  const size_t end = answer.find("\r\n\r\n");
  return end == std::string_view::npos ? std::string() : std::string(answer.substr(end + 4));
}

}  // namespace basalt::http
