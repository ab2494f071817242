// The world's side of the server: sockets, timers, threads. The only source that includes Asio.
#include "engine/http/server.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <charconv>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "engine/base/log.h"
#include "engine/base/mutex.h"
#include "engine/http/http_metrics.h"
#include "engine/http/session.h"
#include "engine/http/transport.h"

namespace basalt::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::nanoseconds;

// Connections beyond the cap that are being told so at one time; further ones are closed without a
// word.
constexpr size_t kMaxRefusing = 64;
// After accept() failed, most likely for want of file descriptors: time for some to be closed.
constexpr Duration kAcceptAgain{100};
// Once everything was cut, closing takes no longer than running its handlers does.
constexpr Duration kCutGrace = std::chrono::seconds(5);

// Tasks for an I/O thread from other threads. Outlives the thread: handlers may still hold it.
class Loop final : public Executor {
 public:
  explicit Loop(asio::io_context& io) : io_(&io) {}

  bool Post(Task task) override BASALT_EXCLUDES(mu_) {
    const MutexLock lock(mu_);
    if (io_ == nullptr) return false;
    asio::post(*io_, std::move(task));
    return true;
  }

  void Detach() BASALT_EXCLUDES(mu_) {
    const MutexLock lock(mu_);
    io_ = nullptr;
  }

 private:
  Mutex mu_;
  asio::io_context* io_ BASALT_GUARDED_BY(mu_);
};

// Writes to a connection's socket from other threads, until it is shut.
class SocketWriter final : public DirectWriter {
 public:
  explicit SocketWriter(int socket) : socket_(socket) {}

  size_t TryWrite(std::string_view first, std::string_view second) override BASALT_EXCLUDES(mu_) {
    // The kernel does not write to them.
    std::array<iovec, 2> pieces = {iovec{const_cast<char*>(first.data()), first.size()},
                                   iovec{const_cast<char*>(second.data()), second.size()}};
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = pieces.size();
    const MutexLock lock(mu_);
    if (socket_ < 0) return 0;
    const ssize_t sent = sendmsg(socket_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? 0 : static_cast<size_t>(sent);  // what fails now fails on its own thread too
  }
  void Shut() override BASALT_EXCLUDES(mu_) {
    const MutexLock lock(mu_);
    socket_ = -1;
  }

 private:
  Mutex mu_;
  int socket_ BASALT_GUARDED_BY(mu_);
};

class Connection;

// One I/O thread and the connections that live on it.
struct Worker {
  asio::io_context io{1};
  std::shared_ptr<Loop> loop = std::make_shared<Loop>(io);
  std::unordered_set<std::shared_ptr<Connection>> connections;  // touched by its thread only
  std::thread thread;
};

// Counts what is open and wakes whoever waits for none. Thread-safe.
class OpenCount {
 public:
  void Add(int delta) BASALT_EXCLUDES(mu_) {
    const MutexLock lock(mu_);
    count_ += delta;
    if (count_ == 0) none_.NotifyAll();
  }
  [[nodiscard]] size_t get() const BASALT_EXCLUDES(mu_) {
    const MutexLock lock(mu_);
    return static_cast<size_t>(count_);
  }
  // False if there still are some at `deadline`.
  bool WaitForNone(std::chrono::steady_clock::time_point deadline) BASALT_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    while (count_ > 0) {
      const auto left = deadline - std::chrono::steady_clock::now();
      if (left <= left.zero()) return false;
      none_.WaitFor(lock, left);
    }
    return true;
  }

 private:
  mutable Mutex mu_;
  CondVar none_;
  int64_t count_ BASALT_GUARDED_BY(mu_) = 0;
};

struct Shared {
  std::shared_ptr<const SessionContext> context;
  std::shared_ptr<OpenCount> open;
};

std::string ToText(const tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  const std::string port = std::to_string(endpoint.port());
  return endpoint.address().is_v6() ? "[" + host + "]:" + port : host + ":" + port;
}

