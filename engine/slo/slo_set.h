// engine/slo/slo_set.h -- all SLOs of one load of definitions: their leaves, groups, slots and
// alert states. The evaluator (evaluator.h) owns the current one.
//
// Load() reads history and brings every group to where it would be had it run all along; Sweep()
// takes what the taps have queued, settles rounds and decides. Both run on the sweeping thread;
// only `taps` is shared with the write path.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/slo/alert_state.h"
#include "engine/slo/conditions.h"
#include "engine/slo/definition.h"
#include "engine/slo/history.h"
#include "engine/slo/ledger.h"
#include "engine/slo/poller.h"
#include "engine/slo/quiet.h"
#include "engine/slo/rounds.h"
#include "engine/slo/sample_store.h"
#include "engine/slo/slo_limits.h"
#include "engine/slo/slots.h"
#include "engine/slo/tap_index.h"
#include "engine/slo/taps.h"

namespace basalt::slo {

// Rounds of the last hours are run through the state machine when history is loaded, so that the
// start of an episode younger than this is exact after a restart and for a new SLO; an older one
// starts here (or where it was published to start).
inline constexpr int64_t kReplayMs = 6 * 3'600'000;

// Time that one sweep may spend on reading histories of new series and on corrections; the rest
// waits for the next one, so that a roll-out does not delay the pages of others.
inline constexpr std::chrono::milliseconds kHistoryBudget{50};

// Leaves with late samples that wait for their correction, at most. Beyond it reading everything
// again is the cheaper way.
inline constexpr size_t kMaxDirty = 100'000;

// An unreported leaf may at most double its last count before a round that fired early could have
// turned out otherwise (docs/0003-settling.md).
inline constexpr int64_t kUnreportedFactor = 2;

struct SloSetOptions {
  const Clock* clock = &SystemClock();
  std::chrono::nanoseconds settle_timeout = kSettleTimeout;
  size_t max_queued = kMaxQueued;
  size_t max_groups = kMaxGroups;        // of all SLOs
  size_t max_leaves = kMaxLeavesPerSlo;  // history.h
  // For simulations: replay from here instead of kReplayMs before now, up to `until_ms`, and report
  // every transition on the way.
  std::optional<int64_t> replay_from_ms = {};
  int64_t until_ms = INT64_MAX;
  // For simulations: called with each settled round before it counts, and may change it.
  std::function<void(SloIndex, const std::vector<std::string>& values, SettledRound&)> inject = {};
  int64_t inject_from_ms = INT64_MIN;  // it changes rounds in [from, to) only
  int64_t inject_to_ms = INT64_MAX;
  // Without Quiet: slower, and the same answers. For tests.
  bool judge_every_round = false;
};

// How far ahead a group is asked whether it stays quiet (quiet.h): at least, at most, and at first.
// Beyond half of the shortest page's long window little of that window is left to prove anything.
inline constexpr int64_t kMinStrideMs = 10'000;
inline constexpr int64_t kFirstStrideMs = 5 * 60'000;
inline constexpr int64_t kMaxStrideMs = 30 * 60'000;
// Rounds for which a group is not asked again after it was not quiet.
inline constexpr uint32_t kMaxBoundPause = 63;

struct SloGroup {
  // kTotal: the sum over all groups of an SLO with group_by. kOther: what is beyond its max_groups.
  enum class Kind : uint8_t { kOwn, kOther, kTotal };
  SloIndex slo = 0;
  Kind kind = Kind::kOwn;
  std::vector<std::string> values;  // of group_by; empty for kTotal
  Rounds rounds;
  std::array<AlertState, kSeverityCount> alerts;
  std::array<size_t, kSeverityCount> held_condition{};  // the one that fired last
  Held held;                                            // by condition
  bool inconsistent = false;                            // more errors than events
  bool touched = false;
  bool has_data = false;  // a round has settled
  // Counts after this time have changed since SloSet::TakeChanged; INT64_MAX: none have. Rounds
  // that only come on top are no change. Nobody has looked yet: all of them.
  int64_t changed_ms = INT64_MIN;
  // Rounds up to this were open when history was loaded. Until they have settled what was published
  // is not compared with the state. INT64_MIN: it has been.
  int64_t compare_after_ms = INT64_MIN;
  // SloSet::FindQuiet's.
  Quiet quiet = {};
  uint64_t unjudged = 0;  // rounds since the last one that was judged
  int64_t stride_ms = kFirstStrideMs;
  uint32_t bound_pause = 0;
  uint32_t bound_wait = 0;  // rounds until it is asked again
};

// A total that is only shown decides nothing.
inline bool HasAlerts(const Definition& definition, SloGroup::Kind kind) {
  return kind != SloGroup::Kind::kTotal || definition.total_alerts;
}

struct Transition {
  GroupIndex group = 0;
  Severity severity = Severity::kPage;
  AlertState state;
  bool news = true;  // fires or resolves; false: fires on, and its start has moved
};

// What of the bookings lies in (from_ms, to_ms].
Counts CountInside(const std::vector<GroupBooking>& bookings, int64_t from_ms, int64_t to_ms);

// Since construction.
struct SweepStats {
  uint64_t events = 0;
  uint64_t rounds = 0;
  uint64_t primed_leaves = 0;
  uint64_t edge_reads = 0;
  uint64_t corrections = 0;
  uint64_t storage_errors = 0;
  uint64_t other_series = 0;    // of groups beyond their SLO's max_groups
  uint64_t dropped_groups = 0;  // answers for such groups of polled SLIs, which count nowhere
  std::string last_storage_error;
};

// Groups of more leaves are not audited: reading them would hold up sweeps.
inline constexpr size_t kMaxAuditedLeaves = 2000;

struct SlotName {
  GroupIndex group = 0;
  size_t level = 0;
  int64_t slot = 0;
};
// A slot, and what stored samples say it should hold.
struct Audited {
  enum class Outcome : uint8_t { kAgrees, kDiffers, kSkipped };
  SlotName name;
  Outcome outcome = Outcome::kSkipped;
  Counts booked;
  Counts stored;
};

// A stretch of a group's budget, as finely as slots know it.
struct CurvePoint {
  int64_t begin_ms = 0;
  int64_t end_ms = 0;
  Counts counts;  // in (begin, end], without what is excluded
};

// What a group counted between a time and a later one on the end of a slot.
struct CountedStep {
  int64_t time_ms = 0;
  Counts counts;  // since the first time; what is excluded is among them
};

// The bookings of a slot that windows cut, so that what lies after a time in it is found at once.
class EdgeSlot {
 public:
  // Those that touch (begin_ms, end_ms].
  EdgeSlot(const std::vector<GroupBooking>& bookings, int64_t begin_ms, int64_t end_ms);
  // In (from_ms, end_ms]; from_ms >= begin_ms.
  [[nodiscard]] Counts After(int64_t from_ms) const;

