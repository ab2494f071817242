// storage/codec/histogram_column.h -- the native histograms of one row, as bytes.
// Format: storage/docs/superblock-format.md, "Histogram row".
//
// Layouts (schema, spans, thresholds, custom bounds) change rarely: each distinct one is written
// once, and a bucket is a column over the samples that share its layout. Times and start timestamps
// are kept beside, as for float rows.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "engine/base/histogram.h"
#include "engine/base/status.h"
#include "storage/reader.h"

namespace basalt::storage {

// A sample has a cell for each bucket, span and custom bound, and one more. Decoding may have to
// hold all cells of a row (8 bytes each), so a row of several samples has at most this many: 2048
// samples of 511 cells; Prometheus limits histograms to 160 buckets by default. A single sample may
// have more: it must be storable whatever it is.
inline constexpr size_t kMaxHistogramCells = size_t{1} << 20;

// How many of the leading points fit in one row: 1..min(size, kMaxSamplesPerRow); 0 only for none.
size_t HistogramsThatFit(std::span<const HistogramPoint> points);

// Appends the histograms of `points` (their times and start times are not written).
//
// Every field that `is_float` says is meant comes back bit for bit, doubles included; the fields of
// the other kind are not kept (they come back zero and empty). Histograms need not be valid (a
// stale marker is not), but the number of buckets must be what the spans say. Errors:
// kInvalidArgument for a count out of range, too many cells or spans that do not fit their buckets,
// naming the sample; `out` is then untouched.
Status EncodeHistograms(std::span<const HistogramPoint> points, std::string& out);

// Decodes what EncodeHistograms wrote into the `histogram` fields of `out`, whose size is the row's
// sample count; the vectors inside are reused. Safe on hostile bytes: reads only `in`, allocates at
// most kMaxHistogramCells cells and the layouts. Errors: kDataLoss.
Status DecodeHistograms(std::string_view in, std::span<HistogramPoint> out);

}  // namespace basalt::storage
