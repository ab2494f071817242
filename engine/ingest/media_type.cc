#include "engine/ingest/media_type.h"

#include <algorithm>

namespace basalt::ingest {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t'; }

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

// What stands before the next ';', which is taken out of `rest`.
std::string_view TakePart(std::string_view& rest) {
  const size_t end = std::min(rest.find(';'), rest.size());
  const std::string_view part = Trim(rest.substr(0, end));
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

}  // namespace

std::string MediaType(std::string_view content_type) { return Lower(TakePart(content_type)); }

std::optional<std::string_view> MediaTypeParameter(std::string_view content_type,
                                                   std::string_view name) {
  std::optional<std::string_view> found;
  (void)TakePart(content_type);
  while (!content_type.empty()) {
    const std::string_view parameter = TakePart(content_type);
    const size_t equals = parameter.find('=');
    if (equals == std::string_view::npos || Lower(Trim(parameter.substr(0, equals))) != name)
      continue;
    std::string_view value = Trim(parameter.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
      value = value.substr(1, value.size() - 2);
    found = value;
  }
  return found;
}

}  // namespace basalt::ingest
