// engine/base/varint.h -- LEB128 varints and zigzag, for canonical bytes, log records and
// directories.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace basalt {

inline constexpr size_t kMaxVarintBytes = 10;

inline void AppendVarint(uint64_t v, std::string& out) {
  while (v >= 0x80) {
    out += static_cast<char>(v | 0x80);
    v >>= 7;
  }
  out += static_cast<char>(v);
}

// A varint length and that many bytes.
inline void AppendString(std::string_view text, std::string& out) {
  AppendVarint(text.size(), out);
  out += text;
}

constexpr uint64_t ZigZag(int64_t v) {
  return static_cast<uint64_t>(v) << 1 ^ static_cast<uint64_t>(v >> 63);
}
constexpr int64_t UnZigZag(uint64_t v) { return static_cast<int64_t>(v >> 1 ^ (0 - (v & 1))); }

// Reads from hostile bytes: every Read returns false, and reads nothing more, once the input does
// not fit. A borrow of `bytes`. One thread.
class VarintReader {
 public:
  explicit VarintReader(std::string_view bytes) : p_(bytes.data()), end_(p_ + bytes.size()) {}

  [[nodiscard]] bool done() const { return p_ == end_; }
  [[nodiscard]] size_t remaining() const { return static_cast<size_t>(end_ - p_); }

  bool Read(uint64_t& v) {
    v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (p_ == end_) return Fail();
      const auto byte = static_cast<unsigned char>(*p_++);
      if (shift == 63 && byte > 1) return Fail();  // would not fit in 64 bits
      v |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return true;
    }
    return Fail();
  }
  bool ReadSigned(int64_t& v) {
    uint64_t u = 0;
    if (!Read(u)) return false;
    v = UnZigZag(u);
    return true;
  }
  // What AppendString wrote.
  bool ReadString(std::string_view& s) {
    uint64_t n = 0;
    return Read(n) && ReadBytes(n, s);
  }
  bool ReadBytes(uint64_t n, std::string_view& s) {
    if (n > remaining()) return Fail();
    s = std::string_view(p_, n);
    p_ += n;
    return true;
  }

 private:
  bool Fail() {
    p_ = end_;
    return false;
  }
  const char* p_;
  const char* end_;
};

}  // namespace basalt
