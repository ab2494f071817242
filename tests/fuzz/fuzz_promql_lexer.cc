// Any bytes to the lexer: it comes to an end, its tokens are pieces of the input in order, and each
// can be described.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/base/status.h"
#include "query/promql/lexer.h"

using namespace basalt::promql;  // NOLINT(google-build-using-namespace): one function, one
                                 // namespace under test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  Lexer lexer(input);
  int32_t end = 0;
  for (size_t count = 0;; ++count) {
    BASALT_CHECK(count <= size + 1);
    const Token token = lexer.Next();
    if (token.type == TokenType::kError) {
      BASALT_CHECK(!lexer.error_message().empty());
      return 0;
    }
    BASALT_CHECK(!Describe(token).empty());
    BASALT_CHECK(token.pos >= end && static_cast<size_t>(token.end()) <= size);
    end = token.end();
    if (token.type == TokenType::kEof) return 0;
    BASALT_CHECK(!token.text.empty());
    if (token.type == TokenType::kString) (void)Unquote(token.text);
    if (token.type == TokenType::kNumber) (void)ParseNumber(token.text);
  }
}
