#include "engine/http/client.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/span_body.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <variant>

namespace basalt::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using boost::system::error_code;

// Beast reads as much as the buffer holds; its own start of 512 bytes makes large answers slow
// (design/stack.md A.2).
constexpr size_t kReadBytes = 64u << 10;

using PlainStream = beast::tcp_stream;
using TlsStream = beast::ssl_stream<beast::tcp_stream>;

Status BadTls(const std::string& field, const std::string& file, const error_code& error) {
  return InvalidArgument("tls " + field + " " + file + ": " + error.message());
}

Status Configure(const TlsOptions& options, asio::ssl::context& context) {
  error_code error;
  context.set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_sslv2 |
                      asio::ssl::context::no_sslv3);
  const int least =
      options.min_version == TlsOptions::Version::kTls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
  if (SSL_CTX_set_min_proto_version(context.native_handle(), least) != 1)
    return InvalidArgument("tls min_version: OpenSSL does not take it");
  if (options.ca_file.empty()) {
    context.set_default_verify_paths(error);
    if (error) return BadTls("authorities of the system", "", error);
  } else {
    context.load_verify_file(options.ca_file, error);
    if (error) return BadTls("ca_file", options.ca_file, error);
  }
  if (options.cert_file.empty()) return OkStatus();
  context.use_certificate_chain_file(options.cert_file, error);
  if (error) return BadTls("cert_file", options.cert_file, error);
  context.use_private_key_file(options.key_file, asio::ssl::context::pem, error);
  if (error) return BadTls("key_file", options.key_file, error);
  return OkStatus();
}

using Endpoints = asio::ip::tcp::resolver::results_type;

Result<Endpoints> Lookup(const std::string& host, const std::string& port) {
  asio::io_context io;
  asio::ip::tcp::resolver resolver(io);
  error_code error;
  Endpoints endpoints = resolver.resolve(host, port, error);
  if (error) return Unavailable("look up " + host + ": " + error.message());
  return endpoints;
}

bool IsAddress(const std::string& host) {
  error_code error;
  asio::ip::make_address(host, error);
  return !error;
}

}  // namespace

Result<Url> ParseUrl(std::string_view text) {
  const std::string quoted = "URL \"" + std::string(text) + "\": ";
  Url url;
  url.tls = text.starts_with("https://");
  if (!url.tls && !text.starts_with("http://"))
    return InvalidArgument(quoted + "does not begin with http:// or https://");
  text.remove_prefix(url.tls ? 8 : 7);
  if (url.tls) url.port = "443";
  const size_t slash = text.find('/');
  std::string_view authority = text.substr(0, slash);
  if (slash != std::string_view::npos) url.prefix = text.substr(slash);
  while (url.prefix.ends_with('/')) url.prefix.pop_back();
  if (authority.find('@') != std::string_view::npos)
    return InvalidArgument(quoted + "no user name is taken");
  size_t colon = authority.rfind(':');
  if (authority.starts_with('[')) {
    const size_t bracket = authority.find(']');
    if (bracket == std::string_view::npos) return InvalidArgument(quoted + "[ without ]");
    if (colon < bracket) colon = std::string_view::npos;
    url.host = authority.substr(1, bracket - 1);
  } else {
    url.host = authority.substr(0, colon);
  }
  if (colon != std::string_view::npos) url.port = authority.substr(colon + 1);
  if (url.host.empty()) return InvalidArgument(quoted + "has no host");
  const bool digits = !url.port.empty() && url.port.size() <= 5 &&
                      url.port.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || std::stoi(url.port) > 65'535)
    return InvalidArgument(quoted + "\"" + url.port + "\" is no port");
  return url;
}

struct Client::Impl {
  Impl(Url u, const ClientOptions& o) : url(std::move(u)), options(o) {}

  [[nodiscard]] bool open() const { return !std::holds_alternative<std::monostate>(stream); }
  void Close() {
    stream.emplace<std::monostate>();
    tls.reset();  // after the stream that uses it
  }
  PlainStream& Lowest() {
    if (auto* plain = std::get_if<PlainStream>(&stream)) return *plain;
    return beast::get_lowest_layer(std::get<TlsStream>(stream));
  }
  template <typename Use>
  void WithStream(Use use) {
    if (auto* plain = std::get_if<PlainStream>(&stream)) return use(*plain);
    use(std::get<TlsStream>(stream));
  }

  // Runs one asynchronous operation to its end or its deadline.
  Status Finish(const error_code& error, const char* doing) {
    io.restart();
    bool cancelled = false;
    if (options.cancelled == nullptr) io.run();
    while (options.cancelled != nullptr && !io.stopped()) {
      if (!cancelled && options.cancelled->load(std::memory_order_relaxed)) {
        cancelled = true;
        if (open()) Lowest().close();
      }
      io.run_for(kCancelLatency);
    }
    if (!error) return OkStatus();
    Close();
    const std::string text =
        std::string(doing) + " " + url.host + ":" + url.port + ": " + error.message();
    if (cancelled) return Cancelled(text);
    if (error == beast::error::timeout) return DeadlineExceeded(text);
    if (error == beast::http::error::body_limit) return ResourceExhausted(text);
    return Unavailable(text);
  }

