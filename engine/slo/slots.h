// engine/slo/slots.h -- bad and total events of every group in slots of time, and the sums of the
// windows that its SLO looks at.
//
// A Layout says which windows an SLO has and how coarse the slots under each are (design:
// docs/0002-slots.md). A slot k of length L holds (k*L, (k+1)*L]. Slots are columns: one slot of 64
// neighbouring groups of a layout lies together, so that a sweep over many groups reads memory in
// order. A window costs one sum, slid in O(1): new bookings are added, slots that leave are
// subtracted.
//
// A group's clock is its own: the time of its last settled round, its *head*. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/slo/leaf_counter.h"

namespace basalt::slo {

// In 2^-16 events, times the SLI's scale.
struct Counts {
  Amount bad = 0;
  Amount total = 0;
  Counts& operator+=(const Counts& other) {
    bad += other.bad;
    total += other.total;
    return *this;
  }
  Counts& operator-=(const Counts& other) {
    bad -= other.bad;
    total -= other.total;
    return *this;
  }
  friend Counts operator+(Counts a, const Counts& b) { return a += b; }
  friend Counts operator-(Counts a, const Counts& b) { return a -= b; }
  friend bool operator==(const Counts&, const Counts&) = default;
};

// A Booking of a leaf, weighted by its coefficients.
struct GroupBooking {
  int64_t from_ms = 0;
  int64_t to_ms = 0;
  Counts counts;
};
Counts BookedUpTo(const GroupBooking& booking, int64_t time_ms);

// The slot that holds `time_ms`.
int64_t SlotOf(int64_t time_ms, int64_t slot_ms);

// Slots of one length, and how many of them are kept.
struct Level {
  int64_t slot_ms = 0;
  int64_t slots = 0;
};
struct Window {
  int64_t length_ms = 0;
  size_t level = 0;
  friend bool operator==(const Window&, const Window&) = default;
};

// A window has at most this many slots: more would be finer than the reading back of one edge is
// worth, fewer would read more samples for it.
inline constexpr int64_t kMaxSlotsPerWindow = 150;
// Of windows whose edges cannot be read back, because their bookings came from queries: each
// minute of a week.
inline constexpr int64_t kMaxPolledSlotsPerWindow = 10'080;

// The windows of an SLO, by rising length, over the levels that they need, by rising slot length.
// Immutable.
class Layout {
 public:
  // Lengths above 0, in any order; repeated ones count once. No slots are shorter than
  // `finest_ms`.
  explicit Layout(std::vector<int64_t> lengths_ms, int64_t max_slots = kMaxSlotsPerWindow,
                  int64_t finest_ms = 1);

  [[nodiscard]] const std::vector<Window>& windows() const { return windows_; }
  [[nodiscard]] const std::vector<Level>& levels() const { return levels_; }
  // The window of that length; windows().size() if there is none.
  [[nodiscard]] size_t Find(int64_t length_ms) const;
  [[nodiscard]] int64_t slot_ms(size_t window) const {
    return levels_[windows_[window].level].slot_ms;
  }
  // Where a level's slots begin among a group's.
  [[nodiscard]] size_t offset(size_t level) const { return offsets_[level]; }
  [[nodiscard]] size_t slots_per_group() const { return offsets_.back(); }

 private:
  std::vector<Window> windows_;
  std::vector<Level> levels_;
  std::vector<size_t> offsets_;
};

// A window's sum at some time T, as far as slots tell it: `whole` is what is certainly inside; of
// `edge`, the slot (edge_begin_ms, edge_end_ms] that T - length cuts, some part is. An edge of
// zeros makes the sum exact.
struct WindowSum {
  Counts whole;
  Counts edge;
  int64_t edge_begin_ms = 0;
  int64_t edge_end_ms = 0;
  [[nodiscard]] bool exact() const { return edge == Counts{}; }
};

using GroupIndex = uint32_t;

class SlotTable {
 public:
  // A new group with nothing booked; its head is at `head_ms`. Indexes are dense. Groups with the
  // same windows lie together, whatever their SLO.
  GroupIndex AddGroup(const std::shared_ptr<const Layout>& layout, int64_t head_ms);
  [[nodiscard]] size_t size() const { return groups_.size(); }
  [[nodiscard]] int64_t head_ms(GroupIndex g) const { return groups_[g].head_ms; }
  [[nodiscard]] const Layout& layout(GroupIndex g) const { return *groups_[g].layout; }

