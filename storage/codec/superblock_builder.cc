#include "storage/codec/superblock_builder.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <unordered_map>
#include <utility>

#include "engine/base/hash.h"
#include "engine/base/varint.h"
#include "storage/codec/entropy_table.h"
#include "storage/codec/histogram_column.h"
#include "storage/codec/kernels.h"
#include "storage/codec/linear_column.h"
#include "storage/codec/row_coding.h"
#include "storage/codec/summary_coding.h"
#include "storage/codec/superblock_format.h"
#include "storage/codec/time_column.h"

namespace basalt::storage {
namespace {

// Rows up to this size are not looked up among earlier ones: repeating them would save nothing.
constexpr size_t kMinRepeatedBytes = 4;
// For EstimatedBytes: what a row and a column take in the directory (measured on the recorded data:
// 3-6).
constexpr size_t kDirectoryBytesARow = 5;
constexpr size_t kDirectoryBytesAColumn = 6;

template <typename T>
void StoreAt(std::string& bytes, size_t offset, T v) {
  std::memcpy(bytes.data() + offset, &v, sizeof v);
}

Status BadRow(const std::string& what) { return InvalidArgument("superblock row: " + what); }

std::string Numbers(size_t got, size_t wanted) {
  return std::to_string(got) + ", not " + std::to_string(wanted);
}

}  // namespace

struct SuperblockBuilder::Impl {
  struct Column {
    std::vector<int64_t> time_ms;
    uint32_t shared_plus_one = 0;  // 0: kept here
    size_t end = 0;                // in column_bytes
  };
  struct Row {
    SeriesOrdinal ordinal = kUnknownOrdinal;
    GroupId group{0};
    uint32_t column = 0;
    uint32_t shape = 0;
    uint32_t samples = 0;
    uint32_t repeats = 0;  // how many rows back its values stand; 0: here
    bool leans = false;    // on the row before
    bool remembered = false;
    uint64_t hash = 0;
    std::vector<double> values;  // if remembered; one, if all are equal
    size_t end = 0;              // in bodies
  };

  std::vector<Column> columns;
  std::unordered_map<uint32_t, uint32_t> shared;               // a run's number -> index in columns
  std::unordered_multimap<uint64_t, uint32_t> kept;            // hash of times -> index in columns
  std::unordered_multimap<uint64_t, uint32_t> rows_by_values;  // hash of values -> index in rows
  std::vector<Row> rows;
  std::string column_bytes;
  std::string bodies;
  std::string row_bytes;  // of the row that is being added
  std::string scratch;
  // The integers of row `held_row`, and on how many rows it leans.
  size_t held_row = SIZE_MAX;
  size_t held_depth = 0;
  std::vector<int64_t> held_integers;
  std::vector<int64_t> next_integers;

  [[nodiscard]] size_t Estimate() const {
    return kSuperblockHeaderBytes + kLinearPaddingBytes + 60 + column_bytes.size() + bodies.size() +
           rows.size() * kDirectoryBytesARow + columns.size() * kDirectoryBytesAColumn;
  }

  Result<uint32_t> NewColumn(std::span<const int64_t> time_ms, uint32_t shared_plus_one) {
    if (columns.size() == kMaxColumnsPerSuperblock)
      return ResourceExhausted("superblock: no room for a time column");
    if (shared_plus_one == 0) {
      scratch.clear();
      BASALT_TRY(EncodeTimes(time_ms, scratch));
      column_bytes += scratch;
    } else {
      BASALT_TRY(CheckTimes(time_ms));
    }
    columns.push_back({{time_ms.begin(), time_ms.end()}, shared_plus_one, column_bytes.size()});
    return static_cast<uint32_t>(columns.size() - 1);
  }

  // The presence that makes `time_ms` out of `column`, if it is a part of it. Both rise strictly.
  static bool PresenceOf(std::span<const int64_t> time_ms, std::span<const int64_t> column,
                         std::vector<uint64_t>& presence) {
    presence.assign((column.size() + 63) / 64, 0);
    size_t next = 0;
    for (size_t i = 0; i < column.size() && next < time_ms.size(); ++i) {
      if (column[i] != time_ms[next]) continue;
      presence[i / 64] |= uint64_t{1} << (i % 64);
      ++next;
    }
    return next == time_ms.size();
  }

