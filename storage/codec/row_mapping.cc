#include "storage/codec/row_mapping.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "engine/base/stale.h"
#include "storage/codec/bit_pack.h"
#include "storage/codec/kernels.h"
#include "storage/codec/row_summary.h"

namespace basalt::storage {
namespace {

enum class ExceptionClass : uint8_t { kBits = 0, kStale = 1, kNan = 2, kSameAsLast = 3 };
constexpr uint64_t kPlainNanBits = 0x7ff8'0000'0000'0001;  // what Go's math.NaN() is

// Sums of decimals mostly come from clocks: milliseconds, microseconds, nanoseconds.
constexpr std::array<int, 3> kCorrectedPowers = {3, 6, 9};

}  // namespace

uint8_t Pack(const MappingByte& m) {
  return static_cast<uint8_t>(static_cast<unsigned>(m.mapping) |
                              static_cast<unsigned>(m.power) << 2 | (m.exceptions ? 0x40U : 0));
}

std::optional<MappingByte> ParseMapping(uint8_t byte) {
  MappingByte m;
  m.mapping = static_cast<Mapping>(byte & 3);
  m.power = byte >> 2 & 15;
  m.exceptions = (byte & 0x40) != 0;
  const bool has_power = m.mapping == Mapping::kDecimal || m.mapping == Mapping::kCorrected;
  if (has_power ? m.power < 1 || m.power > kMaxDecimalPower : m.power != 0) return std::nullopt;
  if ((byte & 0x80) != 0 || (m.exceptions && m.mapping == Mapping::kOrderedBits))
    return std::nullopt;
  return m;
}

void IntegersToDoubles(const MappingByte& mapping, std::span<const int64_t> integers,
                       std::span<const int64_t> corrections, std::span<double> out) {
  switch (mapping.mapping) {
    case Mapping::kInteger:
    case Mapping::kDecimal:
      ActiveKernels().to_doubles(integers.data(), out.size(),
                                 kPowersOfTen[static_cast<size_t>(mapping.power)], out.data());
      break;
    case Mapping::kCorrected:
      for (size_t i = 0; i < out.size(); ++i) {
        const auto near = static_cast<uint64_t>(AsOrdered(FromDecimal(integers[i], mapping.power)));
        out[i] = FromOrdered(static_cast<int64_t>(near + static_cast<uint64_t>(corrections[i])));
      }
      break;
    case Mapping::kOrderedBits:
      for (size_t i = 0; i < out.size(); ++i) out[i] = FromOrdered(integers[i]);
      break;
  }
}

int PowerOf(double value) {
  int64_t integer = 0;
  for (int power = 0; power <= kMaxDecimalPower; ++power) {
    if (AsDecimal(value, power, integer)) return power;
  }
  return -1;
}

Powers ChoosePowers(std::span<const double> values) {
  std::array<size_t, kMaxDecimalPower + 1> need{};
  size_t decimals = 0;
  Powers powers;
  int64_t integer = 0;
  // 64 values are looked at closely; of the others only those that no power so far takes (10 times
  // one that fits, fits).
  const size_t stride = std::max<size_t>(1, values.size() / 64);
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0 && SameBits(values[i], values[i - 1])) continue;
    if (i % stride != 0 && AsDecimal(values[i], powers.all, integer)) continue;
    if (!(std::fabs(values[i]) < 0x1p53)) continue;
    const int power = PowerOf(values[i]);
    if (power < 0) continue;
    powers.all = std::max(powers.all, power);
    ++need[static_cast<size_t>(power)];
    ++decimals;
  }
  size_t left_out = 0;
  powers.most = powers.all;
  while (powers.most > 0) {
    left_out += need[static_cast<size_t>(powers.most)];
    if (left_out * 16 > decimals) break;
    --powers.most;
  }
  return powers;
}

int ChooseCorrectedPower(std::span<const double> values) {
  int best = 0;
  size_t least = SIZE_MAX;
  for (const int power : kCorrectedPowers) {
    size_t bits = 0;
    size_t missing = 0;
    int64_t last = 0;
    uint64_t last_correction = 0;
    for (const double value : values) {
      int64_t integer = 0;
      if (!AsNearDecimal(value, power, integer)) {
        ++missing;
        continue;
      }
      const auto step =
          static_cast<int64_t>(static_cast<uint64_t>(integer) - static_cast<uint64_t>(last));
      const int64_t correction = Correction(value, integer, power);
      bits += BitWidth(ZigZag(step));
      // A value that stays has nothing new to correct.
      if (step != 0 || static_cast<uint64_t>(correction) != last_correction)
        bits += BitWidth(ZigZag(correction));
      last = integer;
      last_correction = static_cast<uint64_t>(correction);
    }
    if (missing * 8 <= values.size() && bits < least) {
      least = bits;
      best = power;
    }
  }
  return best;
}

void ExceptionList::Add(size_t position, double value) {
  const auto bits = std::bit_cast<uint64_t>(value);
  ExceptionClass c = ExceptionClass::kBits;
  if (bits == kStaleMarkerBits) {
    c = ExceptionClass::kStale;
  } else if (bits == kPlainNanBits) {
    c = ExceptionClass::kNan;
  } else if (count_ > 0 && bits == last_) {
    c = ExceptionClass::kSameAsLast;
  }
  AppendVarint((position - next_) << 2 | static_cast<uint64_t>(c), items_);
  if (c == ExceptionClass::kBits) {
    const auto raw = std::bit_cast<std::array<char, 8>>(bits);
    items_.append(raw.data(), raw.size());
  }
  next_ = position + 1;
  last_ = bits;
  ++count_;
}

std::string ExceptionList::Encoded() const {
  std::string out;
  AppendVarint(count_, out);
  return out + items_;
}

ExceptionReader::ExceptionReader(VarintReader& in, size_t samples) : in_(in), samples_(samples) {
  ok_ = in_.Read(left_) && left_ > 0 && left_ <= samples;
}

bool ExceptionReader::Next(size_t& position, double& value) {
  if (!ok_ || left_ == 0) return false;
  uint64_t head = 0;
  ok_ = in_.Read(head) && head >> 2 < samples_ - next_;
  if (!ok_) return false;
  switch (static_cast<ExceptionClass>(head & 3)) {
    case ExceptionClass::kBits: {
      std::string_view raw;
      ok_ = in_.ReadBytes(8, raw);
      if (ok_) std::memcpy(&last_, raw.data(), 8);
      break;
    }
    case ExceptionClass::kStale:
      last_ = kStaleMarkerBits;
      break;
    case ExceptionClass::kNan:
      last_ = kPlainNanBits;
      break;
    case ExceptionClass::kSameAsLast:
      ok_ = !first_;
      break;
  }
  if (!ok_) return false;
  first_ = false;
  position = next_ + (head >> 2);
  next_ = position + 1;
  value = std::bit_cast<double>(last_);
  --left_;
  return true;
}

}  // namespace basalt::storage
