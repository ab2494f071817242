// query/promql/lexer.h -- query text to tokens.
//
// The lexer is what decides a keyword from a name, and inside brackets and braces it reads by other
// rules: braces know no keywords, brackets only durations and their arithmetic. Its errors end the
// query, as they do upstream.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "query/promql/ast.h"
#include "query/promql/text.h"

namespace basalt::promql {

// Grouped as error messages group them: `<op:+>`, `<aggr:sum>`, `<by>` (see Describe).
enum class TokenType : uint8_t {
  kError,
  kEof,
  kIdentifier,
  kMetricIdentifier,  // has a colon
  kNumber,
  kDuration,
  kString,  // with its quotes
  // Punctuation.
  kLeftParen,
  kRightParen,
  kLeftBrace,
  kRightBrace,
  kLeftBracket,
  kRightBracket,
  kComma,
  kColon,
  kAssign,  // =
  // Operators.
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMod,
  kPow,
  kAtan2,
  kEqual,
  kNotEqual,
  kGreater,
  kLess,
  kGreaterEqual,
  kLessEqual,
  kTrimUpper,
  kTrimLower,
  kAnd,
  kOr,
  kUnless,
  kRegexMatch,
  kRegexNoMatch,
  kAt,
  // Aggregators, in the order of AggregateOp.
  kSum,
  kAvg,
  kCount,
  kMin,
  kMax,
  kGroup,
  kStddev,
  kStdvar,
  kTopk,
  kBottomk,
  kCountValues,
  kQuantile,
  kLimitk,
  kLimitRatio,
  // Keywords.
  kBool,
  kBy,
  kGroupLeft,
  kGroupRight,
  kFill,
  kFillLeft,
  kFillRight,
  kIgnoring,
  kOffset,
  kSmoothed,
  kAnchored,
  kOn,
  kWithout,
  // Words that are functions as well.
  kStart,
  kEnd,
  kStep,
  kRange,
  kMaxOf,
  kMinOf,
};

struct Token {
  TokenType type = TokenType::kEof;
  std::string_view text;  // of the query; empty for kEof and kError
  int32_t pos = 0;
  [[nodiscard]] int32_t end() const { return pos + static_cast<int32_t>(text.size()); }
  [[nodiscard]] PosRange range() const { return {pos, end()}; }
};

constexpr bool IsBetween(TokenType type, TokenType first, TokenType last) {
  return type >= first && type <= last;
}
constexpr bool IsAggregator(TokenType type) {
  return IsBetween(type, TokenType::kSum, TokenType::kLimitRatio);
}

// `identifier "foo"`, `<op:+>`, `number "5"`, `end of input`: as "unexpected ..." names a token.
std::string Describe(const Token& token);

// One thread. `input` outlives the lexer and its tokens.
class Lexer {
 public:
  explicit Lexer(std::string_view input) : input_(input) {}

  // The next token, comments and space skipped; kEof for ever at the end. After kError,
  // error_message() says why and the token's pos where; the lexer is then of no further use.
  Token Next();
  [[nodiscard]] const std::string& error_message() const { return error_; }

 private:
  // What a scanning step did: made a token, or skipped something.
  enum class Step : uint8_t { kToken, kSkipped };

  Step ScanStatement();
  Step ScanInBraces();
  Step ScanInDuration();
  Step ScanOperator(char32_t c);
  Step ScanBracketOrParen(char32_t c);
  Step ScanWordInBracket(char32_t c);
  Step ScanWord();
  Step ScanNumberOrDuration();
  Step ScanString(char32_t quote);
  Step ScanRawString();
  bool ScanEscape(char32_t quote);
  bool ScanDurationWord();
  bool ScanNumber();
  bool ScanRestOfDuration();
  Step CloseParen(char32_t c);
  void SkipSpaces();
  void SkipComment();
  [[nodiscard]] bool ParenFollows() const;

  char32_t NextRune();  // kEndOfInput at the end
  char32_t Peek();
  void Backup() { pos_ -= width_; }
  bool Accept(std::string_view valid);
  void AcceptRun(std::string_view valid);
  bool Is(std::string_view valid);

  Step Emit(TokenType type);
  Step Fail(std::string message);

  std::string_view input_;
  size_t pos_ = 0;
  size_t start_ = 0;  // of the token in the making
  size_t width_ = 0;  // of the rune read last
  Token token_;
  std::string error_;
  int paren_depth_ = 0;
  bool brace_open_ = false;
  bool bracket_open_ = false;
  bool got_colon_ = false;     // since the bracket opened
  bool got_duration_ = false;  // since any bracket opened: upstream never takes it back
  bool in_duration_ = false;   // right after `[` and up to its first number
  bool ended_ = false;
};

}  // namespace basalt::promql
