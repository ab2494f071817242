// storage/codec/raw_row.h -- rows whose values no mapping makes small: their bytes, transposed and
// through zstd. Format page, "Raw row".
//
// The one place where zstd meets samples (DESIGN decision 13): values that share their upper bytes
// but follow no line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace basalt::storage {

// The method byte of such a row: no predictor has this number.
inline constexpr uint8_t kRawMethod = 6;

// Appends method byte and values if that takes at most `most_bytes`; otherwise `out` is untouched.
bool AppendRawRow(std::span<const double> values, size_t most_bytes, std::string& out);

// Decodes values [first, first + out.size()) of `samples`; `in` is the row behind its method byte.
// Safe on hostile bytes; false if they do not fit.
bool ReadRawRow(std::string_view in, size_t samples, size_t first, std::span<double> out);

}  // namespace basalt::storage
