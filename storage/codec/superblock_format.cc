#include "storage/codec/superblock_format.h"

#include <array>
#include <bit>

#include "engine/base/hash.h"
#include "engine/base/status.h"
#include "storage/codec/bit_pack.h"
#include "storage/codec/decimal.h"
#include "storage/codec/row.h"

namespace basalt::storage {
namespace {

// Flags of a summary.
enum SummaryFlag : uint8_t {
  kExactSum = 1,
  kHasResets = 2,
  kHasNan = 4,
  kHasStale = 8,
  kMinIsFirst = 16,
  kMaxIsLast = 32,
  kOwnEdges = 64,  // first and last sample are not at the row's bounds: distances follow
  kReserved = 128,
};

}  // namespace

uint32_t SuperblockChecksum(std::string_view bytes) {
  const auto all = std::as_bytes(std::span(bytes.data(), bytes.size()));
  return Crc32c(all.subspan(kSizeOffset), Crc32c(all.first(kChecksumOffset)));
}

void AppendPresence(std::span<const uint64_t> words, std::string& out) {
  const auto bit = [&](size_t i) { return (words[i / 64] >> (i % 64) & 1) != 0; };
  size_t first = 0;
  while (!bit(first)) ++first;
  size_t end = words.size() * 64;
  while (!bit(end - 1)) --end;
  size_t samples = 0;
  for (const uint64_t word : words) samples += static_cast<size_t>(std::popcount(word));
  const size_t span = end - first;
  AppendVarint(first, out);
  AppendVarint(span << 1 | (samples < span ? 1 : 0), out);
  if (samples == span) return;
  const size_t begin = out.size();
  out.resize(begin + PackedBytes(span, 1));
  for (size_t i = 0; i < span; ++i) {
    if (bit(first + i)) out[begin + i / 8] = static_cast<char>(out[begin + i / 8] | 1 << (i % 8));
  }
}

bool ReadPresence(VarintReader& in, size_t column_samples, Presence& presence) {
  uint64_t first = 0;
  uint64_t head = 0;
  if (!in.Read(first) || !in.Read(head) || first >= column_samples) return false;
  const uint64_t span = head >> 1;
  if (span == 0 || span > column_samples - first) return false;
  presence = {first, span, span, {}};
  if ((head & 1) == 0) return true;
  if (!in.ReadBytes(PackedBytes(span, 1), presence.holes)) return false;
  if (span % 8 != 0 && static_cast<unsigned char>(presence.holes.back()) >> (span % 8) != 0)
    return false;
  presence.samples = 0;
  for (const char byte : presence.holes) {
    presence.samples += static_cast<size_t>(std::popcount(static_cast<unsigned char>(byte)));
  }
  return presence.samples > 0;
}

Status AppendSummary(const RowSummary& s, size_t samples, int64_t min_ms, int64_t max_ms,
                     std::string& out) {
  if (s.count > samples) return InvalidArgument("summary.count is above the row's samples");
  const bool edges = s.count > 0 && (s.first_ms != min_ms || s.last_ms != max_ms);
  if (s.count > 0 && (s.first_ms < min_ms || s.last_ms > max_ms || s.first_ms > s.last_ms)) {
    return InvalidArgument("summary.first_ms and last_ms are not inside the row");
  }
  const bool min_is_first = SameBits(s.min, s.first);
  const bool max_is_last = SameBits(s.max, s.last);
  out += static_cast<char>((s.exact_sum ? kExactSum : 0) | (s.has_resets ? kHasResets : 0) |
                           (s.has_nan ? kHasNan : 0) | (s.has_stale ? kHasStale : 0) |
                           (min_is_first ? kMinIsFirst : 0) | (max_is_last ? kMaxIsLast : 0) |
                           (edges ? kOwnEdges : 0));
  AppendVarint(samples - s.count, out);
  if (s.count == 0) return OkStatus();
  if (edges) {
    AppendVarint(static_cast<uint64_t>(s.first_ms) - static_cast<uint64_t>(min_ms), out);
    AppendVarint(static_cast<uint64_t>(max_ms) - static_cast<uint64_t>(s.last_ms), out);
  }
  // The numbers are a little row: they are of the same kind as the values they sum up.
  std::array<double, 5> numbers{s.first, s.last, s.sum};
  size_t count = 3;
  if (!min_is_first) numbers[count++] = s.min;
  if (!max_is_last) numbers[count++] = s.max;
  return EncodeRow(std::span(numbers).first(count), out);
}

Result<RowSummary> ReadSummary(std::string_view bytes, size_t samples, int64_t min_ms,
                               int64_t max_ms) {
  VarintReader in(bytes);
  std::string_view head;
  uint64_t excluded = 0;
  if (!in.ReadBytes(1, head) || !in.Read(excluded) || excluded > samples)
    return DataLoss("summary: cut off");
  const auto flags = static_cast<uint8_t>(head[0]);
  if ((flags & kReserved) != 0) return DataLoss("summary: unknown flag");
  RowSummary s;
  s.count = static_cast<uint32_t>(samples - excluded);
  s.exact_sum = (flags & kExactSum) != 0;
  s.has_resets = (flags & kHasResets) != 0;
  s.has_nan = (flags & kHasNan) != 0;
  s.has_stale = (flags & kHasStale) != 0;
  if (s.count == 0) return s;
  s.first_ms = min_ms;
  s.last_ms = max_ms;
  if ((flags & kOwnEdges) != 0) {
    uint64_t after = 0;
    uint64_t before = 0;
    if (!in.Read(after) || !in.Read(before)) return DataLoss("summary: cut off");
    const uint64_t span = static_cast<uint64_t>(max_ms) - static_cast<uint64_t>(min_ms);
    if (after > span || before > span - after)
      return DataLoss("summary: its edges are outside the row");
    s.first_ms = static_cast<int64_t>(static_cast<uint64_t>(min_ms) + after);
    s.last_ms = static_cast<int64_t>(static_cast<uint64_t>(max_ms) - before);
  }
  const bool own_min = (flags & kMinIsFirst) == 0;
  const bool own_max = (flags & kMaxIsLast) == 0;
  std::array<double, 5> numbers;
  const size_t count = 3 + (own_min ? 1U : 0U) + (own_max ? 1U : 0U);
  std::string_view row;
  if (!in.ReadBytes(in.remaining(), row)) return DataLoss("summary: cut off");
  BASALT_TRY(DecodeRow(row, std::span(numbers).first(count)));
  s.first = numbers[0];
  s.last = numbers[1];
  s.sum = numbers[2];
  s.min = own_min ? numbers[3] : s.first;
  s.max = own_max ? numbers[count - 1] : s.last;
  return s;
}

}  // namespace basalt::storage
