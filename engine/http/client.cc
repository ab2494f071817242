#include "engine/http/client.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/span_body.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <functional>
#include <optional>

namespace basalt::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using boost::system::error_code;

// Beast reads as much as the buffer holds; its own start of 512 bytes makes large answers slow
// (design/stack.md A.2).
constexpr size_t kReadBytes = 64u << 10;

}  // namespace

Result<Url> ParseUrl(std::string_view text) {
  const std::string quoted = "URL \"" + std::string(text) + "\": ";
  if (text.starts_with("https://"))
    return InvalidArgument(quoted + "https is not spoken; use a local proxy");
  if (!text.starts_with("http://")) return InvalidArgument(quoted + "does not begin with http://");
  text.remove_prefix(7);
  Url url;
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

  // Runs one asynchronous operation to its end or its deadline.
  Status Finish(const error_code& error, const char* doing) {
    io.restart();
    io.run();
    if (!error) return OkStatus();
    stream.reset();
    const std::string text =
        std::string(doing) + " " + url.host + ":" + url.port + ": " + error.message();
    if (error == beast::error::timeout) return DeadlineExceeded(text);
    if (error == beast::http::error::body_limit) return ResourceExhausted(text);
    return Unavailable(text);
  }

  Status Connect() {
    asio::ip::tcp::resolver resolver(io);
    error_code error;
    const auto endpoints = resolver.resolve(url.host, url.port, error);
    if (error) return Unavailable("look up " + url.host + ": " + error.message());
    stream.emplace(io);
    stream->expires_after(options.timeout);
    stream->async_connect(endpoints,
                          [&](error_code e, const asio::ip::tcp::endpoint&) { error = e; });
    BASALT_TRY(Finish(error, "connect to"));
    stream->socket().set_option(asio::ip::tcp::no_delay(true), error);
    buffer.clear();
    buffer.reserve(kReadBytes);
    return OkStatus();
  }

  using Message = beast::http::request<beast::http::span_body<const char>>;
  // `stale`: the connection was kept and the server had closed it before it read anything of ours.
  Result<ClientResponse> Exchange(const Message& message, bool& stale) {
    stale = false;
    error_code error;
    stream->expires_after(options.timeout);
    beast::http::async_write(*stream, message, [&](error_code e, size_t) { error = e; });
    if (const Status status = Finish(error, "send to"); !status.ok()) {
      stale = status.code() == StatusCode::kUnavailable;
      return status;
    }
    beast::http::response_parser<beast::http::string_body> parser;
    parser.body_limit(options.max_response_bytes);
    if (message.method() == beast::http::verb::head) parser.skip(true);
    beast::http::async_read(*stream, buffer, parser, [&](error_code e, size_t) { error = e; });
    const bool nothing_came = error == beast::http::error::end_of_stream;
    if (const Status status = Finish(error, "read from"); !status.ok()) {
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
    if (!parser.keep_alive()) stream.reset();
    return response;
  }

  const Url url;
  const ClientOptions options;
  asio::io_context io{1};
  std::optional<beast::tcp_stream> stream;
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
  message.set(beast::http::field::host, impl_->url.host + ":" + impl_->url.port);
  message.set(beast::http::field::user_agent, "basalt");
  for (const auto& [name, value] : headers) message.set(name, value);
  message.body() = {body.data(), body.size()};
  message.prepare_payload();

  const bool was_open = impl_->stream.has_value();
  if (!was_open) BASALT_TRY(impl_->Connect());
  bool stale = false;
  Result<ClientResponse> response = impl_->Exchange(message, stale);
  if (response.ok() || !was_open || !stale) return response;
  BASALT_TRY(impl_->Connect());
  return impl_->Exchange(message, stale);
}

void Client::Close() { impl_->stream.reset(); }

}  // namespace basalt::http