  // Says what is wrong with a row, and how many samples it has.
  [[nodiscard]] Result<size_t> Check(const RowInput& row) const {
    if (row.time_column >= columns.size())
      return BadRow("time_column " + Numbers(row.time_column, columns.size()));
    const size_t column_samples = columns[row.time_column].time_ms.size();
    size_t samples = column_samples;
    if (!row.presence.empty()) {
      if (row.presence.size() != (column_samples + 63) / 64) {
        return BadRow("presence: words " +
                      Numbers(row.presence.size(), (column_samples + 63) / 64));
      }
      samples = 0;
      for (const uint64_t word : row.presence) samples += static_cast<size_t>(std::popcount(word));
      if (column_samples % 64 != 0 && row.presence.back() >> (column_samples % 64) != 0) {
        return BadRow("presence reaches past the time column");
      }
      if (samples == 0) return BadRow("presence is empty");
    }
    if (row.values.empty() == row.histograms.empty())
      return BadRow("values or histograms must be given, and not both");
    const size_t given = row.values.empty() ? row.histograms.size() : row.values.size();
    if (given != samples) return BadRow("samples " + Numbers(given, samples));
    if (!row.start_ms.empty() && (row.values.empty() || row.start_ms.size() != samples)) {
      return BadRow("start_ms: entries " + Numbers(row.start_ms.size(), samples));
    }
    if (row.summary != nullptr && row.values.empty())
      return BadRow("summary: histograms have none");
    return samples;
  }

  [[nodiscard]] Status CheckHistogramTimes(const RowInput& row) const {
    const auto& times = columns[row.time_column].time_ms;
    size_t next = 0;
    for (size_t i = 0; i < times.size(); ++i) {
      if (!row.presence.empty() && (row.presence[i / 64] >> (i % 64) & 1) == 0) continue;
      if (row.histograms[next].time_ms != times[i]) {
        return BadRow("histograms[" + std::to_string(next) + "].time_ms is not the time column's");
      }
      ++next;
    }
    return OkStatus();
  }

  // Appends presence, starts and summary, and sets their flags.
  Status AppendPreamble(const RowInput& row, size_t samples, std::string& body, uint32_t& shape) {
    const auto& times = columns[row.time_column].time_ms;
    if (!row.presence.empty() && samples < times.size()) {
      shape |= kShapePresence;
      AppendPresence(row.presence, body);
    }
    std::vector<int64_t> starts(row.start_ms.begin(), row.start_ms.end());
    for (const HistogramPoint& point : row.histograms) starts.push_back(point.start_ms);
    if (std::any_of(starts.begin(), starts.end(),
                    [](int64_t start) { return start != kNoStartMs; })) {
      shape |= kShapeStarts;
      scratch.clear();
      BASALT_TRY(EncodeStarts(starts, scratch));
      AppendVarint(scratch.size(), body);
      body += scratch;
    }
    if (row.summary != nullptr) {
      shape |= kShapeSummary;
      scratch.clear();
      BASALT_TRY(AppendSummary(*row.summary, {samples, times.front(), times.back()}, scratch));
      AppendVarint(scratch.size(), body);
      body += scratch;
    }
    return OkStatus();
  }

  // An earlier row of so many samples and the same values, of which the first is enough where all
  // are equal. Only rows worth repeating are remembered.
  [[nodiscard]] std::optional<uint32_t> FindRepeated(uint64_t hash, size_t samples,
                                                     std::span<const double> values) const {
    for (auto [it, end] = rows_by_values.equal_range(hash); it != end; ++it) {
      const auto& other = rows[it->second].values;
      if (rows[it->second].samples == samples && other.size() == values.size() &&
          std::memcmp(other.data(), values.data(), values.size_bytes()) == 0) {
        return it->second;
      }
    }
    return std::nullopt;
  }

  // The integers that a row may lean on: those of the row before, if it has the same times and the
  // chain is not full.
  [[nodiscard]] std::span<const int64_t> Reference(const RowInput& in, size_t samples) const {
    if (rows.empty() || held_row != SourceOf(rows.size() - 1) || held_depth == kMaxNeighbourChain)
      return {};
    const Row& before = rows.back();
    if (before.column != in.time_column || before.samples != samples) return {};
    return std::span(held_integers).first(samples);
  }

