#include "tools/terminal.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace basalt::cli {
namespace {

size_t CodePoints(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

}  // namespace

std::string Table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], CodePoints(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths[i] - CodePoints(row[i]) + 2, ' ');
    }
    out += '\n';
  }
  return out;
}

std::string Sparkline(std::span<const double> values) {
  static constexpr std::array<std::string_view, 8> kBlocks = {"▁", "▂", "▃", "▄",
                                                              "▅", "▆", "▇", "█"};
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const double v : values) {
    if (!std::isfinite(v)) continue;
    low = std::min(low, v);
    high = std::max(high, v);
  }
  std::string out;
  for (const double v : values) {
    if (std::isnan(v)) {
      out += ' ';
      continue;
    }
    const double share = std::isinf(v) ? (v > 0 ? 1 : 0)
                         : high > low  ? (v - low) / (high - low)
                                       : 0.5;
    out += kBlocks[static_cast<size_t>(std::lround(share * (kBlocks.size() - 1)))];
  }
  return out;
}

std::vector<double> Resample(std::span<const double> values, size_t width) {
  if (values.size() <= width) return {values.begin(), values.end()};
  std::vector<double> out(width, std::numeric_limits<double>::quiet_NaN());
  for (size_t column = 0; column < width; ++column) {
    const size_t begin = column * values.size() / width;
    const size_t end = (column + 1) * values.size() / width;
    double sum = 0;
    size_t count = 0;
    for (size_t i = begin; i < end; ++i) {
      if (std::isnan(values[i])) continue;
      sum += values[i];
      ++count;
    }
    if (count > 0) out[column] = sum / static_cast<double>(count);
  }
  return out;
}

}  // namespace basalt::cli
