// query/promql/regex.h -- checks a matcher's regular expression without keeping it.
#pragma once

#include <string_view>

#include "engine/base/status.h"
#include "storage/reader.h"

namespace basalt::promql {

// Ok if `matcher` has no regular expression or one that compiles. kInvalidArgument otherwise,
// worded as upstream does: "error parsing regexp: missing closing ): `(a`".
Status CheckRegex(const storage::Matcher& matcher);

// Whether the matcher accepts the empty string, that is, a series without the label. The matcher
// has been checked.
bool MatchesEmpty(const storage::Matcher& matcher);

}  // namespace basalt::promql
