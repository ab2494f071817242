// storage/parts/run_builder.h -- series in, superblocks and time columns out: fills one run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "engine/base/ids.h"
#include "engine/base/status.h"
#include "storage/parts/runs.h"
#include "storage/reader.h"

namespace basalt::storage {

// One thread. Abandoning it removes what it wrote.
class RunBuilder {
 public:
  explicit RunBuilder(RunWriter writer);
  ~RunBuilder();
  RunBuilder(RunBuilder&&) noexcept;

  // Samples of one series, all of the run's day, in strictly rising time; cut into rows of at most
  // kMaxSamplesPerRow. Series come in series order; of one series floats come before histograms.
  // `start_ms` may be empty. Errors: kInvalidArgument from the codec, or the disk's.
  Status AddFloats(SeriesOrdinal ordinal, const SeriesPlace& place,
                   std::span<const int64_t> time_ms, std::span<const double> values,
                   std::span<const int64_t> start_ms);
  Status AddHistograms(SeriesOrdinal ordinal, const SeriesPlace& place,
                       std::span<const HistogramPoint> points);

  // One column of a series' buckets, of a rollup (rollup.h): a row without summary. At most
  // kMaxSamplesPerRow.
  Status AddBuckets(SeriesOrdinal ordinal, const SeriesPlace& place,
                    std::span<const int64_t> time_ms, std::span<const double> values);

  // RunWriter::SetShape.
  void SetShape(uint64_t shape, bool raw_gone);
  [[nodiscard]] uint64_t samples() const;
  // Written so far.
  [[nodiscard]] uint64_t bytes() const;
  // Writes the columns and the rows, and fsyncs. kInvalidArgument if nothing was added.
  Result<FinishedRun> Finish(LogPosition after, LogPosition last, LogPosition deletes_applied);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace basalt::storage
