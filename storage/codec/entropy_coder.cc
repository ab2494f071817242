#include "storage/codec/entropy_coder.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "storage/codec/bit_pack.h"
#include "storage/codec/kernels.h"
#include "storage/codec/row.h"

namespace basalt::storage {
namespace {

using Entry = EntropyTable::Entry;

class BitAppender {
 public:
  explicit BitAppender(std::string& out) : out_(out) {}
  // `bits` has none set beyond `count`, 0..63.
  void Put(uint64_t bits, unsigned count) {
    pending_ |= bits << filled_;
    if (filled_ + count < 64) {
      filled_ += count;
      return;
    }
    out_.append(reinterpret_cast<const char*>(&pending_), 8);
    pending_ = filled_ == 0 ? 0 : bits >> (64 - filled_);
    filled_ = filled_ + count - 64;
  }
  void Finish() { out_.append(reinterpret_cast<const char*>(&pending_), (filled_ + 7) / 8); }

 private:
  std::string& out_;
  uint64_t pending_ = 0;
  unsigned filled_ = 0;
};

// At least 57 bits from `at` on.
BASALT_KERNEL_BODY uint64_t BitsAt(const char* in, size_t at) {
  return LoadWord(in + at / 8) >> (at % 8);
}
// `count` is 0..63.
BASALT_KERNEL_BODY uint64_t LowBits(uint64_t word, unsigned count) {
  return word & ((uint64_t{1} << count) - 1);
}

// Bytes with room behind them, so that words can be loaded wherever a list's bits are: no number
// takes more than 63 of them, and it is looked after each whether the list has run out.
template <size_t kMostNumbers>
class PaddedBytes {
 public:
  explicit PaddedBytes(std::string_view in) : size_(std::min(in.size(), kMost)) {
    std::copy_n(in.data(), size_, bytes_.data());  // an empty list may have no data at all
    std::memset(bytes_.data() + size_, 0, kRoom);
  }
  [[nodiscard]] const char* data() const { return bytes_.data(); }
  [[nodiscard]] size_t bits() const { return size_ * 8; }

 private:
  static constexpr size_t kMost = (kMostNumbers * (kEntropyLog + 63) + 7) / 8 + 8;
  static constexpr size_t kRoom = 32;
  size_t size_;
  std::array<char, kMost + kRoom> bytes_;
};

// The tokens of one list, four at a time: their states' bits come in one load.
constexpr size_t kStep = 4;
static_assert(kStep * kEntropyLog <= 57);

template <size_t kLanes>
class TokenReader {
 public:
  BASALT_KERNEL_BODY TokenReader(const char* in, size_t bits, const Lanes& lanes,
                                 std::span<uint8_t> tokens)
      : in_(in), end_(bits), out_(tokens.data()), left_(tokens.size()) {
    uint64_t word = BitsAt(in_, 0);
    for (size_t k = 0; k < kLanes; ++k, word >>= kEntropyLog) {
      tables_[k] = lanes.table[k]->entries();
      states_[k] = static_cast<unsigned>(word % kEntropyStates);
    }
    at_ = kLanes * kEntropyLog;
  }

  // Whether four tokens can be taken, each with a state behind it.
  BASALT_KERNEL_BODY bool CanStep() const { return left_ >= kStep + kLanes && at_ <= end_; }
  BASALT_KERNEL_BODY void Step() {
    uint64_t word = BitsAt(in_, at_);
    for (size_t i = 0; i < kStep; ++i) {
      const Entry entry = tables_[i % kLanes][states_[i % kLanes]];
      out_[i] = entry.token;
      states_[i % kLanes] = entry.next + static_cast<unsigned>(LowBits(word, entry.bits));
      word >>= entry.bits;
      at_ += entry.bits;
    }
    out_ += kStep;
    left_ -= kStep;
  }
  // Takes the rest; returns at which bit they end.
  BASALT_KERNEL_BODY size_t Finish() {
    while (CanStep()) Step();
    for (size_t i = 0; left_ > 0 && at_ <= end_; ++i, --left_) {
      const Entry entry = tables_[i % kLanes][states_[i % kLanes]];
      *out_++ = entry.token;
      if (left_ <= kLanes) continue;  // its lane ends here
      states_[i % kLanes] =
          entry.next + static_cast<unsigned>(LowBits(BitsAt(in_, at_), entry.bits));
      at_ += entry.bits;
    }
    return at_;
  }

