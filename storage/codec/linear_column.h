// storage/codec/linear_column.h -- a column of a superblock's directory: any entry is one load
// away.
//
// value(i) = base + i * slope + the i-th of equally wide bit fields. Directories are nearly
// straight lines (ordinals of a metric, groups, ends of rows), so most columns have narrow fields
// or none. Format page, "Linear column".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "engine/base/varint.h"
#include "storage/codec/bit_pack.h"

namespace basalt::storage {

// Entries may be loaded from up to this many bytes past the last field: the directory ends with as
// much padding.
inline constexpr size_t kLinearPaddingBytes = 16;

// A borrow of the directory's bytes. Thread-compatible.
class LinearColumn {
 public:
  // `i` is below the count it was read with.
  [[nodiscard]] int64_t operator[](size_t i) const {
    const size_t bit = i * width_;
    const char* p = fields_ + bit / 8;
    const unsigned shift = bit % 8;
    uint64_t field = LoadWord(p) >> shift;
    if (shift + width_ > 64) field |= LoadWord(p + 8) << (64 - shift);
    return static_cast<int64_t>(base_ + i * slope_ + (field & mask_));
  }

 private:
  friend bool ReadLinear(VarintReader& head, size_t count, LinearColumn& column);
  friend bool PlaceLinear(std::string_view fields, size_t count, size_t& at, LinearColumn& column);
  const char* fields_ = nullptr;
  uint64_t base_ = 0;
  uint64_t slope_ = 0;
  uint64_t mask_ = 0;
  unsigned width_ = 0;
};

// Appends a column in two parts: its head (base, slope, width) and its fields, which end on a byte.
void AppendLinear(std::span<const int64_t> values, std::string& head, std::string& fields);

// Reading, in the same two steps, safe on hostile bytes: false if they do not fit. `fields` is all
// columns' fields with their padding; PlaceLinear takes this column's from `at` and moves it on.
bool ReadLinear(VarintReader& head, size_t count, LinearColumn& column);
bool PlaceLinear(std::string_view fields, size_t count, size_t& at, LinearColumn& column);

}  // namespace basalt::storage
