#include "engine/slo/slo_set.h"

#include <algorithm>
#include <utility>

namespace basalt::slo {
namespace {

using std::chrono::nanoseconds;

uint64_t SeriesKey(PartitionId partition, SeriesOrdinal ordinal) {
  return static_cast<uint64_t>(partition) << 32 | static_cast<uint32_t>(ordinal);
}

// Targets are numbered by partition; series without one form a target of their own in each group.
uint64_t TargetKey(PartitionId partition, TargetNumber target) {
  if (target == kNoTarget) return UINT64_MAX;
  return static_cast<uint64_t>(partition) << 32 | target;
}

// Leaves whose state is handed to the taps at a time: each handing over passes once over the
// samples that wait.
constexpr size_t kPrimeBatch = 256;

// Changes of one leaf within this distance are corrected together.
constexpr int64_t kDirtyJoinMs = 10 * 60'000;

}  // namespace

SloSet::SloSet(std::vector<Definition> definitions, SampleStore& store,
               const SloSetOptions& options, Restored restored)
    : definitions_(std::move(definitions)),
      store_(store),
      options_(options),
      restored_(std::move(restored)),
      index_(definitions_),
      taps_(index_, store.reader().partition_count(), options.max_queued),
      groups_by_slo_(definitions_.size()),
      entry_of_leaf_(store.reader().partition_count()) {}

History* SloSet::OpenHistory() {
  if (history_ != nullptr) return history_.get();
  auto snapshot = store_.reader().TakeSnapshot();
  if (!snapshot.ok()) {
    NoteError(snapshot.status());
    return nullptr;
  }
  history_ = std::make_unique<History>(index_, std::move(snapshot).value());
  return history_.get();
}

void SloSet::NoteError(const Status& status) {
  ++stats_.storage_errors;
  stats_.last_storage_error = status.ToString();
}

std::optional<GroupIndex> SloSet::GroupFor(SloIndex slo, std::vector<std::string> values) {
  auto& groups = groups_by_slo_[slo];
  if (const auto it = groups.find(values); it != groups.end()) return it->second;
  if (groups.size() >= kMaxGroupsPerSlo) {
    ++stats_.dropped_groups;
    return std::nullopt;
  }
  const GroupIndex g = slots_.AddGroup(replay_from_ms_);
  auto group = std::make_unique<SloGroup>(SloGroup{slo, values, Rounds(replay_from_ms_), {}, {}});
  const Definition& definition = definitions_[slo];
  for (size_t s = 0; s < kSeverityCount; ++s) {
    const auto severity = static_cast<Severity>(s);
    if (!definition.alert(severity).enabled) continue;
    if (const auto starts_ms = restored_(definition, values, severity)) {
      group->alerts[s] = {true, *starts_ms, 0, 0, true};
    }
  }
  groups_.push_back(std::move(group));
  groups.emplace(std::move(values), g);
  return g;
}

uint32_t SloSet::EntryFor(PartitionId partition, SeriesOrdinal ordinal, TargetNumber target,
                          const Labels& labels, const std::vector<Contribution>& contributions) {
  const auto [it, is_new] = entry_by_series_.try_emplace(SeriesKey(partition, ordinal),
                                                         static_cast<uint32_t>(entries_.size()));
  if (!is_new) return it->second;
  LeafEntry entry;
  entry.partition = partition;
  entry.ordinal = ordinal;
  for (const Contribution& c : contributions) {
    const auto g = GroupFor(c.slo, GroupValues(definitions_[c.slo], labels));
    if (!g.has_value()) continue;
    const auto leaf = groups_[*g]->rounds.AddLeaf(TargetKey(partition, target), c.bad, c.total);
    entry.places.emplace_back(*g, leaf);
  }
  entries_.push_back(std::move(entry));
  return it->second;
}

void SloSet::Touch(GroupIndex g) {
  if (std::exchange(groups_[g]->touched, true)) return;
  touched_.push_back(g);
}

void SloSet::AddLate(GroupIndex g, const GroupBooking& booking) {
  slots_.Add(g, booking);
  // Edges that were read before do not know of it.
  auto it = edges_.lower_bound(EdgeKey{g, 0, INT64_MIN});
  while (it != edges_.end() && std::get<0>(it->first) == g) it = edges_.erase(it);
}

void SloSet::Book(const LeafEntry& entry, const Booking& booking) {
  for (const auto& [g, leaf] : entry.places) {
    Rounds& rounds = groups_[g]->rounds;
    if (!rounds.Book(leaf, booking, now())) AddLate(g, rounds.Weigh(leaf, booking));
    Touch(g);
  }
}

void SloSet::BookHistory(LeafEntry& entry, const LeafHistory& history) {
  for (const Booking& booking : history.bookings) Book(entry, booking);
  if (history.state.seen) entry.counted_ms = std::max(entry.counted_ms, history.state.last_ms);
}

Status SloSet::Load(std::vector<Transition>& transitions) {
  const int64_t now_ms = ToMs(options_.clock->Now());
  replay_from_ms_ = now_ms - kReplayMs;
  store_.Observe(&taps_);
  bool overflowed = false;
  Drain(overflowed);
  if (overflowed) return ResourceExhausted("slo: more samples arrived while loading than fit");
  History* history = OpenHistory();
  if (history == nullptr) return Unavailable("slo: no snapshot: " + stats_.last_storage_error);

  // Leaves that storage shows; those that are live among them are primed with what was read.
  std::vector<std::vector<PrimedLeaf>> primed(entry_of_leaf_.size());
  for (SloIndex slo = 0; slo < definitions_.size(); ++slo) LoadSlo(slo, *history, primed);
  std::vector<std::vector<LeafEvent>> events(primed.size());
  for (auto& [partition, leaf] : waiting_) {
    const auto p = static_cast<size_t>(partition);
    const uint32_t number =
        EntryFor(partition, leaf.ordinal, leaf.target, leaf.labels, leaf.contributions);
    entry_of_leaf_[p][leaf.leaf] = number;
    // Storage does not show it yet: it begins with the samples that wait.
    if (!std::exchange(entries_[number].primed, true)) primed[p].push_back({leaf.leaf, {}, {}});
  }
  waiting_.clear();
  history_.reset();

  const auto before = [&](const SloGroup& group, size_t s) {
    const auto severity = static_cast<Severity>(s);
    const Definition& definition = definitions_[group.slo];
    return definition.alert(severity).enabled ? restored_(definition, group.values, severity)
                                              : std::nullopt;
  };
  for (GroupIndex g = 0; g < groups_.size(); ++g) {
    SettledRound round;
    while (groups_[g]->rounds.PopAny(round)) SettleRound(g, round, nullptr);
    for (size_t s = 0; s < kSeverityCount; ++s) {
      AlertState& state = groups_[g]->alerts[s];
      const std::optional<int64_t> starts_ms = before(*groups_[g], s);
      if (state.firing == starts_ms.has_value()) {
        // What was published stays, although late samples may tell another start by now.
        if (state.firing) state.starts_ms = *starts_ms;
        continue;
      }
      transitions.push_back({g, static_cast<Severity>(s), state});
    }
  }
  touched_.clear();
  for (const auto& group : groups_) group->touched = false;

  for (size_t p = 0; p < primed.size(); ++p) {
    const PartitionId partition{static_cast<uint16_t>(p)};
    taps_.Prime(partition, primed[p], events[p]);
    Apply(partition, events[p]);
  }
  history_.reset();
  return OkStatus();
}

void SloSet::LoadSlo(SloIndex slo, History& history, std::vector<std::vector<PrimedLeaf>>& primed) {
  const Definition& definition = definitions_[slo];
  const int64_t now_ms = ToMs(options_.clock->Now());
  const int64_t from_ms = now_ms - definition.period.count();
  // Live leaves by series, to hand them their state.
  std::unordered_map<uint64_t, const NewLeaf*> live;
  for (const auto& [partition, leaf] : waiting_) live[SeriesKey(partition, leaf.ordinal)] = &leaf;

  const auto visit = [&](const StoredLeaf& leaf, const storage::Selection& selection, size_t i) {
    const uint64_t key = SeriesKey(leaf.partition, leaf.ordinal);
    if (entry_by_series_.contains(key)) return OkStatus();  // read for an SLO before this one
    const std::vector<Contribution> contributions = index_.Match(leaf.tenant, leaf.labels);
    if (contributions.empty()) return OkStatus();  // `le` is compared here, not in storage
    const auto it = live.find(key);
    const TargetNumber target = it == live.end() ? kNoTarget : it->second->target;
    LeafEntry& entry =
        entries_[EntryFor(leaf.partition, leaf.ordinal, target, leaf.labels, contributions)];
    const Result<LeafHistory> counted = history.Count(leaf, selection, i, from_ms, INT64_MAX);
    PrimedLeaf state;
    if (counted.ok()) {
      BookHistory(entry, *counted);
      state = {0, counted->state, counted->unevidenced_ms};
    } else {
      NoteError(counted.status());
    }
    if (it == live.end()) return OkStatus();
    state.leaf = it->second->leaf;
    entry.primed = true;
    entry_of_leaf_[static_cast<size_t>(leaf.partition)][state.leaf] = entry_by_series_[key];
    primed[static_cast<size_t>(leaf.partition)].push_back(state);
    ++stats_.primed_leaves;
    return OkStatus();
  };
  const storage::TimeRange range{from_ms - kMaxGapMs, INT64_MAX};
  if (const Status status = history.ForEachLeaf(definition, slo, nullptr, range, visit);
      !status.ok()) {
    NoteError(status.WithContext("slo " + definition.id));
  }
}

void SloSet::Drain(bool& overflowed) {
  for (size_t p = 0; p < entry_of_leaf_.size(); ++p) {
    const PartitionId partition{static_cast<uint16_t>(p)};
    Drained drained = taps_.Drain(partition);
    overflowed |= drained.overflowed;
    for (NewLeaf& leaf : drained.new_leaves) {
      auto& numbers = entry_of_leaf_[p];
      if (numbers.size() <= leaf.leaf) numbers.resize(leaf.leaf + 1, UINT32_MAX);
      waiting_.emplace_back(partition, std::move(leaf));
    }
    Apply(partition, drained.events);
  }
}

Status SloSet::Sweep(std::vector<Transition>& transitions) {
  bool overflowed = false;
  Drain(overflowed);
  if (overflowed) {
    return ResourceExhausted("slo: more than " + std::to_string(options_.max_queued) +
                             " samples waited for a sweep; everything is read again");
  }
  if (dirty_.size() > kMaxDirty) {
    return ResourceExhausted("slo: more than " + std::to_string(kMaxDirty) +
                             " series had late samples at once; everything is read again");
  }
  const nanoseconds until = now() + kHistoryBudget;
  PrimeWaiting(until);
  CorrectDirty(until);  // before deciding; what touches open rounds waits until they have settled
  SettleGroups(transitions);
  history_.reset();
  return OkStatus();
}

void SloSet::PrimeWaiting(nanoseconds until) {
  const int64_t now_ms = ToMs(options_.clock->Now());
  while (!waiting_.empty() && now() < until) {
    History* history = OpenHistory();
    if (history == nullptr) return;
    const PartitionId partition = waiting_.front().first;
    const auto p = static_cast<size_t>(partition);
    std::vector<PrimedLeaf> primed;
    while (!waiting_.empty() && waiting_.front().first == partition &&
           primed.size() < kPrimeBatch && (primed.empty() || now() < until)) {
      const NewLeaf leaf = std::move(waiting_.front().second);
      waiting_.pop_front();
      const uint32_t number =
          EntryFor(partition, leaf.ordinal, leaf.target, leaf.labels, leaf.contributions);
      entry_of_leaf_[p][leaf.leaf] = number;
      LeafEntry& entry = entries_[number];
      // A leaf that was here before has been counted up to its last sample.
      const int64_t from_ms =
          entry.counted_ms > 0 ? entry.counted_ms : now_ms - kDefaultPeriod.count();
      const StoredLeaf stored{partition, leaf.ordinal, leaf.tenant, leaf.labels};
      const Result<LeafHistory> counted = history->Count(stored, from_ms, INT64_MAX);
      PrimedLeaf state{leaf.leaf, {}, {}};
      if (counted.ok()) {
        BookHistory(entry, *counted);
        state = {leaf.leaf, counted->state, counted->unevidenced_ms};
        if (counted->state.seen && !counted->state.ended) {
          for (const auto& [g, place] : entry.places) {
            groups_[g]->rounds.Seen(place, counted->state.last_ms, counted->last_amount, now());
            Touch(g);
          }
        }
      } else {
        NoteError(counted.status());
      }
      entry.primed = true;
      primed.push_back(state);
      ++stats_.primed_leaves;
    }
    std::vector<LeafEvent> events;
    taps_.Prime(partition, primed, events);
    Apply(partition, events);
  }
}

void SloSet::Apply(PartitionId partition, const std::vector<LeafEvent>& events) {
  const nanoseconds arrived = now();
  stats_.events += events.size();
  for (const LeafEvent& event : events) {
    const uint32_t number = entry_of_leaf_[static_cast<size_t>(partition)].at(event.leaf);
    if (number == UINT32_MAX) continue;  // gone before it was ever primed
    LeafEntry& entry = entries_[number];
    switch (event.kind) {
      case LeafEvent::Kind::kSample:
        entry.counted_ms = std::max(entry.counted_ms, event.booking.to_ms);
        for (const auto& [g, leaf] : entry.places) {
          Rounds& rounds = groups_[g]->rounds;
          if (!rounds.Report(leaf, event.booking, arrived)) {
            AddLate(g, rounds.Weigh(leaf, event.booking));
          }
          Touch(g);
        }
        break;
      case LeafEvent::Kind::kStale:
      case LeafEvent::Kind::kGone:
        if (event.kind == LeafEvent::Kind::kGone) entry.primed = false;
        for (const auto& [g, leaf] : entry.places) {
          groups_[g]->rounds.End(leaf);
          Touch(g);
        }
        break;
      case LeafEvent::Kind::kDirty:
        AddDirty({number, event.booking.from_ms, event.booking.to_ms, event.position});
        break;
    }
  }
}

void SloSet::AddDirty(const Dirty& dirty) {
  // Late samples come in runs: one correction for neighbours.
  if (!dirty_.empty() && dirty_.back().entry == dirty.entry &&
      dirty.from_ms <= dirty_.back().to_ms + kDirtyJoinMs &&
      dirty.to_ms >= dirty_.back().from_ms - kDirtyJoinMs) {
    Dirty& last = dirty_.back();
    last.from_ms = std::min(last.from_ms, dirty.from_ms);
    last.to_ms = std::max(last.to_ms, dirty.to_ms);
    last.position = dirty.position;
    return;
  }
  dirty_.push_back(dirty);
}

void SloSet::SettleGroups(std::vector<Transition>& transitions) {
  std::vector<GroupIndex> groups = std::exchange(touched_, {});
  for (const GroupIndex g : groups) {
    SloGroup& group = *groups_[g];
    group.touched = false;
    SettledRound round;
    while (group.rounds.PopSettled(now(), options_.settle_timeout, round)) {
      SettleRound(g, round, &transitions);
    }
    if (!group.rounds.has_open()) continue;
    FireEarly(g, transitions);
    Touch(g);  // looked at again until the round settles
  }
}

EdgeReader SloSet::EdgesOf(GroupIndex g) {
  return [this, g](size_t window, const WindowSum& sum, int64_t from_ms) {
    return ReadEdge(g, window, sum, from_ms);
  };
}

void SloSet::SettleRound(GroupIndex g, const SettledRound& round,
                         std::vector<Transition>* transitions) {
  ++stats_.rounds;
  SloGroup& group = *groups_[g];
  group.has_data = true;
  slots_.Advance(g, round.time_ms);
  if (round.counts != Counts{}) slots_.Add(g, {round.time_ms, round.time_ms, round.counts});
  for (const GroupBooking& spread : round.spreads) slots_.Add(g, spread);

  const Definition& definition = definitions_[group.slo];
  const EdgeReader edges = EdgesOf(g);
  const Moment moment{slots_, g, round.time_ms, {}, edges};
  group.inconsistent = false;
  for (size_t s = 0; s < kSeverityCount; ++s) {
    const auto severity = static_cast<Severity>(s);
    if (!definition.alert(severity).enabled) continue;
    size_t which = group.held_condition[s];
    const Truth truth = AnyHolds(moment, definition, severity, which, group.inconsistent);
    const AlertChange change = Settle(group.alerts[s], round.time_ms, truth);
    if (change == AlertChange::kFired || change == AlertChange::kStartMoved) {
      group.held_condition[s] = which;
    }
    if (change != AlertChange::kNone && transitions != nullptr) {
      transitions->push_back({g, severity, group.alerts[s]});
    }
  }
}

void SloSet::FireEarly(GroupIndex g, std::vector<Transition>& transitions) {
  SloGroup& group = *groups_[g];
  const Definition& definition = definitions_[group.slo];
  const EdgeReader edges = EdgesOf(g);
  std::optional<Amount> unreported;
  group.rounds.ForEachOpen([&](int64_t time_ms, const Counts& open) {
    for (size_t s = 0; s < kSeverityCount; ++s) {
      const auto severity = static_cast<Severity>(s);
      if (group.alerts[s].firing || !definition.alert(severity).enabled) continue;
      size_t which = 0;
      bool inconsistent = false;
      Moment moment{slots_, g, time_ms, open, edges};
      if (AnyHolds(moment, definition, severity, which, inconsistent) != Truth::kYes) continue;
      if (!unreported.has_value()) unreported = group.rounds.Unreported();
      moment.open.total += kUnreportedFactor * *unreported;
      if (AnyHolds(moment, definition, severity, which, inconsistent) != Truth::kYes) continue;
      slo::FireEarly(group.alerts[s], time_ms);
      group.held_condition[s] = which;
      transitions.push_back({g, severity, group.alerts[s]});
    }
  });
}

WindowReading SloSet::Read(GroupIndex g, size_t window, bool exactly) {
  EdgeReader edges = [](size_t, const WindowSum&, int64_t) { return std::optional<Counts>(); };
  if (exactly) edges = EdgesOf(g);
  return ReadWindow({slots_, g, slots_.head_ms(g), {}, edges}, window);
}

}  // namespace basalt::slo
