#include "storage/codec/superblock.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "engine/base/varint.h"
#include "storage/codec/bit_pack.h"
#include "storage/codec/entropy_table.h"
#include "storage/codec/histogram_column.h"
#include "storage/codec/row_coding.h"
#include "storage/codec/summary_coding.h"
#include "storage/codec/superblock_format.h"
#include "storage/codec/time_column.h"

namespace basalt::storage {
namespace {

template <typename T>
T LoadAt(std::string_view bytes, size_t offset) {
  T v{};
  std::memcpy(&v, bytes.data() + offset, sizeof v);
  return v;
}

Status RowLoss(uint32_t row, const char* what) {
  return DataLoss("superblock: row " + std::to_string(row) + ": " + what);
}

// Where in `wanted` an ordinal stands, or is missing. Directory and list mostly run side by side,
// so the search begins where the last one ended and doubles its steps.
class Gallop {
 public:
  explicit Gallop(std::span<const SeriesOrdinal> wanted) : wanted_(wanted) {}
  // The index, or the size of the list.
  size_t Find(SeriesOrdinal ordinal) {
    const size_t n = wanted_.size();
    size_t low = at_;
    size_t high = at_;
    size_t step = 1;
    if (at_ < n && wanted_[at_] < ordinal) {
      while (high < n && wanted_[high] < ordinal) low = high + 1, high += step, step *= 2;
      high = std::min(high, n);
    } else {
      while (low > 0 && !(wanted_[low - 1] < ordinal))
        high = low - 1, low -= std::min(low, step), step *= 2;
    }
    at_ = static_cast<size_t>(std::lower_bound(wanted_.begin() + static_cast<ptrdiff_t>(low),
                                               wanted_.begin() + static_cast<ptrdiff_t>(high),
                                               ordinal) -
                              wanted_.begin());
    return at_ < n && wanted_[at_] == ordinal ? at_ : n;
  }

