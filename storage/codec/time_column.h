// storage/codec/time_column.h -- columns of milliseconds as bytes. Format:
// storage/docs/superblock-format.md, "Times".
//
// A scrape loop ticks on a straight line with a jitter of milliseconds, so a column is a line and
// small residuals, or (gaps, bursts) packed deltas. Shared by the series of a target, it costs
// under 0.001 bytes a sample.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/base/status.h"

namespace basalt::storage {

// Whether these can be a column's times: 1..kMaxSamplesPerRow (row.h), strictly rising.
// kInvalidArgument for the count, or naming the index that does not rise.
Status CheckTimes(std::span<const int64_t> time_ms);

// Appends sample times: 1..kMaxSamplesPerRow (row.h), strictly rising, any int64.
// Errors: CheckTimes'; `out` is then untouched.
Status EncodeTimes(std::span<const int64_t> time_ms, std::string& out);

// Decodes what EncodeTimes wrote; `in` is exactly its bytes, `out.size()` its count. Safe on
// hostile bytes: reads only `in`, allocates nothing. Errors: kDataLoss if the bytes do not parse or
// the times do not rise strictly.
Status DecodeTimes(std::string_view in, std::span<int64_t> out);

// The same coder for start timestamps: any order, usually one value repeated. kNoStartMs is a value
// like any other.
Status EncodeStarts(std::span<const int64_t> start_ms, std::string& out);
Status DecodeStarts(std::string_view in, std::span<int64_t> out);

// Numbers time columns by content, from 0 in order of first appearance. Used where columns are
// shared: by a seal for the columns of a whole run, and by SuperblockBuilder. A value type.
// Thread-compatible.
class TimeColumnSet {
 public:
  // `time_ms`: as for EncodeTimes (checked there). Copies it if it is new.
  uint32_t Add(std::span<const int64_t> time_ms);
  [[nodiscard]] size_t size() const { return columns_.size(); }
  // Valid until the set is destroyed or moved from.
  [[nodiscard]] std::span<const int64_t> operator[](uint32_t column) const {
    return columns_[column];
  }
  void Clear();

 private:
  std::vector<std::vector<int64_t>> columns_;
  std::unordered_multimap<uint64_t, uint32_t> by_hash_;  // equal hashes are compared in full
};

}  // namespace basalt::storage
