// engine/base/regex_syntax.h -- what Go's regular expressions say otherwise than RE2's.
#pragma once

#include <string>
#include <string_view>

namespace basalt {

// `pattern`, in Go's syntax, as RE2 before 2023 reads it: groups that are named as in (?<name>...)
// become (?P<name>...). Everything else is the same to both and stays; so do invalid patterns,
// which RE2 then refuses. What stands in a class or is escaped or quoted is no group.
std::string SpelledForRe2(std::string_view pattern);

}  // namespace basalt