 private:
  struct Point {
    int64_t time_ms = 0;
    Counts from_here;  // of this point and all later ones
  };
  int64_t end_ms_;
  std::vector<Point> points_;  // by time
  std::vector<GroupBooking> spreads_;
};

class SloSet {
 public:
  // Where an alert of that group stood before the restart: its start, if it was firing.
  using Restored = std::function<std::optional<int64_t>(
      const Definition&, const std::vector<std::string>& values, Severity)>;

  // `store` must outlive this. Ids of definitions are unique.
  SloSet(std::vector<Definition> definitions, SampleStore& store, const SloSetOptions& options,
         Restored restored);
  ~SloSet();  // detach the taps from the store before
  SloSet(const SloSet&) = delete;
  SloSet& operator=(const SloSet&) = delete;

  // Attaches the taps to the store, reads the history of every SLO, replays. Appends what differs
  // from `restored`. Call once, before Sweep. A series that cannot be read is counted in stats()
  // and left out; an error means that there is no snapshot at all.
  Status Load(std::vector<Transition>& transitions);

  // Rounds of polled SLIs: each group's in order, history (see PolledRound) before the rest. To be
  // called after Load.
  void Feed(std::vector<PolledRound> rounds, std::vector<Transition>& transitions);

  // kResourceExhausted: more samples or corrections wait than fit; make a new set and load it.
  Status Sweep(std::vector<Transition>& transitions);

