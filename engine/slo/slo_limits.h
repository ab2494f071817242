// engine/slo/slo_limits.h -- how many SLOs run together.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "engine/slo/definition.h"
#include "engine/slo/problem.h"

namespace basalt::slo {

// SLOs of one load, at most: each sweep, recording and view walks through all of them, and each has
// at least a group (4.5 KB, README.md). A service has a few, so this is thousands of services.
inline constexpr size_t kMaxSlos = 100'000;

// Groups of all SLOs, their totals and `__other__` included, at most: 4.6 KB each (README.md), so
// 4.6 GB. Beyond it a new group counts in its SLO's `__other__`, and people are told; each SLO may
// have one group, its total and `__other__` all the same.
inline constexpr size_t kMaxGroups = 1'000'000;

// What is wrong at the first SLO that does not fit any more, beside all before it: there are
// `max_slos`, or kMaxMeasures (measure.h) measures. Nothing: all fit.
std::optional<Problem> FirstBeyond(const std::vector<Definition>& definitions,
                                   size_t max_slos = kMaxSlos);

}  // namespace basalt::slo
