// storage/index/glob.h -- regular expressions that are no more than literals and gaps.
//
// Most expressions that people write in a matcher are made of literal text, ".*", ".+" and
// alternatives: "api-.*", ".*timeout.*", "(eu|us)-[12]", "a|b|". Written out as alternatives of
// literals around gaps they need no automaton, and where there are no gaps they are look-ups.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace basalt::storage::index_internal {

// literals[0], gap 0, literals[1], gap 1, ..., the last literal; so one literal more than gaps.
struct Glob {
  std::vector<std::string> literals{std::string()};
  std::vector<uint8_t> at_least;  // by gap: 0 for ".*", 1 for ".+"

  // `value` as a whole; valid UTF-8, where a gap of one byte is a character at least.
  [[nodiscard]] bool Matches(std::string_view value) const;
  [[nodiscard]] bool is_literal() const { return at_least.empty(); }
  friend bool operator==(const Glob&, const Glob&) = default;
};

// Expressions with more alternatives than this, written out, or groups deeper than kMaxGlobDepth
// are left to RE2.
inline constexpr size_t kMaxGlobs = 1024;
inline constexpr size_t kMaxGlobDepth = 16;

// The alternatives that `pattern`, a valid RE2 anchored at both ends in which "." matches a
// newline, stands for; nullopt if it needs more than literals, ".*", ".+", small classes of ASCII
// characters, "?", groups and "|".
std::optional<std::vector<Glob>> ParseGlobs(std::string_view pattern);

}  // namespace basalt::storage::index_internal
