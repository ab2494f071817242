// storage/codec/superblock.h -- reads a superblock: neighbouring rows under one key. Format, drawn
// byte by byte: storage/docs/superblock-format.md. Written by superblock_builder.h.
//
// The row directory is columns of fixed width, so that any field of any row is one load: opening
// costs a checksum and a dozen varints, not a pass over the rows. Whatever the directory says is
// checked where it is used.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/status.h"
#include "storage/codec/linear_column.h"
#include "storage/codec/row.h"
#include "storage/reader.h"

namespace basalt::storage {

// Where a builder's user should close a superblock: small enough to read for one series, big enough
// that directory and key vanish. Decided in design/storage.md (16-64 KiB).
inline constexpr size_t kSuperblockTargetBytes = 32u << 10;
// Hard bounds. A histogram row of kMaxHistogramCells raw doubles must fit.
inline constexpr size_t kMaxSuperblockBytes = 64u << 20;
inline constexpr size_t kMaxRowsPerSuperblock = 4096;
inline constexpr size_t kMaxColumnsPerSuperblock = 4096;

enum class RowKind : uint8_t { kFloat = 0, kHistogram = 1 };

// A row's entry in the directory.
struct RowInfo {
  SeriesOrdinal ordinal = kUnknownOrdinal;
  GroupId group{0};
  RowKind kind = RowKind::kFloat;
  uint32_t time_column = 0;   // index into columns()
  uint32_t samples = 0;       // 1..kMaxSamplesPerRow
  int64_t min_ms = 0;         // no sample lies outside [min_ms, max_ms];
  int64_t max_ms = 0;         // without `has_presence` both are samples
  bool has_presence = false;  // the row lacks some times of its column
  bool has_starts = false;
  bool has_summary = false;
  bool leans = false;  // coded against the row before: RowDecoder decodes that as well
};

struct TimeColumnInfo {
  uint32_t samples = 0;
  int64_t first_ms = 0;
  int64_t last_ms = 0;
  // Set: the column is not in this superblock but is number `*shared` of its run (keys.h).
  std::optional<uint32_t> shared;
};

// Where a row's bytes go: for reports and for taking blocks apart.
struct RowParts {
  std::string_view presence;
  std::string_view starts;
  std::string_view summary;
  std::string_view values;  // a row (row.h), a histogram row, or, with `repeats`, a distance
  bool repeats = false;
};

// A row that FindRows found: `wanted` is the index in the list asked for.
struct RowMatch {
  uint32_t row = 0;
  uint32_t wanted = 0;
};

// An opened superblock: a borrow of its bytes, cheap to copy. Thread-safe (nothing changes after
// Open). Every function is safe on hostile bytes and says kDataLoss where they do not fit; row and
// column indexes out of range are our own mistake (BASALT_CHECK).
class Superblock {
 public:
  // Checks length, version and CRC32C of all bytes. `bytes` must stay where it is while this or a
  // copy lives. Errors: kDataLoss ("superblock: checksum ..."); kUnimplemented for a version from
  // the future. `checked`: the caller knows these bytes to be those that were checked before.
  static Result<Superblock> Open(std::string_view bytes, bool checked = false);

  [[nodiscard]] uint32_t row_count() const { return row_count_; }
  [[nodiscard]] uint32_t column_count() const { return column_count_; }
  // Over all rows and columns: no sample lies outside.
  [[nodiscard]] int64_t min_ms() const { return min_ms_; }
  [[nodiscard]] int64_t max_ms() const { return max_ms_; }

  // `like`: of another row of this superblock, or null; with the same time column, as neighbours
  // mostly have, that is not looked up again.
  [[nodiscard]] Result<RowInfo> row(uint32_t row, const RowInfo* like = nullptr) const;
  [[nodiscard]] SeriesOrdinal ordinal(uint32_t row) const;
  [[nodiscard]] Result<TimeColumnInfo> column(uint32_t column) const;

  // What can be told of a row without a look at its values, cheaper than row().
  struct Outline {
    SeriesOrdinal ordinal = kUnknownOrdinal;
    uint32_t time_column = 0;
    // Floats at all times of the column, none of them a stale marker. False: it may be otherwise.
    bool all_present = false;
  };
  [[nodiscard]] Result<Outline> outline(uint32_t row) const;

  // Appends the rows whose series is in `wanted` (sorted, unique), in row order. A series may have
  // several rows (spans of time; floats and histograms). About 2 ns a row of the superblock when
  // both orders agree.
  void FindRows(std::span<const SeriesOrdinal> wanted, std::vector<RowMatch>& out) const;

