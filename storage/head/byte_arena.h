// storage/head/byte_arena.h -- small growing buffers for millions of streams.
//
// A stream's bytes grow from 16 to a few hundred; malloc would spend a header and a cache miss on
// each. Buffers come in size classes from pages of 256 KiB, are named by 4 bytes instead of 8, and
// are given back to their class.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace basalt::storage {

// Thread-compatible.
class ByteArena {
 public:
  // A buffer: its place in units of 16 bytes.
  using Ref = uint32_t;
  static constexpr Ref kNone = 0xFFFF'FFFF;

  // Steps of at most 1.5: what a stream wastes on average is a quarter of its size.
  static constexpr std::array<uint32_t, 24> kClassBytes = {
      16,  32,  48,   64,   80,   96,   128,  160,  192,   256,   320,   384,
      512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 12288, 24576, 49152, 98304};

  static constexpr size_t ClassBytes(uint8_t size_class) { return kClassBytes[size_class]; }
  // The smallest class with room for `bytes`, which is at most the largest class.
  static uint8_t ClassFor(size_t bytes);

  Ref Allocate(uint8_t size_class);
  void Free(Ref ref, uint8_t size_class);

  [[nodiscard]] std::byte* data(Ref ref) {
    return pages_[ref / kUnitsPerPage].get() + size_t{ref % kUnitsPerPage} * kUnitBytes;
  }
  [[nodiscard]] const std::byte* data(Ref ref) const {
    return pages_[ref / kUnitsPerPage].get() + size_t{ref % kUnitsPerPage} * kUnitBytes;
  }

  // Handed out and not given back, by size class.
  [[nodiscard]] size_t used_bytes() const { return used_bytes_; }
  // Held from the machine.
  [[nodiscard]] size_t held_bytes() const { return pages_.size() * kPageBytes; }

 private:
  static constexpr size_t kUnitBytes = 16;
  static constexpr size_t kPageBytes = 256u << 10;
  static constexpr uint32_t kUnitsPerPage = kPageBytes / kUnitBytes;

  std::vector<std::unique_ptr<std::byte[]>> pages_;
  size_t page_used_ = kPageBytes;  // of the last page
  std::array<std::vector<Ref>, kClassBytes.size()> free_;
  size_t used_bytes_ = 0;
};

}  // namespace basalt::storage
