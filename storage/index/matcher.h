// storage/index/matcher.h -- one label matcher, made ready to be asked about many values.
//
// PromQL's meaning: an absent label has the value ""; regular expressions are RE2, anchored at both
// ends, and "." matches a newline. What needs no automaton gets none (glob.h): "a|b|c" is three
// look-ups, "api-.*" a prefix, ".*err.*" a search, ".*" and ".+" no work at all.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "storage/index/glob.h"
#include "storage/reader.h"

namespace re2 {
class RE2;
}

namespace basalt::storage {

// Immutable; thread-safe.
class CompiledMatcher {
 public:
  // kInvalidArgument naming the matcher, with RE2's words, if the expression does not compile.
  static Result<CompiledMatcher> Compile(const Matcher& matcher);
  ~CompiledMatcher();
  CompiledMatcher(CompiledMatcher&&) noexcept;
  CompiledMatcher& operator=(CompiledMatcher&&) noexcept;

  [[nodiscard]] const Matcher& matcher() const { return matcher_; }
  [[nodiscard]] const std::string& name() const { return matcher_.name; }
  [[nodiscard]] bool Matches(std::string_view value) const {
    return positive_ == MatchesPattern(value);
  }
  // A series without the label matches.
  [[nodiscard]] bool matches_empty() const { return matches_empty_; }

  // How the pattern (before negation) can be answered without asking about every value.
  enum class Shape {
    kLiterals,    // exactly the values of literals()
    kAll,         // everything, "" included
    kNonEmpty,    // everything but ""
    kExpression,  // ask
  };
  [[nodiscard]] Shape shape() const { return shape_; }
  [[nodiscard]] const std::vector<std::string>& literals() const { return literals_; }
  [[nodiscard]] bool positive() const { return positive_; }
  // Asking takes no automaton.
  [[nodiscard]] bool is_globs() const { return regex_ == nullptr; }

 private:
  CompiledMatcher() = default;
  // False if the globs are too many to be worth it.
  bool TakeShape(std::vector<index_internal::Glob> globs);
  Status CompileExpression();
  [[nodiscard]] bool MatchesPattern(std::string_view value) const;

  Matcher matcher_;
  bool positive_ = true;
  bool matches_empty_ = false;
  Shape shape_ = Shape::kExpression;
  std::vector<std::string> literals_;        // kLiterals: sorted, unique
  std::vector<index_internal::Glob> globs_;  // kExpression, if there is no regex_
  std::string prefix_;                       // kExpression with a regex_: every match begins so
  std::unique_ptr<re2::RE2> regex_;
};

namespace index_internal {

// The literal text that every match of `pattern` begins with.
std::string LiteralPrefix(std::string_view pattern);

}  // namespace index_internal

}  // namespace basalt::storage
