// storage/parts/row_stream.h -- the series of a whole run one after another, decoded. For the
// rewrite: every superblock is opened once, in key order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/status.h"
#include "storage/codec/superblock.h"
#include "storage/parts/runs.h"
#include "storage/reader.h"

namespace basalt::storage {

// A sample of any kind; a histogram stands in HistogramPoint's vector.
struct MergeSample {
  int64_t time_ms = 0;
  int64_t start_ms = kNoStartMs;
  double value = 0;
  uint32_t precedence = 0;
  int32_t histogram = -1;  // index, or -1: a float
};

// One thread. Memory: one superblock of rows and the run's time columns.
class RowStream {
 public:
  // `precedence` is stamped on its samples.
  RowStream(std::shared_ptr<const Run> run, uint32_t precedence)
      : run_(std::move(run)), precedence_(precedence) {}

  // Goes to the first series, or, after TakeSeries, stands at the next one already.
  // kDataLoss if the run is damaged.
  Status Start();
  // kUnknownOrdinal at the end.
  [[nodiscard]] SeriesOrdinal ordinal() const { return ordinal_; }
  // Appends all samples of the current series and goes to the next one. Samples come row by row,
  // each row in rising time.
  Status TakeSeries(std::vector<MergeSample>& samples, std::vector<HistogramPoint>& histograms);

  // Likewise for a series of floats without start timestamps, each row above `time_ms.back()`:
  // most are. Stops in front of a row that is not so, and returns false; TakeSeries then takes the
  // rest of the series.
  Result<bool> TakeColumns(std::vector<int64_t>& time_ms, std::vector<double>& values);

  [[nodiscard]] uint32_t precedence() const { return precedence_; }
  [[nodiscard]] const RunInfo& info() const { return run_->info(); }

 private:
  // Opens superblock `next_block_` and stands at its first row; past the last one ends the stream.
  Status NextBlock();
  Status LoadColumns(size_t directory_index);
  // Past the row that was taken, to the next superblock's first if it was the last.
  Status NextRow();
  // Damage inside the open superblock quarantines it.
  Status Blame(const Status& status) const;
  Status TakeRow(std::vector<MergeSample>& samples, std::vector<HistogramPoint>& histograms);
  // False, and nothing is taken: see TakeColumns.
  Result<bool> TakeRowColumns(std::vector<int64_t>& time_ms, std::vector<double>& values);
  Result<std::span<const int64_t>> Times(uint32_t column);

  const std::shared_ptr<const Run> run_;
  const uint32_t precedence_;
  std::shared_ptr<const RunDirectory> directory_;
  size_t rows_end_ = 0;
  size_t next_block_ = 0;
  PinnedBytes bytes_;
  std::optional<Superblock> block_;
  RowDecoder decoder_;
  uint32_t row_ = 0;
  SeriesOrdinal ordinal_ = kUnknownOrdinal;
  std::vector<std::vector<int64_t>> shared_columns_;        // by the run's number
  std::map<uint32_t, std::vector<int64_t>> block_columns_;  // of the open superblock
  std::vector<int64_t> times_, starts_;                     // scratch
  std::vector<double> values_;                              // scratch
  std::vector<HistogramPoint> points_;                      // scratch
};

}  // namespace basalt::storage
