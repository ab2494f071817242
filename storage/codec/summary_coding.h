// storage/codec/summary_coding.h -- a row's summary as bytes. Format:
// storage/docs/superblock-format.md, "Summary".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "storage/reader.h"

namespace basalt::storage {

// The row that a summary stands beside.
struct SummarizedBounds {
  size_t samples = 0;
  int64_t min_ms = 0;  // of the row in the directory
  int64_t max_ms = 0;
};

// Appends a summary. Errors: kInvalidArgument naming the field that does not fit the row.
Status AppendSummary(const RowSummary& summary, const SummarizedBounds& row, std::string& out);

// Whether some sample is a stale marker, by the first byte alone. True for what is no summary.
bool SummaryHoldsStale(std::string_view in);

// Reads it. `values` are the row's encoded values (of the row that it repeats, if it does): a row
// of equal samples is its own summary. Safe on hostile bytes. Errors: kDataLoss.
Result<RowSummary> ReadSummary(std::string_view in, const SummarizedBounds& row,
                               std::string_view values);

}  // namespace basalt::storage
