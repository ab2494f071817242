// storage/run_rows.h -- the rows of a few series from the runs of a partition. Private to
// storage/*.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "storage/codec/superblock.h"
#include "storage/head/sample_columns.h"
#include "storage/index/series_set.h"
#include "storage/parts/deletes.h"
#include "storage/parts/runs.h"
#include "storage/reader.h"

namespace basalt::storage {

// A row that has samples in range, found and not yet decoded. `run` and `block` are for RunRows.
struct RowPiece {
  uint32_t series = 0;  // index in the batch
  uint32_t run = 0;     // by precedence, lowest first
  uint32_t block = 0;   // in the run's directory
  RowInfo info;
  uint32_t row = 0;
  // Its samples in range: [first, first + count) of the row. Of a row with presence and of
  // histograms that is known only once they are decoded; then the range is the whole row.
  uint32_t first = 0;
  uint32_t count = 0;
  bool masked = false;  // deletes touch it
  // Its column of times: equal numbers, equal columns. The span is good until the next Find; of a
  // plain row that lies wholly in range it is empty until RunRows::LoadTimes, because such a row
  // mostly is answered from its summary.
  uint64_t times = 0;
  std::span<const int64_t> column;

  [[nodiscard]] bool plain() const {
    return info.kind == RowKind::kFloat && !info.has_presence && !masked;
  }
  [[nodiscard]] bool whole() const { return first == 0 && count == info.samples; }
  [[nodiscard]] std::span<const int64_t> time_ms() const { return column.subspan(first, count); }
  [[nodiscard]] int64_t first_ms() const {
    return column.empty() ? info.min_ms : time_ms().front();
  }
  [[nodiscard]] int64_t last_ms() const { return column.empty() ? info.max_ms : time_ms().back(); }
};

// Keeps the superblocks and the time columns that it used last, so reading series in series order
// opens each once. One thread.
class RunRows {
 public:
  // `runs`: lowest precedence first, as RunsSnapshot::Overlapping returns them.
  RunRows(std::vector<std::shared_ptr<const Run>> runs, TimeRange range);
  ~RunRows();
  RunRows(const RunRows&) = delete;
  RunRows& operator=(const RunRows&) = delete;

  [[nodiscard]] bool empty() const { return runs_.empty(); }
  // Superblocks of rows.
  [[nodiscard]] uint64_t blocks_opened() const { return blocks_opened_; }

  // The rows of series [begin, begin + n) of `series` that may have samples in range, by run, block
  // and row, which is the order in which they are best decoded. A damaged superblock is left out
  // and its kDataLoss appended to `errors`, once.
  void Find(const SeriesSet& series, size_t begin, size_t n, const DeleteSnapshot& deletes,
            std::vector<RowPiece>& pieces, std::vector<Status>& errors);

  // The newest sample of a row in range.
  struct Newest {
    SeriesOrdinal ordinal = kUnknownOrdinal;
    int64_t time_ms = 0;
    // False: there may be none, or an earlier one, or it may be a stale marker.
    bool sure = false;
  };
  // Appends one for each row of the superblocks that series [begin, begin + n) lie in, of other
  // series too. Decodes no values. Damage as Find.
  void FindNewest(const SeriesSet& series, size_t begin, size_t n, const DeleteSnapshot& deletes,
                  std::vector<Newest>& newest, std::vector<Status>& errors);

  // Fills `times` and `column`, if they are not there yet.
  [[nodiscard]] Status LoadTimes(RowPiece& piece);

  // The values (and starts) of a plain piece, decoded into the caller's columns; `starts` is empty
  // or as long as `values`, which is the piece's count.
  [[nodiscard]] Status Decode(const RowPiece& piece, std::span<double> values,
                              std::span<int64_t> starts);
  // Any piece, clipped and with deletes carried out.
  [[nodiscard]] Status Decode(const RowPiece& piece, SeriesOrdinal ordinal,
                              const DeleteSnapshot& deletes, SampleColumns& out);
  // Summary of a whole plain piece, if it has one.
  [[nodiscard]] Result<std::optional<RowSummary>> Summary(const RowPiece& piece) const;
  // A piece could not be decoded: its superblock is not read again, and Find leaves it out from
  // then on.
  void Damaged(const RowPiece& piece, const Status& why, std::vector<Status>& errors);

 private:
  struct OpenRun;
  struct OpenBlock;

  Status FindInBlock(OpenRun& run, uint32_t run_index, uint32_t block_index,
                     std::span<const std::pair<SeriesOrdinal, uint32_t>> wanted,
                     const DeleteSnapshot& deletes, std::vector<RowPiece>& pieces);
  // Its directory, once it was read. False: it is damaged, and told.
  bool ReadDirectory(OpenRun& run, std::vector<Status>& errors);
  Status NewestInBlock(OpenRun& run, uint32_t block_index, bool spared,
                       std::vector<Newest>& newest);
  // The opened superblock `i` of a run, kept while series near it are read.
  Result<OpenBlock*> Open(OpenRun& run, uint32_t i);
  Result<std::span<const int64_t>> Times(OpenRun& run, OpenBlock& block, uint32_t column,
                                         uint64_t& number);
  void Report(OpenRun& run, uint32_t block, const Status& why, std::vector<Status>& errors);

  const TimeRange range_;
  std::vector<std::unique_ptr<OpenRun>> runs_;
  uint64_t next_times_ = 1;
  uint64_t blocks_opened_ = 0;
  std::vector<SeriesOrdinal> ordinals_;                     // scratch
  std::vector<std::pair<SeriesOrdinal, uint32_t>> wanted_;  // scratch
  std::vector<RowMatch> matches_;                           // scratch
  std::vector<HistogramPoint> points_;                      // scratch
  std::vector<TimeRange> masks_;                            // scratch
  std::vector<double> whole_;                               // scratch
};

}  // namespace basalt::storage
