// engine/base/file_limit.h -- how many files and sockets this process may have open at once.
#pragma once

#include <cstdint>

namespace basalt {

// Makes it at least `wanted` where the hard limit lets that be (the soft one is often 1,024 for the
// sake of programs that use select). Returns what it is now, which may be less. Thread-safe.
uint64_t RaiseFileLimit(uint64_t wanted);

}  // namespace basalt
