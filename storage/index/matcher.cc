#include "storage/index/matcher.h"

#include <re2/re2.h>

#include <algorithm>
#include <utility>

#include "engine/base/regex_syntax.h"

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

std::string LiteralPrefix(std::string_view pattern) {
  // An alternative anywhere could be the top level's; telling which is not worth a parser.
  std::string_view rest = pattern;
  std::string prefix;
  if (pattern.find('|') != std::string_view::npos) return prefix;
  while (true) {
    std::string_view after = rest;
    char c = 0;
    if (!TakeLiteral(after, c)) break;
    // A quantifier binds to this character, which is then not certain to be there; so does one that
    // follows flags or an empty quotation, "a(?i)*" and "a\Q\E*". UTF-8: it binds to the whole
    // character, so its lead bytes go too.
    const bool may_be_repeated =
        !after.empty() && (std::string_view("*?{+").find(after[0]) != std::string_view::npos ||
                           after.starts_with("(?") || after.starts_with("\\Q"));
    if (may_be_repeated) {
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
    auto globs =
        IsValidUtf8(matcher.value) ? index_internal::ParseGlobs(matcher.value) : std::nullopt;
    if (!globs.has_value() || !made.TakeShape(*std::move(globs))) {
      BASALT_TRY(made.CompileExpression());
    }
  }
  std::sort(made.literals_.begin(), made.literals_.end());
  made.literals_.erase(std::unique(made.literals_.begin(), made.literals_.end()),
                       made.literals_.end());
  made.matches_empty_ = made.Matches("");
  return made;
}

Status CompiledMatcher::CompileExpression() {
  RE2::Options options;
  options.set_log_errors(false);
  const std::string anchored = "^(?s:" + SpelledForRe2(matcher_.value) + ")$";
  regex_ = std::make_unique<RE2>(anchored, options);
  if (!regex_->ok()) {
    std::string text = matcher_.name + (positive_ ? "=~" : "!~");
    AppendQuoted(matcher_.value, text);
    return InvalidArgument("matcher " + text + ": " + regex_->error());
  }
  prefix_ = index_internal::LiteralPrefix(matcher_.value);
  return OkStatus();
}

bool CompiledMatcher::TakeShape(std::vector<index_internal::Glob> globs) {
  // Beyond this one automaton is faster than one glob after another.
  constexpr size_t kMaxAskedGlobs = 32;
  const index_internal::Glob anything{.literals = {"", ""}, .at_least = {0}};
  const index_internal::Glob something{.literals = {"", ""}, .at_least = {1}};
  const auto is_literal = [](const index_internal::Glob& glob) { return glob.is_literal(); };
  if (std::find(globs.begin(), globs.end(), anything) != globs.end()) {
    shape_ = Shape::kAll;
  } else if (globs.size() == 1 && globs[0] == something) {
    shape_ = Shape::kNonEmpty;
  } else if (std::all_of(globs.begin(), globs.end(), is_literal)) {
    shape_ = Shape::kLiterals;
    for (index_internal::Glob& glob : globs) literals_.push_back(std::move(glob.literals[0]));
  } else {
    if (globs.size() > kMaxAskedGlobs) return false;
    globs_ = std::move(globs);
  }
  return true;
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
  if (regex_ == nullptr) {
    return std::any_of(globs_.begin(), globs_.end(),
                       [&](const index_internal::Glob& glob) { return glob.Matches(value); });
  }
  return value.starts_with(prefix_) &&
         RE2::FullMatch(re2::StringPiece(value.data(), value.size()), *regex_);
}

}  // namespace basalt::storage
