// storage/parts/run_builder.h -- series in, superblocks and time columns out: fills one run.
//
// Keys of shared time columns come before those of rows (storage/codec/keys.h), and which columns
// there are is only known after the last row. So finished superblocks wait in a spool: in memory up
// to kSpoolBytes, beyond that in a file beside the run.
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

// A rewrite of a day of a million series is hundreds of MiB; this much of it stands in memory.
inline constexpr size_t kSpoolBytes = 16u << 20;

// One thread. Abandoning it removes what it wrote.
class RunBuilder {
 public:
  explicit RunBuilder(RunWriter writer, size_t spool_bytes = kSpoolBytes);
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

  [[nodiscard]] uint64_t samples() const;
  // Writes the columns and the rows, and fsyncs. kInvalidArgument if nothing was added.
  Result<FinishedRun> Finish(LogPosition after, LogPosition last, LogPosition deletes_applied);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace basalt::storage
