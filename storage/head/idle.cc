// PartitionHead's observer, and series that are idle: given up to the observer, forgotten.
#include <algorithm>
#include <utility>

#include "storage/head/group.h"
#include "storage/head/partition_head.h"

namespace basalt::storage {

void PartitionHead::Observe(ApplyObserver* observer) {
  const MutexLock lock(mu_);
  observer_ = observer;
  taps_.clear();
  if (observer_ == nullptr) return;
  observed_ms_ = event_ms_;
  for (uint32_t i = 0; i < known_series_; ++i) ReportNewSeries(SeriesOrdinal{i});
}

void PartitionHead::ReportNewSeries(SeriesOrdinal ordinal) {
  const auto at = static_cast<uint32_t>(ordinal);
  if (at >= taps_.size()) taps_.resize(std::max<size_t>(at + 1, known_series_), kNoTap);
  taps_[at] = observer_->OnSeries(partition_, ordinal, index_.place(ordinal).tenant,
                                  index_.labels(ordinal));
  BASALT_CHECK(taps_[at] != kGoneTap, "an observer has used its last number");
}

void PartitionHead::Report(const Target& target, const NewSample& sample, SampleKind kind,
                           const NativeHistogram* histogram) {
  TapId tap = taps_[static_cast<uint32_t>(target.ordinal)];
  if (tap == kNoTap) return;
  if (tap == kGoneTap) {
    ReportNewSeries(target.ordinal);
    tap = taps_[static_cast<uint32_t>(target.ordinal)];
    if (tap == kNoTap) return;
  }
  if (histogram != nullptr || !tapped_.histograms.empty()) {
    tapped_.histograms.resize(tapped_.taps.size(), nullptr);  // floats came before
    tapped_.histograms.push_back(histogram);
  }
  tapped_.taps.push_back(tap);
  tapped_.time_ms.push_back(sample.time_ms);
  tapped_.values.push_back(sample.value);
  tapped_.start_ms.push_back(sample.start_ms);
  tapped_.kinds.push_back(kind);
}

void PartitionHead::ReportSamples() {
  if (tapped_.taps.empty()) return;
  observer_->OnSamples({.partition = partition_,
                        .position = applied_,
                        .taps = tapped_.taps,
                        .time_ms = tapped_.time_ms,
                        .values = tapped_.values,
                        .start_ms = tapped_.start_ms,
                        .kinds = tapped_.kinds,
                        .histograms = tapped_.histograms});
  tapped_.taps.clear();
  tapped_.time_ms.clear();
  tapped_.values.clear();
  tapped_.start_ms.clear();
  tapped_.kinds.clear();
  tapped_.histograms.clear();
}

// ---- idle series ----

int64_t PartitionHead::NewestMs(uint32_t ordinal) const {
  if (ordinal >= places_.size() || places_[ordinal].group == kNoGroup) return INT64_MIN;
  return groups_[places_[ordinal].group]->open.newest_ms(places_[ordinal].slot);
}

void PartitionHead::MoveOn(int64_t newest_ms) {
  next_sweep_ms_ = (newest_ms / kIdleSweep.count() + 1) * kIdleSweep.count();
  if (observer_ == nullptr) return;
  if (observed_ms_ == INT64_MIN) observed_ms_ = newest_ms;  // it came before the first sample
  for (uint32_t i = 0; i < taps_.size(); ++i) {
    if (taps_[i] == kNoTap || taps_[i] == kGoneTap) continue;
    if (newest_ms - std::max(NewestMs(i), observed_ms_) < kIdleAfter.count()) continue;
    observer_->OnSeriesGone(partition_, std::exchange(taps_[i], kGoneTap));
  }
}

bool PartitionHead::ForgetIdleOf(Group& group) {
  const auto is_idle = [&](uint32_t slot) BASALT_NO_THREAD_SAFETY_ANALYSIS {
    const int64_t newest_ms = group.open.newest_ms(slot);
    return newest_ms == INT64_MIN || event_ms_ - newest_ms >= kIdleAfter.count();
  };
  const auto slots = static_cast<uint32_t>(group.members.size());
  uint32_t idle = 0;
  for (uint32_t slot = 0; slot < slots; ++slot) idle += is_idle(slot) ? 1 : 0;
  // Numbering the others anew is worth it for a quarter of the slots.
  if (idle * 4 < slots || idle == 0) return false;
  std::vector<SeriesOrdinal> members;
  OpenLayer open;
  members.reserve(slots - idle);
  for (uint32_t slot = 0; slot < slots; ++slot) {
    const SeriesOrdinal ordinal = group.members[slot];
    Place& place = places_[static_cast<uint32_t>(ordinal)];
    if (is_idle(slot)) {
      sealed_ms_ = std::max(sealed_ms_, group.open.newest_ms(slot));
      place = Place{};
      continue;
    }
    place.slot = static_cast<uint16_t>(members.size());
    members.push_back(ordinal);
    open.AddSeries(group.open.newest_ms(slot));
  }
  series_count_ -= idle;
  group.members = std::move(members);
  group.open = std::move(open);
  return group.members.empty();
}

void PartitionHead::ForgetIdle() {
  const MutexLock lock(mu_);
  for (auto& group : groups_) {
    if (group == nullptr || !group->empty() || !group->views.empty()) continue;
    if (!ForgetIdleOf(*group)) continue;
    --group_count_;
    group.reset();
  }
}

void PartitionHead::SealedUpTo(int64_t max_ms) {
  const MutexLock lock(mu_);
  sealed_ms_ = std::max(sealed_ms_, max_ms);
}

}  // namespace basalt::storage