 private:
  std::span<const SeriesOrdinal> wanted_;
  size_t at_ = 0;
};

}  // namespace

// A row's bytes, taken apart.
struct Superblock::RowBody {
  RowInfo info;
  Presence presence;  // only with info.has_presence
  RowParts parts;
};

Result<Superblock> Superblock::Open(std::string_view bytes, bool checked) {
  if (bytes.size() < kSuperblockHeaderBytes || bytes.size() > kMaxSuperblockBytes) {
    return DataLoss("superblock: " + std::to_string(bytes.size()) + " bytes are not possible");
  }
  if (std::memcmp(bytes.data(), kSuperblockMagic, sizeof kSuperblockMagic) != 0) {
    return DataLoss("superblock: the magic does not fit");
  }
  if (LoadAt<uint32_t>(bytes, kSizeOffset) != bytes.size())
    return DataLoss("superblock: the length does not fit");
  if (!checked && LoadAt<uint32_t>(bytes, kChecksumOffset) != SuperblockChecksum(bytes)) {
    return DataLoss("superblock: the checksum does not fit");
  }
  // Header and checksum are the same in every version, so a flipped version is damage and not the
  // future.
  const auto version = static_cast<uint8_t>(bytes[kVersionOffset]);
  if (version != kSuperblockVersion) {
    return Unimplemented("superblock: version " + std::to_string(version) +
                         " is unknown to this program");
  }
  if (const auto sets = LoadAt<uint8_t>(bytes, kTablesOffset); sets > kEntropySets) {
    return Unimplemented("superblock: set " + std::to_string(sets) +
                         " of the entropy tables is unknown to this program");
  }
  // From here on a misfit is a bug of ours, or somebody's work; it is still no reason to read
  // outside.
  Superblock b;
  b.row_count_ = LoadAt<uint16_t>(bytes, kRowsOffset);
  b.column_count_ = LoadAt<uint16_t>(bytes, kColumnsOffset);
  b.min_ms_ = LoadAt<int64_t>(bytes, kFirstOffset);
  b.max_ms_ = LoadAt<int64_t>(bytes, kLastOffset);
  if (b.row_count_ > kMaxRowsPerSuperblock || b.column_count_ > kMaxColumnsPerSuperblock) {
    return DataLoss("superblock: too many rows or columns");
  }
  const std::array<LinearColumn*, 10> directory = {
      &b.row_ordinal_,    &b.row_group_,    &b.row_column_,  &b.row_shape_,     &b.row_end_,
      &b.column_samples_, &b.column_first_, &b.column_span_, &b.column_shared_, &b.column_end_};
  const auto count_of = [&](size_t i) { return i < 5 ? b.row_count_ : b.column_count_; };
  VarintReader head(bytes.substr(kSuperblockHeaderBytes));
  uint64_t column_bytes = 0;
  bool fits = true;
  for (size_t i = 0; i < directory.size() && fits; ++i)
    fits = ReadLinear(head, count_of(i), *directory[i]);
  fits = fits && head.Read(column_bytes);
  std::string_view rest;
  fits = fits && head.ReadBytes(head.remaining(), rest);
  size_t at = 0;
  for (size_t i = 0; i < directory.size() && fits; ++i)
    fits = PlaceLinear(rest, count_of(i), at, *directory[i]);
  if (!fits || column_bytes > rest.size() - at - kLinearPaddingBytes) {
    return DataLoss("superblock: the directory does not fit");
  }
  rest.remove_prefix(at + kLinearPaddingBytes);
  b.column_bytes_ = rest.substr(0, column_bytes);
  b.bodies_ = rest.substr(column_bytes);
  return b;
}

SeriesOrdinal Superblock::ordinal(uint32_t row) const {
  BASALT_CHECK(row < row_count_, "superblock: row out of range");
  return SeriesOrdinal{static_cast<uint32_t>(row_ordinal_[row])};
}

Result<TimeColumnInfo> Superblock::column(uint32_t column) const {
  BASALT_CHECK(column < column_count_, "superblock: column out of range");
  const int64_t samples = column_samples_[column];
  const int64_t span = column_span_[column];
  const int64_t shared = column_shared_[column];
  TimeColumnInfo info;
  info.first_ms = column_first_[column];
  if (samples < 1 || samples > static_cast<int64_t>(kMaxSamplesPerRow) || shared < 0 ||
      shared > int64_t{UINT32_MAX} + 1 || span < samples - 1 ||
      __builtin_add_overflow(info.first_ms, span, &info.last_ms)) {
    return DataLoss("superblock: time column " + std::to_string(column) + " is not possible");
  }
  info.samples = static_cast<uint32_t>(samples);
  if (shared > 0) info.shared = static_cast<uint32_t>(shared - 1);
  return info;
}

Result<Superblock::RowBody> Superblock::Body(uint32_t row) const {
  RowBody body;
  BASALT_TRY(ReadBody(row, nullptr, body));
  return body;
}

Status Superblock::ReadBody(uint32_t row, const RowInfo* like, RowBody& body) const {
  BASALT_CHECK(row < row_count_, "superblock: row out of range");
  const int64_t begin = row == 0 ? 0 : row_end_[row - 1];
  const int64_t end = row_end_[row];
  const int64_t column_index = row_column_[row];
  const int64_t shape = row_shape_[row];
  if (begin < 0 || end < begin || static_cast<uint64_t>(end) > bodies_.size())
    return RowLoss(row, "its end does not fit");
  if (column_index < 0 || column_index >= column_count_)
    return RowLoss(row, "it has no time column");
  if (shape < 0 || shape > kShapeAll) return RowLoss(row, "its shape is unknown");
  TimeColumnInfo times;
  if (like != nullptr && like->time_column == column_index && !like->has_presence) {
    times = {.samples = like->samples,
             .first_ms = like->min_ms,
             .last_ms = like->max_ms,
             .shared = std::nullopt};
  } else {
    BASALT_TRY_ASSIGN(times, column(static_cast<uint32_t>(column_index)));
  }

  body.parts.repeats = (shape & kShapeDuplicate) != 0;
  RowInfo& info = body.info;
  info.ordinal = SeriesOrdinal{static_cast<uint32_t>(row_ordinal_[row])};
  info.group = GroupId{static_cast<uint32_t>(row_group_[row])};
  info.kind = (shape & kShapeHistogram) != 0 ? RowKind::kHistogram : RowKind::kFloat;
  info.time_column = static_cast<uint32_t>(column_index);
  info.samples = times.samples;
  info.min_ms = times.first_ms;
  info.max_ms = times.last_ms;
  info.has_presence = (shape & kShapePresence) != 0;
  info.has_starts = (shape & kShapeStarts) != 0;
  info.has_summary = (shape & kShapeSummary) != 0;

  const std::string_view whole =
      bodies_.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
  VarintReader in(whole);
  if (info.has_presence) {
    if (!ReadPresence(in, times.samples, body.presence))
      return RowLoss(row, "its presence does not fit");
    info.samples = static_cast<uint32_t>(body.presence.samples);
    body.parts.presence = whole.substr(0, whole.size() - in.remaining());
  }
  if (info.has_starts && !in.ReadString(body.parts.starts))
    return RowLoss(row, "its start times are cut off");
  if (info.has_summary && !in.ReadString(body.parts.summary))
    return RowLoss(row, "its summary is cut off");
  if (!in.ReadBytes(in.remaining(), body.parts.values))
    return RowLoss(row, "its values are cut off");
  info.leans =
      info.kind == RowKind::kFloat && !body.parts.repeats && NeedsReference(body.parts.values);
  return OkStatus();
}

Result<RowInfo> Superblock::row(uint32_t row, const RowInfo* like) const {
  RowBody body;
  BASALT_TRY(ReadBody(row, like, body));
  return body.info;
}

Result<RowParts> Superblock::Parts(uint32_t row) const {
  BASALT_TRY_ASSIGN(const RowBody body, Body(row));
  return body.parts;
}

Result<Superblock::Outline> Superblock::outline(uint32_t row) const {
  BASALT_CHECK(row < row_count_, "superblock: row out of range");
  const int64_t column = row_column_[row];
  if (column < 0 || column >= column_count_) return RowLoss(row, "it has no time column");
  Outline out;
  out.ordinal = SeriesOrdinal{static_cast<uint32_t>(row_ordinal_[row])};
  out.time_column = static_cast<uint32_t>(column);
  constexpr int64_t kAside = kShapeHistogram | kShapePresence | kShapeStarts;
  const int64_t shape = row_shape_[row];
  if ((shape & kAside) != 0 || (shape & kShapeSummary) == 0) return out;
  // The summary stands first in the body of such a row.
  const int64_t begin = row == 0 ? 0 : row_end_[row - 1];
  const int64_t end = row_end_[row];
  if (begin < 0 || end < begin || static_cast<uint64_t>(end) > bodies_.size())
    return RowLoss(row, "its end does not fit");
  VarintReader in(bodies_.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
  std::string_view summary;
  if (!in.ReadString(summary)) return RowLoss(row, "its summary is cut off");
  out.all_present = !SummaryHoldsStale(summary);
  return out;
}

void Superblock::FindRows(std::span<const SeriesOrdinal> wanted, std::vector<RowMatch>& out) const {
  Gallop gallop(wanted);
  for (uint32_t row = 0; row < row_count_; ++row) {
    const size_t at = gallop.Find(SeriesOrdinal{static_cast<uint32_t>(row_ordinal_[row])});
    if (at < wanted.size()) out.push_back({row, static_cast<uint32_t>(at)});
  }
}

Status Superblock::DecodeTimeColumn(uint32_t index, std::span<int64_t> out) const {
  BASALT_TRY_ASSIGN(const TimeColumnInfo info, column(index));
  if (info.shared)
    return FailedPrecondition("superblock: time column " + std::to_string(index) +
                              " is kept by its run");
  if (out.size() != info.samples)
    return InvalidArgument("superblock: the buffer is not of the time column's size");
  const int64_t begin = index == 0 ? 0 : column_end_[index - 1];
  const int64_t end = column_end_[index];
  if (begin < 0 || end < begin || static_cast<uint64_t>(end) > column_bytes_.size()) {
    return DataLoss("superblock: time column " + std::to_string(index) + ": its end does not fit");
  }
  BASALT_TRY(DecodeTimes(
      column_bytes_.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin)), out));
  if (out.front() != info.first_ms || out.back() != info.last_ms) {
    return DataLoss("superblock: time column " + std::to_string(index) +
                    " differs from the directory");
  }
  return OkStatus();
}

