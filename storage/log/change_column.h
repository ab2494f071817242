// storage/log/change_column.h -- values of series that come again and again, each against the last
// one of its series. Format: storage/docs/log-format.md, "Changes".
//
// Most scraped samples repeat the one before (design/storage.md: 70-87 %), and most that do not are
// a small step away: a bit says which, half a byte how the step is written. Measured on the
// recording at every 15th second: 30 % change, 0.8 bytes a sample.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "engine/base/varint.h"

namespace basalt::storage {

// Appends `values` bit for bit; before[i] is what values[i] is told against (0 if there is
// nothing), and any bits are allowed in both.
void AppendChangeColumn(std::span<const double> values, std::span<const double> before,
                        std::string& out);
// No column of `count` values takes more.
constexpr size_t MaxChangeColumnBytes(size_t count) {
  return (count + 7) / 8 + (count + 1) / 2 + count * sizeof(double);
}

// The inverse, into `out`, whose size is the count; `before` as it was in Append. False if the
// bytes do not fit; `in` is then spent and `out` holds anything.
bool ReadChangeColumn(VarintReader& in, std::span<const double> before, std::span<double> out);

}  // namespace basalt::storage
