// storage/codec/residual_stream.h -- what a predictor leaves over, as bytes: small unsigned
// integers, many of them 0.
//
// Three coders now, the cheapest by exact cost; a place is kept for entropy coding. Format page,
// "Residual stream".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "engine/base/varint.h"

namespace basalt::storage {

enum class StreamCoder : uint8_t {
  kPacked = 0,   // by 64s: a width byte and the bits
  kSparse = 1,   // the values that are not 0, as (gap, value - 1)
  kEntropy = 2,  // reserved: tANS with built-in tables
  kMasked = 3,   // a bitmap of the values that are not 0, then these less 1, packed
};

// For reports.
const char* StreamCoderName(StreamCoder coder);

struct StreamChoice {
  StreamCoder coder = StreamCoder::kPacked;
  size_t bytes = 0;
};

// At most kMaxSamplesPerRow (row.h) values, here and below.
StreamChoice CheapestStream(std::span<const uint64_t> residuals);
void AppendStream(std::span<const uint64_t> residuals, StreamCoder coder, std::string& out);

// Reads out.size() residuals and leaves `in` behind them. Safe on hostile bytes: false if they do
// not fit.
bool ReadStream(VarintReader& in, StreamCoder coder, std::span<uint64_t> out);

// A packed stream of `total` residuals, of which out.size() from number `first` on are wanted: the
// blocks before and behind are hopped over. `first` is a multiple of kPackBlock. Leaves `in` behind
// the whole stream.
bool ReadPackedRange(VarintReader& in, size_t total, size_t first, std::span<uint64_t> out);

}  // namespace basalt::storage