  // Decodes a column that is in this superblock; `out.size()` is its sample count (else
  // kInvalidArgument). kFailedPrecondition for a shared column: decode it from its own superblock.
  Status DecodeTimeColumn(uint32_t column, std::span<int64_t> out) const;

  // The times of a row, given its whole decoded column; `out.size()` is the row's sample count. For
  // a row without presence that is a copy: use the column itself.
  Status SelectTimes(uint32_t row, std::span<const int64_t> column_times,
                     std::span<int64_t> out) const;

  // Start timestamps; kNotFound if the row has none. `out.size()` is the row's sample count.
  Status DecodeStarts(uint32_t row, std::span<int64_t> out) const;

  // The bytes of a row, taken apart but not decoded.
  [[nodiscard]] Result<RowParts> Parts(uint32_t row) const;

  // The row's summary, if it has one. `info` is row(row).
  [[nodiscard]] Result<std::optional<RowSummary>> Summary(uint32_t row, const RowInfo& info) const;
  [[nodiscard]] Result<std::optional<RowSummary>> Summary(uint32_t row) const;

 private:
  friend class RowDecoder;
  struct RowBody;
  // A row's encoded values, and where they stand: a repeated row's are those of an earlier one.
  struct EncodedValues {
    std::string_view bytes;
    uint32_t row = 0;
    uint32_t samples = 0;
  };

  Status ReadBody(uint32_t row, const RowInfo* like, RowBody& body) const;
  [[nodiscard]] Result<RowBody> Body(uint32_t row) const;
  // The quick way for most rows: floats, all times, not repeated. Nothing for others, and for
  // damage: go the long way.
  [[nodiscard]] std::optional<EncodedValues> PlainValues(uint32_t row) const;
  // Of a float row (kFailedPrecondition for a histogram row).
  [[nodiscard]] Result<EncodedValues> Values(uint32_t row, const RowBody& body) const;

  std::string_view bodies_;        // of the rows, end to end
  std::string_view column_bytes_;  // of the time columns kept here, end to end
  uint32_t row_count_ = 0;
  uint32_t column_count_ = 0;
  int64_t min_ms_ = 0;
  int64_t max_ms_ = 0;
  // The directory: a value a row, then a value a column.
  LinearColumn row_ordinal_, row_group_, row_column_, row_shape_, row_end_;
  LinearColumn column_samples_, column_first_, column_span_, column_shared_, column_end_;
};

// Decodes rows of one superblock at a time; best in row order, because a row may be coded against
// the one before it: then reading it alone decodes up to 16 rows, and reading on decodes one. Holds
// 32 KiB, so keep one a thread. One thread; the superblock must outlive its use here.
class RowDecoder {
 public:
  RowDecoder() = default;
  explicit RowDecoder(const Superblock& block) : block_(block) {}
  void Reset(const Superblock& block);

  // The values of a float row (kFailedPrecondition for a histogram row); `out.size()` is its sample
  // count.
  Status Values(uint32_t row, std::span<double> out);

  // Samples [first, first + out.size()) of a float row; begins at an entry point where the row has
  // them.
  Status ValuesRange(uint32_t row, size_t first, std::span<double> out);

  // The points of a histogram row (kFailedPrecondition for a float row), times and start times
  // included. `column_times` is its whole decoded time column. `out` is resized; vectors inside are
  // reused.
  Status Histograms(uint32_t row, std::span<const int64_t> column_times,
                    std::vector<HistogramPoint>& out);

 private:
  static constexpr uint32_t kNoRow = UINT32_MAX;
  using Integers = std::array<int64_t, kMaxSamplesPerRow>;

  [[nodiscard]] Result<Superblock::EncodedValues> Find(uint32_t row) const;
  // Decodes one row into the buffer that is not held, and holds it; an empty `out` is not written.
  Status DecodeOne(const Superblock::EncodedValues& values, std::span<const int64_t> reference,
                   std::span<double> out);
  Status DecodeChain(const Superblock::EncodedValues& values, std::span<double> out);

  std::optional<Superblock> block_;
  // The integers of the row decoded last, for the one behind it.
  uint32_t held_row_ = kNoRow;
  uint32_t held_samples_ = 0;
  size_t held_ = 0;
  std::optional<int64_t> held_constant_;  // all of them, instead of in the buffer
  std::array<Integers, 2> integers_;
};

}  // namespace basalt::storage
