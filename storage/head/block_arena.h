// storage/head/block_arena.h -- bytes of millions of growing streams, in chains of small blocks.
//
// The streams of a partition grow in step. Buffers that grow by copying would leave a trail of
// outgrown sizes that nobody asks for again (measured: 530 bytes a series at 120 samples instead of
// 260), so nothing is ever moved: a stream is a block of 16 bytes, which is all that most ever
// need, and then blocks of 32. Each block begins with the 4-byte number of the next.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace basalt::storage {

// Thread-compatible.
class BlockArena {
 public:
  // A block: its place in units of 16 bytes.
  using Ref = uint32_t;
  static constexpr Ref kNone = 0xFFFF'FFFF;

  // The bytes of one stream. Whoever holds it says how many there are.
  struct Chain {
    Ref first = kNone;
    Ref last = kNone;
  };

  // Appends to a chain that has `used` bytes.
  void Append(Chain& chain, size_t used, std::span<const std::byte> bytes);
  // The last byte of a chain that has `used` > 0 of them.
  [[nodiscard]] std::byte& Last(const Chain& chain, size_t used);
  // Appends all `used` bytes of a chain to `out`.
  void CopyTo(const Chain& chain, size_t used, std::string& out) const;
  // Gives all blocks back; the chain is then empty.
  void Free(Chain& chain, size_t used);

  // In blocks that are in use.
  [[nodiscard]] size_t used_bytes() const { return used_bytes_; }
  // Held from the machine; given back when the arena goes.
  [[nodiscard]] size_t held_bytes() const { return pages_.size() * kPageBytes; }

  static constexpr size_t kFirstData = 12;  // bytes of a stream in its first block
  static constexpr size_t kNextData = 28;   // and in each after it

 private:
  enum Size : uint8_t { kSmall, kLarge };
  static constexpr size_t kUnitBytes = 16;
  static constexpr size_t kPageBytes = 256u << 10;
  static constexpr uint32_t kUnitsPerPage = kPageBytes / kUnitBytes;
  static constexpr size_t BlockBytes(Size size) { return size == kSmall ? 16 : 32; }

  Ref Allocate(Size size);
  void Release(Ref ref, Size size);
  [[nodiscard]] std::byte* block(Ref ref) {
    return pages_[ref / kUnitsPerPage].get() + size_t{ref % kUnitsPerPage} * kUnitBytes;
  }
  [[nodiscard]] const std::byte* block(Ref ref) const {
    return pages_[ref / kUnitsPerPage].get() + size_t{ref % kUnitsPerPage} * kUnitBytes;
  }
  [[nodiscard]] Ref Next(Ref ref) const;
  void SetNext(Ref ref, Ref next);
  // Bytes of the last block that are taken, in a chain of `used` > 0 bytes.
  static size_t LastFill(size_t used) {
    return used <= kFirstData ? used : (used - kFirstData - 1) % kNextData + 1;
  }

  std::vector<std::unique_ptr<std::byte[]>> pages_;
  size_t page_used_ = kPageBytes;          // of the last page
  std::array<Ref, 2> free_{kNone, kNone};  // chains of free blocks, by size
  size_t used_bytes_ = 0;
};

}  // namespace basalt::storage
