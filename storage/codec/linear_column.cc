#include "storage/codec/linear_column.h"

#include <algorithm>
#include <vector>

namespace basalt::storage {
namespace {

struct Line {
  uint64_t base = 0;
  uint64_t slope = 0;
  unsigned width = 65;
};

// The base and width that a slope needs.
Line Fit(std::span<const int64_t> values, uint64_t slope) {
  int64_t low = INT64_MAX;
  int64_t high = INT64_MIN;
  for (size_t i = 0; i < values.size(); ++i) {
    const auto off = static_cast<int64_t>(static_cast<uint64_t>(values[i]) - i * slope);
    low = std::min(low, off);
    high = std::max(high, off);
  }
  return {static_cast<uint64_t>(low), slope,
          BitWidth(static_cast<uint64_t>(high) - static_cast<uint64_t>(low))};
}

}  // namespace

void AppendLinear(std::span<const int64_t> values, std::string& head, std::string& fields) {
  Line line{0, 0, 0};
  if (!values.empty()) {
    line = Fit(values, 0);
    const size_t steps = values.size() - 1;
    if (steps > 0 && line.width > 0) {
      const int64_t rise = static_cast<int64_t>(static_cast<uint64_t>(values.back()) -
                                                static_cast<uint64_t>(values.front()));
      const auto mean = rise / static_cast<int64_t>(steps);
      const auto first = static_cast<uint64_t>(values[1]) - static_cast<uint64_t>(values[0]);
      for (const uint64_t slope : {static_cast<uint64_t>(mean), first}) {
        if (const Line tried = Fit(values, slope); tried.width < line.width) line = tried;
      }
    }
  }
  AppendVarint(ZigZag(static_cast<int64_t>(line.base)), head);
  AppendVarint(ZigZag(static_cast<int64_t>(line.slope)), head);
  head += static_cast<char>(line.width);
  std::vector<uint64_t> off(values.size());
  for (size_t i = 0; i < off.size(); ++i)
    off[i] = static_cast<uint64_t>(values[i]) - i * line.slope - line.base;
  PackBits(off, line.width, fields);
}

bool ReadLinear(VarintReader& head, size_t count, LinearColumn& column) {
  int64_t base = 0;
  int64_t slope = 0;
  std::string_view width;
  if (!head.ReadSigned(base) || !head.ReadSigned(slope) || !head.ReadBytes(1, width)) return false;
  column.base_ = static_cast<uint64_t>(base);
  column.slope_ = static_cast<uint64_t>(slope);
  column.width_ = static_cast<unsigned char>(width[0]);
  if (column.width_ > 64 || (count == 0 && column.width_ != 0)) return false;
  // A field of no width is masked away, wherever it is loaded from.
  column.mask_ = LowMask(column.width_);
  return true;
}

bool PlaceLinear(std::string_view fields, size_t count, size_t& at, LinearColumn& column) {
  const size_t bytes = PackedBytes(count, column.width_);
  if (at > fields.size() || fields.size() - at < bytes + kLinearPaddingBytes) return false;
  column.fields_ = fields.data() + at;
  at += bytes;
  return true;
}

}  // namespace basalt::storage
