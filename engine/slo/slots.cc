#include "engine/slo/slots.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <new>

#include "engine/base/status.h"

namespace basalt::slo {
namespace {

// Lengths of slots: each window takes the finest that gives it at most kMaxSlotsPerWindow slots.
// Each divides the next, so that a slot lies in one of the level above. 150 of the last are 600 d.
constexpr std::array<int64_t, 8> kSlotLengths = {1'000,     10'000,     60'000,     600'000,
                                                 3'600'000, 21'600'000, 86'400'000, 345'600'000};

constexpr int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

uint32_t RingOf(int64_t slot, int64_t slots) {
  return static_cast<uint32_t>(((slot % slots) + slots) % slots);
}

int64_t SlotLengthFor(int64_t length_ms, int64_t max_slots, int64_t finest_ms) {
  for (const int64_t slot_ms : kSlotLengths) {
    if (slot_ms >= finest_ms && length_ms <= slot_ms * max_slots) return slot_ms;
  }
  return kSlotLengths.back();
}

// Packed amounts: value * 2 for whole events, value * 2 + 1 for 2^-16ths.
constexpr int64_t kPackedLimit = int64_t{1} << 30;
constexpr int32_t kWide = INT32_MIN;

}  // namespace

int64_t SlotOf(int64_t time_ms, int64_t slot_ms) { return FloorDiv(time_ms - 1, slot_ms); }

Counts BookedUpTo(const GroupBooking& booking, int64_t time_ms) {
  if (time_ms >= booking.to_ms) return booking.counts;
  return {BookedUpTo(Booking{booking.from_ms, booking.to_ms, booking.counts.bad}, time_ms),
          BookedUpTo(Booking{booking.from_ms, booking.to_ms, booking.counts.total}, time_ms)};
}

Layout::Layout(std::vector<int64_t> lengths_ms, int64_t max_slots, int64_t finest_ms) {
  std::sort(lengths_ms.begin(), lengths_ms.end());
  lengths_ms.erase(std::unique(lengths_ms.begin(), lengths_ms.end()), lengths_ms.end());
  for (const int64_t length_ms : lengths_ms) {
    BASALT_CHECK(length_ms > 0, "a window without length");
    const int64_t slot_ms = SlotLengthFor(length_ms, max_slots, finest_ms);
    if (levels_.empty() || levels_.back().slot_ms != slot_ms) levels_.push_back({slot_ms, 0});
    // The window, the slot that it cuts and the slot of the head have to fit in the ring.
    Level& level = levels_.back();
    level.slots = std::max(level.slots, length_ms / slot_ms + 3);
    windows_.push_back({length_ms, levels_.size() - 1});
  }
  offsets_.push_back(0);
  for (const Level& level : levels_) {
    offsets_.push_back(offsets_.back() + static_cast<size_t>(level.slots));
  }
}

size_t Layout::Find(int64_t length_ms) const {
  const auto it = std::find_if(windows_.begin(), windows_.end(),
                               [&](const Window& window) { return window.length_ms == length_ms; });
  return static_cast<size_t>(it - windows_.begin());
}

void SlotTable::Free::operator()(Packed* p) const { std::free(p); }

Amount SlotTable::LoadOne(const int32_t& packed) const {
  if (packed == kWide) return wide_.at(&packed);
  return (packed & 1) != 0 ? packed >> 1 : int64_t{packed >> 1} * kAmountPerEvent;
}

void SlotTable::StoreOne(int32_t& packed, Amount amount) {
  const bool was_wide = packed == kWide;
  const Amount events = amount / kAmountPerEvent;
  if (events * kAmountPerEvent == amount && std::abs(events) < kPackedLimit) {
    packed = static_cast<int32_t>(events * 2);
  } else if (std::abs(amount) < kPackedLimit) {
    packed = static_cast<int32_t>(amount * 2 + 1);
  } else {
    packed = kWide;
    wide_[&packed] = amount;
    return;
  }
  if (was_wide) wide_.erase(&packed);
}

Counts SlotTable::Load(const Packed& slot) const {
  return {LoadOne(slot.bad), LoadOne(slot.total)};
}

void SlotTable::Store(Packed& slot, const Counts& counts) {
  StoreOne(slot.bad, counts.bad);
  StoreOne(slot.total, counts.total);
}

GroupIndex SlotTable::AddGroup(const std::shared_ptr<const Layout>& layout, int64_t head_ms) {
  auto pool = std::find_if(pools_.begin(), pools_.end(), [&](const Pool& one) {
    return one.layout == layout || one.layout->windows() == layout->windows();
  });
  if (pool == pools_.end()) pool = pools_.insert(pools_.end(), Pool{layout, {}, 0});
  const size_t lane = pool->groups++ % kChunk;
  if (lane == 0) {
    auto* slots =
        static_cast<Packed*>(std::calloc(layout->slots_per_group() * kChunk, sizeof(Packed)));
    if (slots == nullptr) throw std::bad_alloc();
    pool->chunks.emplace_back(slots);
  }
  const auto g = static_cast<GroupIndex>(groups_.size());
  groups_.push_back({head_ms, pool->layout.get(), pool->chunks.back().get() + lane, levels_.size(),
                     windows_.size()});
  for (const Level& level : layout->levels()) {
    const int64_t newest = SlotOf(head_ms, level.slot_ms);
    levels_.push_back({newest, RingOf(newest, level.slots)});
  }
  for (const Window& window : layout->windows()) {
    const Level& level = layout->levels()[window.level];
    const int64_t edge = SlotOf(head_ms - window.length_ms, level.slot_ms);
    windows_.push_back({edge, {}, RingOf(edge, level.slots)});
  }
  return g;
}

void SlotTable::Advance(GroupIndex g, int64_t time_ms) {
  Group& group = groups_[g];
  if (time_ms <= group.head_ms) return;
  const Layout& layout = *group.layout;
  LevelState* const levels = &levels_[group.levels_at];
  WindowState* window = &windows_[group.windows_at];
  for (const Window& w : layout.windows()) {
    const Level& level = layout.levels()[w.level];
    const int64_t from_ms = time_ms - w.length_ms;
    while (from_ms > (window->edge + 1) * level.slot_ms) {
      if (window->edge >= levels[w.level].newest) {  // nothing is left in it
        window->edge = SlotOf(from_ms, level.slot_ms);
        window->ring = RingOf(window->edge, level.slots);
        break;
      }
      ++window->edge;
      if (++window->ring == level.slots) window->ring = 0;
      window->sum -= Load(At(group, w.level, window->ring));
    }
    ++window;
  }
  for (size_t l = 0; l < layout.levels().size(); ++l) {
    const Level& level = layout.levels()[l];
    LevelState& state = levels[l];
    for (int64_t steps = 0; time_ms > (state.newest + 1) * level.slot_ms; ++steps) {
      if (steps == level.slots) {  // all of it is empty by now
        state.newest = SlotOf(time_ms, level.slot_ms);
        state.ring = RingOf(state.newest, level.slots);
        break;
      }
      ++state.newest;
      if (++state.ring == level.slots) state.ring = 0;
      Store(At(group, l, state.ring), Counts{});
    }
  }
  group.head_ms = time_ms;
}

void SlotTable::AddToLevel(const Group& group, size_t l, const GroupBooking& booking) {
  const Level& level = group.layout->levels()[l];
  const LevelState& state = levels_[group.levels_at + l];
  const int64_t slot_ms = level.slot_ms;
  const bool is_point = booking.from_ms == booking.to_ms;
  if (is_point && booking.to_ms > state.newest * slot_ms) {
    AddTo(At(group, l, state.ring), booking.counts);
    return;
  }
  const int64_t first_kept = state.newest - level.slots + 1;
  if (booking.to_ms <= first_kept * slot_ms) return;
  const int64_t last = SlotOf(booking.to_ms, slot_ms);
  if (is_point) {
    AddTo(At(group, l, RingOf(last, level.slots)), booking.counts);
    return;
  }
  int64_t k = std::max(SlotOf(booking.from_ms + 1, slot_ms), first_kept);
  Counts before = BookedUpTo(booking, k * slot_ms);
  for (; k <= last; ++k) {
    const Counts upto = BookedUpTo(booking, (k + 1) * slot_ms);
    AddTo(At(group, l, RingOf(k, level.slots)), upto - before);
    before = upto;
  }
}

void SlotTable::Add(GroupIndex g, const GroupBooking& booking) {
  const Group& group = groups_[g];
  const Layout& layout = *group.layout;
  BASALT_CHECK(booking.to_ms <= group.head_ms, "a booking beyond its group's head");
  for (size_t l = 0; l < layout.levels().size(); ++l) AddToLevel(group, l, booking);
  for (size_t w = 0; w < layout.windows().size(); ++w) {
    WindowState& window = windows_[group.windows_at + w];
    const int64_t begin = (window.edge + 1) * layout.slot_ms(w);
    if (booking.to_ms <= begin) continue;
    window.sum += booking.from_ms == booking.to_ms ? booking.counts
                                                   : booking.counts - BookedUpTo(booking, begin);
  }
}

void SlotTable::AddRun(GroupIndex g, int64_t first_slot, std::span<const Counts> counts) {
  const Group& group = groups_[g];
  const Layout& layout = *group.layout;
  const int64_t finest_ms = layout.levels().front().slot_ms;
  for (size_t l = 0; l < layout.levels().size(); ++l) {
    const Level& level = layout.levels()[l];
    const int64_t ratio = level.slot_ms / finest_ms;
    const int64_t first_kept = levels_[group.levels_at + l].newest - level.slots + 1;
    int64_t slot = FloorDiv(first_slot, ratio);
    int64_t slot_end = (slot + 1) * ratio - first_slot;  // an index into counts
    Counts sum;
    const auto flush = [&] {
      if (slot >= first_kept && sum != Counts{}) {
        AddTo(At(group, l, RingOf(slot, level.slots)), sum);
      }
      sum = {};
    };
    for (size_t i = 0; i < counts.size(); ++i) {
      if (static_cast<int64_t>(i) == slot_end) {
        flush();
        ++slot;
        slot_end += ratio;
      }
      sum += counts[i];
    }
    flush();
  }
  Counts all;
  for (const Counts& one : counts) all += one;
  for (size_t w = 0; w < layout.windows().size(); ++w) {
    WindowState& window = windows_[group.windows_at + w];
    const int64_t begin = (window.edge + 1) * (layout.slot_ms(w) / finest_ms);
    const int64_t skipped = std::clamp<int64_t>(begin - first_slot, 0, std::ssize(counts));
    window.sum += all;
    for (int64_t i = 0; i < skipped; ++i) window.sum -= counts[static_cast<size_t>(i)];
  }
}

int64_t SlotTable::NextChange(GroupIndex g) const {
  const Group& group = groups_[g];
  const Layout& layout = *group.layout;
  int64_t next_ms = INT64_MAX;
  for (size_t w = 0; w < layout.windows().size(); ++w) {
    const int64_t edge_end_ms = (windows_[group.windows_at + w].edge + 1) * layout.slot_ms(w);
    next_ms = std::min(next_ms, edge_end_ms + layout.windows()[w].length_ms);
  }
  for (size_t l = 0; l < layout.levels().size(); ++l) {
    next_ms =
        std::min(next_ms, (levels_[group.levels_at + l].newest + 1) * layout.levels()[l].slot_ms);
  }
  return next_ms;
}

bool SlotTable::NoneNegative(GroupIndex g, size_t w) const {
  const Group& group = groups_[g];
  const size_t l = group.layout->windows()[w].level;
  const LevelState& level = levels_[group.levels_at + l];
  const WindowState& window = windows_[group.windows_at + w];
  uint32_t ring = window.ring;
  for (int64_t slot = window.edge; slot <= level.newest; ++slot) {
    const Counts counts = Load(At(group, l, ring));
    if (counts.bad < 0 || counts.total < 0) return false;
    if (++ring == group.layout->levels()[l].slots) ring = 0;
  }
  return true;
}

int64_t SlotTable::SlotEnd(GroupIndex g, int64_t time_ms) const {
  const Group& group = groups_[g];
  const std::vector<Level>& levels = group.layout->levels();
  for (size_t l = 0; l < levels.size(); ++l) {
    const int64_t first_ms = FirstSlot(g, l) * levels[l].slot_ms;
    if (time_ms > first_ms) return (SlotOf(time_ms, levels[l].slot_ms) + 1) * levels[l].slot_ms;
  }
  return FirstSlot(g, levels.size() - 1) * levels.back().slot_ms;  // before all: dropped
}

WindowSum SlotTable::Sum(GroupIndex g, size_t w, int64_t time_ms) const {
  const Group& group = groups_[g];
  const Window& window = group.layout->windows()[w];
  const Level& level = group.layout->levels()[window.level];
  const WindowState& state = windows_[group.windows_at + w];
  const int64_t newest = levels_[group.levels_at + window.level].newest;
  const int64_t from_ms = time_ms - window.length_ms;
  WindowSum out;
  out.whole = state.sum;
  int64_t edge = state.edge;
  uint32_t ring = state.ring;
  while (from_ms > (edge + 1) * level.slot_ms) {
    if (edge >= newest) {
      edge = SlotOf(from_ms, level.slot_ms);
      break;
    }
    ++edge;
    if (++ring == level.slots) ring = 0;
    out.whole -= Load(At(group, window.level, ring));
  }
  out.edge_begin_ms = edge * level.slot_ms;
  out.edge_end_ms = out.edge_begin_ms + level.slot_ms;
  const bool cut = from_ms != out.edge_end_ms;
  if (cut && edge <= newest) out.edge = Load(At(group, window.level, ring));
  return out;
}

WindowSum SlotTable::SumSince(GroupIndex g, int64_t from_ms, size_t& level) const {
  const std::vector<Level>& levels = groups_[g].layout->levels();
  level = 0;
  while (level + 1 < levels.size() && FirstSlot(g, level) * levels[level].slot_ms > from_ms) {
    ++level;
  }
  const int64_t slot_ms = levels[level].slot_ms;
  const int64_t newest = levels_[groups_[g].levels_at + level].newest;
  WindowSum out;
  int64_t edge = SlotOf(from_ms, slot_ms);
  const bool cut = from_ms != (edge + 1) * slot_ms;
  out.edge_begin_ms = edge * slot_ms;
  out.edge_end_ms = out.edge_begin_ms + slot_ms;
  if (cut) out.edge = Slot(g, level, edge);
  edge = std::max(edge, FirstSlot(g, level) - 1);
  for (int64_t k = edge + 1; k <= newest; ++k) out.whole += Slot(g, level, k);
  return out;
}

int64_t SlotTable::FirstSlot(GroupIndex g, size_t level) const {
  const Group& group = groups_[g];
  return levels_[group.levels_at + level].newest - group.layout->levels()[level].slots + 1;
}

Counts SlotTable::Slot(GroupIndex g, size_t level, int64_t slot) const {
  const Group& group = groups_[g];
  const int64_t newest = levels_[group.levels_at + level].newest;
  if (slot < FirstSlot(g, level) || slot > newest) return {};
  return Load(At(group, level, RingOf(slot, group.layout->levels()[level].slots)));
}

void SlotTable::Correct(GroupIndex g, size_t level, int64_t slot, const Counts& delta) {
  const Group& group = groups_[g];
  const int64_t newest = levels_[group.levels_at + level].newest;
  if (slot < FirstSlot(g, level) || slot > newest) return;
  AddTo(At(group, level, RingOf(slot, group.layout->levels()[level].slots)), delta);
  for (size_t w = 0; w < group.layout->windows().size(); ++w) {
    WindowState& window = windows_[group.windows_at + w];
    if (group.layout->windows()[w].level == level && slot > window.edge) window.sum += delta;
  }
}

size_t SlotTable::bytes_per_group() const {
  if (groups_.empty()) return 0;
  size_t slots = 0;
  for (const Pool& pool : pools_) {
    slots += pool.groups * pool.layout->slots_per_group() * sizeof(Packed);
  }
  return sizeof(Group) +
         (slots + levels_.size() * sizeof(LevelState) + windows_.size() * sizeof(WindowState)) /
             groups_.size();
}

}  // namespace basalt::slo
