#include "engine/slo/slots.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "engine/base/status.h"

namespace basalt::slo {
namespace {

constexpr std::array<size_t, kLevels> LevelOffsets() {
  std::array<size_t, kLevels> offsets{};
  size_t at = 0;
  for (size_t level = 0; level < kLevels; ++level) {
    offsets[level] = at;
    at += static_cast<size_t>(kSlotLevels[level].slots);
  }
  return offsets;
}
constexpr std::array<size_t, kLevels> kLevelOffset = LevelOffsets();
constexpr size_t kSlotsPerGroup =
    kLevelOffset[kLevels - 1] + static_cast<size_t>(kSlotLevels[kLevels - 1].slots);

// A window plus the slot that it cuts plus the slot of the head have to fit in the ring.
constexpr bool RingsHoldTheirWindows() {
  for (const Window& window : kSloWindows) {
    const Level& level = kSlotLevels[window.level];
    if (window.length_ms / level.slot_ms + 2 > level.slots) return false;
    if (window.length_ms % level.slot_ms != 0) return false;
  }
  return true;
}
static_assert(RingsHoldTheirWindows());

constexpr int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

int64_t EdgeSlot(const Window& window, int64_t head_ms) {
  return SlotOf(head_ms - window.length_ms, kSlotLevels[window.level].slot_ms);
}

}  // namespace

int64_t SlotOf(int64_t time_ms, int64_t slot_ms) { return FloorDiv(time_ms - 1, slot_ms); }

size_t FindWindow(int64_t length_ms) {
  const auto it = std::find_if(kSloWindows.begin(), kSloWindows.end(),
                               [&](const Window& window) { return window.length_ms == length_ms; });
  return static_cast<size_t>(it - kSloWindows.begin());
}

Counts BookedUpTo(const GroupBooking& booking, int64_t time_ms) {
  if (time_ms >= booking.to_ms) return booking.counts;
  return {BookedUpTo(Booking{booking.from_ms, booking.to_ms, booking.counts.bad}, time_ms),
          BookedUpTo(Booking{booking.from_ms, booking.to_ms, booking.counts.total}, time_ms)};
}

void SlotTable::Free::operator()(Counts* p) const { std::free(p); }

Counts& SlotTable::At(GroupIndex g, size_t level, int64_t slot) const {
  const int64_t slots = kSlotLevels[level].slots;
  const auto ring = static_cast<size_t>(((slot % slots) + slots) % slots);
  return chunks_[g / kChunk][(kLevelOffset[level] + ring) * kChunk + g % kChunk];
}

GroupIndex SlotTable::AddGroup(int64_t head_ms) {
  const auto g = static_cast<GroupIndex>(hot_.size());
  if (g % kChunk == 0) {
    auto* counts = static_cast<Counts*>(std::calloc(kSlotsPerGroup * kChunk, sizeof(Counts)));
    if (counts == nullptr) throw std::bad_alloc();
    chunks_.emplace_back(counts);
  }
  Hot hot;
  hot.head_ms = head_ms;
  for (size_t w = 0; w < kWindows; ++w) hot.edge[w] = EdgeSlot(kSloWindows[w], head_ms);
  hot_.push_back(hot);
  return g;
}

void SlotTable::Advance(GroupIndex g, int64_t time_ms) {
  Hot& hot = hot_[g];
  if (time_ms <= hot.head_ms) return;
  for (size_t w = 0; w < kWindows; ++w) {
    const size_t level = kSloWindows[w].level;
    const int64_t edge = EdgeSlot(kSloWindows[w], time_ms);
    const int64_t newest = SlotOf(hot.head_ms, kSlotLevels[level].slot_ms);
    for (int64_t k = hot.edge[w] + 1; k <= std::min(edge, newest); ++k) {
      hot.sums[w] -= At(g, level, k);
    }
    hot.edge[w] = edge;
  }
  for (size_t level = 0; level < kLevels; ++level) {
    const int64_t newest = SlotOf(time_ms, kSlotLevels[level].slot_ms);
    int64_t k = SlotOf(hot.head_ms, kSlotLevels[level].slot_ms) + 1;
    k = std::max(k, newest - kSlotLevels[level].slots + 1);
    for (; k <= newest; ++k) At(g, level, k) = Counts{};
  }
  hot.head_ms = time_ms;
}

void SlotTable::Add(GroupIndex g, const GroupBooking& booking) {
  Hot& hot = hot_[g];
  BASALT_CHECK(booking.to_ms <= hot.head_ms, "a booking beyond its group's head");
  for (size_t level = 0; level < kLevels; ++level) {
    const int64_t slot_ms = kSlotLevels[level].slot_ms;
    const int64_t last = SlotOf(booking.to_ms, slot_ms);
    const int64_t first_kept = FirstSlot(g, level);
    if (booking.from_ms == booking.to_ms) {
      if (last >= first_kept) At(g, level, last) += booking.counts;
      continue;
    }
    int64_t k = std::max(SlotOf(booking.from_ms + 1, slot_ms), first_kept);
    Counts before = BookedUpTo(booking, k * slot_ms);
    for (; k <= last; ++k) {
      const Counts upto = BookedUpTo(booking, (k + 1) * slot_ms);
      At(g, level, k) += upto - before;
      before = upto;
    }
  }
  for (size_t w = 0; w < kWindows; ++w) {
    const int64_t begin = (hot.edge[w] + 1) * kSlotLevels[kSloWindows[w].level].slot_ms;
    if (booking.to_ms <= begin) continue;
    hot.sums[w] += booking.from_ms == booking.to_ms ? booking.counts
                                                    : booking.counts - BookedUpTo(booking, begin);
  }
}

WindowSum SlotTable::Sum(GroupIndex g, size_t window, int64_t time_ms) const {
  const Hot& hot = hot_[g];
  const Window& w = kSloWindows[window];
  const int64_t slot_ms = kSlotLevels[w.level].slot_ms;
  const int64_t newest = SlotOf(hot.head_ms, slot_ms);
  const int64_t edge = EdgeSlot(w, time_ms);
  WindowSum out;
  out.whole = hot.sums[window];
  for (int64_t k = hot.edge[window] + 1; k <= std::min(edge, newest); ++k) {
    out.whole -= At(g, w.level, k);
  }
  out.edge_begin_ms = edge * slot_ms;
  out.edge_end_ms = out.edge_begin_ms + slot_ms;
  const bool cut = time_ms - w.length_ms != out.edge_end_ms;
  if (cut && edge <= newest) out.edge = At(g, w.level, edge);
  return out;
}

int64_t SlotTable::FirstSlot(GroupIndex g, size_t level) const {
  return SlotOf(hot_[g].head_ms, kSlotLevels[level].slot_ms) - kSlotLevels[level].slots + 1;
}

Counts SlotTable::Slot(GroupIndex g, size_t level, int64_t slot) const {
  const bool kept =
      slot >= FirstSlot(g, level) && slot <= SlotOf(hot_[g].head_ms, kSlotLevels[level].slot_ms);
  return kept ? At(g, level, slot) : Counts{};
}

void SlotTable::Correct(GroupIndex g, size_t level, int64_t slot, const Counts& delta) {
  if (slot < FirstSlot(g, level) || slot > SlotOf(hot_[g].head_ms, kSlotLevels[level].slot_ms)) {
    return;
  }
  At(g, level, slot) += delta;
  Hot& hot = hot_[g];
  for (size_t w = 0; w < kWindows; ++w) {
    if (kSloWindows[w].level == level && slot > hot.edge[w]) hot.sums[w] += delta;
  }
}

size_t SlotTable::bytes_per_group() const { return sizeof(Hot) + kSlotsPerGroup * sizeof(Counts); }

}  // namespace basalt::slo