  // From the next round on these times do not count; views are without them at once. Exclusions of
  // more than a period ago and of more than a day ahead are left out: call again within the day.
  void SetExclusions(const std::vector<Exclusion>& exclusions);

  [[nodiscard]] const std::vector<Definition>& definitions() const { return definitions_; }
  [[nodiscard]] const SlotTable& slots() const { return slots_; }
  [[nodiscard]] const SloGroup& group(GroupIndex g) const { return *groups_[g]; }
  [[nodiscard]] size_t group_count() const { return groups_.size(); }
  // Groups of an SLO, in order of their values.
  [[nodiscard]] const std::map<std::vector<std::string>, GroupIndex>& groups_of(
      SloIndex slo) const {
    return groups_by_slo_[slo];
  }
  // The sum over all groups of an SLO with group_by; none before its first series, and of polled
  // SLIs whose answers do not add up.
  [[nodiscard]] std::optional<GroupIndex> total_of(SloIndex slo) const { return totals_[slo]; }
  // Series (of polled SLIs: groups) that have no group of their own for want of room: in
  // kOtherGroup, or left out where answers do not add up.
  [[nodiscard]] uint64_t other_series_of(SloIndex slo) const { return other_series_[slo]; }
  // Some of them found no room among the groups of all SLOs (SloSetOptions::max_groups).
  [[nodiscard]] bool lacks_room(SloIndex slo) const { return lacks_room_[slo]; }
  // Why an SLO is not evaluated, or not over all of its series; empty: it is.
  [[nodiscard]] const std::string& problem_of(SloIndex slo) const { return problems_[slo]; }
  [[nodiscard]] const SweepStats& stats() const { return stats_; }
  // A window of the group as of its last settled round. The edge is read back where needed, or,
  // unless `exactly`, counted in proportion. Call DropSnapshot after a run of reads.
  WindowReading Read(GroupIndex g, size_t window, bool exactly = true);
  // The budget's period: the calendar's that holds the last settled round (`bounds`), or the one
  // that ends there.
  WindowReading ReadPeriod(GroupIndex g, PeriodBounds& bounds, bool exactly = true);
  void DropSnapshot() { history_.reset(); }
  // slo_set_audit.cc: one of all slots that can be audited, or none; and the audit of one, which is
  // skipped while samples wait to be read or corrected. Call DropSnapshot after a run of them.
  [[nodiscard]] std::optional<SlotName> PickSlot(uint64_t random) const;
  Audited Audit(const SlotName& name);
  // (from_ms, to_ms] of the group's past: slots from coarse to fine, without gaps. Exact but for
  // the slots that the two ends cut, which count in proportion.
  std::vector<CurvePoint> Curve(GroupIndex g, int64_t from_ms, int64_t to_ms);
  // slo_set_counters.cc: what event counters (event_counters.h) are made of. The counts from
  // `from_ms` to each end of a slot after it that is a multiple of `step_ms`, as finely as slots
  // are kept, up to the last settled round. Exact if OnSlotEnd(g, from_ms).
  [[nodiscard]] std::vector<CountedStep> CountSince(GroupIndex g, int64_t from_ms,
                                                    int64_t step_ms) const;
  // Whether the slots that such counts are made of begin at `time_ms`, and are kept.
  [[nodiscard]] bool OnSlotEnd(GroupIndex g, int64_t time_ms) const;
  // The beginning of the first slot that has events, if any.
  [[nodiscard]] std::optional<int64_t> FirstCounted(GroupIndex g) const;
  // The group's changed_ms, which begins anew.
  int64_t TakeChanged(GroupIndex g) { return std::exchange(groups_[g]->changed_ms, INT64_MAX); }

