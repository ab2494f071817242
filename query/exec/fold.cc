#include "query/exec/fold.h"

#include <algorithm>
#include <bit>
#include <memory>
#include <optional>
#include <utility>

#include "query/exec/aggregate.h"
#include "query/exec/bucket_read.h"
#include "query/exec/fragment_read.h"
#include "query/exec/series_evaluator.h"

namespace basalt::query::exec {
namespace {

using plan::FragmentInput;
using plan::FragmentPlan;
using Plans = std::span<const FragmentPlan* const>;

// One partition's states for one plan: its series folded in their order, none of their rows kept.
struct PartialFold {
  std::optional<Aggregation> states;
  Annotations annotations;
};

storage::TimeRange TimesOfAll(const QueryContext& context, Plans plans,
                              const FragmentInput& input) {
  storage::TimeRange all = TimesWithBuckets(context, *plans[0], input);
  for (const FragmentPlan* plan : plans) {
    const storage::TimeRange times = TimesWithBuckets(context, *plan, input);
    all = {std::min(all.min_ms, times.min_ms), std::max(all.max_ms, times.max_ms)};
  }
  return all;
}

// What several evaluators can all do with. `cuts` receives where windows begin.
storage::ReadOptions ReadAsAll(const std::vector<std::unique_ptr<SeriesEvaluator>>& evaluators,
                               std::vector<int64_t>& cuts) {
  storage::ReadOptions all = evaluators[0]->ReadAs();
  for (const auto& evaluator : evaluators) {
    const storage::ReadOptions one = evaluator->ReadAs();
    all.range = {std::min(all.range.min_ms, one.range.min_ms),
                 std::max(all.range.max_ms, one.range.max_ms)};
    all.times_only = all.times_only && one.times_only;
    using storage::SummaryUse;
    if (one.summaries == SummaryUse::kNone || all.summaries == SummaryUse::kNone) {
      all.summaries = SummaryUse::kNone;
    } else if (one.summaries == SummaryUse::kIncrease) {
      all.summaries = SummaryUse::kIncrease;  // the stricter of the two that are possible here
    }
    cuts.push_back(one.range.min_ms);
  }
  all.cuts = cuts;
  return all;
}

// What several plans that are read together look at: one, `widest`, at everything.
struct Views {
  size_t widest = 0;
  // Parallel to the plans: by partition, the series that a narrower one looks at, which are among
  // the widest one's; empty for those that look at the same.
  std::vector<Selections> narrower;
};

Result<Views> SelectViews(QueryContext& context, Plans plans, storage::TimeRange times) {
  Views views;
  views.narrower.resize(plans.size());
  const auto matchers = [&](size_t i) -> const storage::MatcherSet& {
    return plans[i]->selector.matchers;
  };
  for (size_t i = 1; i < plans.size(); ++i) {
    if (matchers(i).size() < matchers(views.widest).size()) views.widest = i;
  }
  for (size_t i = 0; i < plans.size(); ++i) {
    if (matchers(i) == matchers(views.widest)) continue;
    size_t same = 0;
    while (matchers(same) != matchers(i)) ++same;
    if (same < i) {
      views.narrower[i] = views.narrower[same];
    } else {
      BASALT_TRY_ASSIGN(views.narrower[i], SelectAll(context, matchers(i), times));
    }
  }
  return views;
}

// The series of one partition that a plan looks at.
class View {
 public:
  View() = default;  // all that are read
  explicit View(const storage::Selection& selection) : all_(false) {
    for (size_t i = 0; i < selection.size(); ++i) {
      const auto ordinal = static_cast<size_t>(selection.ordinal(i));
      if (ordinal >= sees_.size()) sees_.resize(ordinal + 1);
      sees_[ordinal] = true;
    }
  }
  [[nodiscard]] bool Sees(SeriesOrdinal series) const {
    const auto ordinal = static_cast<size_t>(series);
    return all_ || (ordinal < sees_.size() && sees_[ordinal]);
  }

