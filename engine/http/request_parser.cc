// Beast asserts that a last chunk has five bytes, of which two belong to the chunk before it; an
// empty body that comes in pieces has none (found by fuzz_http_session). What follows is right
// without.
#define BOOST_DISABLE_ASSERTS  // NOLINT(readability-identifier-naming): Boost names it
#include "engine/http/request_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

namespace basalt::http {
namespace {

namespace beast = boost::beast;
using beast::error_code;
using beast_view = beast::string_view;  // boost's own, not std's

std::string_view ToStd(beast_view text) { return {text.data(), text.size()}; }

}  // namespace

// Takes Beast's events straight into our types; Beast's own header container is never built.
class RequestParser::Impl final : public beast::http::basic_parser<true> {
 public:
  explicit Impl(size_t max_header_bytes) {
    header_limit(static_cast<uint32_t>(max_header_bytes));
    body_limit(boost::none);  // the session bounds bodies, by route
  }

  RequestHead head;
  std::string_view piece;
  bool other_coding = false;  // a Transfer-Encoding that is not plainly "chunked"

 private:
  void on_request_impl(beast::http::verb /*method*/, beast_view method_text, beast_view target,
                       int version, error_code& ec) override {
    ec = {};
    head.method = ParseMethod(ToStd(method_text));
    head.target.assign(target.data(), target.size());
    head.minor_version = version - 10;
  }
  void on_response_impl(int /*code*/, beast_view /*reason*/, int /*version*/,
                        error_code& ec) override {
    ec = beast::http::error::bad_method;  // unreachable: a request parser
  }
  void on_field_impl(beast::http::field name, beast_view name_text, beast_view value,
                     error_code& ec) override {
    ec = {};
    if (is_header_done()) return;  // trailers carry nothing that we use
    if (name == beast::http::field::transfer_encoding &&
        !EqualsIgnoringCase(ToStd(value), "chunked")) {
      other_coding = true;
    }
    head.headers.Add(ToStd(name_text), ToStd(value));
  }
  void on_header_impl(error_code& ec) override { ec = {}; }
  void on_body_init_impl(const boost::optional<uint64_t>& /*bytes*/, error_code& ec) override {
    ec = {};
  }
  size_t on_body_impl(beast_view body, error_code& ec) override {
    ec = {};
    return body.size();  // unreachable: the session takes bodies of known length past the parser
  }
  void on_chunk_header_impl(uint64_t /*size*/, beast_view /*extensions*/, error_code& ec) override {
    ec = {};
  }
  size_t on_chunk_body_impl(uint64_t /*remain*/, beast_view body, error_code& ec) override {
    ec = {};
    piece = ToStd(body);
    return body.size();
  }
  void on_finish_impl(error_code& ec) override { ec = {}; }
};

RequestParser::RequestParser(size_t max_header_bytes)
    : max_header_bytes_(max_header_bytes), impl_(std::make_unique<Impl>(max_header_bytes)) {}

RequestParser::~RequestParser() = default;

RequestHead& RequestParser::head() { return impl_->head; }
std::string_view RequestParser::piece() const { return impl_->piece; }

void RequestParser::Reset() {
  impl_ = std::make_unique<Impl>(max_header_bytes_);
  error_status_ = 0;
  error_text_.clear();
}

RequestParser::Outcome RequestParser::Fail(int status, std::string_view text) {
  error_status_ = status;
  error_text_.assign(text);
  return Outcome::kError;
}

RequestParser::Outcome RequestParser::ParseHead(std::string_view bytes, size_t& consumed) {
  error_code ec;
  consumed = 0;
  while (!impl_->is_header_done()) {
    const std::string_view rest = bytes.substr(consumed);
    if (rest.empty()) return Outcome::kNeedMore;
    consumed += impl_->put(boost::asio::const_buffer(rest.data(), rest.size()), ec);
    if (ec == beast::http::error::need_more) {
      return bytes.size() - consumed >= max_header_bytes_ ? Fail(431, "request header too large")
                                                          : Outcome::kNeedMore;
    }
    if (ec == beast::http::error::header_limit) return Fail(431, "request header too large");
    if (ec) return Fail(400, "malformed request: " + ec.message());
  }
  RequestHead& head = impl_->head;
  head.chunked = impl_->chunked();
  head.keep_alive = impl_->keep_alive();
  if (const auto length = impl_->content_length(); length.has_value())
    head.content_length = *length;
  if (impl_->other_coding) return Fail(501, "the only transfer coding is \"chunked\"");
  // A 1.0 proxy in between does not know chunked framing, so nobody knows where such a message ends
  // (RFC 9112, 6.1).
  if (head.chunked && head.minor_version == 0)
    return Fail(400, "malformed request: chunked body in HTTP/1.0");
  return Outcome::kDone;
}

RequestParser::Outcome RequestParser::ParseChunked(std::string_view bytes, size_t& consumed) {
  error_code ec;
  consumed = 0;
  impl_->piece = {};
  while (!impl_->is_done()) {
    const std::string_view rest = bytes.substr(consumed);
    if (rest.empty()) return Outcome::kNeedMore;
    consumed += impl_->put(boost::asio::const_buffer(rest.data(), rest.size()), ec);
    if (ec == beast::http::error::need_more) {
      // Chunk extensions and trailers have to fit where a header fits.
      return bytes.size() - consumed >= max_header_bytes_
                 ? Fail(400, "malformed body: chunk header too large")
                 : Outcome::kNeedMore;
    }
    if (ec) return Fail(400, "malformed body: " + ec.message());
    if (!impl_->piece.empty()) return Outcome::kPiece;
  }
  return Outcome::kDone;
}

}  // namespace basalt::http
