// query/exec/fragment_read.h -- what all fragments do before they compute: select series, walk over
// their samples, share work among threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "query/exec/context.h"
#include "query/exec/matrix.h"
#include "query/plan/plan.h"
#include "storage/reader.h"

namespace basalt::query::exec {

// How often a task asks whether it should go on: after so many samples, a series counting for
// some by itself. Well under a millisecond of work.
inline constexpr size_t kSamplesBetweenChecks = 64 << 10;
inline constexpr size_t kSamplesPerSeriesAtLeast = 256;

// What of each series the fragment looks at.
storage::TimeRange Times(const plan::FragmentPlan& plan, const plan::FragmentInput& input);

// By partition.
using Selections = std::vector<std::shared_ptr<const storage::Selection>>;
size_t CountSeries(const Selections& selections);

// The series of one partition. kResourceExhausted beyond query.max_series.
Result<std::shared_ptr<const storage::Selection>> SelectSeries(QueryContext& context,
                                                               const storage::MatcherSet& matchers,
                                                               storage::TimeRange times,
                                                               size_t partition);
// Those of all partitions, which together may not be more than query.max_series either.
Result<Selections> SelectAll(QueryContext& context, const storage::MatcherSet& matchers,
                             storage::TimeRange times);

// Calls f(columns, labels) for each series in [begin, end) that has samples.
template <typename F>
Status ForEachSeries(QueryContext& context, const storage::Selection& selection, size_t begin,
                     size_t end, const storage::ReadOptions& options, F&& f) {
  const auto cursor = selection.Read(begin, end, options);
  storage::SeriesColumns columns;
  size_t work = kSamplesBetweenChecks;
  while (true) {
    if (work >= kSamplesBetweenChecks) {
      BASALT_TRY(context.CheckRunning());
      work = 0;
    }
    const Result<bool> more = cursor->Next(columns);
    if (!more.ok()) {
      // The storage layer tells damage in the snapshot's warnings and leaves the block out.
      if (more.status().code() == StatusCode::kDataLoss) continue;
      return more.status();
    }
    if (!*more) break;
    work += std::max(columns.values.size(), kSamplesPerSeriesAtLeast);
    BASALT_TRY(f(columns, RowLabels(&selection, columns.series)));
  }
  context.counters().blocks_opened.fetch_add(cursor->blocks_opened(), std::memory_order_relaxed);
  return OkStatus();
}

// Runs task(0) .. task(n - 1): together with other threads if there is work for them, by the number
// of series and the times that are read of each.
Status RunTasks(QueryContext& context, size_t series, storage::TimeRange times, size_t n,
                const std::function<Status(size_t)>& task);

}  // namespace basalt::query::exec
