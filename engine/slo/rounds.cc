#include "engine/slo/rounds.h"

#include <algorithm>

namespace basalt::slo {

using std::chrono::nanoseconds;

Rounds::LeafIndex Rounds::AddLeaf(uint64_t target, int64_t bad, int64_t total) {
  const auto [it, is_new] =
      member_of_target_.try_emplace(target, static_cast<uint32_t>(members_.size()));
  if (is_new) members_.emplace_back();
  const auto index = static_cast<LeafIndex>(leaves_.size());
  Leaf leaf;
  leaf.member = it->second;
  leaf.bad = bad;
  leaf.total = total;
  leaves_.push_back(leaf);
  members_[it->second].leaves.push_back(index);
  return index;
}

GroupBooking Rounds::Weigh(LeafIndex index, const Booking& booking) const {
  const Leaf& leaf = leaves_[index];
  return {booking.from_ms, booking.to_ms, {booking.amount * leaf.bad, booking.amount * leaf.total}};
}

bool Rounds::Book(LeafIndex index, const Booking& booking, nanoseconds now) {
  if (booking.to_ms <= settled_ms_) return false;
  const auto [it, is_new] = open_.try_emplace(booking.to_ms);
  Round& round = it->second;
  if (is_new) round.arrived = now;
  const GroupBooking weighed = Weigh(index, booking);
  if (booking.from_ms == booking.to_ms) {
    round.counts += weighed.counts;
  } else {
    round.spreads.push_back(weighed);
  }
  return true;
}

void Rounds::Resume(LeafIndex index, int64_t last_ms, int64_t interval_ms, Amount last_amount) {
  Leaf& leaf = leaves_[index];
  leaf.last_ms = last_ms;
  leaf.last_amount = last_amount;
  leaf.ended = false;
  Member& member = members_[leaf.member];
  if (last_ms <= member.round_ms) return;
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
  // Its target is rounds ahead already: the leaf is still missing there. Rounds settle in order, so
  // it is enough to wait in the next one; that another target's round may lie between does no harm.
  if (leaf.waits_for_ms != 0) return;
  const auto next = open_.upper_bound(t);
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
  const auto [it, is_new] = open_.try_emplace(time_ms);
  if (is_new) it->second.arrived = now;
  for (const LeafIndex index : member.leaves) {
    Leaf& leaf = leaves_[index];
    // A leaf that missed the round before is waited for there, or has been given up.
    if (index == reporter || leaf.ended || leaf.waits_for_ms != 0 || leaf.last_ms < before)
      continue;
    leaf.waits_for_ms = time_ms;
    ++it->second.missing;
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
  const bool alone = std::all_of(member.leaves.begin(), member.leaves.end(),
                                 [&](LeafIndex i) { return leaves_[i].ended; });
  if (alone) Expect(leaf.member, 0);
}

void Rounds::Expect(uint32_t number, int64_t time_ms) {
  Member& member = members_[number];
  if (member.expected_ms != 0) expected_.erase({member.expected_ms, number});
  member.expected_ms = time_ms;
  if (time_ms != 0) expected_.emplace(time_ms, number);
}

bool Rounds::PopSettled(nanoseconds now, nanoseconds timeout, SettledRound& out) {
  if (open_.empty()) return false;
  const auto& [time_ms, round] = *open_.begin();
  if (now - round.arrived >= timeout) {
    // Whoever is overdue has lapsed, and is expected again once it has reported.
    while (!expected_.empty() && expected_.begin()->first <= time_ms) {
      Expect(expected_.begin()->second, 0);
    }
  } else if (round.missing != 0 || (!expected_.empty() && expected_.begin()->first <= time_ms)) {
    return false;
  }
  Pop(out);
  return true;
}

bool Rounds::PopAny(SettledRound& out) {
  if (open_.empty()) return false;
  Pop(out);
  return true;
}

void Rounds::Pop(SettledRound& out) {
  const auto it = open_.begin();
  if (it->second.missing != 0) {
    for (Leaf& leaf : leaves_) {
      if (leaf.waits_for_ms == it->first) leaf.waits_for_ms = 0;
    }
  }
  settled_ms_ = it->first;
  out = {it->first, it->second.counts, std::move(it->second.spreads)};
  open_.erase(it);
}

void Rounds::ForEachOpen(const std::function<void(int64_t, const Counts&)>& visit) const {
  Counts counts;
  for (const auto& [time_ms, round] : open_) {
    counts += round.counts;
    for (const GroupBooking& spread : round.spreads) counts.total += spread.counts.total;
    visit(time_ms, counts);
  }
}

Amount Rounds::Unreported() const {
  if (open_.empty()) return 0;
  const int64_t newest = open_.rbegin()->first;
  Amount sum = 0;
  for (const Leaf& leaf : leaves_) {
    if (leaf.ended || leaf.total <= 0) continue;
    const Member& member = members_[leaf.member];
    const bool overdue = member.expected_ms != 0 && member.expected_ms <= newest;
    if (leaf.waits_for_ms == 0 && !overdue) continue;
    const int64_t interval = std::max<int64_t>(member.interval_ms, 1);
    const int64_t missing = std::clamp<int64_t>((newest - leaf.last_ms) / interval, 1, 1000);
    sum += leaf.last_amount * leaf.total * missing;
  }
  return sum;
}

}  // namespace basalt::slo
