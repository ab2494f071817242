// storage/log/record_layout.h -- what the two halves of record.h (encode, decode) agree on. Not for
// others.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "engine/base/hash.h"

namespace basalt::storage {

// A section's flags: which optional parts follow, in this order.
inline constexpr uint64_t kHasWriter = 1;
inline constexpr uint64_t kHasNewSeries = 2;
inline constexpr uint64_t kHasStartTimes = 4;
inline constexpr uint64_t kHasHistograms = 8;
inline constexpr uint64_t kHasExemplars = 16;
inline constexpr uint64_t kHasMetadata = 32;
inline constexpr uint64_t kAllSectionFlags = 63;

// A histogram's flags; bits 2 and 3 are the reset hint.
inline constexpr uint64_t kHistogramFloat = 1;
inline constexpr uint64_t kHistogramStart = 2;
inline constexpr uint64_t kHistogramHintShift = 2;
inline constexpr uint64_t kHistogramHintMask = 3;

// Before each section: partition (2 bytes) and the section's length (4), so that sections can be
// handed out undecoded.
inline constexpr size_t kSectionHeaderBytes = 6;
inline constexpr size_t kIdBytes = 16;

// Fixed-width fields are little-endian; ids keep their own order of bytes (engine/base/hash.h).
template <typename T>
void AppendFixed(T v, std::string& out) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &v, sizeof(T));
  out.append(bytes, sizeof(T));
}
template <typename T>
T LoadFixed(const char* p) {
  T v;
  std::memcpy(&v, p, sizeof(T));
  return v;
}

inline void AppendHash(const Hash128& hash, std::string& out) {
  std::byte bytes[kIdBytes];
  StoreBigEndian(hash, bytes);
  out.append(reinterpret_cast<const char*>(bytes), kIdBytes);
}
inline Hash128 LoadHash(std::string_view bytes) {
  return LoadHash128(std::span<const std::byte, kIdBytes>(
      reinterpret_cast<const std::byte*>(bytes.data()), kIdBytes));
}

}  // namespace basalt::storage
