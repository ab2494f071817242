// storage/codec/plain_streams.h -- residual streams without entropy coding: packed, sparse, masked.
// Format page, "Streams".
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "engine/base/varint.h"

namespace basalt::storage {

// By 64s: a width byte and the bits.
void AppendPacked(std::span<const uint64_t> values, std::string& out);
// The values that are not 0, as (gap, value - 1).
void AppendSparse(std::span<const uint64_t> values, std::string& out);
// A bitmap of the values that are not 0, then these less 1, packed.
void AppendMasked(std::span<const uint64_t> values, std::string& out);

// Read out.size() (at most kMaxSamplesPerRow) values and leave `in` behind them. Safe on hostile
// bytes: false if they do not fit.
bool ReadPacked(VarintReader& in, std::span<uint64_t> out);
bool ReadSparse(VarintReader& in, std::span<uint64_t> out);
bool ReadMasked(VarintReader& in, std::span<uint64_t> out);

}  // namespace basalt::storage
