// storage/codec/residual_stream.h -- what a predictor leaves over, as bytes: small unsigned
// integers, many of them 0.
//
// Five coders, the cheapest by exact cost. Format page, "Streams".
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
  kMasked = 2,   // a bitmap of the values that are not 0, then these less 1, packed
  kEntropy = 3,  // each value by a built-in table
  kGaps = 4,     // as sparse, gaps by one built-in table and values by another
};
inline constexpr unsigned kStreamCoders = 5;

// For reports.
const char* StreamCoderName(StreamCoder coder);

struct StreamOptions {
  // Cut into chunks of kRowEntryInterval (row.h) values that can be read alone: entry points.
  bool chunked = false;
  // Coders with built-in tables may be chosen. Writers only.
  bool entropy = true;
};

struct StreamPlan {
  StreamCoder coder = StreamCoder::kPacked;
  uint8_t table = 0;      // of values
  uint8_t gap_table = 0;  // kGaps
  size_t bytes = 0;       // within a byte or two for coders with tables
};

// At most kMaxSamplesPerRow (row.h) values, here and below.
StreamPlan PlanStream(std::span<const uint64_t> residuals, const StreamOptions& options);
void AppendStream(std::span<const uint64_t> residuals, const StreamPlan& plan, bool chunked,
                  std::string& out);

// Reads residuals [first, first + out.size()) of `total` and leaves `in` behind all of them. Both
// ends are multiples of kRowEntryInterval, or the stream's. Unless chunked, only the whole can be
// read. Safe on hostile bytes: false if they do not fit.
bool ReadStream(VarintReader& in, StreamCoder coder, bool chunked, size_t total, size_t first,
                std::span<uint64_t> out);

}  // namespace basalt::storage