// A TCP socket and a timer as a session's transport. One thread: its worker's.
class Connection final : public Transport, public std::enable_shared_from_this<Connection> {
 public:
  Connection(const Shared& shared, Worker& worker, tcp::socket socket)
      : shared_(shared), worker_(worker), socket_(std::move(socket)), timer_(worker.io) {
    error_code ignored;
    const tcp::endpoint peer = socket_.remote_endpoint(ignored);
    peer_ = ToText(peer);
    // Answers are written whole; waiting for more to send would only add latency.
    socket_.set_option(tcp::no_delay(true), ignored);
    direct_ = std::make_shared<SocketWriter>(socket_.native_handle());
    session_ = std::make_shared<Session>(shared_.context, *this, worker_.loop);
  }

  [[nodiscard]] Session& session() { return *session_; }

  void Read(std::span<char> into) override {
    socket_.async_read_some(asio::buffer(into.data(), into.size()),
                            [self = shared_from_this()](const error_code& ec, size_t bytes) {
                              if (!self->closed_) self->session_->OnRead(ec ? 0 : bytes);
                            });
  }

  void Write(std::string_view first, std::string_view second) override {
    const std::array<asio::const_buffer, 2> pieces = {asio::buffer(first.data(), first.size()),
                                                      asio::buffer(second.data(), second.size())};
    asio::async_write(socket_, pieces,
                      [self = shared_from_this()](const error_code& ec, size_t /*bytes*/) {
                        if (!self->closed_) self->session_->OnWritten(!ec);
                      });
  }

  // Changing a pending timer costs more than a wake for nothing, so a timer that is early enough is
  // left alone.
  void WakeAt(nanoseconds when) override {
    if (armed_ && armed_for_ <= when) return;
    armed_ = true;
    armed_for_ = when;
    const nanoseconds wait =
        std::max(when - shared_.context->clock->Monotonic(), nanoseconds::zero());
    timer_.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(wait));
    timer_.async_wait([self = shared_from_this()](const error_code& ec) {
      if (ec || self->closed_) return;
      self->armed_ = false;
      self->session_->OnWake();
    });
  }

  void ShutdownWrite() override {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
  }

  void Close() override {
    if (closed_) return;
    closed_ = true;
    direct_->Shut();  // its number may soon be another socket's
    error_code ignored;
    socket_.close(ignored);
    timer_.cancel();
    // The set may hold the last owner of this object and of the session that is calling: let go of
    // both later.
    asio::post(worker_.io, [self = shared_from_this()] { self->worker_.connections.erase(self); });
    shared_.open->Add(-1);
    shared_.context->metrics->AddOpen(-1);
  }

  std::shared_ptr<DirectWriter> direct() override { return direct_; }
  [[nodiscard]] const std::string& peer() const override { return peer_; }

 private:
  const Shared shared_;
  Worker& worker_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  std::shared_ptr<SocketWriter> direct_;
  std::shared_ptr<Session> session_;
  std::string peer_;
  bool closed_ = false;
  bool armed_ = false;
  nanoseconds armed_for_{0};
};

// "host:port" to an endpoint; the host is an address or a name that resolves to one.
Result<tcp::endpoint> ResolveListen(const std::string& listen) {
  const size_t colon = listen.rfind(':');
  if (colon == std::string::npos)
    return InvalidArgument("listen: \"" + listen + "\" is not host:port");
  std::string host = listen.substr(0, colon);
  const std::string port_text = listen.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, ec] =
      std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (ec != std::errc() || end != port_text.data() + port_text.size()) {
    return InvalidArgument("listen: \"" + listen + "\": the port is not a number from 0 to 65535");
  }
  if (host.empty()) return tcp::endpoint(tcp::v6(), port);
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  error_code bad;
  const asio::ip::address address = asio::ip::make_address(host, bad);
  if (!bad) return tcp::endpoint(address, port);
  asio::io_context io;
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(host, port_text, bad);
  if (bad || found.empty())
    return InvalidArgument("listen: \"" + listen + "\": cannot resolve the host: " + bad.message());
  return found.begin()->endpoint();
}