 private:
  const char* in_;
  size_t at_ = 0;  // bits
  size_t end_;
  uint8_t* out_;
  size_t left_;
  const Entry* tables_[kLanes];
  unsigned states_[kLanes];
};

// A bit for each of eight tokens that low bits follow.
BASALT_KERNEL_BODY uint64_t LargeTokens(const uint8_t* tokens) {
  uint64_t eight = 0;
  std::memcpy(&eight, tokens, 8);
  static_assert(kDirectTokens == 0x10 && kTokens <= 0x80);
  const uint64_t tops = ((eight + 0x7070707070707070) & 0x8080808080808080) >> 7;
  return tops * 0x0102040810204080 >> 56;  // the eight lowest bits of bytes, side by side
}

// Tokens become numbers with the bits from `at` on. Returns where these end; past `end` if they do
// not suffice. Behind `tokens` there is room for eight more. Few tokens have low bits, so that they
// are looked for 64 at a time.
BASALT_KERNEL_BODY size_t AddLowBits(const char* in, size_t at, size_t end,
                                     std::span<const uint8_t> tokens, uint64_t* out) {
  for (size_t i = 0; i < tokens.size(); i += 64) {
    const size_t n = std::min<size_t>(64, tokens.size() - i);
    for (size_t k = 0; k < n; ++k) out[i + k] = tokens[i + k];
    uint64_t large = 0;
    for (size_t k = 0; k < n; k += 8) large |= LargeTokens(&tokens[i] + k) << k;
    if (n < 64) large &= LowMask(static_cast<unsigned>(n));
    for (; large != 0; large &= large - 1) {
      if (at > end) return at;
      const size_t k = i + static_cast<size_t>(std::countr_zero(large));
      const unsigned extra = tokens[k] - (kDirectTokens - 4);
      uint64_t low = BitsAt(in, at);
      if (extra > 57) [[unlikely]]
        low |= BitsAt(in, at + 32) << 32;
      out[k] = (uint64_t{1} << extra) + LowBits(low, extra);
      at += extra;
    }
  }
  return at;
}

constexpr size_t kMostNumbers = 2 * kMaxSamplesPerRow;
constexpr size_t kMostChunkNumbers = 2 * kRowEntryInterval;

// Tokens, with room for eight more.
template <size_t kMost>
class TokenBuffer {
 public:
  std::span<uint8_t> First(size_t n) {
    std::memset(tokens_.data() + n, 0, 8);
    return std::span(tokens_).first(n);
  }

