// Do slots hold what stored samples say? Asked of one slot at a time, in the background.
#include <algorithm>

#include "engine/slo/slo_set.h"

namespace basalt::slo {

std::optional<SlotName> SloSet::PickSlot(uint64_t random) const {
  if (groups_.empty()) return std::nullopt;
  const auto take = [&](uint64_t below) {
    const uint64_t picked = random % below;
    random /= below;
    return picked;
  };
  SlotName name;
  name.group = static_cast<GroupIndex>(take(groups_.size()));
  const std::vector<Level>& levels = slots_.layout(name.group).levels();
  name.level = take(levels.size());
  const int64_t slot_ms = levels[name.level].slot_ms;
  // Slots that are over, and whose samples have been read: history begins a period before loading.
  const int64_t end = SlotOf(slots_.head_ms(name.group) + 1, slot_ms);
  const int64_t period_ms = definitions_[groups_[name.group]->slo].period.count();
  const int64_t begin = std::max(slots_.FirstSlot(name.group, name.level),
                                 SlotOf(loaded_ms_ - period_ms, slot_ms) + 1);
  if (begin >= end) return std::nullopt;
  name.slot = begin + static_cast<int64_t>(take(static_cast<uint64_t>(end - begin)));
  return name;
}

Audited SloSet::Audit(const SlotName& name) {
  Audited out{name, Audited::Outcome::kSkipped, {}, {}};
  if (name.group >= groups_.size()) return out;
  const SloGroup& group = *groups_[name.group];
  const bool polled = definitions_[group.slo].polled.has_value();
  // What waits to be read or corrected is not expected to agree yet.
  if (polled || !group.has_data || !waiting_.empty() || !dirty_.empty()) return out;
  if (group.rounds.leaf_count() > kMaxAuditedLeaves) return out;
  const int64_t slot_ms = slots_.layout(name.group).levels()[name.level].slot_ms;
  const int64_t begin_ms = name.slot * slot_ms;
  const int64_t end_ms = begin_ms + slot_ms;
  const int64_t head_ms = slots_.head_ms(name.group);
  if (end_ms > head_ms || name.slot < slots_.FirstSlot(name.group, name.level)) return out;
  const auto bookings = GroupBookings(name.group, begin_ms, end_ms, head_ms);
  if (!bookings.ok()) {
    NoteError(bookings.status().WithContext("auditing a slot"));
    return out;
  }
  out.booked = slots_.Slot(name.group, name.level, name.slot);
  out.stored = CountInside(*bookings, begin_ms, end_ms);
  // Retention may have taken the samples, and leaves the slots.
  if (bookings->empty() && out.booked != Counts{}) return out;
  out.outcome = out.booked == out.stored ? Audited::Outcome::kAgrees : Audited::Outcome::kDiffers;
  return out;
}

}  // namespace basalt::slo
