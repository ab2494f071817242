// engine/http/message.h -- a request as a handler sees it and an answer as a handler gives it.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/http/body.h"

namespace basalt::http {

enum class Method : uint8_t { kGet, kHead, kPost, kPut, kDelete, kOptions, kPatch, kOther };
// "GET"; "" for kOther.
std::string_view MethodName(Method method);
Method ParseMethod(std::string_view name);  // case counts, as in RFC 9110

// True if the texts are equal, ASCII case aside.
bool EqualsIgnoringCase(std::string_view a, std::string_view b);

// Header fields in the order they came, in one block of memory. A value type.
class Headers {
 public:
  void Add(std::string_view name, std::string_view value);
  // The first field of that name, ASCII case aside; empty if there is none (or it is empty: Has
  // tells).
  [[nodiscard]] std::string_view Get(std::string_view name) const;
  [[nodiscard]] bool Has(std::string_view name) const;
  // True if a comma-separated list under that name (any number of fields) holds the token.
  // Parameters (";q=") are looked at only for "q=0", which takes the token out.
  [[nodiscard]] bool HasToken(std::string_view name, std::string_view token) const;
  [[nodiscard]] size_t size() const { return fields_.size(); }
  [[nodiscard]] std::string_view name(size_t i) const {
    return Slice(fields_[i].name_at, fields_[i].name_bytes);
  }
  [[nodiscard]] std::string_view value(size_t i) const {
    return Slice(fields_[i].value_at, fields_[i].value_bytes);
  }
  void clear();

 private:
  struct Field {
    uint32_t name_at, name_bytes, value_at, value_bytes;
  };
  [[nodiscard]] std::string_view Slice(uint32_t at, uint32_t bytes) const {
    return std::string_view(block_).substr(at, bytes);
  }
  std::string block_;
  std::vector<Field> fields_;
};

// Move-only. Lives as long as the handler keeps it; nothing in it points into the connection.
struct Request {
  Method method = Method::kGet;
  std::string target;  // as it was sent: path?query, percent-encoded, path prefix included
  std::string path;    // without prefix and query, still percent-encoded
  std::string query;   // after the first '?', still percent-encoded
  Headers headers;
  Body body;
  // What the route's "{name}" parts matched, percent-decoded, in the order of the pattern.
  std::vector<std::pair<std::string, std::string>> path_params;
  std::string peer;  // "127.0.0.1:54321"
  // Asked to stop when the client has gone or the server's drain has run out of time. Work for this
  // request may then be given up; whatever is answered is likely to reach nobody.
  std::stop_token cancel;

  [[nodiscard]] std::string_view path_param(std::string_view name) const;  // empty if there is none
};

// A whole answer. Content-Length, Date, Connection, Vary and Content-Encoding are the server's
// business.
struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  // There is no room just now: the status is what SessionOptions::overload_status says.
  bool overloaded = false;
};

// "Not Found" for 404; "Unknown" for codes that have no name.
std::string_view StatusText(int status);
// text/plain with a newline at the end.
Response TextResponse(int status, std::string_view text);

}  // namespace basalt::http