 private:
  class Masks;
  struct LeafEntry {
    PartitionId partition{0};
    SeriesOrdinal ordinal{};
    int64_t counted_ms = 0;    // samples up to here are booked; 0: none
    bool primed = false;       // live
    uint32_t first_place = 0;  // in places_
    uint32_t place_count = 0;
  };
  // Where a leaf counts: one place an SLO.
  struct Place {
    GroupIndex group = 0;
    Rounds::LeafIndex leaf = 0;
  };
  [[nodiscard]] std::span<const Place> PlacesOf(const LeafEntry& entry) const {
    return std::span(places_).subspan(entry.first_place, entry.place_count);
  }
  struct Dirty {
    uint32_t entry = 0;
    int64_t from_ms = 0;
    int64_t to_ms = 0;
    LogPosition position;
  };
  using EdgeKey = std::tuple<GroupIndex, size_t, int64_t>;  // level, begin of the slot

  static uint64_t SeriesKey(PartitionId partition, SeriesOrdinal ordinal, MeasureIndex measure) {
    return static_cast<uint64_t>(partition) << 48 | static_cast<uint64_t>(measure) << 32 |
           static_cast<uint32_t>(ordinal);
  }
  [[nodiscard]] std::chrono::nanoseconds now() const { return options_.clock->Monotonic(); }
  // One snapshot a sweep. Null: storage refused, which is counted.
  History* OpenHistory();
  void NoteError(const Status& status);

  GroupIndex AddGroup(SloIndex slo, SloGroup::Kind kind, std::vector<std::string> values);
  // The group of its own, or none: there are too many already.
  std::optional<GroupIndex> GroupFor(SloIndex slo, const std::vector<std::string>& values);
  GroupIndex OtherOf(SloIndex slo);
  GroupIndex TotalOf(SloIndex slo);
  uint32_t EntryFor(PartitionId partition, SeriesOrdinal ordinal, TargetNumber target,
                    const Labels& labels, std::span<const Contribution> contributions);
  void BookHistory(LeafEntry& entry, const LeafHistory& history);
  void BookLoaded(LeafEntry& entry, const LeafHistory& history);
  void AddLate(GroupIndex g, const GroupBooking& booking);
  void Book(const LeafEntry& entry, const Booking& booking);
  void Touch(GroupIndex g);

  // Leaves that wait for their state, by series and measure.
  using LiveLeaves = std::unordered_map<uint64_t, const NewLeaf*>;
  // Of one selection: the series to be loaded (slo_set_load.cc).
  struct Loading;
  void FindLeaves(SloIndex slo, History& history, const LiveLeaves& live,
                  std::vector<Loading>& loading);
  // False: there are more than max_leaves, and the SLO says so.
  bool HasRoomFor(SloIndex slo, uint64_t leaves);
  void ReadLeaves(Loading& loading, History& history, storage::TimeRange range);
  void Prepare(const Loading& loading, std::vector<std::vector<PrimedLeaf>>& primed);
  void Replay(const LiveLeaves& live, History& history, std::vector<Transition>& transitions);
  [[nodiscard]] int64_t PeriodOf(std::span<const Contribution> contributions) const;
  void Drain(bool& overflowed);
  void PrimeWaiting(std::chrono::nanoseconds until);
  void Apply(PartitionId partition, const LeafEvents& events);
  void SettleGroups(std::vector<Transition>& transitions);
  // After history has been replayed: appends what differs from what was published before.
  void Resume(GroupIndex g, std::vector<Transition>& transitions);
  void CompareWithPublished(GroupIndex g, std::vector<Transition>& transitions);
  // slo_set_settle.cc
  void SettleRound(GroupIndex g, SettledRound& round, std::vector<Transition>* transitions);
  void Judge(GroupIndex g, int64_t time_ms, std::vector<Transition>* transitions);
  // Until when the group need not be judged again. `was_enough`: the last bound held to its end.
  void FindQuiet(GroupIndex g, int64_t before_ms, bool was_enough);
  // Rounds of history up to `until_ms`.
  void SettleHistory(GroupIndex g, int64_t until_ms, std::vector<Transition>* transitions);
  void SettleRun(GroupIndex g, int64_t until_ms);
  void FireEarly(GroupIndex g, std::vector<Transition>& transitions);

