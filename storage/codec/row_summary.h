// storage/codec/row_summary.h -- what a whole row comes to, so that long windows need not decode it
// (DESIGN decision 9).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "storage/reader.h"

namespace basalt::storage {

// Rows of fewer samples carry no summary: it would cost more bytes than it saves decoding (design:
// 0.067 B a sample at 120, 0.015 at 512).
inline constexpr size_t kMinSummarySamples = 128;

// Summarizes a row: parallel columns of at least one sample, in strictly rising time; `start_ms`
// may be empty.
//
// As PromQL's *_over_time functions see it. Stale markers are excluded from all fields but
// `has_stale`; if nothing else is there, `count` is 0 and the other fields are 0.
// - min, max: NaN only if every value is NaN; of equal values (0 and -0) the earlier one.
// - sum: as sum_over_time adds, in time order (compensated, Neumaier; an infinity as it stands).
// - exact_sum: no NaN, no infinity, no -0, and every value is a multiple of one power of two 2^k,
// and the magnitudes
//   add up to less than 2^53 * 2^k: then any order of adding, compensated or plain, gives these
//   bits.
// - has_resets: some value is below the one before it, or a start timestamp changes inside the row;
//   before_reset: the values before up to kMaxResets of them.
RowSummary SummarizeRow(std::span<const int64_t> time_ms, std::span<const double> values,
                        std::span<const int64_t> start_ms);

}  // namespace basalt::storage
