// storage/head/block_arena.h -- bytes of the growing streams of a group, in chains of small blocks.
//
// The streams of a group grow in step. Buffers that grow by copying would leave a trail of outgrown
// sizes that nobody asks for again (measured: 530 bytes a series at 120 samples instead of 260), so
// nothing is ever moved: a stream is a chain of blocks of 32 bytes, each with the 4-byte number of
// the next. All go at once, when the group's layer is frozen; so groups that are sealed at
// different times hold memory at different times (one arena a partition would stay as large as its
// fullest hour).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace basalt::storage {

// Thread-compatible.
class BlockArena {
 public:
  // A block, by number.
  using Ref = uint32_t;
  static constexpr Ref kNone = 0xFFFF'FFFF;
  static constexpr size_t kBlockBytes = 32;
  static constexpr size_t kDataBytes = kBlockBytes - sizeof(Ref);  // of a stream, in each block

  // The bytes of one stream. Whoever holds it says how many there are.
  struct Chain {
    Ref first = kNone;
    Ref last = kNone;
  };

  // Appends to a chain that has `used` bytes.
  void Append(Chain& chain, size_t used, std::span<const std::byte> bytes);
  // The same for `count` bytes of a word, lowest first: what a sample mostly adds.
  void Append(Chain& chain, size_t used, uint64_t word, size_t count) {
    const size_t fill = LastFill(used);
    if (used != 0 && fill + sizeof word <= kDataBytes) {
      // What is stored beyond `count` is overwritten by what comes next.
      std::memcpy(block(chain.last) + sizeof(Ref) + fill, &word, sizeof word);
    } else {
      Append(chain, used, std::as_bytes(std::span(&word, 1)).first(count));
    }
  }
  // Appends all `used` bytes of a chain to `out`.
  void CopyTo(const Chain& chain, size_t used, std::string& out) const;
  // Forgets all chains and gives the memory back.
  void Clear();
  // Where the next bytes of a chain go comes into the cache.
  void Prefetch(const Chain& chain) const {
    if (chain.last != kNone) __builtin_prefetch(block(chain.last), /*rw=*/1);
  }

  // Held from the machine: at most twice what is used, and 8 KiB more at most.
  [[nodiscard]] size_t held_bytes() const {
    return chunks_.capacity() * sizeof(chunks_[0]) + chunk_blocks_ * kBlockBytes;
  }

 private:
  // Chunks of 1, 2, 4 .. 256 blocks, and then of 256: small groups stay small.
  static constexpr uint32_t kLargestChunk = 256;
  static constexpr uint32_t kDoublings = 8;  // 1 << kDoublings == kLargestChunk
  struct Spot {
    uint32_t chunk;
    uint32_t block;
  };
  static Spot SpotOf(Ref ref) {
    const uint32_t n = ref + 1;
    if (n < kLargestChunk) {
      const auto chunk = static_cast<uint32_t>(31 - __builtin_clz(n));
      return {chunk, n - (1U << chunk)};
    }
    return {kDoublings + (n - kLargestChunk) / kLargestChunk, n % kLargestChunk};
  }
  [[nodiscard]] std::byte* block(Ref ref) const {
    const Spot spot = SpotOf(ref);
    return chunks_[spot.chunk].get() + size_t{spot.block} * kBlockBytes;
  }
  // Bytes of the last block that are taken, in a chain of `used` bytes.
  static size_t LastFill(size_t used) { return used == 0 ? 0 : (used - 1) % kDataBytes + 1; }
  Ref Allocate();
  [[nodiscard]] Ref Next(Ref ref) const;
  void SetNext(Ref ref, Ref next);

  std::vector<std::unique_ptr<std::byte[]>> chunks_;
  uint32_t blocks_ = 0;        // in use
  uint32_t chunk_blocks_ = 0;  // there are
};

}  // namespace basalt::storage