 private:
  bool all_ = true;
  std::vector<bool> sees_;  // by ordinal
};

// Folds the series of one partition for all plans; `out` is parallel to them.
Status RunPartial(QueryContext& context, Plans plans, const FragmentInput& input,
                  const storage::Selection& selection, const Views& views, size_t partition,
                  std::span<PartialFold> out) {
  std::vector<std::unique_ptr<SeriesEvaluator>> evaluators;
  for (size_t i = 0; i < plans.size(); ++i)
    out[i].states.emplace(*plans[i]->aggregation, input.grid);
  if (selection.size() == 0) return OkStatus();
  std::vector<View> view_of(plans.size());
  for (size_t i = 0; i < plans.size(); ++i) {
    evaluators.push_back(
        std::make_unique<SeriesEvaluator>(context, *plans[i], input, out[i].annotations));
    if (i != views.widest) evaluators[i]->ReadsAlong();
    if (!views.narrower[i].empty()) view_of[i] = View(*views.narrower[i][partition]);
  }
  Matrix row(input.grid);
  size_t held = 0;
  std::vector<int64_t> cuts;
  return ForEachSeries(
      context, selection, 0, selection.size(), ReadAsAll(evaluators, cuts),
      [&](const storage::SeriesColumns& columns, const RowLabels& labels) -> Status {
        size_t cells = 0;
        ColumnLook look(columns.values);
        for (size_t i = 0; i < plans.size(); ++i) {
          Aggregation& states = *out[i].states;
          cells += states.cells();
          if (!view_of[i].Sees(selection.ordinal(columns.series))) continue;
          SeriesEvaluator& evaluator = *evaluators[i];
          const size_t before = states.cells();
          FloatRow floats;
          BASALT_TRY_ASSIGN(const bool done,
                            evaluator.EvaluateFloats(columns, look, labels, floats));
          if (done && !floats.kinds.empty()) {
            states.AddFloats(labels, evaluator.drop_name(), floats.first, floats.gapless,
                             floats.kinds, floats.values);
          } else if (!done) {
            row.Clear();
            BASALT_TRY(evaluator.Evaluate(columns, labels, static_cast<uint32_t>(partition), row));
            if (!row.empty()) states.Add(row, row.rows().front(), out[i].annotations);
          }
          cells += states.cells() - before;
        }
        const size_t grown = cells - std::exchange(held, cells);
        return grown == 0 ? OkStatus() : context.Hold(grown);
      });
}

// What RunPartial comes to, for one plan, from rollups.
Status RunBuckets(QueryContext& context, const FragmentPlan& plan, const FragmentInput& input,
                  const storage::Selection& selection, size_t partition,
                  storage::Resolution resolution, PartialFold& out) {
  Aggregation& states = out.states.emplace(*plan.aggregation, input.grid);
  SeriesEvaluator evaluator(context, plan, input, out.annotations);
  BucketRowEvaluator buckets(plan, input, resolution);
  Matrix row(input.grid);
  size_t held = 0;
  const auto hold = [&]() -> Status {
    const size_t grown = states.cells() - std::exchange(held, states.cells());
    return grown == 0 ? OkStatus() : context.Hold(grown);
  };
  const Status read = ForEachSeriesOfBuckets(
      context, selection, 0, selection.size(), resolution, Times(plan, input), buckets,
      [&](const RowLabels& labels, const FloatRow& floats) -> Status {
        evaluator.NoteName(labels);
        states.AddFloats(labels, evaluator.drop_name(), floats.first, floats.gapless, floats.kinds,
                         floats.values);
        return hold();
      },
      [&](const storage::SeriesColumns& columns, const RowLabels& labels) -> Status {
        row.Clear();
        BASALT_TRY(evaluator.Evaluate(columns, labels, static_cast<uint32_t>(partition), row));
        if (!row.empty()) states.Add(row, row.rows().front(), out.annotations);
        return hold();
      });
  NoteRounded(buckets, plan, out.annotations);
  return read;
}

// Counting series takes no value of them: only who has one, when.
bool CountsSeries(const FragmentPlan& plan) {
  using promql::AggregateOp;
  return plan.range_ms == 0 && !plan.has_function() &&
         plan.selector.mode == plan::RangeMode::kPlain &&
         (plan.aggregation->op == AggregateOp::kCount ||
          plan.aggregation->op == AggregateOp::kGroup);
}

// What RunPartial comes to where CountsSeries.
Status RunPresence(QueryContext& context, const FragmentPlan& plan, const FragmentInput& input,
                   const storage::Selection& selection, PartialFold& out) {
  // Words of the answer that are in memory at a time.
  constexpr size_t kWordsAtOnce = 16 << 10;
  out.states.emplace(*plan.aggregation, input.grid);
  const plan::SelectorPlan& s = plan.selector;
  const bool pinned = s.at_ms.has_value();
  const storage::EvaluationTimes times{
      .first_ms = (pinned ? *s.at_ms : input.grid.start_ms) - s.offset_ms,
      .step_ms = pinned ? 0 : input.grid.step_ms,
      .count = pinned ? 1 : static_cast<uint32_t>(input.grid.size())};
  const size_t words = storage::PresenceWords(times.count);
  const size_t at_once = std::max<size_t>(kWordsAtOnce / words, 1);
  std::vector<uint64_t> present;
  std::vector<uint64_t> everywhere(storage::PresenceWords(static_cast<uint32_t>(input.grid.size())),
                                   ~uint64_t{0});
  if (input.grid.size() % 64 != 0) everywhere.back() = (uint64_t{1} << input.grid.size() % 64) - 1;
  uint64_t samples = 0;
  size_t held = 0;
  for (size_t begin = 0; begin < selection.size(); begin += at_once) {
    BASALT_TRY(context.CheckRunning());
    const size_t end = std::min(begin + at_once, selection.size());
    present.resize((end - begin) * words);
    const Status read =
        selection.ReadPresence(begin, end, times, input.lookback_ms, std::span(present));
    // The storage layer tells damage in the snapshot's warnings and leaves the block out.
    if (!read.ok() && read.code() != StatusCode::kDataLoss) return read;
    for (size_t i = begin; i < end; ++i) {
      std::span<const uint64_t> of_series = std::span(present).subspan((i - begin) * words, words);
      uint64_t steps = 0;
      for (const uint64_t word : of_series) steps += static_cast<uint64_t>(std::popcount(word));
      if (steps == 0) continue;
      if (pinned) of_series = everywhere;
      samples += pinned ? input.grid.size() : steps;
      out.states->AddPresent(RowLabels(&selection, i), of_series);
    }
    const size_t grown = out.states->cells() - held;
    held += grown;
    if (grown > 0) BASALT_TRY(context.Hold(grown));
  }
  context.counters().samples.fetch_add(samples, std::memory_order_relaxed);
  return OkStatus();
}

}  // namespace

namespace {

// Each reads rollups of its own.
Result<std::vector<Folded>> FoldEach(QueryContext& context, Plans plans,
                                     const FragmentInput& input) {
  std::vector<Folded> out;
  for (size_t i = 0; i < plans.size(); ++i) {
    BASALT_TRY_ASSIGN(std::vector<Folded> one, RunFolds(context, plans.subspan(i, 1), input));
    out.push_back(std::move(one[0]));
  }
  return out;
}

}  // namespace

Result<std::vector<Folded>> RunFolds(QueryContext& context, Plans plans,
                                     const FragmentInput& input) {
  const storage::TimeRange times = TimesOfAll(context, plans, input);
  BASALT_TRY_ASSIGN(const Views views, SelectViews(context, plans, times));
  BASALT_TRY_ASSIGN(const Selections selections,
                    SelectAll(context, plans[views.widest]->selector.matchers, times));
  std::vector<Folded> folded(plans.size());
  storage::Resolution resolution = storage::Resolution::kRaw;
  for (size_t i = 0; i < plans.size() && resolution == storage::Resolution::kRaw; ++i) {
    resolution = ChooseResolution(context, *plans[i], input,
                                  views.narrower[i].empty() ? selections : views.narrower[i],
                                  folded[i].annotations);
  }
  if (resolution != storage::Resolution::kRaw && plans.size() > 1)
    return FoldEach(context, plans, input);
  const size_t partitions = selections.size();
  std::vector<PartialFold> partials(partitions * plans.size());
  const bool presence =
      plans.size() == 1 && context.options().fuse && !input.grid.empty() && CountsSeries(*plans[0]);
  BASALT_TRY(RunTasks(context, CountSeries(selections), times, partitions, [&](size_t p) {
    const auto out = std::span(partials).subspan(p * plans.size(), plans.size());
    if (resolution != storage::Resolution::kRaw)
      return RunBuckets(context, *plans[0], input, *selections[p], p, resolution, out[0]);
    return presence ? RunPresence(context, *plans[0], input, *selections[p], out[0])
                    : RunPartial(context, plans, input, *selections[p], views, p, out);
  }));
  for (size_t i = 0; i < plans.size(); ++i) {
    Aggregation& all = *partials[i].states;
    Annotations& annotations = folded[i].annotations;
    annotations.Merge(partials[i].annotations);
    for (size_t p = 1; p < partitions; ++p) {
      PartialFold& partial = partials[p * plans.size() + i];
      annotations.Merge(partial.annotations);
    }
    for (size_t p = 1; p < partitions; ++p) {
      PartialFold& partial = partials[p * plans.size() + i];
      all.Merge(*partial.states, annotations);
      partial.states.reset();
    }
    folded[i].rows = all.Finish(annotations);
  }
  return folded;
}

bool CanReadTogether(const FragmentPlan& all, const FragmentPlan& some) {
  const auto simple = [](const FragmentPlan& f) {
    return f.aggregation.has_value() && f.range_ms > 0 && !f.selector.histogram_stats &&
           f.selector.mode == plan::RangeMode::kPlain;
  };
  if (!simple(all) || !simple(some) || all.selector.offset_ms != some.selector.offset_ms ||
      all.selector.at_ms != some.selector.at_ms) {
    return false;
  }
  const storage::MatcherSet& few = all.selector.matchers;
  const storage::MatcherSet& more = some.selector.matchers;
  if (few == more) return true;
  return all.function == some.function && all.range_ms == some.range_ms &&
         few.size() < more.size() &&
         std::all_of(
             few.begin(), few.end(),
             [&](const storage::Matcher& m) {
               return std::find(more.begin(), more.end(), m) != more.end();
             });
}

}  // namespace basalt::query::exec
