// query/promql/grammar.h -- the recursive descent itself. Private to this folder; parser.h is the
// face.
//
// Upstream's parser is an LALR table, and which of several errors it reports depends on when it
// looks at the next token. Parsing here stops at the first error, so all that is needed is that
// checks happen in the same order: a check that upstream makes without having seen the next token
// stands before the Peek(), any other one behind it. docs/grammar.md has the list.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "query/promql/lexer.h"
#include "query/promql/parser.h"

namespace basalt::promql {

// Whether an expression can start with that token.
bool MayStartExpression(TokenType type);

// One parse of one query. One thread.
class Grammar {
 public:
  Grammar(std::string_view query, const ParseOptions& options) : lexer_(query), options_(options) {}

  // The whole query as an expression. Empty if it fails; error() then says why.
  std::optional<ExprPtr> ParseQuery();
  // The whole query as a selector without modifiers.
  std::optional<VectorSelector> ParseSelectorQuery();
  [[nodiscard]] const ParseError& error() const { return *error_; }

 private:
  // An expression that modifiers may still change. `height` bounds the tree's depth.
  struct Operand {
    Expr::Node node;
    PosRange pos;
    int height = 1;
  };
  struct Sealed {
    ExprPtr expr;
    int height = 1;
  };
  // What "unexpected ..." says in the part of the query being parsed; the innermost one counts.
  struct Context {
    std::string_view where;     // "offset"
    std::string_view expected;  // "number, duration, step(), or range()"
  };
  class ContextScope;
  class DepthScope;

  // Expressions (grammar.cc).
  std::optional<Operand> ParseExpression(int least_precedence);
  std::optional<Operand> ParseUnary();
  std::optional<Operand> ParsePrimary();
  std::optional<Operand> ParseParen();
  std::optional<Operand> ParseNumberLiteral();
  std::optional<Operand> ParseWord();
  std::optional<Operand> ParseCall(const Token& name);
  std::optional<Operand> ParseAggregate(const Token& op);
  std::optional<Operand> ParseBinary(Operand lhs, const Token& op, int precedence);
  struct Arguments {
    std::vector<ExprPtr> exprs;
    int height = 0;
    int32_t end = 0;  // behind the closing parenthesis
  };
  std::optional<Arguments> ParseArguments();
  bool ParseAggregateModifier(Aggregate& aggregate);

  // What stands between a binary operator and its right side (grammar_matching.cc).
  struct BinaryModifiers {
    VectorMatching matching;
    bool return_bool = false;
  };
  std::optional<BinaryModifiers> ParseBinaryModifiers();
  std::optional<double> ParseFillValue();
  std::optional<std::vector<std::string>> ParseGroupingLabels();
  std::optional<std::string> ParseGroupingLabel();

  // Selectors and what may stand behind an expression (grammar_selector.cc).
  std::optional<VectorSelector> ParseVectorSelector(const Token* name, PosRange& pos);
  bool ParseMatchers(VectorSelector& selector, PosRange& pos);
  std::optional<storage::Matcher> ParseMatcher();
  bool ParsePostfix(Operand& operand);
  bool ParseBrackets(Operand& operand);
  bool ParseOffset(Operand& operand);
  bool ParseAt(Operand& operand);
  bool ApplyOffset(Operand& operand, DurationValue offset);
  bool ApplyAt(Operand& operand, AtModifier at);
  bool ApplyMode(Operand& operand, const Token& word);

  // Durations (grammar_duration.cc).
  struct Duration {
    std::shared_ptr<DurationExpr> expr;
    int height = 1;
  };
  std::optional<Duration> ParseDurationExpr(int least_precedence);
  std::optional<Duration> ParseDurationOperand();
  std::optional<Duration> ParseDurationLiteral();
  std::optional<Duration> ParseDurationWord();
  std::optional<Duration> ParseDurationParen();
  std::optional<Duration> ParseOffsetDuration();
  std::optional<Duration> ContinueDurationExpr(Duration lhs, int least_precedence);
  std::optional<Duration> Negated(const Token& sign, Duration operand);
  std::optional<DurationValue> ParsePositiveDuration();
  static DurationValue Fold(const Duration& duration);

  // Numbers and strings.
  std::optional<double> ParseNumberToken(const Token& token);

  // Tokens and errors (grammar.cc).
  const Token& Peek();
  Token Take();
  [[nodiscard]] bool At(TokenType type) { return Peek().type == type; }
  // Takes the next token if it is of that type, otherwise complains about it.
  bool Expect(TokenType type);
  // Records the first error; later ones are not reported. Always false.
  bool Fail(PosRange pos, std::string message);
  bool Unexpected();
  // Fails if `levels` is above `most`.
  bool CheckDepth(int levels, int most, PosRange pos);
  std::optional<Sealed> Seal(std::optional<Operand> operand);

  Lexer lexer_;
  const ParseOptions& options_;
  std::optional<Token> next_;
  int32_t last_closing_ =
      0;  // end of the last bracket, parenthesis, brace or number that was taken
  Context context_;
  int depth_ = 0;
  std::optional<ParseError> error_;
};

class Grammar::ContextScope {
 public:
  ContextScope(Grammar& grammar, std::string_view where, std::string_view expected)
      : grammar_(grammar), outer_(grammar.context_) {
    grammar.context_ = {where, expected};
  }
  ~ContextScope() { grammar_.context_ = outer_; }
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;
  // From here on another thing is expected.
  void Change(std::string_view where, std::string_view expected) {
    grammar_.context_ = {where, expected};
  }

 private:
  Grammar& grammar_;
  Context outer_;
};

class Grammar::DepthScope {
 public:
  explicit DepthScope(Grammar& grammar) : grammar_(grammar) { ++grammar_.depth_; }
  ~DepthScope() { --grammar_.depth_; }
  DepthScope(const DepthScope&) = delete;
  DepthScope& operator=(const DepthScope&) = delete;

 private:
  Grammar& grammar_;
};

}  // namespace basalt::promql
