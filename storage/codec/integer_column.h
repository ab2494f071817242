// storage/codec/integer_column.h -- a column of int64: predict, then code what is left over.
//
// Under everything in a superblock: values mapped to integers (row.h), times, starts, histogram
// buckets. Arithmetic is modulo 2^64, so every column of every content comes back. Format page,
// "Integer column".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "engine/base/varint.h"
#include "storage/codec/residual_stream.h"

namespace basalt::storage {

enum class Predictor : uint8_t {
  kConstant = 0,     // all equal
  kFrame = 1,        // less the smallest
  kDelta = 2,        // less the one before, zigzag
  kRising = 3,       // less the one before and the smallest step
  kSecondDelta = 4,  // less the one before and the step before, zigzag
  kNeighbour = 5,    // less the one before and the step of the row before, zigzag (row_coding.h)
};

// The byte in front of a column: predictor (bits 0-2), coder (3-4), and the flags.
struct IntegerMethod {
  Predictor predictor = Predictor::kConstant;
  StreamCoder coder = StreamCoder::kPacked;
  bool divided = false;  // bit 5: all steps are multiples of a divisor
  bool entries = false;  // bit 6: entry points follow
  bool mapped = false;   // bit 7: the integers stand for doubles otherwise than by value (row.h)
};

uint8_t MethodByte(const IntegerMethod& method);
// Nothing for values that this version does not know, and for combinations that no encoder writes.
std::optional<IntegerMethod> ParseMethod(uint8_t byte);

// How a column would be written, and what that costs.
struct IntegerPlan {
  IntegerMethod method;
  int64_t base = 0;
  uint64_t divisor = 1;
  int64_t step =
      0;  // kRising: the smallest step; kSecondDelta: the first one; both already divided
  size_t bytes = 0;  // of method and body
};

struct PlanOptions {
  bool entry_points = false;                // where the body needs them (row.h)
  std::span<const int64_t> reference = {};  // of the row before, as many; empty: none to lean on
};

// The cheapest plan for 1..kMaxSamplesPerRow values. Leaning on a reference must save a sixteenth,
// since it makes the reader decode the row before as well.
IntegerPlan PlanIntegers(std::span<const int64_t> values, const PlanOptions& options = {});

// Appends the body (no method byte) of `values` as planned for exactly these values and this
// reference.
void AppendIntegers(std::span<const int64_t> values, const IntegerPlan& plan,
                    std::span<const int64_t> reference, std::string& out);

// Reads values [first, first + out.size()) of a column of `total` (1..kMaxSamplesPerRow) values and
// leaves `in` behind the column. With kNeighbour only the whole column can be read. Safe on hostile
// bytes, allocates nothing; false if they do not fit, or the reference is not of `total` values.
bool ReadIntegers(VarintReader& in, const IntegerMethod& method, size_t total, size_t first,
                  std::span<int64_t> out, std::span<const int64_t> reference = {});

// Method byte and body together, where nothing stands between them.
void AppendIntegerColumn(std::span<const int64_t> values, std::string& out);
bool ReadIntegerColumn(VarintReader& in, std::span<int64_t> out);

}  // namespace basalt::storage
