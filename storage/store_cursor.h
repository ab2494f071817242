// storage/store_cursor.h -- the samples of series after series, from head and runs. Private to
// storage/*.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "storage/head/partition_head.h"
#include "storage/head/sample_columns.h"
#include "storage/index/series_set.h"
#include "storage/parts/deletes.h"
#include "storage/parts/runs.h"
#include "storage/reader.h"
#include "storage/run_rows.h"

namespace basalt::storage {

// Where a cursor reads. Everything is borrowed but what `snapshot` keeps alive.
struct CursorSource {
  std::shared_ptr<const Snapshot> snapshot;
  std::shared_ptr<const SeriesSet> series;
  std::vector<std::shared_ptr<const Run>> runs;  // that overlap the range, lowest precedence first
  const PartitionHead* head = nullptr;
  uint64_t head_view = 0;
  const DeleteSnapshot* deletes = nullptr;
  // Told of each damaged block that is left out; lives as long as `snapshot`.
  std::function<void(const Status&)> on_damage = nullptr;
};

// Reads a batch of series at a time: the head under its lock, the runs superblock by superblock.
//
// A series whose parts follow each other in time is decoded straight into the batch's columns, and
// its times are put together once for all neighbours that have the same; anything else (overlaps,
// deletes, native histograms) is merged sample by sample.
class StoreCursor final : public SampleCursor {
 public:
  StoreCursor(CursorSource source, size_t begin, size_t end, const ReadOptions& options);
  Result<bool> Next(SeriesColumns& columns) override;
  [[nodiscard]] uint64_t blocks_opened() const override { return runs_.blocks_opened(); }
  // Samples that were in memory at a time, at most.
  [[nodiscard]] size_t largest_batch() const { return largest_batch_; }

 private:
  // A part of a series' times: a row's, or the head's.
  struct TimesPart {
    uint64_t column = 0;  // RowPiece::times; 0: the head's
    uint32_t first = 0;
    uint32_t count = 0;
    friend bool operator==(const TimesPart&, const TimesPart&) = default;
  };
  struct Planned {
    uint32_t pieces_begin = 0;  // in by_series_
    uint32_t pieces_end = 0;
    bool merge = false;
    bool values = true;       // decoded; false: nobody looks at them
    bool starts = false;      // some row has start timestamps
    size_t offset = 0;        // in values_
    uint32_t samples = 0;     // of the runs
    uint32_t rows_begin = 0;  // in summaries_
    uint32_t rows_end = 0;
    uint32_t merged = 0;  // in parts_, with `merge`
  };

  void LoadBatch();
  // Groups the pieces of the runs by series, and decides how each series is read.
  void Plan(size_t n);
  void PlanSeries(uint32_t i);
  [[nodiscard]] bool CanSummarize(const RowPiece& piece, RowSummary& summary) const;
  bool PlanLatest(Planned& planned);
  // Nobody looks at the samples of piece `p`.
  [[nodiscard]] bool Summarized(uint32_t p) const;
  // Decodes what is planned. False: a superblock turned out to be damaged; plan again.
  bool DecodeBatch();
  bool ShowPlanned(size_t i, SeriesColumns& columns);
  void ShowTimes(const Planned& planned, const SampleColumns& head, SeriesColumns& columns);
  bool ShowMerged(SampleColumns& merged, SeriesColumns& columns);

  const CursorSource source_;
  size_t next_;
  const size_t end_;
  const ReadOptions options_;
  RunRows runs_;
  size_t batch_series_;

  size_t batch_begin_ = 0;
  size_t at_ = 0;
  size_t loaded_ = 0;
  std::vector<SampleColumns> head_;
  std::vector<RowPiece> pieces_;     // as Find gave them
  std::vector<uint32_t> by_series_;  // into pieces_
  std::vector<uint32_t> ends_;       // scratch
  std::vector<size_t> offsets_;      // of each piece in values_; SIZE_MAX: not decoded there
  std::vector<Planned> planned_;
  size_t samples_ = 0;  // of this batch, in values_
  bool any_starts_ = false;
  size_t decodes_ = 0;  // samples of this batch, those that are merged as well
  size_t largest_batch_ = 0;
  std::vector<double> values_;
  std::vector<int64_t> starts_;  // parallel to values_; used where some row has starts
  std::vector<SummarizedRow> summaries_;
  std::vector<std::vector<SampleColumns>> parts_;
  std::vector<Status> errors_;

  // The times shown last, and what they were made of.
  std::vector<TimesPart> times_key_;
  std::vector<TimesPart> key_;  // scratch
  std::vector<int64_t> times_;
  uint64_t times_number_ = 0;
  SampleColumns merged_;
  SampleColumns floats_;
  std::vector<HistogramPoint> points_;
};

}  // namespace basalt::storage
