#include "storage/head/sample_stream.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/base/status.h"
#include "engine/base/varint.h"

namespace basalt::storage {
namespace {

constexpr uint8_t kXor = 0x80;
constexpr uint8_t kSmallDelta = 0xC0;
constexpr uint8_t kSmallDeltas = 0xDE - kSmallDelta;
constexpr uint8_t kDelta = 0xDE;
constexpr uint8_t kJump = 0xE0;
constexpr uint8_t kOwnTime = 0xE1;
constexpr uint8_t kStart = 0xE2;
constexpr uint8_t kHistogram = 0xE3;

// Integers whose differences are exact both ways.
constexpr double kMaxExact = 9007199254740992.0;  // 2^53

// Sets `i` and returns true if `v` is one of those. By way of int64_t, since std::trunc is a call
// on machines that need not have SSE 4.
bool IsExactInteger(double v, int64_t& i) {
  if (!(std::fabs(v) < kMaxExact)) return false;
  i = static_cast<int64_t>(v);
  return std::bit_cast<uint64_t>(static_cast<double>(i)) == std::bit_cast<uint64_t>(v);  // not -0
}

std::byte* PutVarint(uint64_t v, std::byte* p) {
  while (v >= 0x80) {
    *p++ = static_cast<std::byte>(v | 0x80);
    v >>= 7;
  }
  *p++ = static_cast<std::byte>(v);
  return p;
}

// Differences wrap, as two's complement does; the reader adds them back the same way.
int64_t WrappingSub(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}
int64_t WrappingAdd(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

// What XOR has to say: the bytes between the first and the last that differ.
struct XorBytes {
  uint64_t kept = 0;
  uint32_t zero_above = 0;
  uint32_t bytes = 0;  // 1..8

  XorBytes(double value, double before) {
    const uint64_t x = std::bit_cast<uint64_t>(value) ^ std::bit_cast<uint64_t>(before);
    const auto zero_below = static_cast<uint32_t>(std::countr_zero(x)) / 8;
    zero_above = static_cast<uint32_t>(std::countl_zero(x)) / 8;
    bytes = 8 - zero_above - zero_below;
    kept = x >> (zero_below * 8);
  }
  [[nodiscard]] uint8_t token() const {
    return static_cast<uint8_t>(kXor | zero_above << 3 | (bytes - 1));
  }
};

// There is room for kMaxValueBytes.
std::byte* PutValue(double value, double before, std::byte* p) {
  const TokenWord token = EncodeNextValue(value, before);
  if (token.bytes > 0) {
    std::memcpy(p, &token.word, sizeof token.word);
    return p + token.bytes;
  }
  const XorBytes all(value, before);
  *p++ = static_cast<std::byte>(all.token());
  std::memcpy(p, &all.kept, sizeof all.kept);
  return p + all.bytes;
}

}  // namespace

TokenWord EncodeNextValue(double value, double before) {
  int64_t integer = 0;
  int64_t integer_before = 0;
  if (IsExactInteger(value, integer) && IsExactInteger(before, integer_before)) {
    uint64_t delta = ZigZag(integer - integer_before);
    if (delta < kSmallDeltas) return {.word = kSmallDelta + delta, .bytes = 1};
    // A varint that is not shorter than the XOR is slower to read.
    if (delta < uint64_t{1} << 35) {
      TokenWord token{.word = kDelta, .bytes = 1};
      for (; delta >= 0x80; delta >>= 7)
        token.word |= ((delta & 0x7F) | 0x80) << (8 * token.bytes++);
      token.word |= delta << (8 * token.bytes++);
      return token;
    }
  }
  const XorBytes x(value, before);
  if (x.bytes == sizeof x.kept) return {};
  return {.word = x.kept << 8 | x.token(), .bytes = x.bytes + 1};
}

size_t EncodeSample(const StreamSample& sample, StreamState& state,
                    std::span<std::byte, kMaxTokenBytes> out) {
  std::byte* p = out.data();
  if (sample.row == kNoRow) {
    *p++ = std::byte{kOwnTime};
    p = PutVarint(ZigZag(WrappingSub(sample.time_ms, state.time_ms)), p);
  } else {
    if (sample.row != state.row + 1) {
      *p++ = std::byte{kJump};
      p = PutVarint(ZigZag(int64_t{sample.row} - int64_t{static_cast<uint32_t>(state.row + 1)}), p);
    }
    state.row = sample.row;
  }
  state.time_ms = sample.time_ms;
  if (sample.start_ms != state.start_ms) {
    *p++ = std::byte{kStart};
    p = PutVarint(ZigZag(WrappingSub(sample.start_ms, state.start_ms)), p);
    state.start_ms = sample.start_ms;
  }
  if (sample.histogram != kNoHistogram) {
    *p++ = std::byte{kHistogram};
    p = PutVarint(sample.histogram, p);
  } else if (std::bit_cast<uint64_t>(sample.value) == std::bit_cast<uint64_t>(state.value)) {
    *p++ = RunToken(1);
  } else {
    p = PutValue(sample.value, state.value, p);
    state.value = sample.value;
  }
  return static_cast<size_t>(p - out.data());
}

uint64_t StreamReader::ReadVarint() {
  uint64_t v = 0;
  for (int shift = 0;; shift += 7) {
    BASALT_CHECK(p_ != end_ && shift < 64, "head: a stream ends inside a token");
    const auto byte = static_cast<unsigned char>(*p_++);
    v |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return v;
  }
}

double StreamReader::ReadXor(uint8_t token, double before) {
  const size_t zero_above = token >> 3 & 7;
  const size_t bytes = (token & 7U) + 1;
  const auto left = static_cast<size_t>(end_ - p_);
  BASALT_CHECK(left >= bytes && zero_above + bytes <= 8, "head: bad XOR token");
  uint64_t kept = 0;
  if (left >= sizeof kept) {  // a whole word and then a shift: a copy of variable length is a call
    std::memcpy(&kept, p_, sizeof kept);
    kept = kept << ((8 - bytes) * 8) >> (zero_above * 8);
  } else {
    std::memcpy(&kept, p_, bytes);
    kept <<= (8 - zero_above - bytes) * 8;
  }
  p_ += bytes;
  return std::bit_cast<double>(std::bit_cast<uint64_t>(before) ^ kept);
}

std::span<const int64_t> StreamReader::NextFloats(std::span<double> out) {
  const size_t first = static_cast<uint32_t>(state_.row + 1);
  const size_t limit =
      first < row_times_.size() ? std::min(out.size(), row_times_.size() - first) : 0;
  double value = state_.value;
  size_t n = 0;
  while (n < limit) {
    if (run_left_ > 0) {
      const size_t taken = std::min<size_t>(run_left_, limit - n);
      std::fill_n(out.data() + n, taken, value);
      n += taken;
      run_left_ -= static_cast<uint32_t>(taken);
      continue;
    }
    if (p_ == end_) break;
    const auto token = static_cast<uint8_t>(*p_);
    if (token > kDelta) break;
    ++p_;
    if (token < kXor) {
      run_left_ = token + 1;
    } else if (token < kSmallDelta) {
      out[n++] = value = ReadXor(token, value);
    } else {
      const uint64_t delta = token == kDelta ? ReadVarint() : token - kSmallDelta;
      out[n++] = value = static_cast<double>(static_cast<int64_t>(value) + UnZigZag(delta));
    }
  }
  const std::span<const int64_t> times = row_times_.subspan(n == 0 ? 0 : first, n);
  if (n > 0) {
    state_.value = value;
    state_.row = static_cast<uint32_t>(first + n - 1);
    state_.time_ms = times.back();
  }
  return times;
}

StreamSample StreamReader::Next() {
  uint32_t row = state_.row + 1;
  bool own_time = false;
  uint32_t histogram = kNoHistogram;
  if (run_left_ > 0) {
    --run_left_;
  } else {
    for (bool value_seen = false; !value_seen;) {
      BASALT_CHECK(p_ != end_, "head: a stream has fewer samples than counted");
      const auto token = static_cast<uint8_t>(*p_++);
      value_seen = token < kJump || token == kHistogram;
      if (token < kXor) {
        run_left_ = token;
      } else if (token < kSmallDelta) {
        state_.value = ReadXor(token, state_.value);
      } else if (token <= kDelta) {
        const uint64_t delta = token == kDelta ? ReadVarint() : token - kSmallDelta;
        state_.value = static_cast<double>(static_cast<int64_t>(state_.value) + UnZigZag(delta));
      } else if (token == kJump) {
        row = static_cast<uint32_t>(int64_t{row} + UnZigZag(ReadVarint()));
      } else if (token == kOwnTime) {
        own_time = true;
        state_.time_ms = WrappingAdd(state_.time_ms, UnZigZag(ReadVarint()));
      } else if (token == kStart) {
        state_.start_ms = WrappingAdd(state_.start_ms, UnZigZag(ReadVarint()));
      } else {
        BASALT_CHECK(token == kHistogram, "head: unknown token");
        histogram = static_cast<uint32_t>(ReadVarint());
      }
    }
  }
  if (!own_time) {
    BASALT_CHECK(row < row_times_.size(), "head: a stream names a time that its layer lacks");
    state_.row = row;
    state_.time_ms = row_times_[row];
  }
  return {.row = own_time ? kNoRow : row,
          .time_ms = state_.time_ms,
          .start_ms = state_.start_ms,
          .value = histogram == kNoHistogram ? state_.value : 0,
          .histogram = histogram};
}

}  // namespace basalt::storage
