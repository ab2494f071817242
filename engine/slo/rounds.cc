#include "engine/slo/rounds.h"

#include <algorithm>
#include <functional>

namespace basalt::slo {

using std::chrono::nanoseconds;

namespace {

// Targets of a group that are searched one after the other; beyond it a map is kept.
constexpr size_t kSearchedTargets = 16;

bool IsPoint(const Booking& booking) { return booking.from_ms == booking.to_ms; }

}  // namespace

uint32_t Rounds::MemberOf(uint64_t target) {
  const auto next = static_cast<uint32_t>(members_.size());
  if (member_of_target_ == nullptr) {
    for (uint32_t i = 0; i < next; ++i) {
      if (members_[i].target == target) return i;
    }
    if (next == kSearchedTargets) {
      member_of_target_ = std::make_unique<std::unordered_map<uint64_t, uint32_t>>();
      for (uint32_t i = 0; i < next; ++i) member_of_target_->emplace(members_[i].target, i);
    }
  }
  if (member_of_target_ != nullptr) {
    const auto [it, is_new] = member_of_target_->try_emplace(target, next);
    if (!is_new) return it->second;
  }
  members_.emplace_back().target = target;
  return next;
}

Rounds::LeafIndex Rounds::AddLeaf(uint64_t target, int64_t bad, int64_t total) {
  const uint32_t member = MemberOf(target);
  const auto index = static_cast<LeafIndex>(leaves_.size());
  Leaf leaf;
  leaf.member = member;
  leaf.bad = bad;
  leaf.total = total;
  leaves_.push_back(leaf);
  members_[member].leaves.push_back(index);
  return index;
}

Rounds::Round& Rounds::RoundAt(int64_t time_ms, nanoseconds now) {
  const auto [it, is_new] = open_.try_emplace(time_ms);
  if (is_new) it->second.arrived = now;
  return it->second;
}

GroupBooking Rounds::Weigh(LeafIndex index, const Booking& booking) const {
  const Leaf& leaf = leaves_[index];
  return {booking.from_ms, booking.to_ms, {booking.amount * leaf.bad, booking.amount * leaf.total}};
}

bool Rounds::Book(LeafIndex index, const Booking& booking, nanoseconds now) {
  if (booking.to_ms <= settled_ms_) return false;
  Round& round = RoundAt(booking.to_ms, now);
  const GroupBooking weighed = Weigh(index, booking);
  if (booking.from_ms == booking.to_ms) {
    round.counts += weighed.counts;
  } else {
    round.spreads.push_back(weighed);
  }
  return true;
}

void Rounds::BookHistory(LeafIndex index, std::span<const Booking> bookings) {
  const auto first = std::find_if(bookings.begin(), bookings.end(), IsPoint);
  if (first == bookings.end()) return;
  if (loaded_ == nullptr) loaded_ = std::make_unique<std::vector<LoadedList>>();
  loaded_order_.clear();
  auto shared = std::find_if(loaded_->begin(), loaded_->end(), [&](const LoadedList& list) {
    return list.taken < list.points.size() && list.points[list.taken].time_ms == first->to_ms;
  });
  // A series that was born later joins in the middle.
  if (shared == loaded_->end()) {
    shared = std::find_if(loaded_->begin(), loaded_->end(), [&](const LoadedList& list) {
      const auto from = list.points.begin() + static_cast<std::ptrdiff_t>(list.taken);
      const auto at = std::lower_bound(
          from, list.points.end(), first->to_ms,
          [](const LoadedPoint& point, int64_t time_ms) { return point.time_ms < time_ms; });
      return at != list.points.end() && at->time_ms == first->to_ms;
    });
  }
  if (shared == loaded_->end()) {
    std::vector<LoadedPoint>& points = loaded_->emplace_back().points;
    points.reserve(bookings.size());
    for (const Booking& booking : bookings) {
      if (IsPoint(booking)) points.push_back({booking.to_ms, Weigh(index, booking).counts});
    }
    return;
  }
  auto at = shared->points.begin() + static_cast<std::ptrdiff_t>(shared->taken);
  std::vector<LoadedPoint> others;  // that the list has no time for
  for (const Booking& booking : bookings) {
    if (!IsPoint(booking)) continue;
    while (at != shared->points.end() && at->time_ms < booking.to_ms) ++at;
    const Counts counts = Weigh(index, booking).counts;
    if (at != shared->points.end() && at->time_ms == booking.to_ms) {
      at->counts += counts;
    } else {
      others.push_back({booking.to_ms, counts});
    }
  }
  if (!others.empty()) loaded_->push_back({std::move(others), 0});
}

void Rounds::OrderLoaded() {
  for (uint32_t i = 0; i < loaded_->size(); ++i) {
    const LoadedList& list = (*loaded_)[i];
    if (list.taken < list.points.size()) {
      loaded_order_.emplace_back(list.points[list.taken].time_ms, i);
    }
  }
  std::make_heap(loaded_order_.begin(), loaded_order_.end(), std::greater<>());
  if (loaded_order_.empty()) loaded_.reset();
}

void Rounds::Resume(LeafIndex index, int64_t last_ms, int64_t interval_ms, Amount last_amount,
                    int64_t ended_ms) {
  Leaf& leaf = leaves_[index];
  leaf.last_ms = last_ms;
  leaf.last_amount = last_amount;
  leaf.ended = ended_ms != 0;
  leaf.ended_ms = ended_ms;
  Member& member = members_[leaf.member];
  if (last_ms < member.round_ms || (last_ms == member.round_ms && member.expected_ms != 0)) return;
  if (leaf.ended) interval_ms = 0;
  member.round_ms = last_ms;
  member.interval_ms = member.previous_interval_ms = interval_ms;
  Expect(leaf.member, interval_ms > 0 ? last_ms + interval_ms : 0);
}

bool Rounds::Report(LeafIndex index, const Booking& booking, nanoseconds now) {
  const bool open = Book(index, booking, now);
  Seen(index, booking.to_ms, booking.amount, now);
  return open;
}

void Rounds::Seen(LeafIndex index, int64_t t, Amount amount, nanoseconds now) {
  Leaf& leaf = leaves_[index];
  if (t > members_[leaf.member].round_ms) BeginRound(leaf.member, index, t, now);
  if (leaf.waits_for_ms != 0 && t >= leaf.waits_for_ms) StopWaiting(leaf);
  if (t > leaf.last_ms) {
    leaf.last_ms = t;
    leaf.last_amount = amount;
  }
  leaf.ended = false;
  leaf.ended_ms = 0;
  if (t == leaf.last_ms) WaitIfBehind(leaf);
}

// Rounds settle in order, so it is enough to wait in the next one; that another target's round may
// lie between does no harm.
void Rounds::WaitIfBehind(Leaf& leaf) {
  if (leaf.waits_for_ms != 0) return;
  const auto next = open_.upper_bound(leaf.last_ms);
  if (next == open_.end() || next->first > members_[leaf.member].round_ms) return;
  ++next->second.missing;
  leaf.waits_for_ms = next->first;
}

void Rounds::BeginRound(uint32_t number, LeafIndex reporter, int64_t time_ms, nanoseconds now) {
  Member& member = members_[number];
  const int64_t before = member.round_ms;
  if (before != 0) {
    member.previous_interval_ms = member.interval_ms;
    member.interval_ms = time_ms - before;
  }
  member.round_ms = time_ms;
  int64_t interval = member.interval_ms;
  if (member.previous_interval_ms > 0) interval = std::min(interval, member.previous_interval_ms);
  Expect(number, interval > 0 ? time_ms + interval : 0);
  if (time_ms <= settled_ms_) return;
  Round& round = RoundAt(time_ms, now);
  const bool is_back = HasEnded(member);
  for (const LeafIndex index : member.leaves) {
    Leaf& leaf = leaves_[index];
    // A leaf that missed the round before is waited for there, or has been given up.
    if (index == reporter || leaf.waits_for_ms != 0 || leaf.last_ms < before) continue;
    // One that has ended alone is gone; those that ended with their target come back with it.
    if (leaf.ended && (!is_back || leaf.last_ms == 0)) continue;
    leaf.waits_for_ms = time_ms;
    ++round.missing;
  }
}

void Rounds::StopWaiting(Leaf& leaf) {
  if (leaf.waits_for_ms == 0) return;
  if (const auto it = open_.find(leaf.waits_for_ms); it != open_.end()) --it->second.missing;
  leaf.waits_for_ms = 0;
}

void Rounds::End(LeafIndex index) {
  Leaf& leaf = leaves_[index];
  leaf.ended = true;
  StopWaiting(leaf);
  Member& member = members_[leaf.member];
  if (HasEnded(member)) Expect(leaf.member, 0);
}

bool Rounds::HasEnded(const Member& member) const {
  return std::all_of(member.leaves.begin(), member.leaves.end(),
                     [this](LeafIndex i) { return leaves_[i].ended; });
}

void Rounds::Expect(uint32_t number, int64_t time_ms) {
  members_[number].expected_ms = time_ms;
  if (time_ms == 0) return;
  if (expected_.size() > 2 * members_.size() + kSearchedTargets) {
    std::erase_if(expected_,
                  [&](const auto& e) { return members_[e.second].expected_ms != e.first; });
    std::make_heap(expected_.begin(), expected_.end(), std::greater<>());
  }
  expected_.emplace_back(time_ms, number);
  std::push_heap(expected_.begin(), expected_.end(), std::greater<>());
}

int64_t Rounds::FirstExpected() {
  while (!expected_.empty()) {
    const auto [time_ms, member] = expected_.front();
    if (members_[member].expected_ms == time_ms) return time_ms;
    std::pop_heap(expected_.begin(), expected_.end(), std::greater<>());
    expected_.pop_back();
  }
  return INT64_MAX;
}

bool Rounds::PopSettled(nanoseconds now, nanoseconds timeout, SettledRound& out) {
  if (open_.empty()) return false;
  const auto& [time_ms, round] = *open_.begin();
  if (now - round.arrived >= timeout) {
    // Whoever is overdue has lapsed, and is expected again once it has reported.
    while (FirstExpected() <= time_ms) Expect(expected_.front().second, 0);
  } else if (round.missing != 0 || FirstExpected() <= time_ms) {
    return false;
  }
  Pop(out);
  return true;
}

bool Rounds::PopAny(SettledRound& out, int64_t until_ms) {
  if (loaded_ != nullptr && loaded_order_.empty()) OrderLoaded();
  const int64_t loaded_ms = loaded_order_.empty() ? INT64_MAX : loaded_order_.front().first;
  const int64_t open_ms = open_.empty() ? INT64_MAX : open_.begin()->first;
  const int64_t time_ms = std::min(loaded_ms, open_ms);
  if ((open_.empty() && loaded_order_.empty()) || time_ms > until_ms) return false;
  if (open_ms == time_ms) {
    Pop(out);
  } else {
    out.time_ms = settled_ms_ = time_ms;
    out.counts = {};
    out.spreads.clear();
    out.windows.clear();
  }
  while (!loaded_order_.empty() && loaded_order_.front().first == time_ms) {
    std::pop_heap(loaded_order_.begin(), loaded_order_.end(), std::greater<>());
    LoadedList& list = (*loaded_)[loaded_order_.back().second];
    out.counts += list.points[list.taken++].counts;
    if (list.taken == list.points.size()) {
      loaded_order_.pop_back();
      continue;
    }
    loaded_order_.back().first = list.points[list.taken].time_ms;
    std::push_heap(loaded_order_.begin(), loaded_order_.end(), std::greater<>());
  }
  if (loaded_ != nullptr && loaded_order_.empty()) loaded_.reset();
  return true;
}

int64_t Rounds::NextLoaded() {
  if (loaded_ == nullptr) return INT64_MAX;
  if (loaded_order_.empty()) OrderLoaded();
  if (loaded_order_.empty()) return INT64_MAX;
  const int64_t next_ms = loaded_order_.front().first;
  return has_open() && first_open_ms() <= next_ms ? INT64_MAX : next_ms;
}

Rounds::Taken Rounds::PopLoaded(int64_t until_ms, const Counts& most, int64_t slot_ms, Run& run) {
  const int64_t next_ms = NextLoaded();
  if (has_open()) until_ms = std::min(until_ms, first_open_ms() - 1);
  if (next_ms > until_ms) return Taken::kNothing;
  run.first_slot = SlotOf(next_ms, slot_ms);
  const int64_t base_ms = run.first_slot * slot_ms + 1;
  run.counts.assign(static_cast<size_t>(SlotOf(until_ms, slot_ms) - run.first_slot + 1), Counts{});
  run.sum = {};
  run.last_ms = 0;
  run.points = 0;
  popped_.assign(loaded_order_.size(), 0);
  for (size_t i = 0; i < loaded_order_.size(); ++i) {
    if (loaded_order_[i].first > until_ms) continue;
    const LoadedList& list = (*loaded_)[loaded_order_[i].second];
    size_t at = list.taken;
    for (; at < list.points.size() && list.points[at].time_ms <= until_ms; ++at) {
      const LoadedPoint& point = list.points[at];
      if (point.counts.bad < 0 || point.counts.total < 0) return Taken::kTooMuch;
      run.counts[static_cast<size_t>((point.time_ms - base_ms) / slot_ms)] += point.counts;
      run.sum += point.counts;
    }
    if (run.sum.bad > most.bad || run.sum.total > most.total) return Taken::kTooMuch;
    popped_[i] = static_cast<uint32_t>(at - list.taken);
    run.points += popped_[i];
    run.last_ms = std::max(run.last_ms, list.points[at - 1].time_ms);
  }
  for (size_t i = 0; i < loaded_order_.size(); ++i) {
    LoadedList& list = (*loaded_)[loaded_order_[i].second];
    list.taken += popped_[i];
    const bool over = list.taken == list.points.size();
    loaded_order_[i].first = over ? INT64_MAX : list.points[list.taken].time_ms;
  }
  std::erase_if(loaded_order_, [](const auto& entry) { return entry.first == INT64_MAX; });
  std::make_heap(loaded_order_.begin(), loaded_order_.end(), std::greater<>());
  if (loaded_order_.empty()) loaded_.reset();
  settled_ms_ = run.last_ms;
  return Taken::kAll;
}

// The member's last interval is the gap then, and its round before was the leaf's last. A marker at
// the round itself is of a leaf that ended alone: senders write it with the scrape that lacks it.
bool Rounds::IsWantedBack(const Leaf& leaf) const {
  const Member& member = members_[leaf.member];
  return leaf.ended_ms != 0 && leaf.ended_ms < member.round_ms && member.interval_ms > 0 &&
         leaf.last_ms == member.round_ms - member.interval_ms;
}

int64_t Rounds::FirstIncomplete() const {
  int64_t newest_ms = 0;
  for (const Member& member : members_) newest_ms = std::max(newest_ms, member.round_ms);
  int64_t first_ms = INT64_MAX;
  for (const Member& member : members_) {
    if (member.expected_ms == 0) continue;
    const int64_t most_ms = kMostBehind * member.interval_ms;
    if (member.expected_ms <= newest_ms && newest_ms - member.round_ms <= most_ms)
      first_ms = std::min(first_ms, member.expected_ms);
    for (const LeafIndex index : member.leaves) {
      const Leaf& leaf = leaves_[index];
      if (leaf.last_ms == member.round_ms || (leaf.ended && !IsWantedBack(leaf))) continue;
      if (member.round_ms - leaf.last_ms <= most_ms)
        first_ms = std::min(first_ms, leaf.last_ms + 1);
    }
  }
  return first_ms;
}

void Rounds::OpenLoaded(nanoseconds now) {
  if (loaded_ != nullptr) {
    for (const LoadedList& list : *loaded_) {
      for (size_t i = list.taken; i < list.points.size(); ++i)
        RoundAt(list.points[i].time_ms, now).counts += list.points[i].counts;
    }
  }
  loaded_.reset();
  loaded_order_.clear();
  for (auto& [time_ms, round] : open_) round.arrived = now;
  for (Leaf& leaf : leaves_) {
    if (!leaf.ended || IsWantedBack(leaf)) WaitIfBehind(leaf);
  }
}

void Rounds::Pop(SettledRound& out) {
  const auto it = open_.begin();
  if (it->second.missing != 0) {
    for (Leaf& leaf : leaves_) {
      if (leaf.waits_for_ms == it->first) leaf.waits_for_ms = 0;
    }
  }
  settled_ms_ = it->first;
  out.time_ms = it->first;
  out.counts = it->second.counts;
  out.spreads = std::move(it->second.spreads);
  open_.erase(it);
}

Counts Rounds::Unreported() const {
  if (open_.empty()) return {};
  const int64_t newest = open_.rbegin()->first;
  Counts sum;
  for (const Leaf& leaf : leaves_) {
    if ((leaf.ended && leaf.waits_for_ms == 0) || (leaf.total <= 0 && leaf.bad >= 0)) continue;
    const Member& member = members_[leaf.member];
    const bool overdue = member.expected_ms != 0 && member.expected_ms <= newest;
    if (leaf.waits_for_ms == 0 && !overdue) continue;
    const int64_t interval = std::max<int64_t>(member.interval_ms, 1);
    const int64_t missing = std::clamp<int64_t>((newest - leaf.last_ms) / interval, 1, 1000);
    const Amount amount = leaf.last_amount * missing;
    sum.total += amount * std::max<int64_t>(leaf.total, 0);
    sum.bad += amount * std::min<int64_t>(leaf.bad, 0);
  }
  return sum;
}

}  // namespace basalt::slo