  // Moves the head forward to `time_ms`; nothing if it is there or beyond.
  void Advance(GroupIndex g, int64_t time_ms);
  // Books at or before the head (to_ms <= head_ms). What is older than a level keeps, it drops.
  void Add(GroupIndex g, const GroupBooking& booking);

  // Books points in time after the head's slots were advanced past them: `counts[i]` lies in the
  // finest slot `first_slot + i`. The same as Add of each at its slot's end (or the head), at once.
  void AddRun(GroupIndex g, int64_t first_slot, std::span<const Counts> counts);

  // Replaces a window's sum: for groups whose windows are asked for one by one and whose slots stay
  // empty.
  void SetSum(GroupIndex g, size_t window, const Counts& sum) {
    windows_[groups_[g].windows_at + window].sum = sum;
  }

  // Until when bookings may be added up before Add, given that they are at or after `time_ms`: the
  // end of the slot that holds it at the finest level that keeps it. For history, of which most is
  // kept in coarse slots only.
  [[nodiscard]] int64_t SlotEnd(GroupIndex g, int64_t time_ms) const;

  // The window ending at `time_ms` >= head_ms, counting what is booked.
  [[nodiscard]] WindowSum Sum(GroupIndex g, size_t window, int64_t time_ms) const;

  // The head may move up to here without a slot being opened or leaving a window.
  [[nodiscard]] int64_t NextChange(GroupIndex g) const;
  // Whether no slot that the window holds or cuts is negative.
  [[nodiscard]] bool NoneNegative(GroupIndex g, size_t window) const;

  // What is booked in (from_ms, head_ms], from the finest level that reaches back that far; the
  // edge is that level's slot. For periods of changing length, so it adds up slot by slot.
  [[nodiscard]] WindowSum SumSince(GroupIndex g, int64_t from_ms, size_t& level) const;

  // The first slot that level still keeps.
  [[nodiscard]] int64_t FirstSlot(GroupIndex g, size_t level) const;
  [[nodiscard]] Counts Slot(GroupIndex g, size_t level, int64_t slot) const;
  // Adds to one slot of one level, and to the windows of that level: for corrections, which visit
  // each level themselves.
  void Correct(GroupIndex g, size_t level, int64_t slot, const Counts& delta);

  // Slots and sums, on average over all groups.
  [[nodiscard]] size_t bytes_per_group() const;

 private:
  static constexpr size_t kChunk = 64;
  // Half of Counts, in 32 bits: whole events or 2^-16ths, by the lowest bit. What fits neither
  // stands in `wide_`.
  struct Packed {
    int32_t bad = 0;
    int32_t total = 0;
  };
  // Most of a chunk's pages are never touched by young groups: calloc leaves them to the kernel.
  struct Free {
    void operator()(Packed* p) const;
  };
  // Groups of one layout.
  struct Pool {
    std::shared_ptr<const Layout> layout;
    std::vector<std::unique_ptr<Packed[], Free>> chunks;
    size_t groups = 0;
  };
  struct Group {
    int64_t head_ms = 0;
    const Layout* layout = nullptr;
    Packed* slots = nullptr;  // its lane of its chunk
    size_t levels_at = 0;     // in levels_
    size_t windows_at = 0;    // in windows_
  };
  // Ring positions are kept beside the numbers, because a division costs more than all the rest.
  struct LevelState {
    int64_t newest = 0;  // the slot of the head
    uint32_t ring = 0;
  };
  struct WindowState {
    int64_t edge = 0;  // the slot that head - length falls in
    Counts sum;        // of the slots after it
    uint32_t ring = 0;
  };

  [[nodiscard]] Packed& At(const Group& group, size_t level, uint32_t ring) const {
    return group.slots[(group.layout->offset(level) + ring) * kChunk];
  }
  [[nodiscard]] Counts Load(const Packed& slot) const;
  void Store(Packed& slot, const Counts& counts);
  [[nodiscard]] Amount LoadOne(const int32_t& packed) const;
  void StoreOne(int32_t& packed, Amount amount);
  void AddTo(Packed& slot, const Counts& counts) { Store(slot, Load(slot) + counts); }
  void AddToLevel(const Group& group, size_t level, const GroupBooking& booking);

  std::vector<Group> groups_;
  std::vector<LevelState> levels_;
  std::vector<WindowState> windows_;
  std::vector<Pool> pools_;
  std::unordered_map<const int32_t*, Amount> wide_;
};

}  // namespace basalt::slo
