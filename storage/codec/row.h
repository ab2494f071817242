// storage/codec/row.h -- one float series over one span, as bytes. Format:
// storage/docs/superblock-format.md, "Row".
//
// The same bytes serve a row of a superblock (up to 2048 samples) and a mini-block of the head
// (about 32 samples, in memory only): a row carries no count, no times and no checksum, because
// whoever holds it has them already.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "engine/base/status.h"

namespace basalt::storage {

// 34 h at 60 s, 8.5 h at 15 s. Longer rows gain nothing measurable and make short queries decode
// more (design: 512 -> 2048 -> 8192 samples changes bytes by less than 1 %).
inline constexpr size_t kMaxSamplesPerRow = 2048;

// Longer rows can be entered at multiples of this: DecodeRowRange begins there. A point costs 4-10
// bytes a row that is not constant.
inline constexpr size_t kRowEntryInterval = 256;

// No row of n samples is longer than this: 8 bytes a sample, a width byte a 64 of them, the header,
// and at most 24 bytes an entry point in each of the two columns a row can have.
constexpr size_t MaxRowBytes(size_t samples) {
  return 32 + samples * 8 + samples / 64 + samples / kRowEntryInterval * 48;
}

struct RowOptions {
  // Coders with built-in tables may be used. Without them rows are a fifth larger and cost less to
  // write.
  bool entropy = true;
};

// Appends one encoded row to `out`: the cheapest of the modes that the format page lists.
//
// `values`: 1..kMaxSamplesPerRow doubles in time order. Every bit pattern comes back: NaN payloads
// (the stale marker is one), -0, infinities, denormals. Errors: kInvalidArgument if the count is
// out of range; `out` is then untouched. Deterministic: equal bits give equal bytes. Thread-safe
// (no state).
Status EncodeRow(std::span<const double> values, std::string& out, const RowOptions& options = {});

// Decodes what EncodeRow wrote. `in` is exactly the row's bytes; `out.size()` is its sample count.
// Safe on hostile bytes: reads only `in`, allocates nothing on the heap (150 KiB of stack; raw rows
// keep zstd's memory, once a thread), takes time linear in `out.size()` + `in.size()`. Errors:
// kDataLoss if the bytes are no row of that many samples (`out` then holds anything). Without a
// checksum of its own a row cannot tell every damage: the superblock does. Thread-safe.
Status DecodeRow(std::string_view in, std::span<double> out);

// Decodes samples [first, first + out.size()) of a row of `samples` samples; begins at the entry
// point before `first`. The same guarantees and errors; kInvalidArgument if
// the range is not inside the row.
Status DecodeRowRange(std::string_view in, size_t samples, size_t first, std::span<double> out);

}  // namespace basalt::storage
