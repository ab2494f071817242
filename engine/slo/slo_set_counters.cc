// What SloSet has counted, slot by slot.
#include <algorithm>

#include "engine/slo/slo_set.h"

namespace basalt::slo {

int64_t SloSet::CoarseUntil(GroupIndex g, size_t level, int64_t to_ms) const {
  if (level == 0) return to_ms;
  const std::vector<Level>& levels = slots_.layout(g).levels();
  const int64_t slot_ms = levels[level].slot_ms;
  const int64_t finer_ms = slots_.FirstSlot(g, level - 1) * levels[level - 1].slot_ms;
  return std::min(to_ms, (finer_ms + slot_ms - 1) / slot_ms * slot_ms);
}

std::vector<CurvePoint> SloSet::SlotsBetween(GroupIndex g, int64_t from_ms, int64_t to_ms) const {
  const std::vector<Level>& levels = slots_.layout(g).levels();
  std::vector<CurvePoint> out;
  for (size_t l = levels.size(); l-- > 0 && from_ms < to_ms;) {
    const int64_t slot_ms = levels[l].slot_ms;
    const int64_t until_ms = CoarseUntil(g, l, to_ms);
    for (int64_t k = std::max(SlotOf(from_ms + 1, slot_ms), slots_.FirstSlot(g, l));
         k * slot_ms < until_ms; ++k) {
      out.push_back({k * slot_ms, (k + 1) * slot_ms, slots_.Slot(g, l, k)});
      from_ms = std::min((k + 1) * slot_ms, to_ms);
    }
    from_ms = std::max(from_ms, until_ms);
  }
  return out;
}

bool SloSet::OnSlotEnd(GroupIndex g, int64_t time_ms) const {
  const std::vector<Level>& levels = slots_.layout(g).levels();
  for (size_t l = levels.size(); l-- > 0;) {
    if (time_ms >= CoarseUntil(g, l, INT64_MAX)) continue;
    const int64_t slot_ms = levels[l].slot_ms;
    return time_ms % slot_ms == 0 && time_ms >= slots_.FirstSlot(g, l) * slot_ms;
  }
  return false;
}

std::vector<CountedStep> SloSet::CountSince(GroupIndex g, int64_t from_ms, int64_t step_ms) const {
  std::vector<CountedStep> out;
  const int64_t head_ms = slots_.head_ms(g);
  Counts sum;
  for (const CurvePoint& slot : SlotsBetween(g, from_ms, head_ms)) {
    const GroupBooking even{slot.begin_ms, slot.end_ms, slot.counts};
    sum += slot.counts;
    if (slot.begin_ms < from_ms) sum -= BookedUpTo(even, from_ms);
    if (slot.end_ms <= head_ms && slot.end_ms % step_ms == 0) out.push_back({slot.end_ms, sum});
  }
  return out;
}

std::optional<int64_t> SloSet::FirstCounted(GroupIndex g) const {
  const size_t coarsest = slots_.layout(g).levels().size() - 1;
  const int64_t begin_ms =
      slots_.FirstSlot(g, coarsest) * slots_.layout(g).levels()[coarsest].slot_ms;
  for (const CurvePoint& slot : SlotsBetween(g, begin_ms, slots_.head_ms(g))) {
    if (slot.counts != Counts{}) return slot.begin_ms;
  }
  return std::nullopt;
}

}  // namespace basalt::slo
