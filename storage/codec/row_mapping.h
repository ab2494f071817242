// storage/codec/row_mapping.h -- how the integers of a row stand for doubles, and the samples that
// they cannot. Format page, "Row".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "engine/base/varint.h"
#include "storage/codec/decimal.h"

namespace basalt::storage {

// Bits 0-1 of the mapping byte.
enum class Mapping : uint8_t {
  kInteger = 0,  // the same number
  kDecimal = 1,  // integer / 10^power
  kCorrected =
      2,  // the same, moved by a second column of units in the last place: sums of decimals
  kOrderedBits = 3,  // the double's own bits, in order
};

struct MappingByte {
  Mapping mapping = Mapping::kInteger;
  int power = 0;            // bits 2-5; 1..kMaxDecimalPower with kDecimal and kCorrected, else 0
  bool exceptions = false;  // bit 6; not with kOrderedBits, which takes every double
};

uint8_t Pack(const MappingByte& mapping);
// Nothing for what no encoder writes.
std::optional<MappingByte> ParseMapping(uint8_t byte);

// The integer of kCorrected. False where there is none: NaN, infinities, large numbers.
inline bool AsNearDecimal(double value, int power, int64_t& integer) {
  const double scaled = value * kPowersOfTen[static_cast<size_t>(power)];
  if (!(std::fabs(scaled) < 0x1p53)) return false;
  integer = RoundToInteger(scaled);
  return true;
}
// What is left: in units of the last place, modulo 2^64.
inline int64_t Correction(double value, int64_t integer, int power) {
  return static_cast<int64_t>(static_cast<uint64_t>(AsOrdered(value)) -
                              static_cast<uint64_t>(AsOrdered(FromDecimal(integer, power))));
}

// The doubles that integers stand for, exceptions apart. `corrections` is read with kCorrected
// only. A kernel.
void IntegersToDoubles(const MappingByte& mapping, std::span<const int64_t> integers,
                       std::span<const int64_t> corrections, std::span<double> out);

// The powers of ten worth trying for a row.
struct Powers {
  int all = 0;   // takes every decimal of the row
  int most = 0;  // leaves a few of them out; often the same
};
Powers ChoosePowers(std::span<const double> values);
// The power that leaves the least to correct, judged by bit lengths; 0 if too many values have no
// such integer.
int ChooseCorrectedPower(std::span<const double> values);
// The smallest power that makes `value` an integer; -1 if none does.
int PowerOf(double value);

// Collects the samples that a mapping cannot hold, in rising position. Most are stale markers and
// NaN, or in runs.
class ExceptionList {
 public:
  void Add(size_t position, double value);
  [[nodiscard]] size_t count() const { return count_; }
  // Count and items, as stored.
  [[nodiscard]] std::string Encoded() const;

 private:
  std::string items_;
  size_t count_ = 0;
  size_t next_ = 0;
  uint64_t last_ = 0;
};

// Walks such a list one by one. Safe on hostile bytes.
class ExceptionReader {
 public:
  // Reads the count. `in` must outlive the reader.
  ExceptionReader(VarintReader& in, size_t samples);
  // False at the end, and where the bytes do not fit: ok() tells which.
  bool Next(size_t& position, double& value);
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  VarintReader& in_;
  size_t samples_;
  uint64_t left_ = 0;
  size_t next_ = 0;
  uint64_t last_ = 0;
  bool first_ = true;
  bool ok_ = true;
};

}  // namespace basalt::storage
