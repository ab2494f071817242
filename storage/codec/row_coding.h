// storage/codec/row_coding.h -- rows that may lean on the row before them: what superblocks use
// beneath row.h.
//
// Neighbouring rows (the buckets of a histogram, the states of a CPU) move together, so a row may
// be coded as the difference between its steps and those of the row before it. Such a row cannot be
// read alone; a chain of them is at most kMaxNeighbourChain long, which bounds what reading one
// bucket costs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "storage/codec/row.h"

namespace basalt::storage {

// Rows that lean on one another, the first of them on nothing but its own: 16 rows.
inline constexpr size_t kMaxNeighbourChain = 15;

// EncodeRow, with the integers of the row before as `reference` (of equal size; empty: none to lean
// on). `integers`, of the size of `values`, receives those that the next row may lean on. True if
// the row leans on the reference.
Result<bool> EncodeRowAgainst(std::span<const double> values, std::span<const int64_t> reference,
                              const RowOptions& options, std::string& out,
                              std::span<int64_t> integers);

// True if the row cannot be read without its reference.
bool NeedsReference(std::string_view in);

// The one value of a constant row, and its integer. Nothing for other rows and for damaged ones.
struct ConstantRow {
  double value = 0;
  int64_t integer = 0;
};
std::optional<ConstantRow> ReadConstantRow(std::string_view in);

// Decodes samples [first, first + integers.size()) of a row: their integers, and their values
// unless `out` is empty. A row that needs a reference is decoded whole; kDataLoss if it is missing
// or of another size. Otherwise as row.h.
Status DecodeRowAgainst(std::string_view in, size_t samples, std::span<const int64_t> reference,
                        size_t first, std::span<double> out, std::span<int64_t> integers);

}  // namespace basalt::storage
