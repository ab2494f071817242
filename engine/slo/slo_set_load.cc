// How SloSet begins: the history of all SLOs when it is loaded, and of single leaves later.
#include <algorithm>
#include <set>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "engine/slo/slo_set.h"

namespace basalt::slo {
namespace {

using std::chrono::nanoseconds;

// Leaves whose state is handed to the taps at a time: each handing over passes once over the
// samples that wait.
constexpr size_t kPrimeBatch = 256;

// A short period may have tiers that look further back.
int64_t ReachOf(const Definition& definition) {
  int64_t reach_ms = definition.period.count();
  for (const Window& window : definition.layout->windows()) {
    reach_ms = std::max(reach_ms, window.length_ms);
  }
  return reach_ms;
}

// `round` of one group on top of those of others at that time.
void AddRound(const SettledRound& round, SettledRound& sum) {
  sum.time_ms = round.time_ms;
  sum.counts += round.counts;
  if (sum.windows.size() < round.windows.size()) sum.windows.resize(round.windows.size());
  for (size_t w = 0; w < round.windows.size(); ++w) {
    if (!round.windows[w].has_value()) continue;
    if (!sum.windows[w].has_value()) sum.windows[w].emplace();
    *sum.windows[w] += *round.windows[w];
  }
}

}  // namespace

struct SloSet::Loading {
  struct Leaf {
    uint32_t entry = 0;
    MeasureIndex measure = 0;
    int64_t from_ms = 0;
    const NewLeaf* live = nullptr;
    LeafHistory history;  // without bookings
  };
  PartitionId partition{0};
  TenantId tenant{};
  std::shared_ptr<const storage::Selection> selection;
  int64_t from_ms = INT64_MAX;  // the earliest of the leaves'
  std::vector<Leaf> leaves;
  std::vector<uint32_t> first;  // of the series of that index in the selection; one more at the end
};

// What was read of a leaf. Most of a period lies in coarse slots, so points are added up before
// they are booked; the hours that are replayed go to the group's rounds.
void SloSet::BookLoaded(LeafEntry& entry, const LeafHistory& history) {
  const std::span<const Booking> bookings = history.bookings;
  for (const auto& [g, leaf] : PlacesOf(entry)) {
    Rounds& rounds = groups_[g]->rounds;
    GroupBooking sum;
    int64_t until_ms = INT64_MIN;
    size_t replayed = bookings.size();
    for (size_t i = 0; i < bookings.size(); ++i) {
      const Booking& booking = bookings[i];
      if (booking.from_ms != booking.to_ms) {
        if (!rounds.Book(leaf, booking, now())) AddLate(g, rounds.Weigh(leaf, booking));
      } else if (booking.to_ms > rounds.settled_ms()) {
        replayed = std::min(replayed, i);
      } else if (booking.to_ms <= until_ms) {
        sum.counts += rounds.Weigh(leaf, booking).counts;
      } else {
        if (sum.counts != Counts{}) AddLate(g, sum);
        sum = rounds.Weigh(leaf, booking);
        until_ms = slots_.SlotEnd(g, booking.to_ms);
      }
    }
    if (sum.counts != Counts{}) AddLate(g, sum);
    rounds.BookHistory(leaf, bookings.subspan(replayed));
    Touch(g);
  }
  if (history.state.seen) entry.counted_ms = std::max(entry.counted_ms, history.state.last_ms);
}

Status SloSet::Load(std::vector<Transition>& transitions) {
  const int64_t now_ms = loaded_ms_ = ToMs(options_.clock->Now());
  replay_from_ms_ = options_.replay_from_ms.value_or(now_ms - kReplayMs);
  store_.Observe(&taps_);
  bool overflowed = false;
  Drain(overflowed);
  if (overflowed) return ResourceExhausted("slo: more samples arrived while loading than fit");
  History* history = OpenHistory();
  if (history == nullptr) return Unavailable("slo: no snapshot: " + stats_.last_storage_error);

  // Leaves that storage shows; those that are live among them are primed with what was read.
  std::vector<std::vector<PrimedLeaf>> primed(entry_of_leaf_.size());
  LiveLeaves live;
  for (const auto& [partition, leaf] : waiting_) {
    live[SeriesKey(partition, leaf.ordinal, leaf.measure)] = &leaf;
  }
  if (options_.replay_from_ms.has_value()) {
    Replay(live, *history, transitions);
  } else {
    for (SloIndex slo = 0; slo < definitions_.size(); ++slo) {
      std::vector<Loading> loading;
      FindLeaves(slo, *history, live, loading);
      for (Loading& one : loading) {
        ReadLeaves(one, *history, {INT64_MIN, options_.until_ms});
        Prepare(one, primed);
      }
    }
  }
  std::vector<LeafEvents> events(primed.size());
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

  touched_.clear();
  for (const auto& group : groups_) group->touched = false;
  for (GroupIndex g = 0; g < groups_.size(); ++g) {
    if (options_.replay_from_ms.has_value()) {
      SettleHistory(g, INT64_MAX, &transitions);
    } else {
      Resume(g, transitions);
    }
  }

  for (size_t p = 0; p < primed.size(); ++p) {
    const PartitionId partition{static_cast<uint16_t>(p)};
    taps_.Prime(partition, primed[p], events[p]);
    Apply(partition, events[p]);
  }
  history_.reset();
  return OkStatus();
}

// Weeks of every series do not fit in memory, so all of them are read a day at a time: rows of
// samples end with the day, too.
void SloSet::Replay(const LiveLeaves& live, History& history,
                    std::vector<Transition>& transitions) {
  std::vector<Loading> loading;
  for (SloIndex slo = 0; slo < definitions_.size(); ++slo) {
    FindLeaves(slo, history, live, loading);
  }
  int64_t from_ms = options_.until_ms;
  for (const Loading& one : loading) from_ms = std::min(from_ms, one.from_ms);
  for (int64_t begin = from_ms - kStateReachMs; begin < options_.until_ms;) {
    const int64_t end = std::min((SlotOf(begin + 1, kMsPerDay) + 1) * kMsPerDay, options_.until_ms);
    for (Loading& one : loading) ReadLeaves(one, history, {begin + 1, end});
    for (GroupIndex g = 0; g < groups_.size(); ++g) SettleHistory(g, end, &transitions);
    begin = end;
  }
}

// Half a scrape may be stored while the other half is on its way: the newest rounds wait for it as
// they would have, had the process run on.
void SloSet::Resume(GroupIndex g, std::vector<Transition>& transitions) {
  SloGroup& group = *groups_[g];
  const int64_t first_ms = group.rounds.FirstIncomplete();
  SettleHistory(g, first_ms == INT64_MAX ? first_ms : first_ms - 1, nullptr);
  group.rounds.OpenLoaded(now());
  if (!group.rounds.has_open()) return CompareWithPublished(g, transitions);
  group.compare_after_ms = group.rounds.last_open_ms();
  Touch(g);
}

void SloSet::CompareWithPublished(GroupIndex g, std::vector<Transition>& transitions) {
  SloGroup& group = *groups_[g];
  const Definition& definition = definitions_[group.slo];
  if (!HasAlerts(definition, group.kind)) return;
  group.quiet = {};  // of the alerts as they were
  for (size_t s = 0; s < kSeverityCount; ++s) {
    const auto severity = static_cast<Severity>(s);
    AlertState& state = group.alerts[s];
    std::optional<int64_t> starts_ms;
    if (definition.alert(severity).enabled) {
      starts_ms = restored_(definition, group.values, severity);
    }
    if (state.firing == starts_ms.has_value()) {
      // What was published stays, although late samples may tell another start by now.
      if (state.firing) state.starts_ms = *starts_ms;
      continue;
    }
    transitions.push_back({g, severity, state});
  }
}

void SloSet::Feed(std::vector<PolledRound> rounds, std::vector<Transition>& transitions) {
  std::unordered_set<GroupIndex> replayed;
  const auto feed = [&](GroupIndex g, PolledRound& polled) {
    SettledRound& round = polled.round;
    if (round.time_ms <= slots_.head_ms(g)) {
      if (round.counts != Counts{}) AddLate(g, {round.time_ms, round.time_ms, round.counts});
      return;
    }
    const bool tells = !polled.is_history || options_.replay_from_ms.has_value();
    if (!tells) replayed.insert(g);
    SettleRound(g, round, tells ? &transitions : nullptr);
  };
  // Rounds come with those of all groups of their time, so sums are whole.
  std::map<std::tuple<SloIndex, SloGroup::Kind, int64_t>, PolledRound> sums;
  std::map<SloIndex, std::set<std::vector<std::string>>> beyond;
  for (PolledRound& polled : rounds) {
    const Definition& definition = definitions_[polled.slo];
    const bool adds_up = definition.polled.has_value() && definition.polled->adds_up();
    const auto add = [&](SloGroup::Kind kind) {
      PolledRound& sum = sums[{polled.slo, kind, polled.round.time_ms}];
      sum.is_history = polled.is_history;
      AddRound(polled.round, sum.round);
    };
    if (adds_up && !definition.sli.group_by.empty()) add(SloGroup::Kind::kTotal);
    if (const auto g = GroupFor(polled.slo, polled.values)) {
      feed(*g, polled);
      continue;
    }
    beyond[polled.slo].insert(polled.values);
    if (adds_up) {
      add(SloGroup::Kind::kOther);
    } else {
      ++stats_.dropped_groups;  // the view says so (LimitationsOf)
    }
  }
  for (auto& [key, sum] : sums) {
    const auto [slo, kind, time_ms] = key;
    feed(kind == SloGroup::Kind::kTotal ? TotalOf(slo) : OtherOf(slo), sum);
  }
  for (const auto& [slo, groups] : beyond) {
    other_series_[slo] = std::max<uint64_t>(other_series_[slo], groups.size());
  }
  for (const GroupIndex g : replayed) CompareWithPublished(g, transitions);
}

void SloSet::FindLeaves(SloIndex slo, History& history, const LiveLeaves& live,
                        std::vector<Loading>& loading) {
  const Definition& definition = definitions_[slo];
  const int64_t end_ms = options_.replay_from_ms.value_or(ToMs(options_.clock->Now()));
  const auto visit = [&](PartitionId partition,
                         const std::shared_ptr<const storage::Selection>& selection) {
    Loading one;
    one.partition = partition;
    one.tenant = definition.tenant;
    one.selection = selection;
    for (size_t i = 0; i < selection->size(); ++i) {
      one.first.push_back(static_cast<uint32_t>(one.leaves.size()));
      const Labels labels = selection->labels(i);
      // `le` is compared here, not in storage
      const std::vector<Contribution> all = index_.Match(definition.tenant, labels);
      for (auto begin = all.begin(); begin != all.end();) {
        const auto end = std::find_if(
            begin, all.end(), [&](const Contribution& c) { return c.measure != begin->measure; });
        const std::span<const Contribution> contributions(begin, end);
        begin = end;
        const MeasureIndex measure = contributions.front().measure;
        const uint64_t key = SeriesKey(partition, selection->ordinal(i), measure);
        if (entry_by_series_.contains(key)) continue;  // by another term, or an SLO before this one
        const auto it = live.find(key);
        const TargetNumber target = it == live.end() ? kNoTarget : it->second->target;
        Loading::Leaf leaf;
        leaf.entry = EntryFor(partition, selection->ordinal(i), target, labels, contributions);
        leaf.measure = measure;
        leaf.from_ms = end_ms - PeriodOf(contributions);
        leaf.live = it == live.end() ? nullptr : it->second;
        one.from_ms = std::min(one.from_ms, leaf.from_ms);
        one.leaves.push_back(std::move(leaf));
      }
    }
    one.first.push_back(static_cast<uint32_t>(one.leaves.size()));
    if (!one.leaves.empty()) loading.push_back(std::move(one));
  };
  const storage::TimeRange range{end_ms - ReachOf(definition) - kMaxGapMs, INT64_MAX};
  // An SLO over some of its series would be wrong both ways, so all of them are found first.
  std::vector<std::pair<PartitionId, std::shared_ptr<const storage::Selection>>> selections;
  uint64_t found = 0;
  const Status status = history.ForEachSelection(definition, slo, nullptr, range,
                                                 [&](PartitionId partition, const auto& selection) {
                                                   found += selection->size();
                                                   selections.emplace_back(partition, selection);
                                                   return OkStatus();
                                                 });
  if (status.code() == StatusCode::kResourceExhausted) {
    found = std::max<uint64_t>(found, options_.max_leaves + 1);  // of one partition alone
  } else if (!status.ok()) {
    NoteError(status.WithContext("slo " + definition.id));
  }
  if (status.ok() && found > options_.max_leaves) {
    std::unordered_set<uint64_t> distinct;  // several selectors may match a series
    for (const auto& [partition, selection] : selections) {
      for (size_t i = 0; i < selection->size(); ++i) {
        distinct.insert(SeriesKey(partition, selection->ordinal(i), 0));
      }
    }
    found = distinct.size();
  }
  if (!HasRoomFor(slo, found)) return;
  for (const auto& [partition, selection] : selections) visit(partition, selection);
}

void SloSet::ReadLeaves(Loading& loading, History& history, storage::TimeRange range) {
  storage::ReadOptions options;
  options.range = {std::max(range.min_ms, loading.from_ms - kStateReachMs), range.max_ms};
  if (options.range.min_ms > options.range.max_ms) return;
  const auto cursor = loading.selection->Read(0, loading.selection->size(), options);
  storage::SeriesColumns columns;
  std::vector<Booking> bookings;  // memory that leaves use one after the other
  while (true) {
    const Result<bool> more = cursor->Next(columns);
    if (!more.ok()) {
      NoteError(more.status());
      // A damaged block is left out, and the cursor goes on after it.
      if (more.status().code() == StatusCode::kDataLoss) continue;
      return;
    }
    if (!*more) return;
    const size_t i = columns.series;
    if (loading.first[i] == loading.first[i + 1]) continue;
    StoredLeaf stored{loading.partition, loading.selection->ordinal(i), loading.tenant,
                      loading.selection->labels(i)};
    for (uint32_t k = loading.first[i]; k < loading.first[i + 1]; ++k) {
      Loading::Leaf& leaf = loading.leaves[k];
      stored.measure = leaf.measure;
      bookings.clear();
      std::swap(leaf.history.bookings, bookings);
      // Rounds without events matter while they are replayed: a page freezes and thaws by them.
      const Status status =
          history.Continue(stored, columns, leaf.from_ms, replay_from_ms_, leaf.history);
      if (!status.ok()) NoteError(status);
      BookLoaded(entries_[leaf.entry], leaf.history);
      std::swap(leaf.history.bookings, bookings);
    }
  }
}

void SloSet::Prepare(const Loading& loading, std::vector<std::vector<PrimedLeaf>>& primed) {
  const auto p = static_cast<size_t>(loading.partition);
  for (const Loading::Leaf& leaf : loading.leaves) {
    if (leaf.live == nullptr) continue;
    entries_[leaf.entry].primed = true;
    entry_of_leaf_[p][leaf.live->leaf] = leaf.entry;
    const LeafState& state = leaf.history.state;
    for (const auto& [g, place] : PlacesOf(entries_[leaf.entry])) {
      if (!state.seen) break;
      groups_[g]->rounds.Resume(place, state.last_ms, state.interval_ms, leaf.history.last_amount,
                                state.ended ? state.marker_ms : 0);
    }
    primed[p].push_back({leaf.live->leaf, leaf.history.state, leaf.history.unevidenced_ms});
    ++stats_.primed_leaves;
  }
}

// The longest period or window of the SLOs that count a leaf: how far back its history matters.
int64_t SloSet::PeriodOf(std::span<const Contribution> contributions) const {
  int64_t longest_ms = 0;
  for (const Contribution& c : contributions) {
    longest_ms = std::max(longest_ms, ReachOf(definitions_[c.slo]));
  }
  return longest_ms;
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
          entry.counted_ms > 0 ? entry.counted_ms : now_ms - PeriodOf(leaf.contributions);
      const StoredLeaf stored{partition, leaf.ordinal, leaf.tenant, leaf.labels, leaf.measure};
      const Result<LeafHistory> counted = history->Count(stored, from_ms, INT64_MAX);
      PrimedLeaf state{leaf.leaf, {}, {}};
      if (counted.ok()) {
        BookHistory(entry, *counted);
        state = {leaf.leaf, counted->state, counted->unevidenced_ms};
        for (const auto& [g, place] : PlacesOf(entry)) {
          if (!counted->state.seen) break;
          if (counted->state.ended) {
            groups_[g]->rounds.End(place);  // with its target, perhaps, and comes back with it
          } else {
            groups_[g]->rounds.Seen(place, counted->state.last_ms, counted->last_amount, now());
          }
          Touch(g);
        }
      } else {
        NoteError(counted.status());
      }
      entry.primed = true;
      primed.push_back(state);
      ++stats_.primed_leaves;
    }
    LeafEvents events;
    taps_.Prime(partition, primed, events);
    Apply(partition, events);
  }
}

}  // namespace basalt::slo
