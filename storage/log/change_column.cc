#include "storage/log/change_column.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace basalt::storage {
namespace {

static_assert(std::endian::native == std::endian::little,
              "payloads are little-endian and copied as they are");

// Half a byte each; the format page says what they are.
enum ChangeKind : uint8_t {
  kZero = 0,
  kStep1 = 1,  // 1..4: integer steps in as many bytes
  kStep6 = 5,
  kMilli2 = 6,
  kMilli3 = 7,
  kNano3 = 8,
  kNano4 = 9,
  kNano6 = 10,
  kXorLow4 = 11,
  kXorLow6 = 12,
  kXorLow7 = 13,
  kXorHigh3 = 14,
  kBits = 15,
};
constexpr std::array<uint8_t, 16> kPayload = {0, 1, 2, 3, 4, 6, 2, 3, 3, 4, 6, 4, 6, 7, 3, 8};
// By the bytes that a step needs; 0 where no kind takes so many.
constexpr std::array<uint8_t, 9> kStepKind = {kStep1, 1, 2, 3, 4, kStep6, kStep6, 0, 0};
constexpr std::array<uint8_t, 9> kMilliKind = {kMilli2, kMilli2, kMilli2, kMilli3, 0, 0, 0, 0, 0};
constexpr std::array<uint8_t, 9> kNanoKind = {kNano3, kNano3, kNano3, kNano3, kNano4,
                                              kNano6, kNano6, 0,      0};

constexpr double kMilli = 1e3;
constexpr double kNano = 1e9;
constexpr double kMaxExact = 9'007'199'254'740'992.0;  // 2^53: below it every integer is a double
constexpr size_t kSlack = 8;  // payloads are stored as whole words and then overlapped

size_t BytesNeeded(uint64_t v) { return (static_cast<size_t>(std::bit_width(v)) + 7) / 8; }

// The integer nearest to v * scale, where that is certain to be exact as a double; 0 elsewhere.
// What a step is told from, so the same function in both directions.
int64_t Base(double v, double scale) {
  const double x = v * scale;
  if (!(std::fabs(x) < kMaxExact)) return 0;  // NaN too
  return static_cast<int64_t>(x + std::copysign(0.5, x));
}

bool IsInteger(double v, int64_t& i) {
  if (!(std::fabs(v) < kMaxExact)) return false;
  i = static_cast<int64_t>(v);
  return std::bit_cast<uint64_t>(static_cast<double>(i)) == std::bit_cast<uint64_t>(v);
}

// Sets `i` and returns true if i / scale == v bit for bit. The division of an exact integer by a
// power of ten is correctly rounded, so what was parsed from few enough digits passes; multiplying
// back would not do. It also costs the most here, so it is kept for what can pass: v and x are each
// within half an ulp of i / scale and v * scale, so x is within |x| / 2^51 of i.
bool IsScaled(double v, double scale, int64_t& i) {
  const double x = v * scale;
  if (!(std::fabs(x) < kMaxExact)) return false;
  i = static_cast<int64_t>(x + std::copysign(0.5, x));
  const auto rounded = static_cast<double>(i);
  if (std::fabs(x - rounded) > std::fabs(x) * 0x1p-51) return false;
  return std::bit_cast<uint64_t>(rounded / scale) == std::bit_cast<uint64_t>(v);
}

struct Change {
  uint8_t kind;
  uint64_t payload;
};

// `v` is not `before`, bit for bit.
Change Choose(double v, double before) {
  const uint64_t bits = std::bit_cast<uint64_t>(v);
  if (bits == 0) return {kZero, 0};
  int64_t i = 0;
  if (IsInteger(v, i)) {
    const uint64_t step = ZigZag(i - Base(before, 1));
    if (const uint8_t kind = kStepKind[BytesNeeded(step)]; kind != 0) return {kind, step};
  }
  const uint64_t x = bits ^ std::bit_cast<uint64_t>(before);
  if (x << 24 == 0) return {kXorHigh3, x >> 40};
  if (IsScaled(v, kMilli, i)) {
    const uint64_t step = ZigZag(i - Base(before, kMilli));
    if (const uint8_t kind = kMilliKind[BytesNeeded(step)]; kind != 0) return {kind, step};
  }
  if (IsScaled(v, kNano, i)) {
    const uint64_t step = ZigZag(i - Base(before, kNano));
    if (const uint8_t kind = kNanoKind[BytesNeeded(step)]; kind != 0) return {kind, step};
  }
  if (x >> 32 == 0) return {kXorLow4, x};
  if (x >> 48 == 0) return {kXorLow6, x};
  if (x >> 56 == 0) return {kXorLow7, x};
  return {kBits, bits};
}

double Restore(uint8_t kind, uint64_t payload, double before) {
  // Unsigned, since hostile bytes may add up to anything.
  const auto stepped = [&](double scale) {
    return static_cast<double>(static_cast<int64_t>(static_cast<uint64_t>(Base(before, scale)) +
                                                    static_cast<uint64_t>(UnZigZag(payload)))) /
           scale;
  };
  switch (kind) {
    case kZero:
      return 0;
    case kMilli2:
    case kMilli3:
      return stepped(kMilli);
    case kNano3:
    case kNano4:
    case kNano6:
      return stepped(kNano);
    case kXorLow4:
    case kXorLow6:
    case kXorLow7:
      return std::bit_cast<double>(std::bit_cast<uint64_t>(before) ^ payload);
    case kXorHigh3:
      return std::bit_cast<double>(std::bit_cast<uint64_t>(before) ^ payload << 40);
    case kBits:
      return std::bit_cast<double>(payload);
    default:
      return static_cast<double>(static_cast<int64_t>(static_cast<uint64_t>(Base(before, 1)) +
                                                      static_cast<uint64_t>(UnZigZag(payload))));
  }
}

// The bits of up to 64 samples from `i` on that change.
uint64_t ChangedBits(std::span<const double> values, std::span<const double> before, size_t i) {
  const size_t n = std::min<size_t>(64, values.size() - i);
  uint64_t bits = 0;
  for (size_t k = 0; k < n; ++k) {
    const bool changed =
        std::bit_cast<uint64_t>(values[i + k]) != std::bit_cast<uint64_t>(before[i + k]);
    bits |= uint64_t{changed} << k;
  }
  return bits;
}

}  // namespace

