#include "engine/base/snappy_block.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace basalt {
namespace {

// An element is a tag byte, whose low two bits are its kind, and what belongs to it: a literal has
// its bytes behind it, a copy repeats what was made `offset` bytes before.
enum Kind : uint8_t { kLiteral = 0, kCopy1 = 1, kCopy2 = 2, kCopy4 = 3 };

// In a literal's tag: from here on, the length follows in 1 to 4 bytes.
constexpr uint32_t kLongLiteral = 60;

// The usual element moves at most this much, by two moves of half of it, whatever its length: what
// is too much is overwritten by the next one.
constexpr size_t kMove = 64;
// A copy from nearer than this, and nearer than it is long, repeats bytes that its own moves make.
constexpr uint32_t kNearest = 16;
// Of input and output, for the usual element: its tag, its literal or its offset.
constexpr size_t kRoomIn = 1 + kMove;
constexpr size_t kRoomOut = kMove;

// What a tag says: length of what it makes, bytes of the element, which bits of the four bytes
// behind the tag are the offset, and its upper bits, which stand in the tag. Length 0: an unusual
// element.
struct Tag {
  uint8_t length = 0;
  uint8_t bytes = 0;
  uint16_t offset_mask = 0;
  uint16_t offset_high = 0;
  uint16_t nearest = 0;  // least offset of a usual copy; 0 for a literal
};

constexpr std::array<Tag, 256> kTags = [] {
  std::array<Tag, 256> tags;
  for (uint32_t t = 0; t < tags.size(); ++t) {
    const uint32_t upper = t >> 2;
    Tag& tag = tags[t];
    if ((t & 3) == kLiteral && upper < kLongLiteral) {
      tag.length = static_cast<uint8_t>(upper + 1);
      tag.bytes = static_cast<uint8_t>(1 + tag.length);
    } else if ((t & 3) == kCopy1) {
      const uint32_t length = 4 + (upper & 7);
      tag = {.length = static_cast<uint8_t>(length),
             .bytes = 2,
             .offset_mask = 0xFF,
             .offset_high = static_cast<uint16_t>(upper >> 3 << 8),
             .nearest = static_cast<uint16_t>(std::min(kNearest, length))};
    } else if ((t & 3) == kCopy2) {
      tag = {.length = static_cast<uint8_t>(upper + 1),
             .bytes = 3,
             .offset_mask = 0xFFFF,
             .offset_high = 0,
             .nearest = static_cast<uint16_t>(std::min(kNearest, upper + 1))};
    }
  }
  return tags;
}();

inline void Move16(const char* from, char* to) {
  char bytes[16];
  std::memcpy(bytes, from, sizeof bytes);
  std::memcpy(to, bytes, sizeof bytes);
}

class Decoder {
 public:
  Decoder(std::string_view in, std::span<char> out)
      : p_(in.data()),
        end_(p_ + in.size()),
        base_(out.data()),
        to_(base_),
        limit_(base_ + out.size()) {}

  bool Run() {
    for (;;) {
      Usual();
      if (p_ == end_) return to_ == limit_;
      if (!Any()) return false;
    }
  }

 private:
  // Elements one after another as long as they are usual and have room around them. There is no
  // branch on the kind of an element: which one comes next is what nobody can predict.
  void Usual() {
    const char* p = p_;
    char* to = to_;
    while (static_cast<size_t>(end_ - p) >= kRoomIn &&
           static_cast<size_t>(limit_ - to) >= kRoomOut) {
      const Tag tag = kTags[static_cast<unsigned char>(*p)];
      uint16_t behind = 0;  // little-endian, as x86-64 and arm64 are
      std::memcpy(&behind, p + 1, sizeof behind);
      const uint32_t offset = uint32_t{tag.offset_high} | (behind & uint32_t{tag.offset_mask});
      if (tag.length == 0 || offset < tag.nearest || offset > static_cast<size_t>(to - base_))
        break;
      // Addresses as numbers, or the compiler makes a branch of it.
      const uintptr_t copied = 0 - static_cast<uintptr_t>(tag.nearest != 0);
      const uintptr_t literal = reinterpret_cast<uintptr_t>(p + 1);
      const uintptr_t made = reinterpret_cast<uintptr_t>(to - offset);
      // NOLINTNEXTLINE(performance-no-int-to-ptr): one of two pointers, see above
      const char* const from = reinterpret_cast<const char*>((made & copied) | (literal & ~copied));
      Move16(from, to);
      Move16(from + 16, to + 16);
      if (tag.length > kMove / 2) {
        Move16(from + 32, to + 32);
        Move16(from + 48, to + 48);
      }
      p += tag.bytes;
      to += tag.length;
    }
    p_ = p;
    to_ = to;
  }

  // One element, whatever it is.
  bool Any() {
    const auto tag = static_cast<unsigned char>(*p_++);
    const uint32_t upper = tag >> 2U;
    uint32_t offset = 0;
    switch (tag & 3U) {
      case kLiteral: {
        uint32_t length = upper;
        if (upper >= kLongLiteral && !Little(upper - kLongLiteral + 1, length)) return false;
        return Literal(size_t{length} + 1);
      }
      case kCopy1:
        if (!Little(1, offset)) return false;
        return Copy(offset | upper >> 3 << 8, 4 + (upper & 7));
      case kCopy2:
        return Little(2, offset) && Copy(offset, upper + 1);
      default:
        return Little(4, offset) && Copy(offset, upper + 1);
    }
  }

  // A number of 1 to 4 bytes.
  bool Little(size_t bytes, uint32_t& v) {
    if (static_cast<size_t>(end_ - p_) < bytes) return false;
    v = 0;
    std::memcpy(&v, p_, bytes);
    p_ += bytes;
    return true;
  }
  bool Literal(size_t length) {
    if (length > static_cast<size_t>(end_ - p_) || length > static_cast<size_t>(limit_ - to_))
      return false;
    std::memcpy(to_, p_, length);
    p_ += length;
    to_ += length;
    return true;
  }
  bool Copy(uint32_t offset, size_t length) {
    if (offset == 0 || offset > static_cast<size_t>(to_ - base_) ||
        length > static_cast<size_t>(limit_ - to_)) {
      return false;
    }
    // A byte at a time: it may repeat what it makes itself.
    for (const char* from = to_ - offset; length > 0; --length) *to_++ = *from++;
    return true;
  }

  const char* p_;
  const char* const end_;
  char* const base_;
  char* to_;
  char* const limit_;
};

}  // namespace

bool DecodeSnappyElements(std::string_view elements, std::span<char> out) {
  return Decoder(elements, out).Run();
}

}  // namespace basalt
