// engine/slo/slots.h -- bad and total events of every group in slots of time, and the sums of the
// windows that SLOs look at.
//
// Levels (design: docs/0002-slots.md): slots of 10 s, 1 min, 10 min, 1 h and 6 h, each kept for a
// little longer than the longest window that ends on it. A slot k of length L holds (k*L, (k+1)*L].
// Slots are columns: one slot of 64 neighbouring groups lies together, so that a sweep over all
// groups reads memory in order. A window costs one sum, slid in O(1): new bookings are added, slots
// that leave are subtracted.
//
// A group's clock is its own: the time of its last settled round, its *head*. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
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

struct Level {
  int64_t slot_ms;
  int64_t slots;  // kept
};
inline constexpr size_t kLevels = 5;
inline constexpr std::array<Level, kLevels> kSlotLevels = {{
    {10'000, 40},       // the edge of 5m
    {60'000, 130},      // 30m, 1h, 2h
    {600'000, 150},     // 6h, 1d
    {3'600'000, 76},    // 3d
    {21'600'000, 126},  // the period
}};

struct Window {
  int64_t length_ms;
  size_t level;
};
enum WindowId : size_t { k5m, k30m, k1h, k2h, k6h, k1d, k3d, k30d };
inline constexpr size_t kWindows = 8;
inline constexpr std::array<Window, kWindows> kSloWindows = {{
    {300'000, 0},
    {1'800'000, 1},
    {3'600'000, 1},
    {7'200'000, 1},
    {21'600'000, 2},
    {86'400'000, 2},
    {259'200'000, 3},
    {2'592'000'000, 4},
}};
// The window of that length; kWindows if there is none.
size_t FindWindow(int64_t length_ms);

// The slot that holds `time_ms`.
int64_t SlotOf(int64_t time_ms, int64_t slot_ms);

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
  // A new group with nothing booked; its head is at `head_ms`. Indexes are dense.
  GroupIndex AddGroup(int64_t head_ms);
  [[nodiscard]] size_t size() const { return hot_.size(); }
  [[nodiscard]] int64_t head_ms(GroupIndex g) const { return hot_[g].head_ms; }

  // Moves the head forward to `time_ms`; nothing if it is there or beyond.
  void Advance(GroupIndex g, int64_t time_ms);
  // Books at or before the head (to_ms <= head_ms). What is older than a level keeps, it drops.
  void Add(GroupIndex g, const GroupBooking& booking);

  // The window of `length` ending at `time_ms` >= head_ms, counting what is booked.
  [[nodiscard]] WindowSum Sum(GroupIndex g, size_t window, int64_t time_ms) const;

  // The first slot that level still keeps.
  [[nodiscard]] int64_t FirstSlot(GroupIndex g, size_t level) const;
  [[nodiscard]] Counts Slot(GroupIndex g, size_t level, int64_t slot) const;
  // Adds to one slot of one level, and to the windows of that level: for corrections, which visit
  // each level themselves.
  void Correct(GroupIndex g, size_t level, int64_t slot, const Counts& delta);

  [[nodiscard]] size_t bytes_per_group() const;

 private:
  static constexpr size_t kChunk = 64;
  // Most of a chunk's pages are never touched by young groups: calloc leaves them to the kernel.
  struct Free {
    void operator()(Counts* p) const;
  };
  struct Hot {
    int64_t head_ms = 0;
    std::array<int64_t, kWindows> edge{};  // the slot that head - length falls in
    std::array<Counts, kWindows> sums{};   // of the slots after `edge`
  };

  Counts& At(GroupIndex g, size_t level, int64_t slot) const;

  std::vector<Hot> hot_;
  std::vector<std::unique_ptr<Counts[], Free>> chunks_;
};

}  // namespace basalt::slo
