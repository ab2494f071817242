#include "storage/log/columns.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>
#include <vector>

namespace basalt::storage {
namespace {

static_assert(std::endian::native == std::endian::little,
              "payloads are little-endian and copied as they are");

enum IntMode : uint8_t { kRuns = 0, kSteps = 1, kDictionary = 2 };

constexpr size_t kMaxDictionary = 256;

size_t VarintBytes(uint64_t v) { return (static_cast<size_t>(std::bit_width(v | 1)) + 6) / 7; }

uint64_t StepBits(uint64_t from, uint64_t to) { return ZigZag(static_cast<int64_t>(to - from)); }

// At most kMaxDictionary distinct values and the index of each input in them; false if there are
// more.
template <typename T>
bool Index(std::span<const T> values, std::vector<uint64_t>& distinct,
           std::vector<uint8_t>& indices) {
  constexpr size_t kSlots = 1024;
  std::array<uint16_t, kSlots> slots{};  // 1 + index into distinct
  distinct.clear();
  indices.clear();
  indices.reserve(values.size());
  for (const T value : values) {
    const auto v = static_cast<uint64_t>(value);
    size_t slot = (v * 0x9E37'79B9'7F4A'7C15U) >> 54;
    while (slots[slot] != 0 && distinct[slots[slot] - 1U] != v) slot = (slot + 1) % kSlots;
    if (slots[slot] == 0) {
      if (distinct.size() == kMaxDictionary) return false;
      distinct.push_back(v);
      slots[slot] = static_cast<uint16_t>(distinct.size());
    }
    indices.push_back(static_cast<uint8_t>(slots[slot] - 1));
  }
  return true;
}

// Whether all steps after the first value are the same: so for nearly every column of a request.
template <typename T>
bool IsOneRun(std::span<const T> values) {
  if (values.size() < 3) return true;
  const auto step = static_cast<uint64_t>(values[1]) - static_cast<uint64_t>(values[0]);
  constexpr size_t kBlock = 64;  // looked at without a branch
  for (size_t i = 2; i < values.size();) {
    const size_t end = std::min(values.size(), i + kBlock);
    uint64_t other = 0;
    for (; i < end; ++i) {
      other |= static_cast<uint64_t>(values[i]) - static_cast<uint64_t>(values[i - 1]) - step;
    }
    if (other != 0) return false;
  }
  return true;
}

template <typename T>
void AppendRun(std::span<const T> values, std::string& out) {
  out += static_cast<char>(kRuns);
  if (values.empty()) return;
  const auto first = static_cast<uint64_t>(values[0]);
  const uint64_t step = values.size() > 1 ? static_cast<uint64_t>(values[1]) - first : first;
  const bool together = step == first;
  AppendVarint(ZigZag(static_cast<int64_t>(first)), out);
  AppendVarint(together ? values.size() : 1, out);
  if (together || values.size() == 1) return;
  AppendVarint(ZigZag(static_cast<int64_t>(step)), out);
  AppendVarint(values.size() - 1, out);
}

// The end of the longest run from `begin` on, all of whose steps are `step`.
template <typename T>
size_t RunEnd(std::span<const T> values, size_t begin, uint64_t step) {
  constexpr size_t kBlock = 32;  // looked at without a branch
  size_t i = begin;
  for (; i + kBlock <= values.size(); i += kBlock) {
    uint64_t other = 0;
    for (size_t k = i; k < i + kBlock; ++k) {
      other |= static_cast<uint64_t>(values[k]) - static_cast<uint64_t>(values[k - 1]) - step;
    }
    if (other != 0) break;
  }
  while (i < values.size() &&
         static_cast<uint64_t>(values[i]) - static_cast<uint64_t>(values[i - 1]) == step) {
    ++i;
  }
  return i;
}

// A column of a few long runs, as several targets' scrapes are: found without measuring the other
// forms, which take a bit a value at least. False, and `out` as it was: the runs are many.
template <typename T>
bool AppendFewRuns(std::span<const T> values, std::string& out) {
  const size_t begin = out.size();
  const size_t most = begin + values.size() / 8;
  out += static_cast<char>(kRuns);
  uint64_t previous = 0;
  for (size_t i = 0; i < values.size() && out.size() <= most;) {
    const uint64_t step = static_cast<uint64_t>(values[i]) - previous;
    const size_t end = RunEnd(values, i + 1, step);
    AppendVarint(ZigZag(static_cast<int64_t>(step)), out);
    AppendVarint(end - i, out);
    previous = static_cast<uint64_t>(values[end - 1]);
    i = end;
  }
  if (out.size() <= most) return true;
  out.resize(begin);
  return false;
}

template <typename T>
void AppendInts(std::span<const T> values, std::string& out) {
  if (IsOneRun(values)) return AppendRun(values, out);
  if (AppendFewRuns(values, out)) return;
  // One pass measures the two usual forms.
  size_t run_bytes = 0;
  size_t step_bytes = 0;
  size_t run = 0;
  uint64_t previous = 0;
  uint64_t run_step = 0;
  for (const T value : values) {
    const auto v = static_cast<uint64_t>(value);
    const uint64_t step = StepBits(previous, v);
    previous = v;
    const size_t bytes = VarintBytes(step);
    step_bytes += bytes;
    if (run != 0 && step == run_step) {
      ++run;
      continue;
    }
    run_bytes +=
        VarintBytes(run) + bytes;  // of the run before; the first one counts a byte too many
    run = 1;
    run_step = step;
  }
  run_bytes += VarintBytes(run);

  std::vector<uint64_t> distinct;
  std::vector<uint8_t> indices;
  // A dictionary is worth looking for when neither form got below half a byte a value.
  if (const size_t n = values.size();
      run_bytes > n / 2 && n >= 16 && Index(values, distinct, indices)) {
    size_t bytes = VarintBytes(distinct.size()) + (distinct.size() <= 16 ? (n + 1) / 2 : n);
    for (const uint64_t v : distinct) bytes += VarintBytes(ZigZag(static_cast<int64_t>(v)));
    if (bytes < run_bytes && bytes < step_bytes) {
      out += static_cast<char>(kDictionary);
      AppendVarint(distinct.size(), out);
      for (const uint64_t v : distinct) AppendVarint(ZigZag(static_cast<int64_t>(v)), out);
      if (distinct.size() > 16) {
        out.append(reinterpret_cast<const char*>(indices.data()), n);
        return;
      }
      for (size_t i = 0; i < n; i += 2) {
        const unsigned high = i + 1 < n ? indices[i + 1] : 0;
        out += static_cast<char>(indices[i] | high << 4);
      }
      return;
    }
  }

  previous = 0;
  if (step_bytes < run_bytes) {
    out += static_cast<char>(kSteps);
    for (const T value : values) {
      const auto v = static_cast<uint64_t>(value);
      AppendVarint(StepBits(previous, v), out);
      previous = v;
    }
    return;
  }
  out += static_cast<char>(kRuns);
  for (size_t i = 0; i < values.size();) {
    const auto v = static_cast<uint64_t>(values[i]);
    const uint64_t step = v - previous;
    previous = v;
    size_t end = i + 1;
    while (end < values.size() && static_cast<uint64_t>(values[end]) - previous == step) {
      previous += step;
      ++end;
    }
    AppendVarint(ZigZag(static_cast<int64_t>(step)), out);
    AppendVarint(end - i, out);
    i = end;
  }
}

template <typename T>
bool Fits(uint64_t v) {
  return std::is_same_v<T, int64_t> || v <= std::numeric_limits<T>::max();
}

template <typename T>
bool ReadDictionary(VarintReader& in, std::span<T> out) {
  uint64_t size = 0;
  if (!in.Read(size) || size == 0 || size > kMaxDictionary) return false;
  std::array<T, kMaxDictionary> distinct{};
  for (size_t i = 0; i < size; ++i) {
    int64_t v = 0;
    if (!in.ReadSigned(v) || !Fits<T>(static_cast<uint64_t>(v))) return false;
    distinct[i] = static_cast<T>(v);
  }
  const bool nibbles = size <= 16;
  std::string_view indices;
  if (!in.ReadBytes(nibbles ? (out.size() + 1) / 2 : out.size(), indices)) return false;
  for (size_t i = 0; i < out.size(); ++i) {
    const auto byte = static_cast<unsigned char>(indices[nibbles ? i / 2 : i]);
    const size_t index = !nibbles ? byte : (i % 2 == 0 ? byte & 15U : byte >> 4U);
    if (index >= size) return false;
    out[i] = distinct[index];
  }
  return true;
}

template <typename T>
bool ReadInts(VarintReader& in, std::span<T> out) {
  std::string_view mode;
  if (!in.ReadBytes(1, mode)) return false;
  uint64_t v = 0;
  switch (static_cast<uint8_t>(mode[0])) {
    case kRuns:
      for (size_t i = 0; i < out.size();) {
        int64_t step = 0;
        uint64_t run = 0;
        if (!in.ReadSigned(step) || !in.Read(run) || run == 0 || run > out.size() - i) return false;
        for (const size_t end = i + run; i < end; ++i) {
          v += static_cast<uint64_t>(step);
          if (!Fits<T>(v)) return false;
          out[i] = static_cast<T>(v);
        }
      }
      return true;
    case kSteps:
      for (T& value : out) {
        int64_t step = 0;
        if (!in.ReadSigned(step)) return false;
        v += static_cast<uint64_t>(step);
        if (!Fits<T>(v)) return false;
        value = static_cast<T>(v);
      }
      return true;
    case kDictionary:
      return ReadDictionary(in, out);
    default:
      return false;
  }
}

// ---- doubles

enum ValueMode : uint8_t { kRaw = 0, kKinds = 1 };

// Half a byte each; the format page says what they are.
enum ValueKind : uint8_t {
  kZero = 0,
  kSame = 1,     // the bits of the value before
  kInteger = 2,  // 2..7: zigzag in 1, 2, 3, 4, 5, 7 bytes
  kStep = 8,     // 8..10: difference to the last integer, zigzag in 1, 2, 3 bytes
  kTop = 11,     // the upper 3 bytes of the bits, the others zero
  kMilli4 = 12,  // thousandths, zigzag in 4 bytes
  kMilli6 = 13,  // thousandths, zigzag in 6 bytes
  kNano6 = 14,   // thousand-millionths, zigzag in 6 bytes
  kBits = 15,    // 8 bytes
};
constexpr std::array<uint8_t, 16> kPayload = {0, 0, 1, 2, 3, 4, 5, 7, 1, 2, 3, 3, 4, 6, 6, 8};
constexpr std::array<uint8_t, 8> kIntegerKind = {2, 2, 3, 4, 5, 6, 7, 7};  // by bytes needed

constexpr double kMaxInteger = 9'007'199'254'740'992.0;  // 2^53: below it every integer is a double
constexpr double kMaxScaled = 140'737'488'355'328.0;     // 2^47: zigzag fits in 6 bytes

size_t BytesNeeded(uint64_t v) { return (static_cast<size_t>(std::bit_width(v)) + 7) / 8; }

// The integer i with i / scale == v, bit for bit, in `scaled`. Division by a power of ten is
// correctly rounded, so every decimal fraction that was parsed from few enough digits passes;
// multiplying back would not do.
bool Scaled(double v, double scale, int64_t& scaled) {
  const double x = v * scale;
  if (!(std::fabs(x) < kMaxScaled)) return false;
  scaled = static_cast<int64_t>(x + std::copysign(0.5, x));
  return static_cast<double>(scaled) / scale == v;
}

struct Token {
  uint8_t kind;
  uint64_t payload;
};

// State that both sides carry along.
struct ValueState {
  uint64_t bits = 0;    // of the value before
  int64_t integer = 0;  // the last value that was coded as one
};

Token Choose(double v, uint64_t bits, ValueState& state) {
  if (std::fabs(v) < kMaxInteger) {
    const auto integer = static_cast<int64_t>(v);
    if (static_cast<double>(integer) == v && integer != 0) {  // 0 here would be -0
      const uint64_t plain = ZigZag(integer);
      const uint64_t step = ZigZag(integer - state.integer);
      state.integer = integer;
      const size_t plain_bytes = BytesNeeded(plain);
      const size_t step_bytes = BytesNeeded(step | 1);
      if (step_bytes < plain_bytes && step_bytes <= 3) {
        return {static_cast<uint8_t>(kStep + step_bytes - 1), step};
      }
      return {kIntegerKind[plain_bytes], plain};
    }
  }
  if (bits << 24 == 0) return {kTop, bits >> 40};
  int64_t scaled = 0;
  if (Scaled(v, 1e3, scaled)) {
    const uint64_t payload = ZigZag(scaled);
    return {payload >> 32 == 0 ? kMilli4 : kMilli6, payload};
  }
  if (Scaled(v, 1e9, scaled)) return {kNano6, ZigZag(scaled)};
  return {kBits, bits};
}

uint64_t Restore(uint8_t kind, uint64_t payload, ValueState& state) {
  switch (kind) {
    case kZero:
      return 0;
    case kSame:
      return state.bits;
    case kTop:
      return payload << 40;
    case kMilli4:
    case kMilli6:
      return std::bit_cast<uint64_t>(static_cast<double>(UnZigZag(payload)) / 1e3);
    case kNano6:
      return std::bit_cast<uint64_t>(static_cast<double>(UnZigZag(payload)) / 1e9);
    case kBits:
      return payload;
    case kStep:
    case kStep + 1:
    case kStep + 2:
      // Unsigned, since hostile bytes may add up to anything.
      state.integer = static_cast<int64_t>(static_cast<uint64_t>(state.integer) +
                                           static_cast<uint64_t>(UnZigZag(payload)));
      return std::bit_cast<uint64_t>(static_cast<double>(state.integer));
    default:
      state.integer = UnZigZag(payload);
      return std::bit_cast<uint64_t>(static_cast<double>(state.integer));
  }
}

}  // namespace

void AppendIntColumn(std::span<const int64_t> values, std::string& out) { AppendInts(values, out); }
void AppendIntColumn(std::span<const uint32_t> values, std::string& out) {
  AppendInts(values, out);
}
bool ReadIntColumn(VarintReader& in, std::span<int64_t> out) { return ReadInts(in, out); }
bool ReadIntColumn(VarintReader& in, std::span<uint32_t> out) { return ReadInts(in, out); }

void AppendValueColumn(std::span<const double> values, std::string& out) {
  const size_t n = values.size();
  const size_t begin = out.size();
  const size_t kinds_bytes = (n + 1) / 2;
  out.resize(begin + 1 + kinds_bytes + n * 8 +
             8);  // + 8: payloads are stored as whole words and then overlapped
  char* const kinds = out.data() + begin + 1;
  char* p = kinds + kinds_bytes;
  ValueState state;
  for (size_t i = 0; i < n; ++i) {
    const auto bits = std::bit_cast<uint64_t>(values[i]);
    Token token{kZero, 0};
    if (bits == state.bits && bits != 0) {
      token.kind = kSame;
    } else if (bits != 0) {
      token = Choose(values[i], bits, state);
      std::memcpy(p, &token.payload, 8);
      p += kPayload[token.kind];
    }
    state.bits = bits;
    if (i % 2 == 0) {
      kinds[i / 2] = static_cast<char>(token.kind);
    } else {
      kinds[i / 2] = static_cast<char>(static_cast<unsigned char>(kinds[i / 2]) | token.kind << 4);
    }
  }
  const size_t used = static_cast<size_t>(p - out.data()) - begin;
  if (used > 1 + n * 8) {
    out[begin] = static_cast<char>(kRaw);
    if (n != 0) std::memcpy(kinds, values.data(), n * 8);
    out.resize(begin + 1 + n * 8);
    return;
  }
  out[begin] = static_cast<char>(kKinds);
  out.resize(begin + used);
}

bool ReadValueColumn(VarintReader& in, std::span<double> out) {
  std::string_view mode;
  if (!in.ReadBytes(1, mode)) return false;
  std::string_view bytes;
  if (static_cast<uint8_t>(mode[0]) == kRaw) {
    if (!in.ReadBytes(out.size() * 8, bytes)) return false;
    if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
    return true;
  }
  if (static_cast<uint8_t>(mode[0]) != kKinds) return false;
  std::string_view kinds;
  if (!in.ReadBytes((out.size() + 1) / 2, kinds)) return false;
  // The payload's length first: one check then covers the loop below.
  size_t payload_bytes = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    const auto pair = static_cast<unsigned char>(kinds[i / 2]);
    payload_bytes += kPayload[i % 2 == 0 ? pair & 15U : pair >> 4U];
  }
  if (!in.ReadBytes(payload_bytes, bytes)) return false;
  const char* p = bytes.data();
  const char* const end = p + bytes.size();
  ValueState state;
  for (size_t i = 0; i < out.size(); ++i) {
    const auto pair = static_cast<unsigned char>(kinds[i / 2]);
    const auto kind = static_cast<uint8_t>(i % 2 == 0 ? pair & 15U : pair >> 4U);
    const size_t n = kPayload[kind];
    uint64_t payload = 0;
    if (end - p >= 8) {  // a whole word and then a mask: a copy of variable length would be a call
      std::memcpy(&payload, p, 8);
      payload &= n == 0 ? 0 : ~uint64_t{0} >> (64 - 8 * n);
    } else if (n != 0) {
      std::memcpy(&payload, p, n);
    }
    p += n;
    state.bits = Restore(kind, payload, state);
    out[i] = std::bit_cast<double>(state.bits);
  }
  return true;
}

}  // namespace basalt::storage
