#include "query/promql/lexer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace basalt::promql {
namespace {

// All tokens as messages name them; an error as "error at 3: ...".
std::vector<std::string> Lex(std::string_view input) {
  Lexer lexer(input);
  std::vector<std::string> tokens;
  for (;;) {
    const Token token = lexer.Next();
    if (token.type == TokenType::kEof) return tokens;
    if (token.type == TokenType::kError) {
      tokens.push_back("error at " + std::to_string(token.pos) + ": " + lexer.error_message());
      return tokens;
    }
    EXPECT_EQ(token.text, input.substr(static_cast<size_t>(token.pos), token.text.size()));
    tokens.push_back(Describe(token));
  }
}

using Tokens = std::vector<std::string>;

TEST(Lexer, NamesEachKindOfTokenAsMessagesDo) {
  EXPECT_EQ(Lex("foo a:b 5 5m \"x\""),
            (Tokens{R"(identifier "foo")", R"(metric identifier "a:b")", R"(number "5")",
                    R"(duration "5m")", R"(string "\"x\"")"}));
  EXPECT_EQ(Lex("( ) ,"), (Tokens{R"("(")", "\")\"", R"(",")"}));
  EXPECT_EQ(
      Lex("+ - * / % ^ == != < > <= >= </ >/ @"),
      (Tokens{"<op:+>", "<op:->", "<op:*>", "<op:/>", "<op:%>", "<op:^>", "<op:==>", "<op:!=>",
              "<op:<>", "<op:>>", "<op:<=>", "<op:>=>", "<op:</>", "<op:>/>", "<op:@>"}));
  EXPECT_EQ(Lex("and OR unless atan2 sum Topk by ON bool start Step max_of"),
            (Tokens{"<op:and>", "<op:OR>", "<op:unless>", "<op:atan2>", "<aggr:sum>", "<aggr:Topk>",
                    "<by>", "<ON>", "<bool>", R"("start")", R"("Step")", R"("max_of")"}));
}

TEST(Lexer, ShowsTenRunesOfALongToken) {
  EXPECT_EQ(Lex("12345678901"), (Tokens{R"(number "1234567890"...)"}));
  EXPECT_EQ(Lex("1234567890"), (Tokens{R"(number "1234567890")"}));
  EXPECT_EQ(
      Lex("\"\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\""),
      (Tokens{"string "
              "\"\\\"\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\".."
              "."}));
}

TEST(Lexer, KnowsNoKeywordsInBraces) {
  EXPECT_EQ(Lex("{sum=\"a\",by!~'b',inf=~`c`}"),
            (Tokens{R"("{")", R"(identifier "sum")", R"("=")", R"(string "\"a\"")", R"(",")",
                    R"(identifier "by")", "<op:!~>", R"(string "'b'")", R"(",")",
                    R"(identifier "inf")", "<op:=~>", R"(string "`c`")", R"("}")"}));
}

TEST(Lexer, TakesFillForAKeywordOnlyBeforeAParenthesis) {
  EXPECT_EQ(Lex("fill fill_left (fill\t("),
            (Tokens{R"(identifier "fill")", "<fill_left>", R"("(")", "<fill>", R"("(")",
                    "error at 22: unclosed left parenthesis"}));
}

TEST(Lexer, SkipsCommentsAndSpace) {
  EXPECT_EQ(Lex("# one\n a # two\r\n\t{# in braces\n}"),
            (Tokens{R"(identifier "a")", R"("{")", R"("}")"}));
  EXPECT_EQ(Lex("#"), Tokens{});
}

struct Case {
  std::string_view input;
  std::string_view error;
};

TEST(Lexer, ExplainsWhatItCannotRead) {
  const Case cases[] = {
      {"a $", "error at 2: unexpected character: '$'"},
      {"\xC3\xA4", "error at 0: unexpected character: '\xC3\xA4'"},
      {"\xFF", "error at 0: unexpected character: '\xEF\xBF\xBD'"},
      {"a =~ 1", "error at 2: unexpected character after '=': '~'"},
      {"a !", "error at 2: unexpected character after '!': '\xEF\xBF\xBD'"},
      {"a !~", "error at 2: unexpected character after '!': '~'"},
      {"{a!x", "error at 2: unexpected character after '!' inside braces: 'x'"},
      {"{", "error at 1: unexpected end of input inside braces"},
      {"{{", "error at 1: unexpected left brace '{'"},
      {"{a+b}", "error at 2: unexpected character inside braces: '+'"},
      {"}", "error at 0: unexpected character: '}'"},
      {"(", "error at 1: unclosed left parenthesis"},
      {")", "error at 1: unexpected right parenthesis ')'"},
      {"]", "error at 0: unexpected right bracket ']'"},
      {"a[5m", "error at 4: unclosed left bracket"},
      {"a[5m[", "error at 4: unexpected left bracket '['"},
      {"a[", "error at 2: unexpected end of input in duration expression"},
      {"a[:", "error at 3: unexpected colon before duration in duration expression"},
      {"a[x", "error at 2: unexpected character in duration expression: 'x'"},
      {"a[stop", "error at 2: unexpected character in duration expression: 's'"},
      {"a[5m:5m:", "error at 7: unexpected colon ':'"},
      {"a[5m b", "error at 5: unexpected character: 'b', expected ':'"},
      {"5x", "error at 0: bad number or duration syntax: \"5\""},
      {"5mx", "error at 0: bad number or duration syntax: \"5mx\""},
      {"1..2", "error at 0: bad number or duration syntax: \"1..\""},
      {"1.2.3", "error at 0: bad number or duration syntax: \"1.2.\""},
      {"0x1.8", "error at 0: bad number or duration syntax: \"0x1.\""},
      {"1e", "error at 0: bad number or duration syntax: \"1e\""},
      {"1__0", "error at 0: bad number or duration syntax: \"1__\""},
      {"1_", "error at 0: bad number or duration syntax: \"1_\""},
      {"\"a", "error at 0: unterminated quoted string"},
      {"'a\n'", "error at 0: unterminated quoted string"},
      {"`a", "error at 0: unterminated raw string"},
      {"\"\xFF\"", "error at 0: invalid UTF-8 rune"},
      {"`\xFF`", "error at 0: invalid UTF-8 rune"},
      {R"("\q")", "error at 0: unknown escape sequence U+0071 'q'"},
      {R"('\")", "error at 0: unknown escape sequence U+0022 '\"'"},
      {R"("\xg0")", "error at 0: illegal character U+0067 'g' in escape sequence"},
      {R"("\09")", "error at 0: illegal character U+0039 '9' in escape sequence"},
      {R"("\x0)", "error at 0: escape sequence not terminated"},
      {"\"\\", "error at 0: escape sequence not terminated"},
      {R"("\400")", "error at 0: escape sequence is an invalid Unicode code point"},
      {R"("\uD800")", "error at 0: escape sequence is an invalid Unicode code point"},
      {R"("\U00110000")", "error at 0: escape sequence is an invalid Unicode code point"},
  };
  for (const Case& c : cases) {
    const Tokens tokens = Lex(c.input);
    ASSERT_FALSE(tokens.empty()) << c.input;
    EXPECT_EQ(tokens.back(), c.error) << c.input;
  }
}

TEST(Lexer, StaysAtTheEnd) {
  Lexer lexer("a");
  lexer.Next();
  EXPECT_EQ(lexer.Next().type, TokenType::kEof);
  EXPECT_EQ(lexer.Next().type, TokenType::kEof);
}

// A duration once seen in any bracket allows a colon at the start of a later one: upstream's lexer
// forgets to forget.
TEST(Lexer, RemembersADurationAcrossBrackets) {
  EXPECT_EQ(Lex("a[5m]+b[:").back(), "error at 9: unexpected end of input in duration expression");
}

}  // namespace
}  // namespace basalt::promql
