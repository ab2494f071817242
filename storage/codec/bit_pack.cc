#include "storage/codec/bit_pack.h"

#include <algorithm>
#include <array>
#include <utility>

namespace basalt::storage {
namespace {

// A whole block with the width known to the compiler: every shift and mask is a constant.
template <unsigned kWidth>
void UnpackBlock(const char* in, uint64_t* out) {
  if constexpr (kWidth == 0) {
    std::fill_n(out, kPackBlock, 0);
  } else if constexpr (kWidth == 64) {
    std::memcpy(out, in, kPackBlock * 8);
  } else {
    std::array<uint64_t, kWidth + 1>
        words;  // one more, so that the last value may look past the end
    std::memcpy(words.data(), in, kWidth * 8);
    words[kWidth] = 0;
#pragma GCC unroll 64
    for (unsigned i = 0; i < kPackBlock; ++i) {
      const unsigned bit = i * kWidth;
      const unsigned shift = bit % 64;
      uint64_t v = words[bit / 64] >> shift;
      if (shift + kWidth > 64) v |= words[bit / 64 + 1] << (64 - shift);
      out[i] = v & LowMask(kWidth);
    }
  }
}

using BlockKernel = void (*)(const char*, uint64_t*);

template <size_t... kWidths>
constexpr std::array<BlockKernel, sizeof...(kWidths)> BlockKernels(
    std::index_sequence<kWidths...>) {
  return {UnpackBlock<static_cast<unsigned>(kWidths)>...};
}
constexpr std::array<BlockKernel, 65> kBlockKernels = BlockKernels(std::make_index_sequence<65>());

// Fewer values than a block: at most once a row.
void UnpackTail(std::string_view in, unsigned width, std::span<uint64_t> out) {
  if (width == 0) {
    std::fill(out.begin(), out.end(), 0);
    return;
  }
  std::array<char, kPackBlock * 8 + 16>
      padded{};  // loads below may look 16 bytes past the last value
  std::copy_n(in.data(), PackedBytes(out.size(), width), padded.data());
  const uint64_t mask = LowMask(width);
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t bit = i * width;
    const char* p = padded.data() + bit / 8;
    const unsigned shift = bit % 8;
    uint64_t v = LoadWord(p) >> shift;
    if (shift != 0) v |= LoadWord(p + 8) << (64 - shift);
    out[i] = v & mask;
  }
}

}  // namespace

void PackBits(std::span<const uint64_t> values, unsigned width, std::string& out) {
  const size_t begin = out.size();
  out.resize(begin + PackedBytes(values.size(), width));
  if (width == 0) return;
  char* p = out.data() + begin;
  uint64_t pending = 0;
  unsigned filled = 0;
  for (const uint64_t v : values) {
    pending |= v << filled;
    if (filled + width < 64) {
      filled += width;
      continue;
    }
    std::memcpy(p, &pending, 8);
    p += 8;
    pending = filled == 0 ? 0 : v >> (64 - filled);
    filled = filled + width - 64;
  }
  std::memcpy(p, &pending, (filled + 7) / 8);
}

void UnpackBits(std::string_view in, unsigned width, std::span<uint64_t> out) {
  size_t done = 0;
  const char* p = in.data();
  for (; done + kPackBlock <= out.size(); done += kPackBlock, p += size_t{width} * 8) {
    kBlockKernels[width](p, out.data() + done);
  }
  if (done < out.size()) {
    UnpackTail(in.substr(static_cast<size_t>(p - in.data())), width, out.subspan(done));
  }
}

}  // namespace basalt::storage
