#include "query/promql/regex.h"

#include <re2/re2.h>

#include <algorithm>
#include <string>
#include <utility>

#include "engine/base/labels.h"
#include "engine/base/regex_syntax.h"

namespace basalt::promql {
namespace {

using storage::MatchType;

bool IsRegex(const storage::Matcher& matcher) {
  return matcher.type == MatchType::kRegex || matcher.type == MatchType::kNotRegex;
}

RE2::Options Quiet() {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_dot_nl(true);
  return options;
}

// Go's regexp package is RE2's younger brother: the same codes with other words.
std::string_view GoReason(RE2::ErrorCode code) {
  switch (code) {
    case RE2::ErrorBadEscape:
      return "invalid escape sequence";
    case RE2::ErrorBadCharClass:
      return "invalid character class";
    case RE2::ErrorBadCharRange:
      return "invalid character class range";
    case RE2::ErrorMissingBracket:
      return "missing closing ]";
    case RE2::ErrorMissingParen:
      return "missing closing )";
    case RE2::ErrorUnexpectedParen:
      return "unexpected )";
    case RE2::ErrorTrailingBackslash:
      return "trailing backslash at end of expression";
    case RE2::ErrorRepeatArgument:
      return "missing argument to repetition operator";
    case RE2::ErrorRepeatSize:
      return "invalid repeat count";
    case RE2::ErrorRepeatOp:
      return "invalid nested repetition operator";
    case RE2::ErrorBadPerlOp:
      return "invalid or unsupported Perl syntax";
    case RE2::ErrorBadUTF8:
      return "invalid UTF-8";
    case RE2::ErrorBadNamedCapture:
      return "invalid named capture";
    case RE2::ErrorPatternTooLarge:
      return "expression too large";
    case RE2::ErrorInternal:
    case RE2::NoError:
      break;
  }
  return "regexp/syntax: internal error";
}

// `\C`, any byte, is RE2's alone: Go refuses it, as text is UTF-8 there.
bool MatchesSingleBytes(std::string_view pattern) {
  for (size_t i = 0; i + 1 < pattern.size(); ++i) {
    if (pattern[i] != '\\') continue;
    ++i;
    if (pattern[i] == 'C') return true;
    if (pattern[i] == 'Q') i = std::min(pattern.find("\\E", i), pattern.size());
  }
  return false;
}

Status Invalid(std::string_view reason, std::string_view fragment) {
  std::string message = "error parsing regexp: ";
  message += reason;
  message += ": `";
  message += fragment;
  message += '`';
  return InvalidArgument(std::move(message));
}

// The part of `pattern` that RE2 complains of, as it was before it was spelled for RE2.
std::string AsGiven(std::string fragment, std::string_view pattern) {
  constexpr std::string_view kOurs = "(?P<";
  if (pattern.find(fragment) != std::string_view::npos) return fragment;
  for (size_t at = 0; (at = fragment.find(kOurs, at)) != std::string::npos; at += 3)
    fragment.replace(at, kOurs.size(), "(?<");
  return fragment;
}

}  // namespace

Status CheckRegex(const storage::Matcher& matcher) {
  if (!IsRegex(matcher)) return OkStatus();
  const RE2 regex(SpelledForRe2(matcher.value), Quiet());
  if (regex.ok())
    return MatchesSingleBytes(matcher.value) ? Invalid(GoReason(RE2::ErrorBadEscape), "\\C")
                                             : OkStatus();
  const std::string_view pattern = matcher.value;
  switch (regex.error_code()) {
    case RE2::ErrorTrailingBackslash:  // Go shows no fragment
      return Invalid(GoReason(RE2::ErrorTrailingBackslash), "");
    case RE2::ErrorBadUTF8:
      // RE2 says so of `\x{` at the end as well.
      if (IsValidUtf8(pattern))
        return Invalid(GoReason(RE2::ErrorBadEscape), pattern.substr(pattern.rfind('\\')));
      return Invalid(GoReason(RE2::ErrorBadUTF8), pattern);
    default:
      return Invalid(GoReason(regex.error_code()), AsGiven(regex.error_arg(), pattern));
  }
}

bool MatchesEmpty(const storage::Matcher& matcher) {
  switch (matcher.type) {
    case MatchType::kEqual:
      return matcher.value.empty();
    case MatchType::kNotEqual:
      return !matcher.value.empty();
    case MatchType::kRegex:
    case MatchType::kNotRegex:
      return RE2::FullMatch("", RE2(SpelledForRe2(matcher.value), Quiet())) ==
             (matcher.type == MatchType::kRegex);
  }
  return false;
}

}  // namespace basalt::promql