Status CheckOptions(const ServerOptions& options) {
  const SessionOptions& session = options.session;
  if (options.io_threads < 1 || options.io_threads > 16)
    return InvalidArgument("io_threads must be 1 to 16");
  if (options.max_connections < 1) return InvalidArgument("max_connections must be at least 1");
  if (session.max_header_bytes < 1024 || session.max_header_bytes > (1u << 20)) {
    return InvalidArgument("max_header_bytes must be 1 KiB to 1 MiB");
  }
  for (const Executor* executor : options.executors) {
    if (executor == nullptr) return InvalidArgument("executors: one is missing");
  }
  const std::string& prefix = session.path_prefix;
  if (!prefix.empty() && prefix.front() != '/')
    return InvalidArgument("path_prefix must begin with '/'");
  for (const Duration timeout : {session.header_timeout, session.body_timeout, session.idle_timeout,
                                 session.write_timeout, session.linger_timeout}) {
    if (timeout <= Duration::zero()) return InvalidArgument("timeouts must be above zero");
  }
  return OkStatus();
}

std::vector<std::unique_ptr<Worker>> MakeWorkers(size_t count) {
  std::vector<std::unique_ptr<Worker>> workers;
  workers.reserve(count);
  for (size_t i = 0; i < count; ++i) workers.push_back(std::make_unique<Worker>());
  return workers;
}

class AsioServer final : public Server {
 public:
  AsioServer(ServerOptions options, Router router)
      : max_connections_(options.max_connections),
        listen_(options.listen),
        workers_(MakeWorkers(options.io_threads)) {
    while (!options.session.path_prefix.empty() && options.session.path_prefix.back() == '/') {
      options.session.path_prefix.pop_back();
    }
    auto context = std::make_shared<SessionContext>();
    context->options = std::move(options.session);
    context->router = std::move(router);
    context->executors = options.executors;
    context->bodies = std::make_shared<BodyPool>(options.bodies);
    context->metrics = std::make_shared<HttpMetrics>(options.registry);
    context->clock = options.clock;
    if (options.registry != nullptr) {
      options.registry->AddCollector([pool = std::weak_ptr<BodyPool>(context->bodies)](
                                         std::vector<metrics::Family>& families) {
        const std::shared_ptr<BodyPool> alive = pool.lock();
        if (alive == nullptr) return;
        metrics::AppendValue(families, "basalt_http_body_bytes_in_flight",
                             "Memory held by request bodies.", metrics::Type::kGauge,
                             static_cast<double>(alive->in_flight_bytes()));
      });
    }
    shared_ = {std::move(context), std::make_shared<OpenCount>()};
  }

  ~AsioServer() override { StopNow(Duration::zero()); }

  Status Listen() {
    BASALT_TRY_ASSIGN(const tcp::endpoint endpoint, ResolveListen(listen_));
    error_code ec;
    acceptor_.open(endpoint.protocol(), ec);
    // A listener that has just died leaves connections in TIME_WAIT behind; they must not keep us
    // from starting.
    if (!ec) acceptor_.set_option(tcp::acceptor::reuse_address(true), ec);
    if (!ec && endpoint.address().is_v6() && endpoint.address().is_unspecified()) {
      acceptor_.set_option(asio::ip::v6_only(false), ec);
    }
    if (!ec) acceptor_.bind(endpoint, ec);
    if (!ec) acceptor_.listen(asio::socket_base::max_listen_connections, ec);
    if (ec) return Unavailable("listen on " + listen_ + ": " + ec.message());
    bound_ = acceptor_.local_endpoint(ec);
    if (ec) return Unavailable("listen on " + listen_ + ": " + ec.message());

    for (size_t i = 0; i < workers_.size(); ++i) {
      Worker& worker = *workers_[i];
      worker.thread = std::thread([&worker] {
        const auto keep_running = asio::make_work_guard(worker.io);
        worker.io.run();
      });
      const std::string name = "http-io-" + std::to_string(i);
      pthread_setname_np(worker.thread.native_handle(), name.c_str());
    }
    asio::post(workers_[0]->io, [this] { Accept(); });
    return OkStatus();
  }

