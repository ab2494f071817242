// engine/slo/rounds.h -- which times of a group are complete, so that half a scrape does not page.
//
// A sender spreads the series of one scrape over its shards: the errors of 12:00:15 can arrive
// seconds before its requests. A *round* is one sample time of the group. It is *settled* when
// every leaf that its target usually reports has come and no other target is overdue, or after a
// timeout above the sender's flush deadline. Rounds settle in order of time.
//
// Amounts of rounds that have not settled wait here; slots only ever hold settled ones. One thread.
#pragma once

#include <absl/container/btree_map.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/slo/leaf_counter.h"
#include "engine/slo/slots.h"

namespace basalt::slo {

// Prometheus flushes a shard after 5 s at the latest (batch_send_deadline).
inline constexpr std::chrono::nanoseconds kSettleTimeout = std::chrono::seconds(6);

struct SettledRound {
  int64_t time_ms = 0;
  Counts counts;                      // at time_ms
  std::vector<GroupBooking> spreads;  // ending at time_ms
  // Of SLIs that are polled by windows: each window's counts, where asked; else empty.
  std::vector<std::optional<Counts>> windows;
};

class Rounds {
 public:
  using LeafIndex = uint32_t;
  // Nothing at or before `settled_ms` will be a round.
  explicit Rounds(int64_t settled_ms) : settled_ms_(settled_ms) {}

  // A leaf of the group with its coefficients. Leaves of one `target` are scraped together.
  LeafIndex AddLeaf(uint64_t target, int64_t bad, int64_t total);

  // Books what a leaf counted, without taking it for a report: what history gives. False: its time
  // has settled, and the caller books it in the slots.
  [[nodiscard]] bool Book(LeafIndex leaf, const Booking& booking, std::chrono::nanoseconds now);
  // The same for many bookings at points in time, in order and after settled_ms(): what loading
  // reads of one leaf. Only PopAny takes them. Others among them are left out.
  void BookHistory(LeafIndex leaf, std::span<const Booking> bookings);
  // The leaf has reported `last_ms`, as history shows, so that it is expected in the next round,
  // or, if it has ended by a marker at `ended_ms` (0: it has not), with its target's return. Before
  // history is taken.
  void Resume(LeafIndex leaf, int64_t last_ms, int64_t interval_ms, Amount last_amount,
              int64_t ended_ms);
  // The leaf has reported the round at `time_ms` just now; its target's other leaves are waited
  // for.
  void Seen(LeafIndex leaf, int64_t time_ms, Amount amount, std::chrono::nanoseconds now);
  // A sample that arrived now: Book and Seen.
  [[nodiscard]] bool Report(LeafIndex leaf, const Booking& booking, std::chrono::nanoseconds now);
  // The leaf has ended (stale marker): nobody waits for it.
  void End(LeafIndex leaf);

  // Takes the next settled round. False: none is.
  [[nodiscard]] bool PopSettled(std::chrono::nanoseconds now, std::chrono::nanoseconds timeout,
                                SettledRound& out);
  // The next round at or before `until_ms`, without waiting for anybody.
  [[nodiscard]] bool PopAny(SettledRound& out, int64_t until_ms = INT64_MAX);

  // All points of loaded history at or before `until_ms` in one step, by slots of `slot_ms`: what
  // they come to in run.counts[i], of the slot run.first_slot + i. Only if none of them is negative
  // and they bring no more than `most` together; else, and if nothing is there, nothing is taken.
  struct Run {
    int64_t first_slot = 0;
    std::vector<Counts> counts;
    Counts sum;
    int64_t last_ms = 0;
    uint64_t points = 0;
  };
  enum class Taken : uint8_t { kAll, kNothing, kTooMuch };
  [[nodiscard]] Taken PopLoaded(int64_t until_ms, const Counts& most, int64_t slot_ms, Run& run);
  // The time of history's next point; INT64_MAX: there is none, or an open round is not later.
  [[nodiscard]] int64_t NextLoaded();

  // The earliest time at which a round of history may lack what is still on its way: of a leaf that
  // has resumed and is behind its target, or of a target that is behind the others, by at most
  // kMostBehind intervals. INT64_MAX: all of it has arrived.
  [[nodiscard]] int64_t FirstIncomplete() const;
  static constexpr int64_t kMostBehind = 2;
  // What is left of history becomes open rounds that have arrived now and wait as others do.
  void OpenLoaded(std::chrono::nanoseconds now);

