// engine/base/little_endian.h -- numbers of a fixed width in files and on the wire.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace basalt {

template <typename UInt>
void AppendLittleEndian(UInt v, std::string& out) {
  for (size_t i = 0; i < sizeof v; ++i) out += static_cast<char>(v >> (8 * i));
}

// Of the first sizeof(UInt) bytes at `bytes`, which must be there.
template <typename UInt>
UInt LoadLittleEndian(const char* bytes) {
  UInt v = 0;
  for (size_t i = 0; i < sizeof v; ++i)
    v |= static_cast<UInt>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  return v;
}

}  // namespace basalt