  // Where a row's values stand.
  [[nodiscard]] size_t SourceOf(size_t row) const { return row - rows[row].repeats; }

  Status EncodeValues(const RowInput& in, std::string& out, Row& row) {
    const size_t n = in.values.size();
    const bool constant = ActiveKernels().count_changes(in.values.data(), n) == 0;
    const auto distinct = constant ? in.values.first(1) : in.values;
    const uint64_t hash =
        HashBytes64({reinterpret_cast<const char*>(distinct.data()), distinct.size_bytes()});
    if (const auto repeated = FindRepeated(hash, n, distinct)) {
      row.shape |= kShapeDuplicate;
      row.repeats = static_cast<uint32_t>(rows.size()) - *repeated;
      AppendVarint(row.repeats, out);
      return OkStatus();
    }
    next_integers.resize(n);
    const size_t before = out.size();
    BASALT_TRY_ASSIGN(
        row.leans, EncodeRowAgainst(in.values, Reference(in, n), in.options, out, next_integers));
    row.remembered = out.size() - before >= kMinRepeatedBytes;
    row.hash = hash;
    if (row.remembered) row.values.assign(distinct.begin(), distinct.end());
    return OkStatus();
  }

  // After a float row was added: what it leaves to the next.
  void Hold(const Row& row, size_t number) {
    if (row.repeats > 0) return;  // what is held is still of use if it is the repeated row's
    held_depth = row.leans ? held_depth + 1 : 0;
    held_row = number;
    std::swap(held_integers, next_integers);
    if (row.remembered) rows_by_values.emplace(row.hash, static_cast<uint32_t>(number));
  }

  Status AddRow(const RowInput& in) {
    if (rows.size() == kMaxRowsPerSuperblock)
      return ResourceExhausted("superblock: no room for a row");
    BASALT_TRY_ASSIGN(const size_t samples, Check(in));
    std::string& body = row_bytes;
    body.clear();
    Row row;
    row.ordinal = in.ordinal;
    row.group = in.group;
    row.column = in.time_column;
    row.samples = static_cast<uint32_t>(samples);
    BASALT_TRY(AppendPreamble(in, samples, body, row.shape));
    if (in.values.empty()) {
      BASALT_TRY(CheckHistogramTimes(in));
      row.shape |= kShapeHistogram;
      BASALT_TRY(EncodeHistograms(in.histograms, body));
    } else {
      BASALT_TRY(EncodeValues(in, body, row));
    }
    if (Estimate() + body.size() + kDirectoryBytesARow > kMaxSuperblockBytes) {
      return ResourceExhausted("superblock: no room for a row of " + std::to_string(body.size()) +
                               " bytes");
    }
    bodies += body;
    row.end = bodies.size();
    rows.push_back(std::move(row));
    if (!in.values.empty()) Hold(rows.back(), rows.size() - 1);
    return OkStatus();
  }

  // The directory: each column's head, then all fields.
  void AppendDirectory(std::string& out) const {
    std::string fields;
    std::vector<int64_t> entries;
    const auto append = [&](const auto& items, auto field) {
      entries.clear();
      for (const auto& item : items) entries.push_back(static_cast<int64_t>(field(item)));
      AppendLinear(entries, out, fields);
    };
    append(rows, [](const Row& r) { return static_cast<uint32_t>(r.ordinal); });
    append(rows, [](const Row& r) { return static_cast<uint32_t>(r.group); });
    append(rows, [](const Row& r) { return r.column; });
    append(rows, [](const Row& r) { return r.shape; });
    append(rows, [](const Row& r) { return r.end; });
    append(columns, [](const Column& c) { return c.time_ms.size(); });
    append(columns, [](const Column& c) { return c.time_ms.front(); });
    append(columns, [](const Column& c) {
      return static_cast<uint64_t>(c.time_ms.back()) - static_cast<uint64_t>(c.time_ms.front());
    });
    append(columns, [](const Column& c) { return c.shared_plus_one; });
    append(columns, [](const Column& c) { return c.end; });
    AppendVarint(column_bytes.size(), out);
    out += fields;
    out.append(kLinearPaddingBytes, '\0');
  }

