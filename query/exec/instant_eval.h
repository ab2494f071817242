// query/exec/instant_eval.h -- the value of a series at each step: the last sample within the
// lookback.
#pragma once

#include <optional>

#include "query/exec/annotations.h"
#include "query/exec/functions/range.h"
#include "query/exec/matrix.h"
#include "query/plan/plan.h"
#include "storage/reader.h"

namespace basalt::query::exec {

struct InstantSpec {
  int64_t offset_ms = 0;
  std::optional<int64_t> at_ms;
  int64_t lookback_ms = 0;
  // What of the sample is given: itself (kCount), its time (kTimestamp), its start time
  // (kStartTimestamp).
  plan::FunctionId function = plan::FunctionId::kCount;
  // Histograms to give instead of the stored ones, found by their times; null: the stored ones.
  const Samples* replaced = nullptr;
};

// Appends the row of one series to `out`, if it has any value. Stale markers end a series at once.
void EvaluateInstant(const InstantSpec& spec, const storage::SeriesColumns& columns,
                     const RowLabels& labels, bool drop_name, uint32_t partition, Matrix& out);

// The same for a smoothed selector: interpolated between the samples around the step. `samples`
// holds no stale marker.
void EvaluateSmoothed(const InstantSpec& spec, const Samples& samples, const RowLabels& labels,
                      uint32_t partition, plan::PosRange pos, Annotations& annotations,
                      Matrix& out);

}  // namespace basalt::query::exec
