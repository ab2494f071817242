// engine/base/stale.h -- Prometheus' stale marker: the NaN that says "this series has ended here".
#pragma once

#include <bit>
#include <cstdint>

namespace basalt {

inline constexpr uint64_t kStaleMarkerBits = 0x7ff0'0000'0000'0002;
inline constexpr double kStaleMarker = std::bit_cast<double>(kStaleMarkerBits);

// Every other NaN is a value like any other.
constexpr bool IsStaleMarker(double value) {
  return std::bit_cast<uint64_t>(value) == kStaleMarkerBits;
}

}  // namespace basalt
