#include "engine/base/regex_syntax.h"

#include <algorithm>

namespace basalt {
namespace {

constexpr std::string_view kNamed = "(?<";

// The end of what is one thing at `at`: an escape, a quotation, a class, or a character.
size_t EndOf(std::string_view pattern, size_t at) {
  if (pattern[at] == '\\') {
    if (pattern.substr(at, 2) != "\\Q") return std::min(at + 2, pattern.size());
    const size_t end = pattern.find("\\E", at + 2);
    return end == std::string_view::npos ? pattern.size() : end + 2;
  }
  if (pattern[at] != '[') return at + 1;
  ++at;
  if (pattern.substr(at, 1) == "^") ++at;
  if (pattern.substr(at, 1) == "]") ++at;  // a first one is a member
  while (at < pattern.size() && pattern[at] != ']') {
    if (pattern.substr(at, 2) == "[:") {
      const size_t end = pattern.find(":]", at + 2);
      at = end == std::string_view::npos ? at + 1 : end + 2;
    } else {
      at += pattern[at] == '\\' ? 2 : 1;
    }
  }
  return std::min(at + 1, pattern.size());
}

}  // namespace

std::string SpelledForRe2(std::string_view pattern) {
  std::string out;
  if (pattern.find(kNamed) == std::string_view::npos) return out.assign(pattern);
  for (size_t at = 0; at < pattern.size();) {
    if (pattern.substr(at, kNamed.size()) == kNamed) {
      out += "(?P<";
      at += kNamed.size();
      continue;
    }
    const size_t end = EndOf(pattern, at);
    out += pattern.substr(at, end - at);
    at = end;
  }
  return out;
}

}  // namespace basalt
