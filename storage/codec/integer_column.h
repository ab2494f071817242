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
#include "storage/codec/row.h"

namespace basalt::storage {

enum class Predictor : uint8_t {
  kConstant = 0,     // all equal
  kFrame = 1,        // less the smallest
  kDelta = 2,        // less the one before, zigzag
  kRising = 3,       // less the one before and the smallest step
  kSecondDelta = 4,  // less the one before and the step before, zigzag
  kNeighbour = 5,    // less the one before and the step of the row before, zigzag (row_coding.h)
};

// The byte in front of a column: predictor (bits 0-2), coder (3-5), and the flags.
struct IntegerMethod {
  Predictor predictor = Predictor::kConstant;
  StreamCoder coder = StreamCoder::kPacked;
  bool divided = false;  // bit 6: all steps are multiples of a divisor
  bool mapped = false;   // bit 7: the integers stand for doubles otherwise than by value (row.h)
};

uint8_t MethodByte(const IntegerMethod& method);
// Nothing for values that this version does not know, and for combinations that no encoder writes.
std::optional<IntegerMethod> ParseMethod(uint8_t byte);

// Columns of more than kRowEntryInterval values (row.h) either have entry points or have none: who
// reads knows which.
enum class EntryPoints : uint8_t { kNone, kEvery256 };

constexpr uint64_t Difference(int64_t a, int64_t b) {
  return static_cast<uint64_t>(a) - static_cast<uint64_t>(b);
}

// Predictors whose values follow from the ones before.
constexpr bool Runs(Predictor predictor) {
  return predictor == Predictor::kDelta || predictor == Predictor::kRising ||
         predictor == Predictor::kSecondDelta;
}

// Whether the stream is cut where entry points are. A column that leans on another is read whole in
// any case.
constexpr bool IsChunked(Predictor predictor, size_t total, EntryPoints entry_points) {
  return entry_points == EntryPoints::kEvery256 && total > kRowEntryInterval &&
         predictor != Predictor::kNeighbour;
}

// How a column would be written, and what that costs.
struct IntegerPlan {
  IntegerMethod method;
  StreamPlan stream;
  EntryPoints entry_points = EntryPoints::kNone;
  int64_t base = 0;
  uint64_t divisor = 1;
  int64_t step =
      0;  // kRising: the smallest step; kSecondDelta: the first one; both already divided
  size_t bytes = 0;  // of method and body
};

struct PlanOptions {
  EntryPoints entry_points = EntryPoints::kNone;
  std::span<const int64_t> reference = {};  // of the row before, as many; empty: none to lean on
  bool entropy = true;                      // coders with built-in tables
};

// The cheapest plan for 1..kMaxSamplesPerRow values. Leaning on a reference must save a sixteenth,
// since it makes the reader decode the row before as well.
IntegerPlan PlanIntegers(std::span<const int64_t> values, const PlanOptions& options = {});

// What the plan's predictor leaves over; `out` is of the size of `values`.
void ComputeResiduals(std::span<const int64_t> values, const IntegerPlan& plan,
                      std::span<const int64_t> reference, std::span<uint64_t> out);

// Appends the body (no method byte) of `values` as planned for exactly these values and this
// reference.
void AppendIntegers(std::span<const int64_t> values, const IntegerPlan& plan,
                    std::span<const int64_t> reference, std::string& out);

// Which values of a column are wanted: as many as there is room for, from `first` on.
struct IntegerRange {
  size_t total = 0;  // 1..kMaxSamplesPerRow
  size_t first = 0;
  EntryPoints entry_points = EntryPoints::kNone;  // as it was written
};

// Reads values [first, first + out.size()) of a column and leaves `in` behind the column. With
// kNeighbour only the whole column can be read. Safe on hostile bytes, allocates nothing; false if
// they do not fit, or the reference is not of `total` values.
bool ReadIntegers(VarintReader& in, const IntegerMethod& method, const IntegerRange& range,
                  std::span<int64_t> out, std::span<const int64_t> reference = {});

// Method byte and body together, where nothing stands between them. `reference`: a column of as
// many values that the reader has already; empty: none to lean on.
void AppendIntegerColumn(std::span<const int64_t> values, std::string& out,
                         std::span<const int64_t> reference = {});
bool ReadIntegerColumn(VarintReader& in, std::span<int64_t> out,
                       std::span<const int64_t> reference = {});

}  // namespace basalt::storage
