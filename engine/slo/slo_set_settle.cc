// How SloSet decides: rounds that have settled, and open ones that are clear already.
#include <algorithm>
#include <utility>

#include "engine/slo/slo_set.h"

namespace basalt::slo {

using std::chrono::nanoseconds;

void SloSet::SettleGroups(std::vector<Transition>& transitions) {
  const nanoseconds at = now();
  settling_.clear();
  std::swap(settling_, touched_);
  for (const GroupIndex g : settling_) {
    SloGroup& group = *groups_[g];
    group.touched = false;
    while (group.rounds.PopSettled(at, options_.settle_timeout, settled_)) {
      SettleRound(g, settled_, &transitions);
    }
    if (group.rounds.settled_ms() >= group.compare_after_ms &&
        std::exchange(group.compare_after_ms, INT64_MIN) != INT64_MIN) {
      CompareWithPublished(g, transitions);
    }
    if (!group.rounds.has_open()) continue;
    FireEarly(g, transitions);
    Touch(g);  // looked at again until the round settles
  }
}

void SloSet::SettleRound(GroupIndex g, SettledRound& round, std::vector<Transition>* transitions) {
  ++stats_.rounds;
  SloGroup& group = *groups_[g];
  const int64_t before_ms = slots_.head_ms(g);
  if (options_.inject) options_.inject(group.slo, group.values, round);
  group.has_data = true;
  slots_.Advance(g, round.time_ms);
  if (round.counts != Counts{}) slots_.Add(g, {round.time_ms, round.time_ms, round.counts});
  for (const GroupBooking& spread : round.spreads) {
    slots_.Add(g, spread);
    group.changed_ms = std::min(group.changed_ms, spread.from_ms);
  }
  if (!round.spreads.empty()) ForgetEdges(g);  // they reach back into slots that were read before
  for (size_t w = 0; w < round.windows.size(); ++w) {
    if (round.windows[w].has_value()) slots_.SetSum(g, w, *round.windows[w]);
  }

  const bool plain = round.spreads.empty() && round.windows.empty();
  if (plain && group.quiet.Covers(round.time_ms, round.counts)) {
    group.quiet.most -= round.counts;
    ++group.unjudged;
    return;
  }
  const bool was_enough = group.quiet.until_ms < round.time_ms;
  Judge(g, round.time_ms, transitions);
  FindQuiet(g, before_ms, was_enough);
}

void SloSet::Judge(GroupIndex g, int64_t time_ms, std::vector<Transition>* transitions) {
  SloGroup& group = *groups_[g];
  const Definition& definition = definitions_[group.slo];
  if (!HasAlerts(definition, group.kind)) return;
  const Moment moment{slots_, g, time_ms, {}, edge_reader_, excluded()};
  group.inconsistent = false;
  for (size_t s = 0; s < kSeverityCount; ++s) {
    const auto severity = static_cast<Severity>(s);
    if (!definition.alert(severity).enabled) continue;
    size_t which = group.held_condition[s];
    const Truth truth =
        AnyHolds(moment, definition, severity, true, group.held, which, group.inconsistent);
    const AlertChange change =
        Settle(group.alerts[s], time_ms, truth, definition.keep_firing_for.count());
    if (change == AlertChange::kFired || change == AlertChange::kStartMoved) {
      group.held_condition[s] = which;
    }
    if (change != AlertChange::kNone && transitions != nullptr) {
      transitions->push_back({g, severity, group.alerts[s], change != AlertChange::kStartMoved});
    }
  }
}

void SloSet::FireEarly(GroupIndex g, std::vector<Transition>& transitions) {
  SloGroup& group = *groups_[g];
  const Definition& definition = definitions_[group.slo];
  // Where errors and requests do not fit together, half a round that does proves nothing.
  if (!HasAlerts(definition, group.kind) || group.inconsistent) return;
  std::optional<Counts> unreported;
  group.rounds.ForEachOpen([&](int64_t time_ms, const Counts& open) {
    if (group.quiet.Covers(time_ms, open)) return;
    for (size_t s = 0; s < kSeverityCount; ++s) {
      const auto severity = static_cast<Severity>(s);
      if (group.alerts[s].firing || !definition.alert(severity).enabled) continue;
      size_t which = 0;
      bool inconsistent = false;
      // Open rounds of excluded times are not known to be bad for nothing: they settle first.
      if (masks_ != nullptr && excluded()->Any(g, slots_.head_ms(g), time_ms)) continue;
      Moment moment{slots_, g, time_ms, open, edge_reader_, excluded()};
      if (AnyHolds(moment, definition, severity, false, group.held, which, inconsistent) !=
          Truth::kYes)
        continue;
      if (!unreported.has_value()) unreported = group.rounds.Unreported();
      moment.open.total += kUnreportedFactor * unreported->total;
      moment.open.bad += kUnreportedFactor * unreported->bad;
      if (AnyHolds(moment, definition, severity, false, group.held, which, inconsistent) !=
          Truth::kYes)
        continue;
      slo::FireEarly(group.alerts[s], time_ms);
      group.quiet = {};
      group.held_condition[s] = which;
      transitions.push_back({g, severity, group.alerts[s]});
    }
  });
}

// A bound costs about as much as judging a round, so it is asked for where it mostly pays: the
// longer it held the further the next one reaches, and where it says nothing it is not asked for
// again soon.
void SloSet::FindQuiet(GroupIndex g, int64_t before_ms, bool was_enough) {
  SloGroup& group = *groups_[g];
  if (options_.judge_every_round) return;
  const bool had_bound = std::exchange(group.quiet, {}).until_ms != INT64_MIN;
  const bool was_of_use = std::exchange(group.unjudged, 0) > 0;
  const auto give_up = [&] {
    group.bound_pause = std::min(2 * group.bound_pause + 1, kMaxBoundPause);
    group.bound_wait = group.bound_pause;
    group.stride_ms = std::max(group.stride_ms / 4, kMinStrideMs);
  };
  if (had_bound && was_of_use) {
    group.bound_pause = 0;
    group.stride_ms = was_enough ? std::min(2 * group.stride_ms, kMaxStrideMs)
                                 : std::max(group.stride_ms / 4, kMinStrideMs);
  } else if (had_bound) {
    give_up();
  }
  if (group.bound_wait > 0) {
    --group.bound_wait;
    return;
  }
  const int64_t head_ms = slots_.head_ms(g);
  const Definition& definition = definitions_[group.slo];
  if (!HasAlerts(definition, group.kind)) {
    group.quiet = {INT64_MAX, {INT64_MAX / 4, INT64_MAX / 4}};
    return;
  }
  // Of use if it reaches the next round.
  const int64_t beat_ms = head_ms - before_ms;
  const int64_t stride_ms = std::max(group.stride_ms, 2 * beat_ms);
  if (!group.inconsistent && stride_ms <= kMaxStrideMs) {
    group.quiet = QuietUntil({slots_, g, definition, group.alerts, group.held, excluded()},
                             head_ms + stride_ms);
  }
  if (group.quiet.until_ms <= head_ms) give_up();
}

void SloSet::SettleHistory(GroupIndex g, int64_t until_ms, std::vector<Transition>* transitions) {
  while (true) {
    SettleRun(g, until_ms);
    if (!groups_[g]->rounds.PopAny(settled_, until_ms)) return;
    SettleRound(g, settled_, transitions);
  }
}

// History that a quiet group can take without being judged is added up by slots first.
void SloSet::SettleRun(GroupIndex g, int64_t until_ms) {
  SloGroup& group = *groups_[g];
  const int64_t next_ms = group.rounds.NextLoaded();
  if (next_ms > group.quiet.until_ms || next_ms == INT64_MAX) return;  // nothing of it is next
  until_ms = std::min({until_ms, group.quiet.until_ms, next_ms + kMaxStrideMs});
  const bool injects =
      options_.inject && next_ms < options_.inject_to_ms && until_ms >= options_.inject_from_ms;
  if (injects) return;
  const int64_t slot_ms = slots_.layout(g).levels().front().slot_ms;
  switch (group.rounds.PopLoaded(until_ms, group.quiet.most, slot_ms, run_)) {
    case Rounds::Taken::kNothing:
      return;
    case Rounds::Taken::kTooMuch:
      group.quiet.until_ms = next_ms;  // not tried again before a round has been judged
      group.quiet.most = {-1, -1};
      return;
    case Rounds::Taken::kAll:
      break;
  }
  slots_.Advance(g, run_.last_ms);
  slots_.AddRun(g, run_.first_slot, run_.counts);
  group.has_data = true;
  group.quiet.most -= run_.sum;
  group.unjudged += run_.points;
  stats_.rounds += run_.points;
}

}  // namespace basalt::slo
