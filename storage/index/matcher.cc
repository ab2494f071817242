#include "storage/index/matcher.h"

#include <re2/re2.h>

#include <algorithm>
#include <utility>

namespace basalt::storage {

namespace index_internal {

namespace {

constexpr std::string_view kMeta = R"(\.+*?()|[]{}^$)";

bool IsMeta(char c) { return kMeta.find(c) != std::string_view::npos; }

// Reads one literal character, escaped or plain. Escapes of letters and digits are classes and
// assertions, or numbers: not ours to read.
bool TakeLiteral(std::string_view& in, char& out) {
  if (in.empty()) return false;
  if (in[0] == '\\') {
    if (in.size() < 2 || !IsMeta(in[1])) return false;
    out = in[1];
    in.remove_prefix(2);
    return true;
  }
  if (IsMeta(in[0])) return false;
  out = in[0];
  in.remove_prefix(1);
  return true;
}

}  // namespace

bool LiteralAlternatives(std::string_view pattern, std::vector<std::string>& out) {
  if (pattern.size() >= 2 && pattern.front() == '(' && pattern.back() == ')') {
    // "(a)|(b)" does not get here whole: the loop below stops at its inner parenthesis. An escaped
    // last parenthesis does not close the group.
    pattern.remove_prefix(pattern.starts_with("(?:") ? 3 : 1);
    pattern.remove_suffix(1);
    if (pattern.ends_with('\\')) return false;
  }
  std::vector<std::string> found(1);
  while (!pattern.empty()) {
    if (pattern[0] == '|') {
      found.emplace_back();
      pattern.remove_prefix(1);
      continue;
    }
    char c = 0;
    if (!TakeLiteral(pattern, c)) return false;
    found.back() += c;
  }
  out = std::move(found);
  return true;
}

std::string LiteralPrefix(std::string_view pattern, std::string_view& rest) {
  // An alternative anywhere could be the top level's; telling which is not worth a parser.
  rest = pattern;
  std::string prefix;
  if (pattern.find('|') != std::string_view::npos) return prefix;
  while (true) {
    std::string_view after = rest;
    char c = 0;
    if (!TakeLiteral(after, c)) break;
    // A quantifier binds to this character, which is then not certain to be there. UTF-8: it binds
    // to the whole character, so its lead bytes go too.
    if (!after.empty() &&
        (after[0] == '*' || after[0] == '?' || after[0] == '{' || after[0] == '+')) {
      while (!prefix.empty() && (static_cast<unsigned char>(c) & 0xC0) == 0x80) {
        c = prefix.back();
        prefix.pop_back();
      }
      break;
    }
    prefix += c;
    rest = after;
  }
  return prefix;
}

}  // namespace index_internal

CompiledMatcher::~CompiledMatcher() = default;
CompiledMatcher::CompiledMatcher(CompiledMatcher&&) noexcept = default;
CompiledMatcher& CompiledMatcher::operator=(CompiledMatcher&&) noexcept = default;

Result<CompiledMatcher> CompiledMatcher::Compile(const Matcher& matcher) {
  CompiledMatcher made;
  made.matcher_ = matcher;
  made.positive_ = matcher.type == MatchType::kEqual || matcher.type == MatchType::kRegex;
  if (matcher.type == MatchType::kEqual || matcher.type == MatchType::kNotEqual) {
    made.shape_ = Shape::kLiterals;
    made.literals_ = {matcher.value};
  } else {
    // Compiled even where a shape makes it needless: what is wrong must be said whatever the shape.
    RE2::Options options;
    options.set_log_errors(false);
    std::string anchored = "^(?s:" + matcher.value + ")$";
    made.regex_ = std::make_unique<RE2>(anchored, options);
    if (!made.regex_->ok()) {
      std::string text = matcher.name + (made.positive_ ? "=~" : "!~");
      AppendQuoted(matcher.value, text);
      return InvalidArgument("matcher " + text + ": " + made.regex_->error());
    }
    if (matcher.value == ".*") {
      made.shape_ = Shape::kAll;
    } else if (matcher.value == ".+") {
      made.shape_ = Shape::kNonEmpty;
    } else if (index_internal::LiteralAlternatives(matcher.value, made.literals_)) {
      made.shape_ = Shape::kLiterals;
    } else {
      std::string_view rest;
      made.prefix_ = index_internal::LiteralPrefix(matcher.value, rest);
      made.any_suffix_ = rest == ".*";
    }
    if (made.shape_ != Shape::kExpression || made.any_suffix_) made.regex_.reset();
  }
  std::sort(made.literals_.begin(), made.literals_.end());
  made.literals_.erase(std::unique(made.literals_.begin(), made.literals_.end()),
                       made.literals_.end());
  made.matches_empty_ = made.Matches("");
  return made;
}

bool CompiledMatcher::MatchesPattern(std::string_view value) const {
  switch (shape_) {
    case Shape::kLiterals:
      return std::binary_search(literals_.begin(), literals_.end(), value, std::less<>());
    case Shape::kAll:
      return true;
    case Shape::kNonEmpty:
      return !value.empty();
    case Shape::kExpression:
      break;
  }
  if (!value.starts_with(prefix_)) return false;
  return any_suffix_ || RE2::FullMatch(re2::StringPiece(value.data(), value.size()), *regex_);
}

}  // namespace basalt::storage
