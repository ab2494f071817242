#include "query/exec/bucket_read.h"

#include <algorithm>
#include <string>
#include <vector>

#include "query/exec/range_eval.h"
#include "query/promql/durations.h"

namespace basalt::query::exec {
namespace {

using storage::Resolution;
using storage::TimeRange;

// Of one window alone: how many buckets it must be long, for its ends to be where they are meant.
constexpr int64_t kBucketsOfOneWindow = 10;

const char* NameOf(Resolution resolution) { return resolution == Resolution::kHour ? "1h" : "5m"; }

int64_t Length(const std::vector<TimeRange>& parts) {
  int64_t sum = 0;
  for (const TimeRange& part : parts) sum += part.max_ms - part.min_ms + 1;
  return sum;
}

// Whether windows of buckets come near enough to those that were asked for.
bool LongEnough(const plan::FragmentPlan& plan, const plan::FragmentInput& input,
                int64_t width_ms) {
  const int64_t reach_ms = plan.range_ms > 0 ? plan.range_ms : input.lookback_ms;
  const bool steps = input.grid.size() > 1 && !plan.selector.at_ms.has_value();
  if (steps) return reach_ms >= width_ms && input.grid.step_ms >= width_ms;
  return reach_ms >= kBucketsOfOneWindow * width_ms;
}

// Whether rollups stand for everything that has no samples any more. Both are unions of whole days.
bool StandsFor(const std::vector<TimeRange>& rolled, const std::vector<TimeRange>& gone) {
  return std::all_of(gone.begin(), gone.end(), [&](const TimeRange& part) {
    return std::any_of(rolled.begin(), rolled.end(), [&](const TimeRange& r) {
      return r.min_ms <= part.min_ms && part.max_ms <= r.max_ms;
    });
  });
}

// How much of what is read there are buckets for.
struct Coverage {
  int64_t all_ms = 0;
  int64_t rolled_ms = 0;
  bool stands_for_gone = true;
};
Coverage CoverageOf(const Selections& selections, Resolution resolution, TimeRange times) {
  Coverage out;
  for (const auto& selection : selections) {
    if (selection->size() == 0) continue;
    const std::vector<TimeRange> rolled = selection->RolledUp(resolution, times);
    out.all_ms += Length({times});
    out.rolled_ms += Length(rolled);
    out.stands_for_gone = out.stands_for_gone && StandsFor(rolled, selection->RawGone(times));
  }
  return out;
}

}  // namespace

TimeRange TimesWithBuckets(const QueryContext& context, const plan::FragmentPlan& plan,
                           const plan::FragmentInput& input) {
  TimeRange times = Times(plan, input);
  if (context.downsample() == Downsample::kAuto) {
    // Both ends move back; the beginning has the longest bucket's time at most.
    times.min_ms = std::max(times.min_ms, INT64_MIN / 2) - storage::WidthMs(Resolution::kHour);
  }
  return times;
}

Resolution ChooseResolution(const QueryContext& context, const plan::FragmentPlan& plan,
                            const plan::FragmentInput& input, const Selections& selections,
                            Annotations& annotations) {
  if (input.grid.empty() || CountSeries(selections) == 0) return Resolution::kRaw;
  const TimeRange times = Times(plan, input);
  const bool automatic = context.downsample() == Downsample::kAuto;
  const bool gone = std::any_of(selections.begin(), selections.end(), [&](const auto& selection) {
    return selection->size() > 0 && !selection->RawGone(times).empty();
  });
  if (!automatic && !gone) return Resolution::kRaw;
  for (const Resolution resolution : {Resolution::kHour, Resolution::kFiveMinutes}) {
    if (!BucketRowEvaluator::Supports(plan)) break;
    const BucketRowEvaluator evaluator(plan, input, resolution);
    const bool fits =
        !evaluator.moved() || (automatic && LongEnough(plan, input, storage::WidthMs(resolution)));
    if (!fits) continue;
    const Coverage coverage = CoverageOf(selections, resolution, times);
    if (gone ? !coverage.stands_for_gone : coverage.rolled_ms < coverage.all_ms / 2) continue;
    std::string text = std::string("answered from rollups of ") + NameOf(resolution);
    if (evaluator.moved()) text += ", windows moved to whole buckets";
    annotations.Info(text, plan.selector.pos);
    return resolution;
  }
  if (gone) {
    std::string text = "some samples of this range are kept as rollups only, and are missing here";
    if (!automatic) text += "; try downsample=auto";
    annotations.Warn(text, plan.selector.pos);
  }
  return Resolution::kRaw;
}

Result<std::string> Estimate(QueryContext& context, const plan::FragmentPlan& plan,
                             const plan::FragmentInput& input) {
  const TimeRange times = Times(plan, input);
  BASALT_TRY_ASSIGN(const Selections selections, SelectAll(context, plan.selector.matchers,
                                                           TimesWithBuckets(context, plan, input)));
  std::string text = std::to_string(CountSeries(selections)) + " series, " +
                     promql::FormatDuration(Duration(times.max_ms - times.min_ms + 1)) +
                     " of samples";
  Annotations unused;
  const Resolution resolution = ChooseResolution(context, plan, input, selections, unused);
  if (resolution != Resolution::kRaw)
    text += std::string(", from rollups of ") + NameOf(resolution);
  return text;
}

void NoteRounded(const BucketRowEvaluator& evaluator, const plan::FragmentPlan& plan,
                 Annotations& annotations) {
  if (!evaluator.rounded()) return;
  annotations.Info("values from rollups may differ from those of samples in their last digits",
                   plan.selector.pos);
}

}  // namespace basalt::query::exec
