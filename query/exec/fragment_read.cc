#include "query/exec/fragment_read.h"

#include <string>

#include "query/exec/range_eval.h"

namespace basalt::query::exec {
namespace {

// Samples that one thread reads in about the time that it takes to wake another one.
constexpr uint64_t kWorthAThread = 64 << 10;
// What a series is taken to hold a second, for such guesses: a scrape every 15 s.
constexpr int64_t kGuessedIntervalMs = 15'000;

Status TooManySeries(size_t limit) {
  return ResourceExhausted("a selector matches more than " + std::to_string(limit) +
                           " series, the limit query.max_series; add label matchers, or raise it");
}

}  // namespace

storage::TimeRange Times(const plan::FragmentPlan& plan, const plan::FragmentInput& input) {
  storage::TimeRange times =
      TimesNeeded(input.grid, plan.range_ms, plan.selector.offset_ms, plan.selector.at_ms,
                  plan.selector.mode, input.lookback_ms);
  // The first sample wants to be compared with the one before it, if that is not far.
  if (plan.selector.histogram_stats) times.min_ms -= input.lookback_ms;
  return times;
}

size_t CountSeries(const Selections& selections) {
  size_t series = 0;
  for (const auto& selection : selections) series += selection->size();
  return series;
}

Result<std::shared_ptr<const storage::Selection>> SelectSeries(QueryContext& context,
                                                               const storage::MatcherSet& matchers,
                                                               storage::TimeRange times,
                                                               size_t partition) {
  Result<std::shared_ptr<const storage::Selection>> selection =
      context.snapshot().Select(context.tenant(), PartitionId{static_cast<uint16_t>(partition)},
                                matchers, times, context.options().max_series);
  if (!selection.ok()) {
    if (selection.status().code() == StatusCode::kResourceExhausted)
      return TooManySeries(context.options().max_series);
    return selection.status().WithContext("expanding series");
  }
  context.Keep(*selection);
  context.counters().series_selected.fetch_add((*selection)->size(), std::memory_order_relaxed);
  return selection;
}

Result<Selections> SelectAll(QueryContext& context, const storage::MatcherSet& matchers,
                             storage::TimeRange times) {
  const size_t partitions = context.snapshot().partition_count();
  Selections selections(partitions);
  const auto select = [&](size_t p) -> Status {
    BASALT_TRY_ASSIGN(selections[p], SelectSeries(context, matchers, times, p));
    return OkStatus();
  };
  // Looking labels up is a matter of microseconds; expressions run over all values of a label.
  const bool expressions =
      std::any_of(matchers.begin(), matchers.end(), [](const storage::Matcher& m) {
        return m.type == storage::MatchType::kRegex || m.type == storage::MatchType::kNotRegex;
      });
  if (expressions) {
    BASALT_TRY(context.Parallel(partitions, select));
  } else {
    for (size_t p = 0; p < partitions; ++p) BASALT_TRY(select(p));
  }
  if (CountSeries(selections) > context.options().max_series)
    return TooManySeries(context.options().max_series);
  return selections;
}

Status RunTasks(QueryContext& context, size_t series, storage::TimeRange times, size_t n,
                const std::function<Status(size_t)>& task) {
  const uint64_t each = static_cast<uint64_t>((times.max_ms - times.min_ms) / kGuessedIntervalMs);
  // Opening superblocks costs about as much as a hundred samples.
  if (series * (each + 100) >= kWorthAThread) return context.Parallel(n, task);
  for (size_t i = 0; i < n; ++i) BASALT_TRY(task(i));
  return OkStatus();
}

}  // namespace basalt::query::exec