  [[nodiscard]] std::string address() const override { return ToText(bound_); }
  [[nodiscard]] uint16_t port() const override { return bound_.port(); }
  [[nodiscard]] size_t connections() const override { return shared_.open->get(); }
  [[nodiscard]] size_t body_bytes_in_flight() const override {
    return shared_.context->bodies->in_flight_bytes();
  }
  void Stop(Duration drain) override { StopNow(drain); }

 private:
  // On the first worker's thread.
  void Accept() {
    Worker& target = *workers_[next_worker_++ % workers_.size()];
    acceptor_.async_accept(target.io, [this, &target](const error_code& ec, tcp::socket socket) {
      if (stopping_) return;
      if (!ec) {
        Admit(target, std::move(socket));
        return Accept();
      }
      BASALT_LOG(kWarn, "accept failed", {"listen", address()}, {"error", ec.message()});
      accept_again_.expires_after(kAcceptAgain);
      accept_again_.async_wait([this](const error_code& cancelled) {
        if (!cancelled && !stopping_) Accept();
      });
    });
  }

  void Admit(Worker& worker, tcp::socket socket) {
    const size_t open = shared_.open->get();
    if (open >= max_connections_) shared_.context->metrics->CountRefusal(Refusal::kConnections);
    if (open >= max_connections_ + kMaxRefusing) return;  // closes the socket
    shared_.open->Add(1);
    shared_.context->metrics->CountConnection();
    shared_.context->metrics->AddOpen(1);
    const bool refuse = open >= max_connections_;
    auto connection = std::make_shared<Connection>(shared_, worker, std::move(socket));
    asio::post(worker.io, [this, &worker, connection, refuse] {
      worker.connections.insert(connection);
      if (stopping_) return connection->session().Abort();
      if (!refuse) return connection->session().Start();
      Response response = TextResponse(503, "too many connections; try again");
      response.headers.emplace_back("Retry-After", "1");
      connection->session().Refuse(std::move(response));
    });
  }

  template <typename Visit>
  void OnEveryConnection(Visit visit) {
    for (const std::unique_ptr<Worker>& worker : workers_) {
      asio::post(worker->io, [&connections = worker->connections, visit] {
        // Closing erases from the set, but never before this task is over.
        for (const std::shared_ptr<Connection>& connection : connections)
          visit(connection->session());
      });
    }
  }

  void StopNow(Duration drain) BASALT_EXCLUDES(stop_mu_) {
    const MutexLock lock(stop_mu_);
    if (std::exchange(stopped_, true)) return;
    if (workers_[0]->thread.joinable()) {
      stopping_ = true;
      asio::post(workers_[0]->io, [this] {
        error_code ignored;
        acceptor_.close(ignored);
        accept_again_.cancel();
      });
      OnEveryConnection([](Session& session) { session.Drain(); });
      if (!shared_.open->WaitForNone(std::chrono::steady_clock::now() + drain)) {
        OnEveryConnection([](Session& session) { session.Abort(); });
        shared_.open->WaitForNone(std::chrono::steady_clock::now() + kCutGrace);
      }
    }
    for (const std::unique_ptr<Worker>& worker : workers_) {
      worker->loop->Detach();
      worker->io.stop();
      if (worker->thread.joinable()) worker->thread.join();
      worker->connections.clear();
    }
  }

  const size_t max_connections_;
  const std::string listen_;
  Shared shared_;
  std::vector<std::unique_ptr<Worker>> workers_;
  tcp::acceptor acceptor_{workers_[0]->io};
  asio::steady_timer accept_again_{workers_[0]->io};
  tcp::endpoint bound_;
  size_t next_worker_ = 0;
  std::atomic<bool> stopping_{false};
  Mutex stop_mu_;
  bool stopped_ BASALT_GUARDED_BY(stop_mu_) = false;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(ServerOptions options, Router router) {
  BASALT_TRY(CheckOptions(options));
  auto server = std::make_unique<AsioServer>(std::move(options), std::move(router));
  BASALT_TRY(server->Listen());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace basalt::http