  // What is booked in (from_ms, head].
  WindowReading ReadSince(GroupIndex g, int64_t from_ms, bool exactly);
  // The slots that hold (from_ms, to_ms], from coarse to fine, without gaps and whole: the first
  // may begin earlier, the last may end later. Exclusions are among them.
  [[nodiscard]] std::vector<CurvePoint> SlotsBetween(GroupIndex g, int64_t from_ms,
                                                     int64_t to_ms) const;
  // Up to where slots of that level are the finest that are kept, on its own grid; `to_ms` for the
  // finest of all.
  [[nodiscard]] int64_t CoarseUntil(GroupIndex g, size_t level, int64_t to_ms) const;
  [[nodiscard]] const Excluded* excluded() const;

  // slo_set_history.cc: what needs stored samples of a whole group.
  std::optional<Counts> ReadEdge(GroupIndex g, size_t level, const WindowSum& sum, int64_t from_ms);
  Result<std::vector<GroupBooking>> GroupBookings(GroupIndex g, int64_t begin_ms, int64_t end_ms,
                                                  int64_t cut_ms);
  Status AddBookings(GroupIndex g, const StoredLeaf& series, MeasureIndex measure,
                     const storage::Selection& selection, size_t i, storage::TimeRange stretch,
                     int64_t cut_ms, std::vector<GroupBooking>& bookings);
  void AddDirty(const Dirty& dirty);
  void CorrectDirty(std::chrono::nanoseconds until);
  Result<bool> Correct(const Dirty& dirty);
  // `total`, if given, changes by the same as `g`.
  Status CorrectGroup(GroupIndex g, std::optional<GroupIndex> total, int64_t begin_ms,
                      int64_t end_ms);
  [[nodiscard]] bool KeepsAsMuch(GroupIndex g, GroupIndex total) const;
  void ForgetEdges(GroupIndex g);

  const std::vector<Definition> definitions_;
  SampleStore& store_;
  const SloSetOptions options_;
  const Restored restored_;
  const TapIndex index_;
  Taps taps_;

  const EdgeReader edge_reader_;
  std::shared_ptr<const Masks> masks_;  // null: nothing is excluded
  SlotTable slots_;
  std::vector<std::unique_ptr<SloGroup>> groups_;
  std::vector<std::map<std::vector<std::string>, GroupIndex>> groups_by_slo_;
  std::vector<std::optional<GroupIndex>> totals_;  // by SLO
  std::vector<uint64_t> other_series_;             // by SLO
  std::vector<bool> lacks_room_;                   // by SLO
  std::vector<std::string> problems_;              // by SLO
  std::vector<size_t> leaf_counts_;                // by SLO
  std::vector<LeafEntry> entries_;
  std::vector<Place> places_;
  std::unordered_map<uint64_t, uint32_t> entry_by_series_;  // SeriesKey
  std::vector<std::vector<uint32_t>> entry_of_leaf_;        // by partition and LeafNumber
  std::deque<std::pair<PartitionId, NewLeaf>> waiting_;     // to be primed
  std::deque<Dirty> dirty_;
  std::vector<GroupIndex> touched_;
  // Memory that sweeps use again.
  std::vector<GroupIndex> settling_;
  SettledRound settled_;
  Rounds::Run run_;
  Drained drained_;
  std::map<EdgeKey, EdgeSlot> edges_;
  std::unique_ptr<History> history_;
  int64_t replay_from_ms_ = 0;
  int64_t loaded_ms_ = 0;
  SweepStats stats_;
};

}  // namespace basalt::slo