  // A lookup takes as long as it takes, and nothing ends it early: who may be cancelled leaves it
  // to a thread of its own and goes without it.
  Result<Endpoints> Resolve() {
    if (options.cancelled == nullptr || IsAddress(url.host)) return Lookup(url.host, url.port);
    struct Pending {
      std::mutex mu;
      std::condition_variable done;
      std::optional<Result<Endpoints>> found;
    };
    const auto pending = std::make_shared<Pending>();
    std::thread([pending, host = url.host, port = url.port] {
      auto found = Lookup(host, port);
      const std::lock_guard lock(pending->mu);
      pending->found = std::move(found);
      pending->done.notify_all();
    }).detach();
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    std::unique_lock lock(pending->mu);
    while (!pending->found.has_value()) {
      pending->done.wait_for(lock, kCancelLatency);
      if (pending->found.has_value()) break;
      if (options.cancelled->load(std::memory_order_relaxed))
        return Cancelled("look up " + url.host);
      if (std::chrono::steady_clock::now() > deadline)
        return DeadlineExceeded("look up " + url.host);
    }
    return *std::move(pending->found);
  }

  Status Connect() {
    BASALT_TRY_ASSIGN(const Endpoints endpoints, Resolve());
    error_code error;
    if (url.tls) {
      tls.emplace(asio::ssl::context::tls_client);
      BASALT_TRY(Configure(options.tls, *tls));
      stream.emplace<TlsStream>(io, *tls);
    } else {
      stream.emplace<PlainStream>(io);
    }
    const bool own_bound =
        options.connect_timeout > Duration(0) && options.connect_timeout < timeout;
    Lowest().expires_after(own_bound ? options.connect_timeout : timeout);
    Lowest().async_connect(endpoints,
                           [&](error_code e, const asio::ip::tcp::endpoint&) { error = e; });
    BASALT_TRY(Finish(error, "connect to"));
    Lowest().socket().set_option(asio::ip::tcp::no_delay(true), error);
    buffer.clear();
    buffer.reserve(kReadBytes);
    return url.tls ? Handshake() : OkStatus();
  }

  Status Handshake() {
    auto& secure = std::get<TlsStream>(stream);
    const std::string& name = options.tls.server_name.empty() ? url.host : options.tls.server_name;
    if (!IsAddress(name) && SSL_set_tlsext_host_name(secure.native_handle(), name.c_str()) != 1)
      return InvalidArgument("tls server_name: \"" + name + "\" is none");
    error_code error;
    if (options.tls.insecure_skip_verify) {
      secure.set_verify_mode(asio::ssl::verify_none, error);
    } else {
      secure.set_verify_mode(asio::ssl::verify_peer, error);
      secure.set_verify_callback(asio::ssl::host_name_verification(name), error);
    }
    secure.async_handshake(asio::ssl::stream_base::client, [&](error_code e) { error = e; });
    Status status = Finish(error, "TLS with");
    if (!status.ok() && error.category() == asio::error::get_ssl_category())
      return Unauthenticated(std::string(status.message()));
    return status;
  }

  using Message = beast::http::request<beast::http::span_body<const char>>;
  // `stale`: the connection was kept and the server had closed it before it read anything of ours.
  Result<ClientResponse> Exchange(const Message& message, bool& stale) {
    stale = false;
    error_code error;
    Lowest().expires_after(timeout);
    WithStream([&](auto& to) {
      beast::http::async_write(to, message, [&](error_code e, size_t) { error = e; });
    });
    if (const Status status = Finish(error, "send to"); !status.ok()) {
      stale = status.code() == StatusCode::kUnavailable;
      return status;
    }
    beast::http::response_parser<beast::http::string_body> parser;
    parser.body_limit(options.max_response_bytes);
    if (message.method() == beast::http::verb::head) parser.skip(true);
    WithStream([&](auto& from) {
      beast::http::async_read(from, buffer, parser, [&](error_code e, size_t) { error = e; });
    });
    const Status status = Finish(error, "read from");
    if (!status.ok()) {
      // Over TLS a closed connection shows as a cut one.
      const bool nothing_came =
          error == beast::http::error::end_of_stream || error == asio::ssl::error::stream_truncated;
      stale = status.code() == StatusCode::kUnavailable && (nothing_came || !parser.got_some());
      return status;
    }
    ClientResponse response;
    response.status = parser.get().result_int();
    for (const auto& field : parser.get()) {
      response.headers.Add({field.name_string().data(), field.name_string().size()},
                           {field.value().data(), field.value().size()});
    }
    response.body = std::move(parser.get().body());
    if (!parser.keep_alive()) Close();
    return response;
  }

  const Url url;
  const ClientOptions options;
  Duration timeout = options.timeout;
  asio::io_context io{1};
  std::optional<asio::ssl::context> tls;  // outlives the stream
  std::variant<std::monostate, PlainStream, TlsStream> stream;
  beast::flat_buffer buffer;
};

Client::Client(Url url, const ClientOptions& options)
    : impl_(std::make_unique<Impl>(std::move(url), options)) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

Result<ClientResponse> Client::Send(std::string_view method, std::string_view path_and_query,
                                    const std::vector<std::pair<std::string, std::string>>& headers,
                                    std::string_view body) {
  Impl::Message message;
  message.version(11);
  message.method_string({method.data(), method.size()});
  message.target(impl_->url.prefix + std::string(path_and_query));
  const std::string& host = impl_->url.host;
  const bool is_v6 = host.find(':') != std::string::npos;
  message.set(beast::http::field::host, (is_v6 ? "[" + host + "]" : host) + ":" + impl_->url.port);
  message.set(beast::http::field::user_agent, "basalt");
  for (const auto& [name, value] : headers) message.set(name, value);
  message.body() = {body.data(), body.size()};
  message.prepare_payload();

  const bool was_open = impl_->open();
  if (!was_open) BASALT_TRY(impl_->Connect());
  bool stale = false;
  Result<ClientResponse> response = impl_->Exchange(message, stale);
  if (response.ok() || !was_open || !stale) return response;
  BASALT_TRY(impl_->Connect());
  return impl_->Exchange(message, stale);
}

void Client::SetTimeout(Duration timeout) { impl_->timeout = timeout; }
void Client::Close() { impl_->Close(); }

}  // namespace basalt::http
