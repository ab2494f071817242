// query/exec/range_eval.h -- slides the windows of a range function over one series after another.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "query/exec/context.h"
#include "query/exec/functions/range.h"
#include "query/exec/matrix.h"
#include "query/plan/plan.h"

namespace basalt::query::exec {

struct RangeSpec {
  plan::FunctionId function = plan::FunctionId::kCount;
  plan::RangeMode mode = plan::RangeMode::kPlain;
  int64_t range_ms = 0;
  int64_t offset_ms = 0;
  std::optional<int64_t> at_ms;
  int64_t lookback_ms = 0;
  plan::PosRange pos;  // of the first argument
  const std::vector<std::vector<double>>* arguments = nullptr;
};

// What of a series a selector needs to see, to answer for a whole grid. Closed at both ends.
storage::TimeRange TimesNeeded(const plan::Grid& grid, int64_t range_ms, int64_t offset_ms,
                               std::optional<int64_t> at_ms, plan::RangeMode mode,
                               int64_t lookback_ms);

// A rate of what is not named like a counter earns a hint.
void NoteNonCounter(std::string_view name, plan::PosRange pos, Annotations& annotations);
// A stored histogram as PromQL sees it.
FloatHistogram ReadHistogram(const NativeHistogram& histogram);

// Turns what storage gives into what kernels take: no stale markers, histograms as floats. Buffers
// are reused, so the result is good until the next call. One thread.
class SampleFilter {
 public:
  // `reach_ms`: how far back a step looks (range or lookback), and `first_ms` the first step's end;
  // these decide which histograms a stats-only reader meets one after another
  // (SelectorPlan::histogram_stats).
  struct StatsReach {
    int64_t first_ms = 0;
    int64_t step_ms = 1;
    int64_t reach_ms = 0;
    bool one_window = false;
  };
  Samples Filter(const storage::SeriesColumns& columns, bool with_start_times,
                 const std::optional<StatsReach>& stats = std::nullopt);

 private:
  void KeepStats(const StatsReach& reach);

  std::vector<int64_t> time_ms_;
  std::vector<double> values_;
  std::vector<int64_t> start_ms_;
  std::vector<HistogramSample> histograms_;
};

// One thread.
class RangeEvaluator {
 public:
  // `context`, what `spec` points to and `annotations` must outlive it.
  RangeEvaluator(QueryContext& context, const RangeSpec& spec, const plan::Grid& grid,
                 Annotations& annotations);

  // Appends the row of one series to `out`, if it has any value.
  [[nodiscard]] Status Evaluate(const Samples& samples, const RowLabels& labels, bool drop_name,
                                uint32_t partition, Matrix& out);

 private:
  QueryContext& context_;
  const RangeSpec& spec_;
  const plan::Grid grid_;
  RangeKernel kernel_;
  RangeCall call_;
  uint64_t work_ = 0;  // samples looked at since the query was last asked whether to go on
};

}  // namespace basalt::query::exec
