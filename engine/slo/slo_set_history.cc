// What SloSet reads back from stored samples of a whole group: the edges of windows, and
// corrections.
#include <algorithm>
#include <utility>

#include "engine/slo/slo_set.h"

namespace basalt::slo {
namespace {

// Edges kept; above it all are forgotten. One is read per window and slot while a ratio is near its
// threshold.
constexpr size_t kMaxEdges = 4096;
// A correction takes a little more than the samples' reach, for the births that its times may
// prove.
constexpr int64_t kCorrectionMarginMs = 2 * kMinGapMs;
// Samples this long after a stretch mostly show how it went on.
constexpr int64_t kLookAheadMs = 15 * 60'000;

// What to select a group's series by; null: any of its SLO's may be among them.
const std::vector<std::string>* ValuesOf(const SloGroup& group) {
  return group.kind == SloGroup::Kind::kOwn ? &group.values : nullptr;
}

}  // namespace

Counts CountInside(const std::vector<GroupBooking>& bookings, int64_t from_ms, int64_t to_ms) {
  Counts sum;
  for (const GroupBooking& booking : bookings) {
    if (booking.to_ms <= from_ms || booking.from_ms > to_ms) continue;
    if (booking.from_ms == booking.to_ms) {
      if (booking.to_ms <= to_ms) sum += booking.counts;
      continue;
    }
    sum += BookedUpTo(booking, to_ms) - BookedUpTo(booking, from_ms);
  }
  return sum;
}

EdgeSlot::EdgeSlot(const std::vector<GroupBooking>& bookings, int64_t begin_ms, int64_t end_ms)
    : end_ms_(end_ms) {
  for (const GroupBooking& booking : bookings) {
    if (booking.from_ms != booking.to_ms) {
      spreads_.push_back(booking);
    } else if (booking.to_ms > begin_ms && booking.to_ms <= end_ms) {
      points_.push_back({booking.to_ms, booking.counts});
    }
  }
  std::sort(points_.begin(), points_.end(),
            [](const Point& a, const Point& b) { return a.time_ms < b.time_ms; });
  size_t kept = 0;
  for (size_t i = 0; i < points_.size(); ++i) {
    if (kept > 0 && points_[kept - 1].time_ms == points_[i].time_ms) {
      points_[kept - 1].from_here += points_[i].from_here;
    } else {
      points_[kept++] = points_[i];
    }
  }
  points_.resize(kept);
  points_.shrink_to_fit();
  for (size_t i = kept; i-- > 1;) points_[i - 1].from_here += points_[i].from_here;
}

Counts EdgeSlot::After(int64_t from_ms) const {
  Counts sum = CountInside(spreads_, from_ms, end_ms_);
  const auto at =
      std::upper_bound(points_.begin(), points_.end(), from_ms,
                       [](int64_t time_ms, const Point& point) { return time_ms < point.time_ms; });
  if (at != points_.end()) sum += at->from_here;
  return sum;
}

// Those of one leaf, if it has been counted and is of the group.
Status SloSet::AddBookings(GroupIndex g, const StoredLeaf& series, MeasureIndex measure,
                           const storage::Selection& selection, size_t i,
                           storage::TimeRange stretch, int64_t cut_ms,
                           std::vector<GroupBooking>& bookings) {
  const auto it = entry_by_series_.find(SeriesKey(series.partition, series.ordinal, measure));
  if (it == entry_by_series_.end()) return OkStatus();
  const LeafEntry& entry = entries_[it->second];
  const auto places = PlacesOf(entry);
  const auto place =
      std::find_if(places.begin(), places.end(), [&](const Place& p) { return p.group == g; });
  if (place == places.end() || entry.counted_ms == 0) return OkStatus();
  StoredLeaf leaf = series;
  leaf.measure = measure;
  const auto [begin_ms, end_ms] = stretch;
  const int64_t cut = std::min(cut_ms, entry.counted_ms);
  const int64_t near = std::min(cut, end_ms + kLookAheadMs);
  BASALT_TRY_ASSIGN(LeafHistory counted, history_->Count(leaf, selection, i, begin_ms, near));
  if (counted.state.last_ms <= end_ms && near < cut) {
    const int64_t far = std::min(cut, end_ms + kMaxGapMs);
    BASALT_TRY_ASSIGN(counted, history_->Count(leaf, selection, i, begin_ms, far));
  }
  for (const Booking& booking : counted.bookings) {
    if (booking.to_ms > end_ms && booking.from_ms >= end_ms) continue;
    bookings.push_back(groups_[g]->rounds.Weigh(place->leaf, booking));
  }
  return OkStatus();
}

// The bookings that touch (begin_ms, end_ms], of samples at or before `cut_ms`, as they have been
// booked: leaves that are not counted yet are left out.
Result<std::vector<GroupBooking>> SloSet::GroupBookings(GroupIndex g, int64_t begin_ms,
                                                        int64_t end_ms, int64_t cut_ms) {
  std::vector<GroupBooking> bookings;
  const SloGroup& group = *groups_[g];
  History* history = OpenHistory();
  if (history == nullptr) return Unavailable("slo: no snapshot");
  const auto visit = [&](const StoredLeaf& leaf, const storage::Selection& selection,
                         size_t i) -> Status {
    for (MeasureIndex m = 0; m < index_.measures().size(); ++m) {
      BASALT_TRY(AddBookings(g, leaf, m, selection, i, {begin_ms, end_ms}, cut_ms, bookings));
    }
    return OkStatus();
  };
  const storage::TimeRange range{begin_ms - kMaxGapMs, end_ms + kMaxGapMs};
  BASALT_TRY(
      history->ForEachLeaf(definitions_[group.slo], group.slo, ValuesOf(group), range, visit));
  return bookings;
}

std::optional<Counts> SloSet::ReadEdge(GroupIndex g, size_t level, const WindowSum& sum,
                                       int64_t from_ms) {
  // Slices come from queries, which a sweep does not ask: the caller estimates.
  if (definitions_[groups_[g]->slo].polled.has_value()) return std::nullopt;
  const EdgeKey key{g, level, sum.edge_begin_ms};
  auto it = edges_.find(key);
  if (it == edges_.end()) {
    if (edges_.size() >= kMaxEdges) edges_.clear();
    auto bookings = GroupBookings(g, sum.edge_begin_ms, sum.edge_end_ms, slots_.head_ms(g));
    if (!bookings.ok()) {
      NoteError(bookings.status().WithContext("reading a window's edge"));
      return std::nullopt;
    }
    ++stats_.edge_reads;
    it = edges_.emplace(key, EdgeSlot(*bookings, sum.edge_begin_ms, sum.edge_end_ms)).first;
  }
  return it->second.After(from_ms);
}

void SloSet::CorrectDirty(std::chrono::nanoseconds until) {
  for (size_t n = dirty_.size(); n > 0 && now() < until; --n) {
    const Dirty dirty = dirty_.front();
    dirty_.pop_front();
    const Result<bool> done = Correct(dirty);
    if (!done.ok()) NoteError(done.status().WithContext("correcting after a late sample"));
    if (!done.ok() || !*done) dirty_.push_back(dirty);
  }
}

// False: not yet, because storage does not show the change or its rounds are still open.
Result<bool> SloSet::Correct(const Dirty& dirty) {
  const LeafEntry& entry = entries_[dirty.entry];
  if (entry.counted_ms == 0) return true;  // not counted yet: it will be read with its history
  auto snapshot = store_.reader().TakeSnapshot(dirty.position, Duration(0));
  if (!snapshot.ok()) {
    if (snapshot.status().code() == StatusCode::kDeadlineExceeded) return false;
    return snapshot.status();
  }
  history_ = std::make_unique<History>(index_, std::move(snapshot).value());
  for (const Place& place : PlacesOf(entry)) {
    const GroupIndex g = place.group;
    const SloGroup& group = *groups_[g];
    if (group.kind == SloGroup::Kind::kTotal) continue;  // with the leaf's own group
    const std::optional<GroupIndex> total = totals_[group.slo];
    int64_t begin_ms = dirty.from_ms;
    int64_t end_ms = dirty.to_ms;
    const auto reach = [&](const StoredLeaf& leaf, const storage::Selection&, size_t) -> Status {
      if (leaf.partition != entry.partition || leaf.ordinal != entry.ordinal) return OkStatus();
      BASALT_TRY_ASSIGN(const storage::TimeRange first, history_->Reach(leaf, dirty.from_ms));
      BASALT_TRY_ASSIGN(const storage::TimeRange last, history_->Reach(leaf, dirty.to_ms));
      begin_ms = std::min(begin_ms, first.min_ms);
      end_ms = std::max(end_ms, last.max_ms);
      return OkStatus();
    };
    const storage::TimeRange around{dirty.from_ms - kMaxGapMs, dirty.to_ms + kMaxGapMs};
    BASALT_TRY(
        history_->ForEachLeaf(definitions_[group.slo], group.slo, ValuesOf(group), around, reach));
    // An open round holds what was counted without the late sample; it has to settle first.
    const auto is_open = [&](GroupIndex one) {
      const Rounds& rounds = groups_[one]->rounds;
      return rounds.has_open() && rounds.first_touched_ms() <= end_ms;
    };
    if (is_open(g) || (total.has_value() && is_open(*total))) return false;
    begin_ms -= kCorrectionMarginMs;
    end_ms += kCorrectionMarginMs;
    // Reading every series of the SLO for one late sample is the last resort.
    const bool together = total.has_value() && KeepsAsMuch(g, *total);
    BASALT_TRY(CorrectGroup(g, together ? total : std::nullopt, begin_ms, end_ms));
    if (total.has_value() && !together) {
      BASALT_TRY(CorrectGroup(*total, std::nullopt, begin_ms, end_ms));
    }
  }
  ++stats_.corrections;
  return true;
}

// Whether every slot that `total` still has is one of `g`'s too.
bool SloSet::KeepsAsMuch(GroupIndex g, GroupIndex total) const {
  for (size_t level = 0; level < slots_.layout(g).levels().size(); ++level) {
    if (slots_.FirstSlot(g, level) > slots_.FirstSlot(total, level)) return false;
  }
  return true;
}

void SloSet::ForgetEdges(GroupIndex g) {
  auto it = edges_.lower_bound(EdgeKey{g, 0, INT64_MIN});
  while (it != edges_.end() && std::get<0>(it->first) == g) it = edges_.erase(it);
}

Status SloSet::CorrectGroup(GroupIndex g, std::optional<GroupIndex> total, int64_t begin_ms,
                            int64_t end_ms) {
  const int64_t head_ms = slots_.head_ms(g);
  end_ms = std::min(end_ms, head_ms);
  // The finest level that still keeps all of it gives what changes; coarser ones take over the
  // sums.
  const std::vector<Level>& levels = slots_.layout(g).levels();
  size_t base = 0;
  while (base + 1 < levels.size() && slots_.FirstSlot(g, base) * levels[base].slot_ms > begin_ms) {
    ++base;
  }
  const int64_t base_ms = levels[base].slot_ms;
  const int64_t first = std::max(SlotOf(begin_ms + 1, base_ms), slots_.FirstSlot(g, base));
  const int64_t last = SlotOf(end_ms, base_ms);
  if (last < first) return OkStatus();
  begin_ms = first * base_ms;
  end_ms = (last + 1) * base_ms;
  BASALT_TRY_ASSIGN(const std::vector<GroupBooking> bookings,
                    GroupBookings(g, begin_ms, end_ms, head_ms));
  const auto correct = [&](size_t level, int64_t k, const Counts& delta) {
    slots_.Correct(g, level, k, delta);
    if (total.has_value()) slots_.Correct(*total, level, k, delta);
  };
  for (size_t level = 0; level <= base; ++level) {
    const int64_t slot_ms = levels[level].slot_ms;
    for (int64_t k = std::max(begin_ms / slot_ms, slots_.FirstSlot(g, level)); k < end_ms / slot_ms;
         ++k) {
      const Counts now_counts = CountInside(bookings, k * slot_ms, (k + 1) * slot_ms);
      const Counts delta = now_counts - slots_.Slot(g, level, k);
      if (delta == Counts{}) continue;
      correct(level, k, delta);
      if (level != base) continue;
      for (size_t above = base + 1; above < levels.size(); ++above) {
        correct(above, SlotOf((k + 1) * slot_ms, levels[above].slot_ms), delta);
      }
    }
  }
  for (const GroupIndex changed : {g, total.value_or(g)}) {
    groups_[changed]->changed_ms = std::min(groups_[changed]->changed_ms, begin_ms);
    groups_[changed]->quiet = {};
    ForgetEdges(changed);
  }
  return OkStatus();
}

}  // namespace basalt::slo
