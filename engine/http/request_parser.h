// engine/http/request_parser.h -- bytes to a request's head and to the pieces of a chunked body. No
// I/O in here.
//
// Strict where leniency lets two parties read one message differently: no bare LF, no space before
// a colon, no two lengths, no length beside a transfer coding. The grammar is Beast's, which is
// fuzzed upstream and by us (tests/engine/http/fuzz_http_session.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/http/message.h"

namespace basalt::http {

struct RequestHead {
  Method method = Method::kGet;
  std::string target;
  int minor_version = 1;  // of HTTP/1
  Headers headers;
  std::optional<uint64_t> content_length;
  bool chunked = false;
  bool keep_alive = true;
};

// Parses one request after another. One thread.
class RequestParser {
 public:
  enum class Outcome : uint8_t {
    kNeedMore,  // give the unconsumed bytes again, with more behind them
    kDone,      // the head, or the body with its trailers, is complete
    kPiece,     // of a chunked body: piece()
    kError,     // error_status() and error_text()
  };

  explicit RequestParser(size_t max_header_bytes);
  ~RequestParser();

  // `bytes` begins at the first byte that no earlier call has consumed.
  Outcome ParseHead(std::string_view bytes, size_t& consumed);
  // After ParseHead was done with a chunked request.
  Outcome ParseChunked(std::string_view bytes, size_t& consumed);

  [[nodiscard]] RequestHead& head();
  [[nodiscard]] std::string_view piece() const;  // into the last `bytes`
  [[nodiscard]] int error_status() const { return error_status_; }
  [[nodiscard]] const std::string& error_text() const { return error_text_; }
  // Forgets everything, for the next request.
  void Reset();

 private:
  class Impl;
  Outcome Fail(int status, std::string_view text);
  const size_t max_header_bytes_;
  std::unique_ptr<Impl> impl_;
  int error_status_ = 0;
  std::string error_text_;
};

}  // namespace basalt::http
