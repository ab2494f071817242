// tests/query/script/compare.h -- an answer against what the script expects. An empty string: they
// agree; otherwise it says how they differ.
#pragma once

#include <string>
#include <vector>

#include "query/value.h"
#include "tests/query/script/script.h"

namespace basalt::query::script {

// Relative error that values may have, as upstream's scripts are compared.
inline constexpr double kEpsilon = 1e-6;

// Equal within kEpsilon; NaNs are equal to each other, but the stale marker only to itself.
bool AlmostEqual(double a, double b);

std::string CompareValue(const Eval& eval, const Value& value);

// Each expectation must have a message, and each message an expectation if there is any.
std::string CompareMessages(std::string_view kind, const std::vector<TextExpectation>& expected,
                            bool none_allowed, const std::vector<std::string>& actual);
bool Matches(const TextExpectation& expectation, std::string_view text);

}  // namespace basalt::query::script