  [[nodiscard]] bool has_open() const { return !open_.empty(); }
  // The oldest open round; only if has_open().
  [[nodiscard]] int64_t first_open_ms() const { return open_.begin()->first; }
  // The earliest time at which open rounds will book: one that ends a gap reaches back over it.
  // Only if has_open().
  [[nodiscard]] int64_t first_touched_ms() const {
    int64_t first_ms = first_open_ms();
    for (const auto& [time_ms, round] : open_) {
      for (const GroupBooking& spread : round.spreads) {
        first_ms = std::min(first_ms, spread.from_ms + 1);
      }
    }
    return first_ms;
  }
  [[nodiscard]] int64_t last_open_ms() const { return open_.rbegin()->first; }
  [[nodiscard]] int64_t settled_ms() const { return settled_ms_; }
  // Each open round with the counts of all open rounds up to it, a lower bound of their ratio: of
  // what is spread over a gap nobody knows here which part a window holds, so all of it counts as
  // total, and as bad only where it takes errors away (total - good).
  template <typename Visit>
  void ForEachOpen(Visit&& visit) const {
    Counts counts;
    for (const auto& [time_ms, round] : open_) {
      counts += round.counts;
      for (const GroupBooking& spread : round.spreads) {
        counts.total += std::max<Amount>(spread.counts.total, 0);
        counts.bad += std::min<Amount>(spread.counts.bad, 0);
      }
      visit(time_ms, counts);
    }
  }
  // What live leaves that have not reported may still bring: their last amounts, once for each
  // round missing. More events, and, of what is subtracted from errors (total - good), fewer
  // errors.
  [[nodiscard]] Counts Unreported() const;

  [[nodiscard]] size_t leaf_count() const { return leaves_.size(); }
  [[nodiscard]] int64_t last_ms(LeafIndex leaf) const { return leaves_[leaf].last_ms; }
  [[nodiscard]] GroupBooking Weigh(LeafIndex leaf, const Booking& booking) const;

 private:
  struct Leaf {
    uint32_t member = 0;
    bool ended = true;  // until it reports
    int64_t bad = 0;
    int64_t total = 0;
    int64_t last_ms = 0;
    Amount last_amount = 0;
    int64_t waits_for_ms = 0;  // the open round that counts this leaf as missing; 0: none
    int64_t ended_ms = 0;      // Resume's
  };
  struct Member {
    uint64_t target = 0;
    int64_t round_ms = 0;  // its newest
    int64_t interval_ms = 0;
    int64_t previous_interval_ms = 0;
    int64_t expected_ms = 0;  // when its next round is due; 0: not known
    std::vector<LeafIndex> leaves;
  };
  struct Round {
    Counts counts;
    std::vector<GroupBooking> spreads;
    uint32_t missing = 0;
    std::chrono::nanoseconds arrived{0};
  };

  struct LoadedPoint {
    int64_t time_ms = 0;
    Counts counts;
  };

  void BeginRound(uint32_t member, LeafIndex reporter, int64_t time_ms,
                  std::chrono::nanoseconds now);
  void StopWaiting(Leaf& leaf);
  // Whether all of its leaves have.
  [[nodiscard]] bool HasEnded(const Member& member) const;
  // Of a leaf that has ended, in history: whether it did so with its target, which is back.
  [[nodiscard]] bool IsWantedBack(const Leaf& leaf) const;
  // If its target is ahead of the leaf, it is waited for in the round that it lacks first.
  void WaitIfBehind(Leaf& leaf);
  // The open round of that time, begun now if there is none.
  Round& RoundAt(int64_t time_ms, std::chrono::nanoseconds now);
  uint32_t MemberOf(uint64_t target);
  void Expect(uint32_t member, int64_t time_ms);  // 0: no longer
  // The earliest time at which some target is due; INT64_MAX: none.
  int64_t FirstExpected();
  void Pop(SettledRound& out);

  int64_t settled_ms_;
  std::vector<Leaf> leaves_;
  std::vector<Member> members_;
  // By time. One or two, mostly; while history is loaded, hours of them.
  absl::btree_map<int64_t, Round> open_;
  // Points of history. Leaves of one scrape have the same times and share a list; lists are merged
  // when they are taken.
  struct LoadedList {
    std::vector<LoadedPoint> points;
    size_t taken = 0;
  };
  void OrderLoaded();
  std::unique_ptr<std::vector<LoadedList>> loaded_;  // null: none
  // A heap of (next time, list), the earliest on top; empty until the first is taken.
  std::vector<std::pair<int64_t, uint32_t>> loaded_order_;
  std::vector<uint32_t> popped_;  // by place in loaded_order_, while PopLoaded counts
  // A heap of (due time, member), the earliest on top. Entries that are no longer their member's
  // are dropped when they come up, so that expecting costs no look-up.
  std::vector<std::pair<int64_t, uint32_t>> expected_;
  // Only with many targets; a few are searched.
  std::unique_ptr<std::unordered_map<uint64_t, uint32_t>> member_of_target_;
};

}  // namespace basalt::slo
