// storage/parts/meta_keys.h -- the keys of family `meta` and how their numbers are written.
// Drawn in storage/docs/keys.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/ids.h"

namespace basalt::storage {

inline constexpr std::string_view kFormatKey = "F";
inline constexpr std::string_view kPartitionsKey = "P";
inline constexpr std::string_view kNextRunKey = "N";
inline constexpr std::string_view kRunPrefix = "R";              // run u32
inline constexpr std::string_view kReplayPrefix = "L";           // lane u16
inline constexpr std::string_view kPartitionReplayPrefix = "S";  // partition u16
inline constexpr std::string_view kCountsPrefix = "C";           // partition u16
inline constexpr std::string_view kWriterPrefix = "W";           // writer, 16 bytes
inline constexpr std::string_view kDeletePrefix = "D";           // partition u16, lane u16, seq u64
inline constexpr std::string_view kReceiptPrefix = "U";          // lane u16, seq u64
inline constexpr std::string_view kQuarantinePrefix = "Q";  // run u32, block u32 (ones: directory)

inline void AppendBigEndian(uint64_t v, size_t bytes, std::string& out) {
  for (size_t i = bytes; i-- > 0;) out += static_cast<char>(v >> (8 * i));
}
inline std::string BigEndian32(uint32_t v) {
  std::string out;
  AppendBigEndian(v, 4, out);
  return out;
}
// Reads exactly `bytes` bytes; false if `in` has another length.
inline bool ReadBigEndian(std::string_view in, size_t bytes, uint64_t& v) {
  if (in.size() != bytes) return false;
  v = 0;
  for (const char c : in) v = v << 8 | static_cast<unsigned char>(c);
  return true;
}

}  // namespace basalt::storage
