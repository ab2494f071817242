// query/exec/bucket_read.h -- whether a fragment is answered from rollups, and walking over their
// buckets.
#pragma once

#include <cstddef>
#include <string>

#include "engine/base/status.h"
#include "query/exec/annotations.h"
#include "query/exec/bucket_rows.h"
#include "query/exec/context.h"
#include "query/exec/fragment_read.h"
#include "query/plan/plan.h"
#include "storage/reader.h"

namespace basalt::query::exec {

// What of each series is selected, should the fragment be answered from buckets: windows may move
// by up to a bucket.
storage::TimeRange TimesWithBuckets(const QueryContext& context, const plan::FragmentPlan& plan,
                                    const plan::FragmentInput& input);

// How finely the fragment is read: kRaw, unless
// - the query says Downsample::kAuto, every window and every step is at least a bucket long (of one
//   step, ten buckets), and rollups cover half of what is read or more; the coarsest such buckets;
// - or samples are gone, and all windows are whole buckets.
// `annotations` receives an info where buckets are used, and a warning where samples are gone and
// nothing stands for them.
storage::Resolution ChooseResolution(const QueryContext& context, const plan::FragmentPlan& plan,
                                     const plan::FragmentInput& input, const Selections& selections,
                                     Annotations& annotations);

// "12 series, 1h of samples", and whether rollups stand for them: what a fragment would read.
Result<std::string> Estimate(QueryContext& context, const plan::FragmentPlan& plan,
                             const plan::FragmentInput& input);

// An info if some value is not to the bit what the samples would give.
void NoteRounded(const BucketRowEvaluator& evaluator, const plan::FragmentPlan& plan,
                 Annotations& annotations);

// Calls floats(labels, row) for each series in [begin, end) of which buckets say all, and
// samples(columns, labels) for each other one that has samples: those with native histograms, which
// are in no bucket, be it beside floats. In series order. Where a series has both and the samples
// of its floats are gone, buckets hold the floats, and the cursor tells what is missing.
template <typename Floats, typename Samples>
Status ForEachSeriesOfBuckets(QueryContext& context, const storage::Selection& selection,
                              size_t begin, size_t end, storage::Resolution resolution,
                              storage::TimeRange raw_times, BucketRowEvaluator& evaluator,
                              Floats&& floats, Samples&& samples) {
  size_t next = begin;  // series before this one are done
  const auto read_samples_until = [&](size_t until) -> Status {
    if (next >= until) return OkStatus();
    return ForEachSeries(context, selection, next, until, {.range = raw_times}, samples);
  };
  BASALT_TRY_ASSIGN(const auto cursor,
                    selection.ReadRollup(begin, end, resolution, evaluator.range()));
  storage::RollupColumns columns;
  size_t work = kSamplesBetweenChecks;
  while (true) {
    if (work >= kSamplesBetweenChecks) {
      BASALT_TRY(context.CheckRunning());
      work = 0;
    }
    const Result<bool> more = cursor->Next(columns);
    if (!more.ok()) {
      if (more.status().code() == StatusCode::kDataLoss) continue;  // told in warnings
      return more.status();
    }
    if (!*more) break;
    if (columns.samples_say_more) continue;
    BASALT_TRY(read_samples_until(columns.series));
    next = columns.series + 1;
    work += std::max(columns.buckets.size(), kSamplesPerSeriesAtLeast);
    context.counters().samples_read.fetch_add(columns.buckets.size(), std::memory_order_relaxed);
    // A series' buckets are in memory at a time.
    BASALT_TRY(context.Hold(columns.buckets.size()));
    context.Release(columns.buckets.size());
    const FloatRow row = evaluator.Evaluate(columns.buckets);
    if (!row.kinds.empty()) BASALT_TRY(floats(RowLabels(&selection, columns.series), row));
  }
  return read_samples_until(end);
}

}  // namespace basalt::query::exec
