// tools/terminal.h -- tables and small graphs in plain text.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace basalt::cli {

// Columns as wide as their widest cell (counted in code points), two spaces between, the last one
// unpadded. The first row is the heading.
std::string Table(const std::vector<std::vector<std::string>>& rows);

// One line of block characters, a value a column; NaN is a gap. A flat line stands in the middle.
std::string Sparkline(std::span<const double> values);

// Values resampled to `width` columns: each column shows the mean of what falls into it.
std::vector<double> Resample(std::span<const double> values, size_t width);

}  // namespace basalt::cli
