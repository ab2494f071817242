// tests/engine/slo/random_outage.h -- outages that nobody thought of: random compositions of
// everything that scripted ones do.
#pragma once

#include <cstdint>

#include "tests/engine/slo/outage.h"

namespace basalt::slo {

// To its end or to the first disagreement. A play has either restarts or what changes hindsight.
void PlayRandomOutage(uint64_t seed, Play& play);
bool RandomOutageRestarts(uint64_t seed);

// A number from the environment, for forms that take longer.
uint64_t FromEnvironment(const char* name, uint64_t otherwise);

}  // namespace basalt::slo
