// engine/base/time.h -- the two types of time. Resolution is 1 ms (DESIGN decision 8).
//
// Raw int64_t milliseconds appear only inside codecs, wire decoders and columns that hold millions
// of them (storage/ingest_batch.h, storage/reader.h); those say "ms" in the name.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>

namespace basalt {

using Duration = std::chrono::milliseconds;
using Timestamp = std::chrono::sys_time<Duration>;

constexpr int64_t ToMs(Timestamp t) { return t.time_since_epoch().count(); }
constexpr Timestamp FromMs(int64_t ms) { return Timestamp(Duration(ms)); }

inline constexpr int64_t kMsPerSecond = 1000;
inline constexpr int64_t kMsPerDay = 86'400'000;

// Samples are accepted from 1970-01-01 on; the end is checked against the clock at the door (now +
// 10 min).
inline constexpr int64_t kMinSampleMs = 0;
inline constexpr Duration kMaxSampleAhead = std::chrono::minutes(10);

}  // namespace basalt
