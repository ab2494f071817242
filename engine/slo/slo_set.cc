#include "engine/slo/slo_set.h"

#include <algorithm>
#include <utility>

namespace basalt::slo {
namespace {

using std::chrono::nanoseconds;

// Targets are numbered by partition; series without one form a target of their own in each group.
uint64_t TargetKey(PartitionId partition, TargetNumber target) {
  if (target == kNoTarget) return UINT64_MAX;
  return static_cast<uint64_t>(partition) << 32 | target;
}

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
      edge_reader_([this](GroupIndex g, size_t window, const WindowSum& sum, int64_t from_ms) {
        return ReadEdge(g, slots_.layout(g).windows()[window].level, sum, from_ms);
      }),
      groups_by_slo_(definitions_.size()),
      totals_(definitions_.size()),
      other_series_(definitions_.size()),
      lacks_room_(definitions_.size()),
      problems_(definitions_.size()),
      leaf_counts_(definitions_.size()),
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

bool SloSet::HasRoomFor(SloIndex slo, uint64_t leaves) {
  if (leaves <= options_.max_leaves && problems_[slo].empty()) return true;
  std::string& problem = problems_[slo];
  if (!problem.empty()) return false;
  const std::string most = std::to_string(options_.max_leaves);
  problem = leaf_counts_[slo] == 0
                ? "it is not evaluated: its selectors match " + std::to_string(leaves) + " series"
                : "series beyond " + most + " are not counted: its selectors match more";
  problem += ", and one SLO may have " + most +
             " (kMaxLeavesPerSlo). Narrow its selectors, give several SLOs a part of them each, or "
             "record sums of them";
  return false;
}

void SloSet::NoteError(const Status& status) {
  ++stats_.storage_errors;
  stats_.last_storage_error = status.ToString();
}

std::optional<GroupIndex> SloSet::GroupFor(SloIndex slo, const std::vector<std::string>& values) {
  auto& groups = groups_by_slo_[slo];
  if (const auto it = groups.find(values); it != groups.end()) return it->second;
  if (groups.size() >= definitions_[slo].max_groups) return std::nullopt;
  // Each SLO has one group at least.
  if (groups_.size() >= options_.max_groups && !groups.empty()) {
    lacks_room_[slo] = true;
    return std::nullopt;
  }
  const GroupIndex g = AddGroup(slo, SloGroup::Kind::kOwn, values);
  groups.emplace(values, g);
  return g;
}

GroupIndex SloSet::OtherOf(SloIndex slo) {
  const std::vector<std::string> values(definitions_[slo].sli.group_by.size(),
                                        std::string(kOtherGroup));
  const auto [it, is_new] = groups_by_slo_[slo].try_emplace(values, 0);
  if (is_new) it->second = AddGroup(slo, SloGroup::Kind::kOther, values);
  groups_[it->second]->kind = SloGroup::Kind::kOther;  // should anybody have labels like these
  return it->second;
}

GroupIndex SloSet::TotalOf(SloIndex slo) {
  if (!totals_[slo].has_value()) totals_[slo] = AddGroup(slo, SloGroup::Kind::kTotal, {});
  return *totals_[slo];
}

GroupIndex SloSet::AddGroup(SloIndex slo, SloGroup::Kind kind, std::vector<std::string> values) {
  const GroupIndex g = slots_.AddGroup(definitions_[slo].layout, replay_from_ms_);
  auto group =
      std::make_unique<SloGroup>(SloGroup{slo, kind, values, Rounds(replay_from_ms_), {}, {}, {}});
  const Definition& definition = definitions_[slo];
  const auto& conditions = definition.conditions;
  if (std::any_of(conditions.begin(), conditions.end(),
                  [](const BurnCondition& c) { return c.hold_for.count() > 0; })) {
    group->held.assign(conditions.size(), 0);
  }
  for (size_t s = 0; s < kSeverityCount; ++s) {
    const auto severity = static_cast<Severity>(s);
    if (!definition.alert(severity).enabled || !HasAlerts(definition, kind)) continue;
    if (const auto starts_ms = restored_(definition, values, severity)) {
      group->alerts[s] = {true, *starts_ms, 0, 0, true, 0};
    }
  }
  groups_.push_back(std::move(group));
  return g;
}

uint32_t SloSet::EntryFor(PartitionId partition, SeriesOrdinal ordinal, TargetNumber target,
                          const Labels& labels, std::span<const Contribution> contributions) {
  const uint64_t key = SeriesKey(partition, ordinal, contributions.front().measure);
  const auto [it, is_new] =
      entry_by_series_.try_emplace(key, static_cast<uint32_t>(entries_.size()));
  if (!is_new) return it->second;
  LeafEntry entry;
  entry.first_place = static_cast<uint32_t>(places_.size());
  entry.partition = partition;
  entry.ordinal = ordinal;
  const auto add = [&](GroupIndex g, const Contribution& c) {
    const auto leaf = groups_[g]->rounds.AddLeaf(TargetKey(partition, target), c.bad, c.total);
    places_.push_back({g, leaf});
    ++entry.place_count;
  };
  for (const Contribution& c : contributions) {
    if (!HasRoomFor(c.slo, leaf_counts_[c.slo] + 1)) continue;
    ++leaf_counts_[c.slo];
    const auto own = GroupFor(c.slo, GroupValues(definitions_[c.slo], labels));
    if (!own.has_value()) {
      ++stats_.other_series;
      ++other_series_[c.slo];
    }
    add(own.has_value() ? *own : OtherOf(c.slo), c);
    if (!definitions_[c.slo].sli.group_by.empty()) add(TotalOf(c.slo), c);
  }
  entries_.push_back(entry);
  return it->second;
}

void SloSet::Touch(GroupIndex g) {
  if (std::exchange(groups_[g]->touched, true)) return;
  touched_.push_back(g);
}

void SloSet::AddLate(GroupIndex g, const GroupBooking& booking) {
  slots_.Add(g, booking);
  SloGroup& group = *groups_[g];
  group.changed_ms = std::min(group.changed_ms, std::min(booking.from_ms, booking.to_ms - 1));
  group.quiet = {};
  ForgetEdges(g);  // those that were read before do not know of it
}

void SloSet::Book(const LeafEntry& entry, const Booking& booking) {
  for (const auto& [g, leaf] : PlacesOf(entry)) {
    Rounds& rounds = groups_[g]->rounds;
    if (!rounds.Book(leaf, booking, now())) AddLate(g, rounds.Weigh(leaf, booking));
    Touch(g);
  }
}

void SloSet::BookHistory(LeafEntry& entry, const LeafHistory& history) {
  for (const Booking& booking : history.bookings) Book(entry, booking);
  if (history.state.seen) entry.counted_ms = std::max(entry.counted_ms, history.state.last_ms);
}

void SloSet::Drain(bool& overflowed) {
  for (size_t p = 0; p < entry_of_leaf_.size(); ++p) {
    const PartitionId partition{static_cast<uint16_t>(p)};
    taps_.Drain(partition, drained_);
    overflowed |= drained_.overflowed;
    for (NewLeaf& leaf : drained_.new_leaves) {
      auto& numbers = entry_of_leaf_[p];
      if (numbers.size() <= leaf.leaf) numbers.resize(leaf.leaf + 1, UINT32_MAX);
      waiting_.emplace_back(partition, std::move(leaf));
    }
    Apply(partition, drained_.events);
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

void SloSet::Apply(PartitionId partition, const LeafEvents& events) {
  const nanoseconds arrived = now();
  stats_.events += events.size();
  const std::vector<uint32_t>& entry_of_leaf = entry_of_leaf_[static_cast<size_t>(partition)];
  for (const LeafEvent& event : events.counted) {
    const uint32_t number = entry_of_leaf.at(event.leaf);
    if (number == UINT32_MAX) continue;  // gone before it was ever primed
    LeafEntry& entry = entries_[number];
    switch (event.kind) {
      case LeafEvent::Kind::kSample:
        entry.counted_ms = std::max(entry.counted_ms, event.booking.to_ms);
        for (const auto& [g, leaf] : PlacesOf(entry)) {
          Rounds& rounds = groups_[g]->rounds;
          if (!rounds.Report(leaf, event.booking, arrived)) {
            AddLate(g, rounds.Weigh(leaf, event.booking));
          }
          Touch(g);
        }
        break;
      case LeafEvent::Kind::kGone:
        // It has left memory with its target, and comes back with it; or has been given up already.
        entry.primed = false;
        break;
      case LeafEvent::Kind::kStale:
        for (const auto& [g, leaf] : PlacesOf(entry)) {
          groups_[g]->rounds.End(leaf);
          Touch(g);
        }
        break;
    }
  }
  for (const DirtyLeaf& dirty : events.dirty) {
    const uint32_t number = entry_of_leaf.at(dirty.leaf);
    if (number != UINT32_MAX) AddDirty({number, dirty.from_ms, dirty.to_ms, dirty.position});
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

WindowReading SloSet::Read(GroupIndex g, size_t window, bool exactly) {
  static const EdgeReader kUnread = [](GroupIndex, size_t, const WindowSum&, int64_t) {
    return std::optional<Counts>();
  };
  return ReadWindow(
      {slots_, g, slots_.head_ms(g), {}, exactly ? edge_reader_ : kUnread, excluded()}, window);
}

WindowReading SloSet::ReadPeriod(GroupIndex g, PeriodBounds& bounds, bool exactly) {
  const Definition& definition = definitions_[groups_[g]->slo];
  const int64_t head_ms = slots_.head_ms(g);
  bounds = {head_ms - definition.period.count(), head_ms};
  const bool by_windows = definition.polled.has_value() && definition.polled->by_windows();
  if (definition.calendar == nullptr || by_windows) {
    return Read(g, definition.period_index, exactly);
  }
  bounds = definition.calendar->PeriodAt(head_ms);
  WindowReading out = ReadSince(g, bounds.begin_ms, exactly);
  if (masks_ == nullptr || !excluded()->Any(g, bounds.begin_ms, head_ms)) return out;
  const WindowReading masked = excluded()->Read(g, bounds.begin_ms, head_ms);
  return {out.counts - masked.counts, out.exact && masked.exact};
}

WindowReading SloSet::ReadSince(GroupIndex g, int64_t from_ms, bool exactly) {
  if (from_ms >= slots_.head_ms(g)) return {};
  size_t level = 0;
  const WindowSum sum = slots_.SumSince(g, from_ms, level);
  if (sum.exact()) return {sum.whole, true};
  if (exactly) {
    if (const auto inside = ReadEdge(g, level, sum, from_ms)) return {sum.whole + *inside, true};
  }
  const GroupBooking even{sum.edge_begin_ms, sum.edge_end_ms, sum.edge};
  return {sum.whole + (sum.edge - BookedUpTo(even, from_ms)), false};
}

}  // namespace basalt::slo