 private:
  std::array<uint8_t, kMost + 8> tokens_;
};

// Returns how many bytes were read; 0 if they do not suffice.
template <size_t kLanes>
BASALT_KERNEL_BODY size_t DecodeOne(std::string_view in, const Lanes& lanes,
                                    std::span<uint64_t> out) {
  const PaddedBytes<kMostNumbers> bytes(in);
  TokenBuffer<kMostNumbers> buffer;
  const auto tokens = buffer.First(out.size());
  TokenReader<kLanes> reader(bytes.data(), bytes.bits(), lanes, tokens);
  size_t at = reader.Finish();
  if (at > bytes.bits()) return 0;
  at = AddLowBits(bytes.data(), at, bytes.bits(), tokens, out.data());
  return at <= bytes.bits() ? (at + 7) / 8 : 0;
}

// Two lists in step: while one waits for its table the other one computes.
template <size_t kLanes>
BASALT_KERNEL_BODY bool DecodeTwo(const EntropyJob (&jobs)[2], const Lanes& lanes) {
  const PaddedBytes<kMostChunkNumbers> bytes[2] = {PaddedBytes<kMostChunkNumbers>(jobs[0].in),
                                                   PaddedBytes<kMostChunkNumbers>(jobs[1].in)};
  std::array<TokenBuffer<kMostChunkNumbers>, 2> buffers;
  const std::span<uint8_t> tokens[2] = {buffers[0].First(jobs[0].out.size()),
                                        buffers[1].First(jobs[1].out.size())};
  TokenReader<kLanes> a(bytes[0].data(), bytes[0].bits(), lanes, tokens[0]);
  TokenReader<kLanes> b(bytes[1].data(), bytes[1].bits(), lanes, tokens[1]);
  while (a.CanStep() && b.CanStep()) {
    a.Step();
    b.Step();
  }
  const size_t ends[2] = {a.Finish(), b.Finish()};
  for (size_t k = 0; k < 2; ++k) {
    if (ends[k] > bytes[k].bits()) return false;
    const size_t at =
        AddLowBits(bytes[k].data(), ends[k], bytes[k].bits(), tokens[k], jobs[k].out.data());
    if (at > bytes[k].bits() || (at + 7) / 8 != jobs[k].in.size()) return false;
  }
  return true;
}

size_t DecodePlain(std::string_view in, const Lanes& lanes, std::span<uint64_t> out) {
  return lanes.count == 2 ? DecodeOne<2>(in, lanes, out) : DecodeOne<4>(in, lanes, out);
}
bool DecodeTwoPlain(const EntropyJob (&jobs)[2], const Lanes& lanes) {
  return lanes.count == 2 ? DecodeTwo<2>(jobs, lanes) : DecodeTwo<4>(jobs, lanes);
}

#if BASALT_HAS_AVX2
BASALT_TARGET_AVX2 size_t DecodeBmi2(std::string_view in, const Lanes& lanes,
                                     std::span<uint64_t> out) {
  return lanes.count == 2 ? DecodeOne<2>(in, lanes, out) : DecodeOne<4>(in, lanes, out);
}
BASALT_TARGET_AVX2 bool DecodeTwoBmi2(const EntropyJob (&jobs)[2], const Lanes& lanes) {
  return lanes.count == 2 ? DecodeTwo<2>(jobs, lanes) : DecodeTwo<4>(jobs, lanes);
}
bool HasBmi2() { return &ActiveKernels() != &kPlainKernels; }
#else
size_t DecodeBmi2(std::string_view, const Lanes&, std::span<uint64_t>) { return 0; }
bool DecodeTwoBmi2(const EntropyJob (&)[2], const Lanes&) { return false; }
bool HasBmi2() { return false; }
#endif

}  // namespace

void AppendEntropy(std::span<const uint64_t> numbers, const Lanes& lanes, std::string& out) {
  // Backwards through the states, noting what each gives off; then forwards onto paper.
  std::array<uint16_t, kMostNumbers> notes;  // bits << 4 | how many
  std::array<unsigned, kMostLanes> states{};
  const size_t n = numbers.size();
  for (size_t i = n; i-- > 0;) {
    const size_t lane = i % lanes.count;
    const EntropyTable& table = *lanes.table[lane];
    const EntropyTable::Step& step = table.step(TokenOf(numbers[i]).token);
    unsigned& x = states[lane];
    if (i + lanes.count >= n) {
      x = step.first;
      notes[i] = 0;
      continue;
    }
    const unsigned bits = (x + step.bits) >> 16;
    notes[i] = static_cast<uint16_t>((x & ((1U << bits) - 1)) << 4 | bits);
    x = table.states()[static_cast<int32_t>(x >> bits) + step.offset];
  }
  BitAppender bits(out);
  for (size_t k = 0; k < lanes.count; ++k) bits.Put(states[k] % kEntropyStates, kEntropyLog);
  for (size_t i = 0; i < n; ++i) bits.Put(notes[i] >> 4, notes[i] & 15);
  for (const uint64_t number : numbers) {
    const unsigned extra = TokenOf(number).extra_bits;
    if (extra > 0) bits.Put(number & LowMask(extra), extra);
  }
  bits.Finish();
}

bool ReadEntropy(VarintReader& in, const Lanes& lanes, std::span<uint64_t> out) {
  VarintReader ahead = in;
  std::string_view bytes;
  if (!ahead.ReadBytes(ahead.remaining(), bytes)) return false;
  const size_t read = HasBmi2() ? DecodeBmi2(bytes, lanes, out) : DecodePlain(bytes, lanes, out);
  return read > 0 && in.ReadBytes(read, bytes);
}

bool ReadEntropyTwo(const EntropyJob (&jobs)[2], const Lanes& lanes) {
  return HasBmi2() ? DecodeTwoBmi2(jobs, lanes) : DecodeTwoPlain(jobs, lanes);
}

}  // namespace basalt::storage
