#include "query/promql/lexer.h"

#include <algorithm>
#include <array>
#include <utility>

namespace basalt::promql {
namespace {

using enum TokenType;

constexpr char32_t kEndOfInput =
    0xFFFFFFFF;  // no rune; quoted it shows as '�', as upstream's -1 does
constexpr std::string_view kDecimalDigits = "0123456789";

bool IsSpace(char32_t c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool IsDigit(char32_t c) { return c >= '0' && c <= '9'; }
bool IsAlpha(char32_t c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsAlphaNumeric(char32_t c) { return IsAlpha(c) || IsDigit(c); }

bool IsOneOf(char32_t c, std::string_view ascii) {
  return c < 0x80 && ascii.find(static_cast<char>(c)) != std::string_view::npos;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

struct Keyword {
  std::string_view word;
  TokenType type;
};

constexpr Keyword kKeywords[] = {
    {"and", kAnd},
    {"or", kOr},
    {"unless", kUnless},
    {"atan2", kAtan2},
    {"sum", kSum},
    {"avg", kAvg},
    {"count", kCount},
    {"min", kMin},
    {"max", kMax},
    {"group", kGroup},
    {"stddev", kStddev},
    {"stdvar", kStdvar},
    {"topk", kTopk},
    {"bottomk", kBottomk},
    {"count_values", kCountValues},
    {"quantile", kQuantile},
    {"limitk", kLimitk},
    {"limit_ratio", kLimitRatio},
    {"offset", kOffset},
    {"smoothed", kSmoothed},
    {"anchored", kAnchored},
    {"by", kBy},
    {"without", kWithout},
    {"on", kOn},
    {"ignoring", kIgnoring},
    {"group_left", kGroupLeft},
    {"group_right", kGroupRight},
    {"fill", kFill},
    {"fill_left", kFillLeft},
    {"fill_right", kFillRight},
    {"bool", kBool},
    {"start", kStart},
    {"end", kEnd},
    {"step", kStep},
    {"range", kRange},
    {"max_of", kMaxOf},
    {"min_of", kMinOf},
    {"inf", kNumber},
    {"nan", kNumber},
};
constexpr size_t kLongestKeyword = 12;  // count_values

// kIdentifier if `word` is no keyword. Case does not matter.
TokenType KeywordType(std::string_view word) {
  if (word.size() > kLongestKeyword) return kIdentifier;
  const std::string lower = Lower(word);
  const auto* const found = std::find_if(std::begin(kKeywords), std::end(kKeywords),
                                         [&](const Keyword& k) { return k.word == lower; });
  return found == std::end(kKeywords) ? kIdentifier : found->type;
}

bool IsDurationWord(TokenType type) { return IsBetween(type, kStep, kMinOf); }
bool MayStartDurationWord(char32_t c) { return IsOneOf(c, "sSrRmM"); }

}  // namespace

std::string Describe(const Token& token) {
  const auto in = [&](TokenType first, TokenType last) {
    return IsBetween(token.type, first, last);
  };
  const auto tagged = [&](std::string_view tag) {
    return "<" + std::string(tag) + std::string(token.text) + ">";
  };
  if (token.type == kEof) return "end of input";
  if (in(kAdd, kAt)) return tagged("op:");
  if (in(kSum, kLimitRatio)) return tagged("aggr:");
  if (in(kBool, kWithout)) return tagged("");
  if (token.type == kIdentifier) return "identifier " + GoQuoted(token.text);
  if (token.type == kMetricIdentifier) return "metric identifier " + GoQuoted(token.text);

  std::string quoted = GoQuoted(token.text);
  if (constexpr size_t kShown = 10; token.text.size() > kShown)
    quoted = GoQuoted(FirstRunes(token.text, kShown)) + "...";
  if (token.type == kNumber) return "number " + quoted;
  if (token.type == kDuration) return "duration " + quoted;
  if (token.type == kString) return "string " + quoted;
  return quoted;
}

Token Lexer::Next() {
  if (ended_) {
    start_ = pos_;
    Emit(kEof);
    return token_;
  }
  for (;;) {
    Step step = Step::kSkipped;
    if (in_duration_) {
      step = ScanInDuration();
    } else if (input_.substr(pos_).starts_with('#')) {
      SkipComment();
    } else if (brace_open_) {
      step = ScanInBraces();
    } else {
      step = ScanStatement();
    }
    if (step == Step::kToken) return token_;
  }
}

Lexer::Step Lexer::Emit(TokenType type) {
  token_ = {type, input_.substr(start_, pos_ - start_), static_cast<int32_t>(start_)};
  start_ = pos_;
  return Step::kToken;
}

Lexer::Step Lexer::Fail(std::string message) {
  error_ = std::move(message);
  token_ = {kError, {}, static_cast<int32_t>(start_)};
  ended_ = true;
  return Step::kToken;
}

char32_t Lexer::NextRune() {
  const Rune rune = DecodeRune(input_.substr(pos_));
  width_ = static_cast<size_t>(rune.width);
  pos_ += width_;
  return width_ == 0 ? kEndOfInput : rune.code;
}

char32_t Lexer::Peek() {
  const char32_t c = NextRune();
  Backup();
  return c;
}

bool Lexer::Accept(std::string_view valid) {
  if (IsOneOf(NextRune(), valid)) return true;
  Backup();
  return false;
}

void Lexer::AcceptRun(std::string_view valid) {
  while (Accept(valid)) {
  }
}

bool Lexer::Is(std::string_view valid) { return IsOneOf(Peek(), valid); }

void Lexer::SkipSpaces() {
  while (IsSpace(Peek())) NextRune();
  start_ = pos_;
}

void Lexer::SkipComment() {
  pos_ = std::min(input_.find_first_of("\r\n", pos_), input_.size());
  start_ = pos_;
}

Lexer::Step Lexer::ScanStatement() {
  const char32_t c = NextRune();
  if (c == kEndOfInput) {
    if (paren_depth_ != 0) return Fail("unclosed left parenthesis");
    if (bracket_open_) return Fail("unclosed left bracket");
    ended_ = true;
    return Emit(kEof);
  }
  if (IsSpace(c)) {
    SkipSpaces();
    return Step::kSkipped;
  }
  if (IsDigit(c) || (c == '.' && IsDigit(Peek()))) {
    pos_ = start_;
    return ScanNumberOrDuration();
  }
  if (c == '"' || c == '\'') return ScanString(c);
  if (c == '`') return ScanRawString();
  if (IsAlpha(c) || c == ':') {
    if (bracket_open_) return ScanWordInBracket(c);
    return ScanWord();
  }
  if (IsOneOf(c, "(){[]")) return ScanBracketOrParen(c);
  return ScanOperator(c);
}

Lexer::Step Lexer::ScanOperator(char32_t c) {
  switch (c) {
    case ',':
      return Emit(kComma);
    case '*':
      return Emit(kMul);
    case '/':
      return Emit(kDiv);
    case '%':
      return Emit(kMod);
    case '+':
      return Emit(kAdd);
    case '-':
      return Emit(kSub);
    case '^':
      return Emit(kPow);
    case '@':
      return Emit(kAt);
    case '=':
      if (Accept("=")) return Emit(kEqual);
      if (Is("~")) return Fail("unexpected character after '=': '~'");
      return Emit(kAssign);
    case '!':
      if (const char32_t after = NextRune(); after != '=')
        return Fail("unexpected character after '!': " + GoQuotedRune(after));
      return Emit(kNotEqual);
    case '<':
      if (Accept("=")) return Emit(kLessEqual);
      return Emit(Accept("/") ? kTrimUpper : kLess);
    case '>':
      if (Accept("=")) return Emit(kGreaterEqual);
      return Emit(Accept("/") ? kTrimLower : kGreater);
    default:
      return Fail("unexpected character: " + GoQuotedRune(c));
  }
}

Lexer::Step Lexer::ScanBracketOrParen(char32_t c) {
  switch (c) {
    case '(':
      ++paren_depth_;
      return Emit(kLeftParen);
    case ')':
      return CloseParen(c);
    case '{':
      brace_open_ = true;
      return Emit(kLeftBrace);
    case '[':
      if (bracket_open_) return Fail("unexpected left bracket '['");
      got_colon_ = false;
      bracket_open_ = true;
      in_duration_ = true;
      Emit(kLeftBracket);
      SkipSpaces();
      return Step::kToken;
    default:
      if (!bracket_open_) return Fail("unexpected right bracket ']'");
      bracket_open_ = false;
      return Emit(kRightBracket);
  }
}

// Upstream has passed the token on before it finds the error, which is why the error stands behind
// it.
Lexer::Step Lexer::CloseParen(char32_t c) {
  Emit(kRightParen);
  if (--paren_depth_ < 0) return Fail("unexpected right parenthesis " + GoQuotedRune(c));
  return Step::kToken;
}

// Behind the first number in a bracket, where only `:` and the words of duration expressions may
// come.
Lexer::Step Lexer::ScanWordInBracket(char32_t c) {
  if (c == ':') {
    if (got_colon_) return Fail("unexpected colon ':'");
    got_colon_ = true;
    return Emit(kColon);
  }
  if (MayStartDurationWord(c) && ScanDurationWord()) return Step::kToken;
  return Fail("unexpected character: " + GoQuotedRune(c) + ", expected ':'");
}

Lexer::Step Lexer::ScanInDuration() {
  const char32_t c = NextRune();
  if (c == kEndOfInput) return Fail("unexpected end of input in duration expression");
  if (IsSpace(c)) {
    SkipSpaces();
    return Step::kSkipped;
  }
  if (MayStartDurationWord(c) && ScanDurationWord()) return Step::kToken;
  if (IsDigit(c) || (c == '.' && IsDigit(Peek()))) {
    pos_ = start_;
    got_duration_ = true;
    in_duration_ = false;
    return ScanNumberOrDuration();
  }
  switch (c) {
    case ']':
      bracket_open_ = false;
      got_colon_ = false;
      in_duration_ = false;
      return Emit(kRightBracket);
    case ':':
      Emit(kColon);
      if (!got_duration_) return Fail("unexpected colon before duration in duration expression");
      if (got_colon_) return Fail("unexpected repeated colon in duration expression");
      got_colon_ = true;
      return Step::kToken;
    case ')':
      return CloseParen(c);
    case '(':
      return ScanBracketOrParen(c);
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
    case '^':
    case ',':
      return ScanOperator(c);
    default:
      return Fail("unexpected character in duration expression: " + GoQuotedRune(c));
  }
}

bool Lexer::ScanDurationWord() {
  while (IsAlpha(NextRune())) {
  }
  Backup();
  const TokenType type = KeywordType(input_.substr(start_, pos_ - start_));
  if (!IsDurationWord(type)) return false;
  Emit(type);
  return true;
}

Lexer::Step Lexer::ScanInBraces() {
  const char32_t c = NextRune();
  if (c == kEndOfInput) return Fail("unexpected end of input inside braces");
  if (IsSpace(c)) {
    SkipSpaces();
    return Step::kSkipped;
  }
  if (IsAlpha(c)) {
    while (IsAlphaNumeric(Peek())) NextRune();
    return Emit(kIdentifier);
  }
  switch (c) {
    case ',':
      return Emit(kComma);
    case '"':
    case '\'':
      return ScanString(c);
    case '`':
      return ScanRawString();
    case '=':
      return Emit(Accept("~") ? kRegexMatch : kAssign);
    case '!': {
      const char32_t after = NextRune();
      if (after == '~') return Emit(kRegexNoMatch);
      if (after == '=') return Emit(kNotEqual);
      return Fail("unexpected character after '!' inside braces: " + GoQuotedRune(after));
    }
    case '{':
      return Fail("unexpected left brace '{'");
    case '}':
      brace_open_ = false;
      return Emit(kRightBrace);
    default:
      return Fail("unexpected character inside braces: " + GoQuotedRune(c));
  }
}

Lexer::Step Lexer::ScanWord() {
  for (char32_t c = Peek(); IsAlphaNumeric(c) || c == ':'; c = Peek()) NextRune();
  const std::string_view word = input_.substr(start_, pos_ - start_);
  TokenType type = KeywordType(word);
  // fill is a metric's name in many places, so it is a keyword only before its parenthesis.
  if (IsBetween(type, kFill, kFillRight) && !ParenFollows()) type = kIdentifier;
  if (type == kIdentifier && word.find(':') != std::string_view::npos) type = kMetricIdentifier;
  return Emit(type);
}

bool Lexer::ParenFollows() const {
  const size_t next = input_.find_first_not_of(" \t\r\n", pos_);
  return next != std::string_view::npos && input_[next] == '(';
}

Lexer::Step Lexer::ScanString(char32_t quote) {
  for (;;) {
    const char32_t c = NextRune();
    if (c == quote) return Emit(kString);
    if (c == kEndOfInput || c == '\n') return Fail("unterminated quoted string");
    if (c == kRuneError) return Fail("invalid UTF-8 rune");
    if (c == '\\' && !ScanEscape(quote)) return Step::kToken;
  }
}

Lexer::Step Lexer::ScanRawString() {
  for (;;) {
    const char32_t c = NextRune();
    if (c == '`') return Emit(kString);
    if (c == kEndOfInput) return Fail("unterminated raw string");
    if (c == kRuneError) return Fail("invalid UTF-8 rune");
  }
}

// Behind a backslash. False if it has failed.
bool Lexer::ScanEscape(char32_t quote) {
  const auto fail = [&](std::string message) {
    Fail(std::move(message));
    return false;
  };
  char32_t c = NextRune();
  if (c == quote || IsOneOf(c, "abfnrtv\\")) return true;
  if (c == kEndOfInput) return fail("escape sequence not terminated");

  int digits = 3;
  char32_t base = 8;
  char32_t most = 255;
  if (IsOneOf(c, "xuU")) {
    digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
    base = 16;
    most = c == 'x' ? 255 : 0x10FFFF;
    c = NextRune();
  } else if (!(c >= '0' && c <= '7')) {
    return fail("unknown escape sequence " + GoUnicode(c));
  }
  uint64_t value = 0;
  for (;;) {
    char32_t digit = base;
    if (IsDigit(c)) digit = c - '0';
    if (IsOneOf(c, "abcdefABCDEF")) digit = (c | 0x20U) - 'a' + 10;
    if (digit >= base) {
      if (c == kEndOfInput) return fail("escape sequence not terminated");
      return fail("illegal character " + GoUnicode(c) + " in escape sequence");
    }
    value = value * base + digit;
    if (--digits == 0) break;
    c = NextRune();
  }
  if (value > most || (value >= 0xD800 && value <= 0xDFFF))
    return fail("escape sequence is an invalid Unicode code point");
  return true;
}

Lexer::Step Lexer::ScanNumberOrDuration() {
  if (ScanNumber()) return Emit(kNumber);
  if (ScanRestOfDuration()) return Emit(kDuration);
  return Fail("bad number or duration syntax: " + GoQuoted(input_.substr(start_, pos_ - start_)));
}

// Units in a wrong order, or such as `hs`, pass here and are found when the duration is parsed.
// What has been read when it fails shows in the error message, so the order of reading is part of
// the contract.
bool Lexer::ScanRestOfDuration() {
  if (!Accept("smhdwy")) return false;
  Accept("s");
  while (Accept(kDecimalDigits)) {
    AcceptRun(kDecimalDigits);
    if (!Accept("smhdw")) return false;  // years come first or not at all
    Accept("s");
  }
  if (IsAlphaNumeric(NextRune())) return false;
  Backup();
  return true;
}

// Decimal, octal, hexadecimal or float, possibly with underscores. Not everything that passes is a
// number: that is found when it is parsed. As above, how far it has read when it fails shows in
// messages.
bool Lexer::ScanNumber() {
  bool hex = false;
  if (Accept("0") && Accept("xX")) {
    Accept("_");
    hex = true;
  }
  const std::string_view digits = hex ? "0123456789abcdefABCDEF" : kDecimalDigits;
  Accept(".");
  Accept(digits);
  bool dot_seen = false;
  bool exponent_seen = false;
  while (Is(digits) || Is("._eE")) {
    if ((Is(".") && dot_seen) || (Is("eE") && exponent_seen)) {
      NextRune();
      return false;
    }
    if (Accept(".")) {
      dot_seen = true;
      if (Accept("_.") || hex) return false;
    } else if (Accept("eE")) {
      exponent_seen = true;
      Accept("+-");
      if (Accept("._eE") || Peek() == kEndOfInput) return false;
    } else if (Accept("_")) {
      if (Accept("._eE") || Peek() == kEndOfInput) return false;
    } else {
      AcceptRun(digits);
    }
  }
  return pos_ != start_ && !IsAlphaNumeric(Peek());
}

}  // namespace basalt::promql