  std::string Finish() {
    std::string out(kSuperblockHeaderBytes, '\0');
    AppendDirectory(out);
    out += column_bytes;
    out += bodies;
    int64_t first = columns.empty() ? 0 : INT64_MAX;
    int64_t last = columns.empty() ? 0 : INT64_MIN;
    for (const Column& c : columns) {
      first = std::min(first, c.time_ms.front());
      last = std::max(last, c.time_ms.back());
    }
    std::memcpy(out.data(), kSuperblockMagic, sizeof kSuperblockMagic);
    StoreAt(out, kVersionOffset, kSuperblockVersion);
    StoreAt(out, kSizeOffset, static_cast<uint32_t>(out.size()));
    StoreAt(out, kRowsOffset, static_cast<uint16_t>(rows.size()));
    StoreAt(out, kColumnsOffset, static_cast<uint16_t>(columns.size()));
    StoreAt(out, kFirstOffset, first);
    StoreAt(out, kLastOffset, last);
    StoreAt(out, kTablesOffset, kEntropySets);
    StoreAt(out, kChecksumOffset, SuperblockChecksum(out));
    return out;
  }
};

SuperblockBuilder::SuperblockBuilder() : impl_(std::make_unique<Impl>()) {}
SuperblockBuilder::~SuperblockBuilder() = default;
SuperblockBuilder::SuperblockBuilder(SuperblockBuilder&&) noexcept = default;
SuperblockBuilder& SuperblockBuilder::operator=(SuperblockBuilder&&) noexcept = default;

Result<uint32_t> SuperblockBuilder::AddColumn(std::span<const int64_t> time_ms) {
  const uint64_t hash =
      HashBytes64({reinterpret_cast<const char*>(time_ms.data()), time_ms.size_bytes()});
  for (auto [it, end] = impl_->kept.equal_range(hash); it != end; ++it) {
    if (std::ranges::equal(impl_->columns[it->second].time_ms, time_ms)) return it->second;
  }
  BASALT_TRY_ASSIGN(const uint32_t index, impl_->NewColumn(time_ms, 0));
  impl_->kept.emplace(hash, index);
  return index;
}

Result<uint32_t> SuperblockBuilder::AddSharedColumn(uint32_t shared,
                                                    std::span<const int64_t> time_ms) {
  if (const auto it = impl_->shared.find(shared); it != impl_->shared.end()) {
    if (!std::ranges::equal(impl_->columns[it->second].time_ms, time_ms)) {
      return InvalidArgument("superblock: time column " + std::to_string(shared) +
                             " of the run has other times already");
    }
    return it->second;
  }
  if (shared == UINT32_MAX) return InvalidArgument("superblock: no run has so many time columns");
  BASALT_TRY_ASSIGN(const uint32_t index, impl_->NewColumn(time_ms, shared + 1));
  impl_->shared.emplace(shared, index);
  return index;
}

std::optional<uint32_t> SuperblockBuilder::FindSharedColumn(uint32_t shared) const {
  const auto it = impl_->shared.find(shared);
  return it == impl_->shared.end() ? std::nullopt : std::optional(it->second);
}

Result<RowTimes> SuperblockBuilder::PlaceTimes(std::span<const int64_t> time_ms, uint32_t column) {
  if (column >= impl_->columns.size())
    return InvalidArgument("superblock: no time column " + std::to_string(column));
  RowTimes times{column, {}};
  const auto& whole = impl_->columns[column].time_ms;
  if (std::ranges::equal(whole, time_ms)) return times;
  if (!time_ms.empty() && Impl::PresenceOf(time_ms, whole, times.presence)) return times;
  times.presence.clear();
  BASALT_TRY_ASSIGN(times.time_column, AddColumn(time_ms));
  return times;
}

Status SuperblockBuilder::AddRow(const RowInput& row) { return impl_->AddRow(row); }

bool SuperblockBuilder::empty() const { return impl_->rows.empty() && impl_->columns.empty(); }
size_t SuperblockBuilder::row_count() const { return impl_->rows.size(); }
size_t SuperblockBuilder::EstimatedBytes() const { return impl_->Estimate(); }

std::string SuperblockBuilder::Finish() {
  std::string out = impl_->Finish();
  impl_ = std::make_unique<Impl>();
  return out;
}

}  // namespace basalt::storage
