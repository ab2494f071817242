// query/exec/float_rows.h -- fragments over floats, a row at a time: no cell, no window and no
// label set is made.
//
// What most queries do most of the time: selectors, rate and its kin, *_over_time, over series
// without native histograms. Everything else, and every series that brings something unusual, goes
// the general way (range_eval.h, instant_eval.h), which gives the same bits; tests compare the two.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/base/status.h"
#include "query/exec/column_look.h"
#include "query/exec/context.h"
#include "query/exec/matrix.h"
#include "query/exec/whole_sums.h"
#include "query/exec/windows.h"
#include "query/plan/plan.h"
#include "storage/reader.h"

namespace basalt::query::exec {

// Values of one series at steps [first, first + kinds.size()); a value at both ends. Borrowed.
struct FloatRow {
  uint32_t first = 0;
  bool gapless = true;
  std::span<const CellKind> kinds;
  std::span<const double> values;
};

// One thread. One per task.
class FloatRowEvaluator {
 public:
  // None if the fragment is one of the others.
  static std::optional<FloatRowEvaluator> Make(const QueryContext& context,
                                               const plan::FragmentPlan& plan,
                                               const plan::FragmentInput& input);
  // What of a row's samples this fragment can do without (storage::ReadOptions).
  [[nodiscard]] storage::SummaryUse summaries() const;

  // False: this series must go the general way (it then brings no summaries). Otherwise `row` is
  // what it comes to, with no kinds if it has no value. Errors: the query must stop.
  // `look`: over columns.values, shared with whoever else evaluates them.
  Result<bool> Evaluate(const storage::SeriesColumns& columns, ColumnLook& look, FloatRow& row);

  // What the row's windows held, for statistics and limits.
  [[nodiscard]] uint64_t samples() const { return samples_; }
  [[nodiscard]] uint64_t largest() const { return largest_; }

 private:
  FloatRowEvaluator(const QueryContext& context, const plan::FragmentPlan& plan,
                    const plan::FragmentInput& input, const WindowSpec& spec);

  // Looks at the cancel token and the clock now and then.
  Status Worked(uint64_t samples);
  // `rises`: known not to hold a counter reset.
  Status Fill(std::span<const double> values, const Windows& w, bool rises);
  void FillRates(std::span<const double> values, const Windows& w, bool rises);
  Status FillExtremes(std::span<const double> values, const Windows& w, bool maximum);
  Status FillSums(std::span<const double> values, const Windows& w, bool average);
  // The same where it is exact whatever the order; false: it may not be.
  bool FillWholeSums(std::span<const double> values, const Windows& w, bool average);
  Status FillQuantiles(std::span<const double> values, const Windows& w);
  bool FillLatest(std::span<const double> values, const Windows& w, FloatRow& row);
  bool ShowLatest(const storage::RowSummary& latest, FloatRow& row);
  bool EvaluateSummarized(const storage::SeriesColumns& columns, ColumnLook& look, FloatRow& row);

  const QueryContext* context_;
  const plan::FragmentPlan* plan_;
  const plan::FragmentInput* input_;
  WindowFinder finder_;
  WindowFinder filtered_finder_;  // for series with stale markers, whose times are their own
  uint64_t samples_ = 0;
  uint64_t largest_ = 0;
  uint64_t work_ = 0;  // samples looked at since the query was last asked whether to go on
  std::vector<double> out_;
  std::vector<CellKind> kinds_;
  std::vector<int64_t> time_ms_;  // without stale markers
  std::vector<double> values_;
  std::vector<uint32_t> resets_;
  std::vector<uint32_t> deque_;
  std::vector<double> scratch_;
  WholeSums whole_sums_;
};

// Indices of the values [first, last) that are below the one before; `resets` is overwritten.
// Without a branch a sample, so that it costs a fraction of decoding them.
void FindResets(std::span<const double> values, size_t first, size_t last,
                std::vector<uint32_t>& resets);

// True if any value is the stale marker.
bool AnyStale(std::span<const double> values);

}  // namespace basalt::query::exec
