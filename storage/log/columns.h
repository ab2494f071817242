// storage/log/columns.h -- columns of a log record as bytes. Format: storage/docs/log-format.md,
// "Columns".
//
// These trade a little size for speed and for needing nothing but themselves: a record must decode
// alone, so a value's predecessor in time is not at hand, only its neighbours in the request.
// Sealed data is coded far tighter (codec/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "engine/base/varint.h"

namespace basalt::storage {

// Appends integers: as runs of equal steps (a constant, or 0 1 2 3: a few bytes for any length), as
// steps, or as indices into at most 256 distinct values, whichever is smallest. The count is not
// stored.
void AppendIntColumn(std::span<const int64_t> values, std::string& out);
void AppendIntColumn(std::span<const uint32_t> values, std::string& out);
// No column of `count` integers takes more.
constexpr size_t MaxIntColumnBytes(size_t count) { return 1 + count * kMaxVarintBytes; }

// Appends doubles bit for bit: half a byte of kind and 0..8 bytes each, or all of them raw if that
// is smaller.
void AppendValueColumn(std::span<const double> values, std::string& out);

// The inverses; fill `out`, whose size is the count. False if the bytes do not fit; `in` is then
// spent and `out` holds anything. A uint32_t column with a larger value in it does not fit.
bool ReadIntColumn(VarintReader& in, std::span<int64_t> out);
bool ReadIntColumn(VarintReader& in, std::span<uint32_t> out);
bool ReadValueColumn(VarintReader& in, std::span<double> out);

}  // namespace basalt::storage
