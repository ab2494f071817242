#include "storage/codec/histogram_column.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/base/varint.h"
#include "storage/codec/decimal.h"
#include "storage/codec/integer_column.h"
#include "storage/codec/row.h"

namespace basalt::storage {
namespace {

// What histograms of one row mostly have in common.
struct Layout {
  bool is_float = false;
  int32_t schema = 0;
  double zero_threshold = 0;
  std::vector<HistogramSpan> positive;
  std::vector<HistogramSpan> negative;
  std::vector<double> custom_values;
  size_t positive_buckets = 0;
  size_t negative_buckets = 0;
};

uint64_t CountBuckets(std::span<const HistogramSpan> spans) {
  uint64_t total = 0;
  for (const HistogramSpan& span : spans) total += span.length;
  return total;
}

bool HasLayout(const NativeHistogram& h, const Layout& layout) {
  return h.is_float == layout.is_float && h.schema == layout.schema &&
         SameBits(h.zero_threshold, layout.zero_threshold) && h.positive_spans == layout.positive &&
         h.negative_spans == layout.negative &&
         std::ranges::equal(h.custom_values, layout.custom_values, SameBits);
}

Layout LayoutOf(const NativeHistogram& h) {
  return {h.is_float,
          h.schema,
          h.zero_threshold,
          h.positive_spans,
          h.negative_spans,
          h.custom_values,
          static_cast<size_t>(CountBuckets(h.positive_spans)),
          static_cast<size_t>(CountBuckets(h.negative_spans))};
}

// See kMaxHistogramCells.
size_t Cells(const NativeHistogram& h) {
  return 1 + h.positive_spans.size() + h.negative_spans.size() + h.custom_values.size() +
         (h.is_float ? h.positive_counts.size() + h.negative_counts.size()
                     : h.positive_deltas.size() + h.negative_deltas.size());
}
size_t Cells(const Layout& layout) {
  return 1 + layout.positive.size() + layout.negative.size() + layout.custom_values.size() +
         layout.positive_buckets + layout.negative_buckets;
}

// ---- Layouts.

void AppendSpans(std::span<const HistogramSpan> spans, std::string& out) {
  AppendVarint(spans.size(), out);
  for (const HistogramSpan& span : spans) {
    AppendVarint(ZigZag(span.offset), out);
    AppendVarint(span.length, out);
  }
}

void AppendDouble(double v, std::string& out) {
  const auto raw = std::bit_cast<std::array<char, 8>>(v);
  out.append(raw.data(), raw.size());
}

bool ReadDouble(VarintReader& in, double& v) {
  std::string_view raw;
  if (!in.ReadBytes(8, raw)) return false;
  std::memcpy(&v, raw.data(), 8);
  return true;
}

void AppendLayout(const Layout& layout, std::string& out) {
  out += static_cast<char>(layout.is_float ? 1 : 0);
  AppendVarint(ZigZag(layout.schema), out);
  AppendDouble(layout.zero_threshold, out);
  AppendSpans(layout.positive, out);
  AppendSpans(layout.negative, out);
  AppendVarint(layout.custom_values.size(), out);
  for (const double bound : layout.custom_values) AppendDouble(bound, out);
}

// A span takes 2 bytes and a bound 8, so that neither can be made up out of a short input.
bool ReadSpans(VarintReader& in, std::vector<HistogramSpan>& spans, size_t& buckets) {
  uint64_t count = 0;
  if (!in.Read(count) || count > in.remaining() / 2) return false;
  spans.resize(count);
  buckets = 0;
  for (HistogramSpan& span : spans) {
    int64_t offset = 0;
    uint64_t length = 0;
    if (!in.ReadSigned(offset) || !in.Read(length) || !std::in_range<int32_t>(offset)) return false;
    if (!std::in_range<uint32_t>(length)) return false;
    buckets += length;  // bounded as part of the cells; cannot wrap with so few spans
    span = {static_cast<int32_t>(offset), static_cast<uint32_t>(length)};
  }
  return true;
}

bool ReadLayout(VarintReader& in, Layout& layout) {
  std::string_view kind;
  int64_t schema = 0;
  uint64_t bounds = 0;
  if (!in.ReadBytes(1, kind) || static_cast<unsigned char>(kind[0]) > 1 || !in.ReadSigned(schema) ||
      !std::in_range<int32_t>(schema) || !ReadDouble(in, layout.zero_threshold) ||
      !ReadSpans(in, layout.positive, layout.positive_buckets) ||
      !ReadSpans(in, layout.negative, layout.negative_buckets) || !in.Read(bounds) ||
      bounds > in.remaining() / 8) {
    return false;
  }
  layout.is_float = kind[0] == 1;
  layout.schema = static_cast<int32_t>(schema);
  layout.custom_values.resize(bounds);
  return std::ranges::all_of(layout.custom_values,
                             [&](double& bound) { return ReadDouble(in, bound); });
}

// ---- Columns. A column of doubles is a row with its length in front; one of integers needs none.

using IntegerBuffer = std::array<int64_t, kMaxSamplesPerRow>;
using DoubleBuffer = std::array<double, kMaxSamplesPerRow>;

void AppendDoubles(std::span<const double> values, std::string& out) {
  std::string row;
  const Status encoded = EncodeRow(values, row);
  BASALT_CHECK(encoded.ok(), encoded.message());
  AppendVarint(row.size(), out);
  out += row;
}

bool ReadDoubles(VarintReader& in, std::span<double> out) {
  std::string_view row;
  return in.ReadString(row) && DecodeRow(row, out).ok();
}

// The samples of a row that share a layout, in time order.
struct Member {
  const Layout* layout;
  std::vector<uint32_t> samples;
};

// Calls `get(histogram)` for the members and appends the column.
template <typename Get>
void AppendIntegersOf(std::span<const HistogramPoint> points, const Member& member, Get get,
                      std::string& out) {
  IntegerBuffer column;
  for (size_t k = 0; k < member.samples.size(); ++k)
    column[k] = static_cast<int64_t>(get(points[member.samples[k]].histogram));
  AppendIntegerColumn(std::span(column).first(member.samples.size()), out);
}
template <typename Get>
void AppendDoublesOf(std::span<const HistogramPoint> points, const Member& member, Get get,
                     std::string& out) {
  DoubleBuffer column;
  for (size_t k = 0; k < member.samples.size(); ++k)
    column[k] = get(points[member.samples[k]].histogram);
  AppendDoubles(std::span(column).first(member.samples.size()), out);
}
// The same the other way: `set(histogram, value)`.
template <typename Set>
bool ReadIntegersOf(VarintReader& in, std::span<HistogramPoint> points, const Member& member,
                    Set set) {
  IntegerBuffer column;
  if (!ReadIntegerColumn(in, std::span(column).first(member.samples.size()))) return false;
  for (size_t k = 0; k < member.samples.size(); ++k)
    set(points[member.samples[k]].histogram, column[k]);
  return true;
}
template <typename Set>
bool ReadDoublesOf(VarintReader& in, std::span<HistogramPoint> points, const Member& member,
                   Set set) {
  DoubleBuffer column;
  if (!ReadDoubles(in, std::span(column).first(member.samples.size()))) return false;
  for (size_t k = 0; k < member.samples.size(); ++k)
    set(points[member.samples[k]].histogram, column[k]);
  return true;
}

// What the columns of a member come to, sample by sample, modulo 2^64: the count is kept as what
// its buckets do not explain, which is mostly nothing.
using Totals = std::array<uint64_t, kMaxSamplesPerRow>;

// Buckets of integer histograms are kept as counts: these rise with time where deltas between
// buckets wander. Each may lean on the one before it. Modulo 2^64 both say the same.
void AppendBuckets(std::span<const HistogramPoint> points, const Member& member,
                   std::vector<int64_t> NativeHistogram::* deltas, size_t buckets, Totals& totals,
                   std::string& out) {
  const size_t n = member.samples.size();
  IntegerBuffer before{};
  IntegerBuffer column;
  for (size_t b = 0; b < buckets; ++b) {
    for (size_t k = 0; k < n; ++k) {
      const auto delta = static_cast<uint64_t>((points[member.samples[k]].histogram.*deltas)[b]);
      column[k] = static_cast<int64_t>(static_cast<uint64_t>(before[k]) + delta);
      totals[k] += static_cast<uint64_t>(column[k]);
    }
    AppendIntegerColumn(std::span(column).first(n), out, std::span(before).first(n));
    std::swap(before, column);
  }
}

bool ReadBuckets(VarintReader& in, std::span<HistogramPoint> points, const Member& member,
                 std::vector<int64_t> NativeHistogram::* deltas, size_t buckets, Totals& totals) {
  const size_t n = member.samples.size();
  IntegerBuffer before{};
  IntegerBuffer column;
  for (const uint32_t sample : member.samples) (points[sample].histogram.*deltas).resize(buckets);
  for (size_t b = 0; b < buckets; ++b) {
    if (!ReadIntegerColumn(in, std::span(column).first(n), std::span(before).first(n)))
      return false;
    for (size_t k = 0; k < n; ++k) {
      (points[member.samples[k]].histogram.*deltas)[b] =
          static_cast<int64_t>(static_cast<uint64_t>(column[k]) - static_cast<uint64_t>(before[k]));
      totals[k] += static_cast<uint64_t>(column[k]);
    }
    std::swap(before, column);
  }
  return true;
}

void AppendMember(std::span<const HistogramPoint> points, const Member& member, std::string& out) {
  const Layout& layout = *member.layout;
  AppendDoublesOf(points, member, [](const NativeHistogram& h) { return h.sum; }, out);
  if (!layout.is_float) {
    Totals totals{};
    size_t j = 0;
    AppendIntegersOf(
        points, member, [&](const NativeHistogram& h) { return totals[j++] = h.zero_count; }, out);
    AppendBuckets(points, member, &NativeHistogram::positive_deltas, layout.positive_buckets,
                  totals, out);
    AppendBuckets(points, member, &NativeHistogram::negative_deltas, layout.negative_buckets,
                  totals, out);
    size_t k = 0;
    AppendIntegersOf(
        points, member, [&](const NativeHistogram& h) { return h.count - totals[k++]; }, out);
    return;
  }
  AppendDoublesOf(points, member, [](const NativeHistogram& h) { return h.count_float; }, out);
  AppendDoublesOf(points, member, [](const NativeHistogram& h) { return h.zero_count_float; }, out);
  for (size_t b = 0; b < layout.positive_buckets; ++b) {
    AppendDoublesOf(
        points, member, [b](const NativeHistogram& h) { return h.positive_counts[b]; }, out);
  }
  for (size_t b = 0; b < layout.negative_buckets; ++b) {
    AppendDoublesOf(
        points, member, [b](const NativeHistogram& h) { return h.negative_counts[b]; }, out);
  }
}

bool ReadMember(VarintReader& in, const Member& member, std::span<HistogramPoint> points) {
  const Layout& layout = *member.layout;
  if (!ReadDoublesOf(in, points, member, [](NativeHistogram& h, double v) { h.sum = v; }))
    return false;
  if (!layout.is_float) {
    Totals totals{};
    size_t k = 0;
    const auto zeros = [&](NativeHistogram& h, int64_t v) {
      h.zero_count = static_cast<uint64_t>(v);
      totals[k++] = h.zero_count;
    };
    size_t j = 0;
    const auto count = [&](NativeHistogram& h, int64_t v) {
      h.count = static_cast<uint64_t>(v) + totals[j++];
    };
    return ReadIntegersOf(in, points, member, zeros) &&
           ReadBuckets(in, points, member, &NativeHistogram::positive_deltas,
                       layout.positive_buckets, totals) &&
           ReadBuckets(in, points, member, &NativeHistogram::negative_deltas,
                       layout.negative_buckets, totals) &&
           ReadIntegersOf(in, points, member, count);
  }
  for (const uint32_t sample : member.samples) {
    points[sample].histogram.positive_counts.resize(layout.positive_buckets);
    points[sample].histogram.negative_counts.resize(layout.negative_buckets);
  }
  bool fits =
      ReadDoublesOf(in, points, member, [](NativeHistogram& h, double v) { h.count_float = v; }) &&
      ReadDoublesOf(in, points, member,
                    [](NativeHistogram& h, double v) { h.zero_count_float = v; });
  for (size_t b = 0; b < layout.positive_buckets && fits; ++b) {
    fits = ReadDoublesOf(in, points, member,
                         [b](NativeHistogram& h, double v) { h.positive_counts[b] = v; });
  }
  for (size_t b = 0; b < layout.negative_buckets && fits; ++b) {
    fits = ReadDoublesOf(in, points, member,
                         [b](NativeHistogram& h, double v) { h.negative_counts[b] = v; });
  }
  return fits;
}

// Empties what another row may have left in reused histograms, and gives them their layout.
void ApplyLayout(const Layout& layout, NativeHistogram& h) {
  h.is_float = layout.is_float;
  h.schema = layout.schema;
  h.zero_threshold = layout.zero_threshold;
  h.positive_spans = layout.positive;
  h.negative_spans = layout.negative;
  h.custom_values = layout.custom_values;
  h.sum = h.count_float = h.zero_count_float = 0;
  h.count = h.zero_count = 0;
  h.positive_deltas.clear();
  h.negative_deltas.clear();
  h.positive_counts.clear();
  h.negative_counts.clear();
}

// Splits sample numbers by layout.
std::vector<Member> Members(const std::vector<Layout>& layouts,
                            std::span<const int64_t> layout_of) {
  std::vector<Member> members;
  members.reserve(layouts.size());
  for (const Layout& layout : layouts) members.push_back({&layout, {}});
  for (size_t i = 0; i < layout_of.size(); ++i) {
    members[static_cast<size_t>(layout_of[i])].samples.push_back(static_cast<uint32_t>(i));
  }
  return members;
}

Status CheckBuckets(const NativeHistogram& h, size_t sample) {
  const size_t positive = h.is_float ? h.positive_counts.size() : h.positive_deltas.size();
  const size_t negative = h.is_float ? h.negative_counts.size() : h.negative_deltas.size();
  if (CountBuckets(h.positive_spans) == positive && CountBuckets(h.negative_spans) == negative)
    return OkStatus();
  return InvalidArgument("histogram row: sample " + std::to_string(sample) +
                         ": spans do not fit the buckets");
}

}  // namespace

size_t HistogramsThatFit(std::span<const HistogramPoint> points) {
  size_t cells = 0;
  size_t fit = 0;
  while (fit < points.size() && fit < kMaxSamplesPerRow) {
    cells += Cells(points[fit].histogram);
    if (fit > 0 && cells > kMaxHistogramCells) break;
    ++fit;
  }
  return fit;
}

Status EncodeHistograms(std::span<const HistogramPoint> points, std::string& out) {
  if (points.empty() || points.size() > kMaxSamplesPerRow) {
    return InvalidArgument("histogram row: " + std::to_string(points.size()) + " samples, 1.." +
                           std::to_string(kMaxSamplesPerRow) + " are possible");
  }
  size_t cells = 0;
  std::vector<Layout> layouts;
  IntegerBuffer layout_of;
  IntegerBuffer hints;
  for (size_t i = 0; i < points.size(); ++i) {
    const NativeHistogram& h = points[i].histogram;
    BASALT_TRY(CheckBuckets(h, i));
    cells += Cells(h);
    // Backwards, since the layout is mostly that of the sample before.
    const auto it = std::find_if(layouts.rbegin(), layouts.rend(),
                                 [&](const Layout& l) { return HasLayout(h, l); });
    layout_of[i] =
        it == layouts.rend() ? static_cast<int64_t>(layouts.size()) : layouts.rend() - it - 1;
    if (it == layouts.rend()) layouts.push_back(LayoutOf(h));
    hints[i] = static_cast<int64_t>(h.reset_hint);
  }
  if (points.size() > 1 && cells > kMaxHistogramCells) {
    return InvalidArgument("histogram row: " + std::to_string(cells) + " cells, the most is " +
                           std::to_string(kMaxHistogramCells));
  }
  AppendVarint(layouts.size(), out);
  for (const Layout& layout : layouts) AppendLayout(layout, out);
  AppendIntegerColumn(std::span(layout_of).first(points.size()), out);
  AppendIntegerColumn(std::span(hints).first(points.size()), out);
  for (const Member& member : Members(layouts, std::span(layout_of).first(points.size()))) {
    AppendMember(points, member, out);
  }
  return OkStatus();
}

Status DecodeHistograms(std::string_view in, std::span<HistogramPoint> out) {
  if (out.empty() || out.size() > kMaxSamplesPerRow) {
    return DataLoss("histogram row: " + std::to_string(out.size()) + " samples are not possible");
  }
  VarintReader reader(in);
  uint64_t layout_count = 0;
  if (!reader.Read(layout_count) || layout_count == 0 || layout_count > out.size()) {
    return DataLoss("histogram row: the number of layouts does not fit");
  }
  std::vector<Layout> layouts(layout_count);
  for (Layout& layout : layouts) {
    if (!ReadLayout(reader, layout)) return DataLoss("histogram row: a layout does not fit");
  }
  IntegerBuffer layout_of;
  IntegerBuffer hints;
  if (!ReadIntegerColumn(reader, std::span(layout_of).first(out.size())) ||
      !ReadIntegerColumn(reader, std::span(hints).first(out.size()))) {
    return DataLoss("histogram row: layout numbers or reset hints do not fit");
  }
  size_t cells = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    if (layout_of[i] < 0 || static_cast<uint64_t>(layout_of[i]) >= layout_count || hints[i] < 0 ||
        hints[i] > static_cast<int64_t>(ResetHint::kGauge)) {
      return DataLoss("histogram row: sample " + std::to_string(i) +
                      " has no layout or an unknown reset hint");
    }
    cells += Cells(layouts[static_cast<size_t>(layout_of[i])]);
    // A single sample may be larger, but then every cell has bytes of its own in the input.
    if (cells > std::max(kMaxHistogramCells, in.size()))
      return DataLoss("histogram row: too many cells");
  }
  for (size_t i = 0; i < out.size(); ++i) {
    ApplyLayout(layouts[static_cast<size_t>(layout_of[i])], out[i].histogram);
    out[i].histogram.reset_hint = static_cast<ResetHint>(hints[i]);
  }
  for (const Member& member : Members(layouts, std::span(layout_of).first(out.size()))) {
    if (member.samples.empty()) return DataLoss("histogram row: a layout without samples");
    if (!ReadMember(reader, member, out)) return DataLoss("histogram row: a column does not fit");
  }
  if (!reader.done()) return DataLoss("histogram row: bytes are left over");
  return OkStatus();
}

}  // namespace basalt::storage