void AppendChangeColumn(std::span<const double> values, std::span<const double> before,
                        std::string& out) {
  const size_t n = values.size();
  const size_t begin = out.size();
  const size_t map_bytes = (n + 7) / 8;
  out.resize(begin + MaxChangeColumnBytes(n) + kSlack);
  char* const map = out.data() + begin;
  size_t changed = 0;
  uint64_t last = 0;
  for (size_t i = 0; i < n; i += 64) {
    last = ChangedBits(values, before, i);
    changed += static_cast<size_t>(std::popcount(last));
    std::memcpy(map + i / 8, &last, sizeof last);  // past the map's end it is overwritten below
  }
  char* const kinds = map + map_bytes;
  char* p = kinds + (changed + 1) / 2;
  size_t at = 0;
  for (size_t i = 0; i < n; i += 64) {
    uint64_t bits = last;
    if (i + 64 <= n) std::memcpy(&bits, map + i / 8, sizeof bits);
    for (; bits != 0; bits &= bits - 1) {
      const size_t k = i + static_cast<size_t>(std::countr_zero(bits));
      const Change change = Choose(values[k], before[k]);
      if (at % 2 == 0) {
        kinds[at / 2] = static_cast<char>(change.kind);
      } else {
        kinds[at / 2] =
            static_cast<char>(static_cast<unsigned char>(kinds[at / 2]) | change.kind << 4);
      }
      ++at;
      std::memcpy(p, &change.payload, 8);
      p += kPayload[change.kind];
    }
  }
  out.resize(static_cast<size_t>(p - out.data()));
}

bool ReadChangeColumn(VarintReader& in, std::span<const double> before, std::span<double> out) {
  const size_t n = out.size();
  std::string_view map;
  if (!in.ReadBytes((n + 7) / 8, map)) return false;
  size_t changed = 0;
  for (const char byte : map)
    changed += static_cast<size_t>(std::popcount(static_cast<unsigned char>(byte)));
  if (n % 8 != 0 && static_cast<unsigned char>(map.back()) >> n % 8 != 0) return false;
  std::string_view kinds;
  if (!in.ReadBytes((changed + 1) / 2, kinds)) return false;
  const auto kind_at = [kinds](size_t i) {
    const auto pair = static_cast<unsigned char>(kinds[i / 2]);
    return static_cast<uint8_t>(i % 2 == 0 ? pair & 15U : pair >> 4U);
  };
  // The payload's length first: one check then covers the loop below.
  size_t payload_bytes = 0;
  for (size_t i = 0; i < changed; ++i) payload_bytes += kPayload[kind_at(i)];
  std::string_view payload;
  if (!in.ReadBytes(payload_bytes, payload)) return false;
  std::copy(before.begin(), before.end(), out.begin());
  const char* p = payload.data();
  const char* const end = p + payload.size();
  size_t at = 0;
  for (size_t byte = 0; byte < map.size(); ++byte) {
    for (auto bits = static_cast<unsigned>(static_cast<unsigned char>(map[byte])); bits != 0;
         bits &= bits - 1) {
      const size_t i = byte * 8 + static_cast<size_t>(std::countr_zero(bits));
      const uint8_t kind = kind_at(at++);
      const size_t bytes = kPayload[kind];
      uint64_t word = 0;
      if (end - p >=
          8) {  // a whole word and then a mask: a copy of variable length would be a call
        std::memcpy(&word, p, 8);
        word &= bytes == 0 ? 0 : ~uint64_t{0} >> (64 - 8 * bytes);
      } else if (bytes != 0) {
        std::memcpy(&word, p, bytes);
      }
      p += bytes;
      out[i] = Restore(kind, word, before[i]);
    }
  }
  return true;
}

}  // namespace basalt::storage
