#include "engine/http/message.h"

#include <algorithm>
#include <array>

namespace basalt::http {
namespace {

constexpr std::array<std::string_view, 8> kMethodNames = {"GET",    "HEAD",    "POST",  "PUT",
                                                          "DELETE", "OPTIONS", "PATCH", ""};

// Not std::tolower: header names are ASCII whatever the locale says.
constexpr char Lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The part before `separator`; `rest` becomes what is behind it.
std::string_view CutAt(std::string_view& rest, char separator) {
  const size_t at = rest.find(separator);
  const std::string_view head = rest.substr(0, at);
  rest = at == std::string_view::npos ? std::string_view() : rest.substr(at + 1);
  return head;
}

// "q=0", "q=0.0", "q=0.000": not acceptable (RFC 9110, 12.4.2).
bool HasZeroWeight(std::string_view parameters) {
  while (!parameters.empty()) {
    const std::string_view parameter = Trim(CutAt(parameters, ';'));
    if (parameter.size() < 3 || Lower(parameter[0]) != 'q' || parameter[1] != '=') continue;
    const std::string_view weight = parameter.substr(2);
    return weight[0] == '0' && weight.find_first_not_of("0.") == std::string_view::npos;
  }
  return false;
}

}  // namespace

std::string_view MethodName(Method method) { return kMethodNames[static_cast<size_t>(method)]; }

Method ParseMethod(std::string_view name) {
  const auto* const end = kMethodNames.end() - 1;
  const auto* const found = std::find(kMethodNames.begin(), end, name);
  return static_cast<Method>(found - kMethodNames.begin());
}

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return Lower(x) == Lower(y); });
}

void Headers::Add(std::string_view name, std::string_view value) {
  fields_.push_back({static_cast<uint32_t>(block_.size()), static_cast<uint32_t>(name.size()),
                     static_cast<uint32_t>(block_.size() + name.size()),
                     static_cast<uint32_t>(value.size())});
  block_.append(name).append(value);
}

std::string_view Headers::Get(std::string_view name) const {
  for (size_t i = 0; i < size(); ++i) {
    if (EqualsIgnoringCase(this->name(i), name)) return value(i);
  }
  return {};
}

bool Headers::Has(std::string_view name) const {
  for (size_t i = 0; i < size(); ++i) {
    if (EqualsIgnoringCase(this->name(i), name)) return true;
  }
  return false;
}

bool Headers::HasToken(std::string_view name, std::string_view token) const {
  for (size_t i = 0; i < size(); ++i) {
    if (!EqualsIgnoringCase(this->name(i), name)) continue;
    std::string_view list = value(i);
    while (!list.empty()) {
      std::string_view element = CutAt(list, ',');
      const std::string_view word = Trim(CutAt(element, ';'));
      if (EqualsIgnoringCase(word, token) && !HasZeroWeight(element)) return true;
    }
  }
  return false;
}

void Headers::clear() {
  block_.clear();
  fields_.clear();
}

std::string_view Request::path_param(std::string_view name) const {
  for (const auto& [key, value] : path_params) {
    if (key == name) return value;
  }
  return {};
}

std::string_view StatusText(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 413:
      return "Request Entity Too Large";
    case 414:
      return "Request URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Entity";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Unknown";
  }
}

Response TextResponse(int status, std::string_view text) {
  Response response;
  response.status = status;
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  response.body.reserve(text.size() + 1);
  response.body.append(text).push_back('\n');
  return response;
}

}  // namespace basalt::http
