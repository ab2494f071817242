// storage/run_rows.h -- the rows of a few series from the runs of a partition. Private to
// storage/*.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
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

// Keeps the superblock and the time columns that it used last, so reading series in series order
// opens each once or twice. One thread.
class RunRows {
 public:
  // `runs`: lowest precedence first, as RunsSnapshot::Overlapping returns them.
  RunRows(std::vector<std::shared_ptr<const Run>> runs, TimeRange range);
  ~RunRows();
  RunRows(const RunRows&) = delete;
  RunRows& operator=(const RunRows&) = delete;

  [[nodiscard]] bool empty() const { return runs_.empty(); }

  // The samples in range of series [begin, begin + n) of `series`, deletes carried out: parts[i]
  // gets one column set a row, lowest precedence first. A damaged superblock is left out and its
  // kDataLoss appended to `errors`.
  void Read(const SeriesSet& series, size_t begin, size_t n, const DeleteSnapshot& deletes,
            std::vector<std::vector<SampleColumns>>& parts, std::vector<Status>& errors);

 private:
  struct OpenRun;
  struct OpenBlock;

  // What is wanted of one superblock.
  struct Wanted {
    std::vector<std::pair<SeriesOrdinal, uint32_t>> series;  // with the index in `parts`
  };

  Status ReadBlock(OpenRun& run, size_t block, Wanted& wanted, const DeleteSnapshot& deletes,
                   std::vector<std::vector<SampleColumns>>& parts);
  // The opened superblock `i` of a run, kept until another is asked for.
  Result<OpenBlock*> Open(OpenRun& run, size_t i);
  Result<std::span<const int64_t>> Times(OpenRun& run, OpenBlock& block, uint32_t column);

  const TimeRange range_;
  std::vector<std::unique_ptr<OpenRun>> runs_;
  std::vector<SeriesOrdinal> ordinals_;  // scratch
  std::vector<RowMatch> matches_;        // scratch
  std::vector<HistogramPoint> points_;   // scratch
};

}  // namespace basalt::storage
