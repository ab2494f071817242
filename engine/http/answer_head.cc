#include "engine/http/answer_head.h"

#include <array>
#include <cstdio>
#include <ctime>
#include <string_view>

namespace basalt::http {
namespace {

// "Sun, 06 Nov 1994 08:49:37 GMT"; strftime would speak the locale's language.
void AppendDate(Timestamp now, std::string& out) {
  static constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed",
                                                       "Thu", "Fri", "Sat"};
  static constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t seconds =
      std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 64> text{};
  const int bytes = std::snprintf(text.data(), text.size(), "%s, %02d %s %d %02d:%02d:%02d GMT",
                                  kDays[static_cast<size_t>(utc.tm_wday)], utc.tm_mday,
                                  kMonths[static_cast<size_t>(utc.tm_mon)], utc.tm_year + 1900,
                                  utc.tm_hour, utc.tm_min, utc.tm_sec);
  out.append(text.data(), static_cast<size_t>(bytes));
}

// A value that came from a request must not be able to begin a header, or an answer, of its own.
void AppendHeader(std::string_view name, std::string_view value, std::string& out) {
  out.append(name).append(": ");
  for (const char c : value) out.push_back(c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
  out.append("\r\n");
}

void AppendCors(std::string_view allowed, std::string_view origin, std::string& out) {
  AppendHeader("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, Origin", out);
  AppendHeader("Access-Control-Allow-Methods", "GET, POST, OPTIONS", out);
  AppendHeader("Access-Control-Expose-Headers", "Date", out);
  if (allowed == "*" || allowed == origin)
    AppendHeader("Access-Control-Allow-Origin", allowed, out);
}

bool MayHaveBody(int status) { return status >= 200 && status != 204 && status != 304; }

}  // namespace

bool HasBody(const AnswerShape& shape, int status) {
  return !shape.head_only && MayHaveBody(status);
}

void AppendAnswerHead(const SessionOptions& options, const AnswerShape& shape,
                      const Response& response, Timestamp now, std::string& out) {
  out.append("HTTP/1.1 ")
      .append(std::to_string(response.status))
      .append(" ")
      .append(StatusText(response.status))
      .append("\r\nDate: ");
  AppendDate(now, out);
  out.append("\r\n");
  if (MayHaveBody(response.status)) {
    AppendHeader("Content-Type", response.content_type, out);
    if (shape.streamed && !shape.http10) AppendHeader("Transfer-Encoding", "chunked", out);
    if (!shape.streamed) AppendHeader("Content-Length", std::to_string(response.body.size()), out);
  }
  for (const auto& [name, value] : response.headers) AppendHeader(name, value, out);
  if (!options.cors_origin.empty()) {
    AppendHeader("Vary", "Origin", out);
    if (!shape.origin.empty()) AppendCors(options.cors_origin, shape.origin, out);
  }
  if (options.gzip) AppendHeader("Vary", "Accept-Encoding", out);
  if (shape.close) {
    AppendHeader("Connection", "close", out);
  } else if (shape.http10) {
    AppendHeader("Connection", "keep-alive", out);
  }
  out.append("\r\n");
}

}  // namespace basalt::http
