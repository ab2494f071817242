#include "storage/codec/summary_coding.h"

#include <algorithm>
#include <array>
#include <span>

#include "engine/base/varint.h"
#include "storage/codec/decimal.h"
#include "storage/codec/integer_column.h"
#include "storage/codec/row.h"

namespace basalt::storage {
namespace {

enum SummaryFlag : uint8_t {
  kExactSum = 1,
  kHasResets = 2,
  kHasNan = 4,
  kHasStale = 8,
  kMinIsFirst = 16,
  kMaxIsLast = 32,
  kOwnEdges = 64,  // first and last sample are not at the row's bounds: distances follow
  kEqual = 128,    // all samples are equal, and their sum exact: nothing follows
};

// How the numbers are written.
enum NumberForm : uint8_t { kAsRow = 0, kWhole = 1 };

// first, last, sum, min?, max?, values before resets.
struct Numbers {
  std::array<double, 5 + RowSummary::kMaxResets> values{};
  size_t count = 0;
  void Add(double value) { values[count++] = value; }
  [[nodiscard]] std::span<double> all() { return std::span(values).first(count); }
};

bool IsEqual(const RowSummary& s, const SummarizedBounds& row) {
  return s.count == row.samples && s.exact_sum && !s.has_stale && !s.has_nan && !s.has_resets &&
         s.first_ms == row.min_ms && s.last_ms == row.max_ms && SameBits(s.first, s.last) &&
         SameBits(s.first, s.min) && SameBits(s.first, s.max) &&
         SameBits(s.sum, s.first * static_cast<double>(s.count));
}

// What each number is measured from when they are whole: the sum from that of a straight line, the
// others from the first. Modulo 2^64.
uint64_t Expected(std::span<const int64_t> before, uint32_t samples) {
  if (before.empty()) return 0;
  const auto first = static_cast<uint64_t>(before[0]);
  if (before.size() != 2) return first;
  const auto half = static_cast<int64_t>(Difference(before[1], before[0])) / 2;
  return (first + static_cast<uint64_t>(half)) * samples;
}

void AppendNumbers(Numbers numbers, uint32_t samples, std::string& out) {
  std::array<int64_t, std::tuple_size_v<decltype(numbers.values)>> whole{};
  bool fit = true;
  for (size_t i = 0; i < numbers.count; ++i) fit = fit && AsInteger(numbers.values[i], whole[i]);
  if (!fit) {
    out += static_cast<char>(kAsRow);
    const Status encoded = EncodeRow(numbers.all(), out);
    BASALT_CHECK(encoded.ok(), encoded.message());
    return;
  }
  out += static_cast<char>(kWhole);
  for (size_t i = 0; i < numbers.count; ++i) {
    const uint64_t expected = Expected(std::span(whole).first(i), samples);
    AppendVarint(ZigZag(static_cast<int64_t>(static_cast<uint64_t>(whole[i]) - expected)), out);
  }
}

// Reads numbers.count of them, up to the end.
bool ReadNumbers(VarintReader& in, uint32_t samples, Numbers& numbers) {
  std::string_view form;
  if (!in.ReadBytes(1, form)) return false;
  if (static_cast<uint8_t>(form[0]) == kAsRow) {
    std::string_view row;
    return in.ReadBytes(in.remaining(), row) && DecodeRow(row, numbers.all()).ok();
  }
  if (static_cast<uint8_t>(form[0]) != kWhole) return false;
  std::array<int64_t, std::tuple_size_v<decltype(numbers.values)>> whole{};
  for (size_t i = 0; i < numbers.count; ++i) {
    int64_t off = 0;
    if (!in.ReadSigned(off)) return false;
    whole[i] = static_cast<int64_t>(Expected(std::span(whole).first(i), samples) +
                                    static_cast<uint64_t>(off));
    numbers.values[i] = static_cast<double>(whole[i]);
  }
  return in.done();
}

}  // namespace

bool SummaryHoldsStale(std::string_view in) {
  return in.empty() || (static_cast<uint8_t>(in[0]) & kHasStale) != 0;
}

Status AppendSummary(const RowSummary& s, const SummarizedBounds& row, std::string& out) {
  if (s.count > row.samples) return InvalidArgument("summary.count is above the row's samples");
  if (s.count < row.samples && !s.has_stale)
    return InvalidArgument("summary.count is below the row's samples, and none is stale");
  if (s.resets > RowSummary::kMaxResets)
    return InvalidArgument("summary.resets is above what a summary keeps");
  const bool edges = s.count > 0 && (s.first_ms != row.min_ms || s.last_ms != row.max_ms);
  if (edges && (s.first_ms < row.min_ms || s.last_ms > row.max_ms || s.first_ms > s.last_ms)) {
    return InvalidArgument("summary.first_ms and last_ms are not inside the row");
  }
  if (IsEqual(s, row)) {
    out += static_cast<char>(kEqual | kExactSum | kMinIsFirst | kMaxIsLast);
    return OkStatus();
  }
  const bool min_is_first = SameBits(s.min, s.first);
  const bool max_is_last = SameBits(s.max, s.last);
  out += static_cast<char>((s.exact_sum ? kExactSum : 0) | (s.has_resets ? kHasResets : 0) |
                           (s.has_nan ? kHasNan : 0) | (s.has_stale ? kHasStale : 0) |
                           (min_is_first ? kMinIsFirst : 0) | (max_is_last ? kMaxIsLast : 0) |
                           (edges ? kOwnEdges : 0));
  if (s.has_stale) AppendVarint(row.samples - s.count, out);
  if (s.count == 0) return OkStatus();
  if (edges) {
    AppendVarint(static_cast<uint64_t>(s.first_ms) - static_cast<uint64_t>(row.min_ms), out);
    AppendVarint(static_cast<uint64_t>(row.max_ms) - static_cast<uint64_t>(s.last_ms), out);
  }
  if (s.has_resets) AppendVarint(s.resets, out);
  Numbers numbers;
  numbers.Add(s.first);
  numbers.Add(s.last);
  numbers.Add(s.sum);
  if (!min_is_first) numbers.Add(s.min);
  if (!max_is_last) numbers.Add(s.max);
  for (uint32_t i = 0; i < s.resets; ++i) numbers.Add(s.before_reset[i]);
  AppendNumbers(numbers, s.count, out);
  return OkStatus();
}

Result<RowSummary> ReadSummary(std::string_view bytes, const SummarizedBounds& row,
                               std::string_view values) {
  VarintReader in(bytes);
  std::string_view head;
  if (!in.ReadBytes(1, head)) return DataLoss("summary: cut off");
  const auto flags = static_cast<uint8_t>(head[0]);
  RowSummary s;
  s.count = static_cast<uint32_t>(row.samples);
  s.exact_sum = (flags & kExactSum) != 0;
  s.has_resets = (flags & kHasResets) != 0;
  s.has_nan = (flags & kHasNan) != 0;
  s.has_stale = (flags & kHasStale) != 0;
  s.first_ms = row.min_ms;
  s.last_ms = row.max_ms;
  if ((flags & kEqual) != 0) {
    if (flags != (kEqual | kExactSum | kMinIsFirst | kMaxIsLast) || !in.done())
      return DataLoss("summary: unknown flags");
    BASALT_TRY(DecodeRowRange(values, row.samples, 0, std::span(&s.first, 1)));
    s.last = s.min = s.max = s.first;
    s.sum = s.first * static_cast<double>(s.count);
    return s;
  }
  if (s.has_stale) {
    uint64_t excluded = 0;
    if (!in.Read(excluded) || excluded > row.samples) return DataLoss("summary: cut off");
    s.count -= static_cast<uint32_t>(excluded);
  }
  if (s.count == 0) {
    s.first_ms = s.last_ms = 0;
    if (!in.done()) return DataLoss("summary: bytes are left over");
    return s;
  }
  if ((flags & kOwnEdges) != 0) {
    uint64_t after = 0;
    uint64_t before = 0;
    if (!in.Read(after) || !in.Read(before)) return DataLoss("summary: cut off");
    const uint64_t span = static_cast<uint64_t>(row.max_ms) - static_cast<uint64_t>(row.min_ms);
    if (after > span || before > span - after)
      return DataLoss("summary: its edges are outside the row");
    s.first_ms = static_cast<int64_t>(static_cast<uint64_t>(row.min_ms) + after);
    s.last_ms = static_cast<int64_t>(static_cast<uint64_t>(row.max_ms) - before);
  }
  uint64_t resets = 0;
  if (s.has_resets && (!in.Read(resets) || resets > RowSummary::kMaxResets))
    return DataLoss("summary: its resets do not fit");
  s.resets = static_cast<uint32_t>(resets);
  const bool own_min = (flags & kMinIsFirst) == 0;
  const bool own_max = (flags & kMaxIsLast) == 0;
  Numbers numbers;
  numbers.count = 3 + (own_min ? 1U : 0U) + (own_max ? 1U : 0U) + s.resets;
  if (!ReadNumbers(in, s.count, numbers)) return DataLoss("summary: its numbers do not fit");
  const auto& v = numbers.values;
  s.first = v[0];
  s.last = v[1];
  s.sum = v[2];
  size_t next = 3;
  s.min = own_min ? v[next++] : s.first;
  s.max = own_max ? v[next++] : s.last;
  for (uint32_t i = 0; i < s.resets; ++i) s.before_reset[i] = v[next++];
  return s;
}

}  // namespace basalt::storage
