#include "bench/codec/gorilla.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

namespace basalt::bench {
namespace {

constexpr unsigned kLengthBits = 6;
constexpr unsigned kLeadingBits = 5;
constexpr unsigned kMostLeading = 31;

// Low bit first, a word at a time: the fastest order on this machine, and no more bits.
class BitWriter {
 public:
  explicit BitWriter(std::string& out) : out_(out) {}
  // `count` is 1..64, and `bits` has no others set.
  void Write(uint64_t bits, unsigned count) {
    pending_ |= bits << filled_;
    if (filled_ + count < 64) {
      filled_ += count;
      return;
    }
    Flush(8);
    pending_ = filled_ == 0 ? 0 : bits >> (64 - filled_);
    filled_ = filled_ + count - 64;
  }
  void Finish() { Flush((filled_ + 7) / 8); }

 private:
  void Flush(size_t bytes) { out_.append(reinterpret_cast<const char*>(&pending_), bytes); }
  std::string& out_;
  uint64_t pending_ = 0;
  unsigned filled_ = 0;
};

class BitReader {
 public:
  explicit BitReader(const char* in) : in_(in) {}
  uint64_t Read(unsigned count) {
    uint64_t word = 0;
    std::memcpy(&word, in_ + at_ / 8, 8);
    word >>= at_ % 8;
    if (at_ % 8 + count > 64) {
      uint64_t next = 0;
      std::memcpy(&next, in_ + at_ / 8 + 8, 8);
      word |= next << (64 - at_ % 8);
    }
    at_ += count;
    return count == 64 ? word : word & ((uint64_t{1} << count) - 1);
  }

 private:
  const char* in_;
  size_t at_ = 0;
};

}  // namespace

void EncodeGorilla(std::span<const double> values, std::string& out) {
  BitWriter bits(out);
  auto last = std::bit_cast<uint64_t>(values[0]);
  bits.Write(last, 64);
  unsigned leading = 64;  // of the window; none yet
  unsigned trailing = 0;
  for (size_t i = 1; i < values.size(); ++i) {
    const auto now = std::bit_cast<uint64_t>(values[i]);
    const uint64_t x = now ^ last;
    last = now;
    if (x == 0) {
      bits.Write(0, 1);
      continue;
    }
    const auto before = std::min(static_cast<unsigned>(std::countl_zero(x)), kMostLeading);
    const auto after = static_cast<unsigned>(std::countr_zero(x));
    if (leading != 64 && before >= leading && after >= trailing) {
      bits.Write(1, 2);
      bits.Write(x >> trailing, 64 - leading - trailing);
      continue;
    }
    leading = before;
    trailing = after;
    const unsigned length = 64 - leading - trailing;
    bits.Write(3 | leading << 2 | (length & 63) << (2 + kLeadingBits),
               2 + kLeadingBits + kLengthBits);
    bits.Write(x >> trailing, length);
  }
  bits.Finish();
}

void DecodeGorilla(std::string_view in, std::span<double> out) {
  BitReader bits(in.data());
  uint64_t value = bits.Read(64);
  out[0] = std::bit_cast<double>(value);
  unsigned length = 64;
  unsigned trailing = 0;
  for (size_t i = 1; i < out.size(); ++i) {
    if (bits.Read(1) != 0) {
      if (bits.Read(1) != 0) {
        const auto head = static_cast<unsigned>(bits.Read(kLeadingBits + kLengthBits));
        length = head >> kLeadingBits;
        if (length == 0) length = 64;
        trailing = 64 - (head & kMostLeading) - length;
      }
      value ^= bits.Read(length) << trailing;
    }
    out[i] = std::bit_cast<double>(value);
  }
}

}  // namespace basalt::bench