Status Superblock::SelectTimes(uint32_t row, std::span<const int64_t> column_times,
                               std::span<int64_t> out) const {
  BASALT_TRY_ASSIGN(const RowBody body, Body(row));
  BASALT_TRY_ASSIGN(const TimeColumnInfo times, column(body.info.time_column));
  if (column_times.size() != times.samples)
    return InvalidArgument("superblock: the times are of another column");
  if (out.size() != body.info.samples)
    return InvalidArgument("superblock: the buffer is not of the row's size");
  if (!body.info.has_presence) {
    std::copy(column_times.begin(), column_times.end(), out.begin());
    return OkStatus();
  }
  size_t next = 0;
  body.presence.ForEach([&](size_t i) { out[next++] = column_times[i]; });
  return OkStatus();
}

Status Superblock::DecodeStarts(uint32_t row, std::span<int64_t> out) const {
  BASALT_TRY_ASSIGN(const RowBody body, Body(row));
  if (!body.info.has_starts)
    return NotFound("superblock: row " + std::to_string(row) + " has no start times");
  if (out.size() != body.info.samples)
    return InvalidArgument("superblock: the buffer is not of the row's size");
  return storage::DecodeStarts(body.parts.starts, out);
}

Result<std::optional<RowSummary>> Superblock::Summary(uint32_t row, const RowInfo& info) const {
  BASALT_CHECK(row < row_count_, "superblock: row out of range");
  if (!info.has_summary) return std::optional<RowSummary>();
  // With nothing else in its body: the summary, then the values.
  const int64_t begin = row == 0 ? 0 : row_end_[row - 1];
  const int64_t end = row_end_[row];
  if (row_shape_[row] != kShapeSummary || begin < 0 || end < begin ||
      static_cast<uint64_t>(end) > bodies_.size()) {
    return Summary(row);
  }
  VarintReader in(bodies_.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
  std::string_view bytes;
  std::string_view values;
  if (!in.ReadString(bytes) || !in.ReadBytes(in.remaining(), values))
    return RowLoss(row, "its summary is cut off");
  BASALT_TRY_ASSIGN(RowSummary summary,
                    ReadSummary(bytes, {info.samples, info.min_ms, info.max_ms}, values));
  return std::optional<RowSummary>(summary);
}

Result<std::optional<RowSummary>> Superblock::Summary(uint32_t row) const {
  BASALT_TRY_ASSIGN(const RowBody body, Body(row));
  if (!body.info.has_summary) return std::optional<RowSummary>();
  BASALT_TRY_ASSIGN(const EncodedValues values, Values(row, body));
  BASALT_TRY_ASSIGN(
      RowSummary summary,
      ReadSummary(body.parts.summary, {body.info.samples, body.info.min_ms, body.info.max_ms},
                  values.bytes));
  return std::optional<RowSummary>(summary);
}

std::optional<Superblock::EncodedValues> Superblock::PlainValues(uint32_t row) const {
  BASALT_CHECK(row < row_count_, "superblock: row out of range");
  const int64_t begin = row == 0 ? 0 : row_end_[row - 1];
  const int64_t end = row_end_[row];
  const int64_t column = row_column_[row];
  if ((row_shape_[row] & ~int64_t{kShapeSummary}) != 0 || begin < 0 || end < begin ||
      static_cast<uint64_t>(end) > bodies_.size() || column < 0 || column >= column_count_) {
    return std::nullopt;
  }
  const int64_t samples = column_samples_[static_cast<size_t>(column)];
  if (samples < 1 || samples > static_cast<int64_t>(kMaxSamplesPerRow)) return std::nullopt;
  VarintReader in(bodies_.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
  std::string_view skipped;
  EncodedValues values;
  if ((row_shape_[row] != 0 && !in.ReadString(skipped)) ||
      !in.ReadBytes(in.remaining(), values.bytes))
    return std::nullopt;
  values.row = row;
  values.samples = static_cast<uint32_t>(samples);
  return values;
}

Result<Superblock::EncodedValues> Superblock::Values(uint32_t row, const RowBody& body) const {
  if (body.info.kind != RowKind::kFloat) {
    return FailedPrecondition("superblock: row " + std::to_string(row) + " holds histograms");
  }
  if (!body.parts.repeats) return EncodedValues{body.parts.values, row, body.info.samples};
  VarintReader in(body.parts.values);
  uint64_t distance = 0;
  if (!in.Read(distance) || !in.done() || distance == 0 || distance > row)
    return RowLoss(row, "it repeats no row");
  const uint32_t source = row - static_cast<uint32_t>(distance);
  BASALT_TRY_ASSIGN(const RowBody original, Body(source));
  if (original.parts.repeats || original.info.kind != RowKind::kFloat ||
      original.info.samples != body.info.samples) {
    return RowLoss(row, "it repeats a row of another shape");
  }
  return EncodedValues{original.parts.values, source, original.info.samples};
}

void RowDecoder::Reset(const Superblock& block) {
  block_ = block;
  held_row_ = kNoRow;
  held_constant_.reset();
}

Result<Superblock::EncodedValues> RowDecoder::Find(uint32_t row) const {
  BASALT_CHECK(block_.has_value(), "row decoder: no superblock");
  if (const auto plain = block_->PlainValues(row)) return *plain;
  BASALT_TRY_ASSIGN(const Superblock::RowBody body, block_->Body(row));
  return block_->Values(row, body);
}

Status RowDecoder::DecodeOne(const Superblock::EncodedValues& values,
                             std::span<const int64_t> reference, std::span<double> out) {
  const auto integers = std::span(integers_[1 - held_]).first(values.samples);
  held_row_ = kNoRow;
  held_constant_.reset();
  if (const Status decoded =
          DecodeRowAgainst(values.bytes, values.samples, reference, 0, out, integers);
      !decoded.ok()) {
    return decoded.WithContext("superblock: row " + std::to_string(values.row));
  }
  held_ = 1 - held_;
  held_row_ = values.row;
  held_samples_ = values.samples;
  return OkStatus();
}

Status RowDecoder::DecodeChain(const Superblock::EncodedValues& values, std::span<double> out) {
  if (!NeedsReference(values.bytes)) return DecodeOne(values, {}, out);
  // Back to a row that stands alone or is held, then forth again.
  std::array<Superblock::EncodedValues, kMaxNeighbourChain + 1> chain;
  chain[0] = values;
  size_t links = 1;
  bool held = false;
  while (!held && NeedsReference(chain[links - 1].bytes)) {
    const uint32_t row = chain[links - 1].row;
    if (row == 0) return RowLoss(row, "it leans on no row");
    const auto before = Find(row - 1);
    if (!before.ok()) return RowLoss(row, "it leans on a row that is not there");
    if (before->samples != values.samples)
      return RowLoss(row, "it leans on a row of another length");
    held = before->row == held_row_ && held_samples_ == values.samples;
    if (held) break;
    if (links == chain.size()) return RowLoss(row, "too many rows lean on one another");
    chain[links++] = *before;
  }
  if (!held) BASALT_TRY(DecodeOne(chain[--links], {}, {}));
  if (held_constant_) std::fill_n(integers_[held_].begin(), values.samples, *held_constant_);
  while (links-- > 0) {
    const auto reference = std::span(integers_[held_]).first(values.samples);
    BASALT_TRY(DecodeOne(chain[links], reference, links == 0 ? out : std::span<double>()));
  }
  return OkStatus();
}

Status RowDecoder::Values(uint32_t row, std::span<double> out) {
  BASALT_TRY_ASSIGN(const Superblock::EncodedValues values, Find(row));
  if (out.size() != values.samples)
    return InvalidArgument("superblock: the buffer is not of the row's size");
  // Half of all rows are constant; their integers are only made if the next row leans on them.
  if (const auto constant = ReadConstantRow(values.bytes)) {
    std::fill(out.begin(), out.end(), constant->value);
    held_row_ = values.row;
    held_samples_ = values.samples;
    held_constant_ = constant->integer;
    return OkStatus();
  }
  return DecodeChain(values, out);
}

Status RowDecoder::ValuesRange(uint32_t row, size_t first, std::span<double> out) {
  BASALT_TRY_ASSIGN(const Superblock::EncodedValues values, Find(row));
  if (!NeedsReference(values.bytes))
    return DecodeRowRange(values.bytes, values.samples, first, out);
  if (out.empty() || first > values.samples || out.size() > values.samples - first) {
    return InvalidArgument("superblock: the range is not inside row " + std::to_string(row));
  }
  std::array<double, kMaxSamplesPerRow> buffer;
  BASALT_TRY(DecodeChain(values, std::span(buffer).first(values.samples)));
  std::copy_n(buffer.begin() + static_cast<ptrdiff_t>(first), out.size(), out.begin());
  return OkStatus();
}

Status RowDecoder::Histograms(uint32_t row, std::span<const int64_t> column_times,
                              std::vector<HistogramPoint>& out) {
  BASALT_CHECK(block_.has_value(), "row decoder: no superblock");
  BASALT_TRY_ASSIGN(const Superblock::RowBody body, block_->Body(row));
  if (body.info.kind != RowKind::kHistogram || body.parts.repeats) {
    return body.parts.repeats ? RowLoss(row, "histograms are never repeated")
                              : FailedPrecondition("superblock: row holds floats");
  }
  const size_t samples = body.info.samples;
  std::array<int64_t, kMaxSamplesPerRow> buffer;
  const auto column = std::span(buffer).first(samples);
  BASALT_TRY(block_->SelectTimes(row, column_times, column));
  out.resize(samples);
  BASALT_TRY(DecodeHistograms(body.parts.values, out));
  for (size_t i = 0; i < samples; ++i) out[i].time_ms = column[i];
  if (body.info.has_starts) BASALT_TRY(DecodeStarts(body.parts.starts, column));
  for (size_t i = 0; i < samples; ++i)
    out[i].start_ms = body.info.has_starts ? column[i] : kNoStartMs;
  return OkStatus();
}

}  // namespace basalt::storage
