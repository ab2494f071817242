// storage/codec/entropy_coder.h -- a list of numbers through built-in tables, and back. Format
// page, "Entropy".
//
// Several states take turns (lanes), so that a reader's loads overlap: number i belongs to lane
// i % lanes. Each lane may have a table of its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "engine/base/varint.h"
#include "storage/codec/entropy_table.h"

namespace basalt::storage {

inline constexpr size_t kMostLanes = 4;

struct Lanes {
  size_t count = 2;  // 2 or 4
  std::array<const EntropyTable*, kMostLanes> table{};
};

// Appends 1..2 * kMaxSamplesPerRow numbers, whose tokens their tables can code.
void AppendEntropy(std::span<const uint64_t> numbers, const Lanes& lanes, std::string& out);

// Reads out.size() numbers and leaves `in` behind them. Safe on hostile bytes, allocates nothing;
// false if they do not fit.
bool ReadEntropy(VarintReader& in, const Lanes& lanes, std::span<uint64_t> out);

// The same for two lists at once, each of which takes all of its bytes: faster than one after the
// other, since one alone is a chain of loads.
struct EntropyJob {
  std::string_view in;
  std::span<uint64_t> out;  // not empty
};
bool ReadEntropyTwo(const EntropyJob (&jobs)[2], const Lanes& lanes);

}  // namespace basalt::storage
