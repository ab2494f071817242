#include "storage/head/partition_head.h"

#include <algorithm>
#include <bit>
#include <string_view>
#include <utility>

#include "engine/base/time.h"
#include "storage/head/group.h"

namespace basalt::storage {

namespace {

// Samples between asking for a stream's last block and appending to it: some 100 ns.
constexpr size_t kPrefetchAhead = 8;

}  // namespace

PartitionHead::PartitionHead(PartitionId partition, PartitionIndex& index, uint32_t seal_samples)
    : partition_(partition), index_(index), seal_samples_(seal_samples) {
  BASALT_CHECK(seal_samples >= 1 && seal_samples <= kMaxSealSamples,
               "seal_samples is out of range");
  const MutexLock lock(mu_);
  known_series_ = index.series_count();
}

PartitionHead::~PartitionHead() = default;

// ---- apply ----

PartitionHead::Target PartitionHead::PlaceOf(SeriesOrdinal ordinal) {
  const auto at = static_cast<uint32_t>(ordinal);
  if (at >= places_.size()) places_.resize(std::max<size_t>(at + 1, known_series_));
  Place& place = places_[at];
  if (place.group == kNoGroup) {
    const auto number = static_cast<uint32_t>(index_.place(ordinal).group);
    if (number >= groups_.size()) groups_.resize(number + 1);
    if (groups_[number] == nullptr) {
      groups_[number] = std::make_unique<Group>();
      ++group_count_;
    }
    Group& group = *groups_[number];
    BASALT_CHECK(group.members.size() < kMaxSeriesPerGroup, "a group outgrows its slots");
    place.group = number;
    place.slot = static_cast<uint16_t>(group.members.size());
    group.members.push_back(ordinal);
    group.open.AddSeries();
    ++series_count_;
  }
  return {.ordinal = ordinal,
          .slot = place.slot,
          .created = false,
          .group = groups_[place.group].get()};
}

PartitionHead::Target PartitionHead::Resolve(const IngestBatch& batch, const BatchSeries& series,
                                             ApplyCounts& counts) {
  SeriesOrdinal ordinal = series.ordinal;
  if (ordinal == kUnknownOrdinal) {
    const std::string_view labels =
        std::string_view(batch.labels).substr(series.labels_offset, series.labels_bytes);
    const Result<SeriesOrdinal> inserted = index_.Insert(batch.tenant, series.id, labels);
    if (!inserted.ok()) {
      ++counts.series_refused;
      return {};
    }
    ordinal = *inserted;
    if (static_cast<uint32_t>(ordinal) >= known_series_) {
      known_series_ = static_cast<uint32_t>(ordinal) + 1;
      counts.created.emplace_back(series.id, ordinal);
      if (observer_ != nullptr) ReportNewSeries(ordinal);
      Target target = PlaceOf(ordinal);
      target.created = true;
      return target;
    }
  } else if (static_cast<uint32_t>(ordinal) >= known_series_ ||
             (!batch.ids_from_index && series.id != SeriesId{} &&
              index_.id(ordinal) != series.id)) {
    ++counts.series_refused;
    return {};
  }
  return PlaceOf(ordinal);
}

void PartitionHead::Apply(const IngestBatch& batch, LogPosition position, ApplyCounts& counts) {
  BASALT_CHECK(batch.partition == partition_);
  const MutexLock lock(mu_);
  applied_ = position;
  newest_ms_ = event_ms_;
  const bool known = AllKnown(batch);
  targets_.clear();
  if (known) {
    ApplyKnown(batch, position.seq, counts);
  } else {
    for (const BatchSeries& series : batch.series)
      targets_.push_back(Resolve(batch, series, counts));
    ApplyAny(batch, position.seq, counts);
  }
  for (const HistogramSample& h : batch.histograms) {
    const Target target = known ? PlaceOf(batch.series[h.series].ordinal) : targets_[h.series];
    if (target.group == nullptr) continue;
    const std::string bytes = EncodeHistogram(h.histogram);
    const std::optional<SampleKind> kind = ApplySample(
        target, {.time_ms = h.time_ms, .start_ms = h.start_ms, .value = 0, .histogram = &bytes},
        position.seq);
    Count(kind, counts);
    if (!kind.has_value()) continue;
    newest_ms_ = std::max(newest_ms_, h.time_ms);
    ++counts.histograms;
    if (observer_ != nullptr) {
      const NewSample sum{.time_ms = h.time_ms,
                          .start_ms = h.start_ms,
                          .value = h.histogram.sum,
                          .histogram = nullptr};
      Report(target, sum, *kind, &h.histogram);
    }
  }
  ++version_;
  ReportSamples();
  if (newest_ms_ >= next_sweep_ms_) MoveOn(newest_ms_);
  event_ms_ = std::max(event_ms_, newest_ms_);
}

void PartitionHead::ApplyAny(const IngestBatch& batch, uint64_t seq, ApplyCounts& counts) {
  for (size_t i = 0; i < batch.sample_ms.size(); ++i) {
    const Target& target = targets_[batch.sample_series[i]];
    if (target.group == nullptr) continue;
    if (i + kPrefetchAhead < batch.sample_ms.size()) {
      const Target& later = targets_[batch.sample_series[i + kPrefetchAhead]];
      if (later.group != nullptr) later.group->open.Prefetch(later.slot);
    }
    ApplyFloat(batch, i, target, seq, counts);
  }
}

void PartitionHead::ApplyFloat(const IngestBatch& batch, size_t i, const Target& target,
                               uint64_t seq, ApplyCounts& counts) {
  const NewSample sample{
      .time_ms = batch.sample_ms[i],
      .start_ms = batch.sample_start_ms.empty() ? kNoStartMs : batch.sample_start_ms[i],
      .value = batch.sample_value[i],
      .histogram = nullptr};
  const std::optional<SampleKind> kind = ApplySample(target, sample, seq);
  Count(kind, counts);
  if (!kind.has_value()) return;
  newest_ms_ = std::max(newest_ms_, sample.time_ms);
  if (observer_ != nullptr) Report(target, sample, *kind);
}

void PartitionHead::Count(const std::optional<SampleKind>& kind, ApplyCounts& counts) {
  if (!kind.has_value()) {
    ++counts.identical;
    return;
  }
  ++counts.accepted;
  ++samples_;
  if (*kind == SampleKind::kLate) ++counts.late;
  if (*kind == SampleKind::kOverwrite) ++counts.overwritten;
}

namespace {

bool SameSample(const NewSample& a, double value, int64_t start_ms, const std::string* histogram) {
  if (a.start_ms != start_ms || (a.histogram == nullptr) != (histogram == nullptr)) return false;
  return a.histogram != nullptr
             ? *a.histogram == *histogram
             : std::bit_cast<uint64_t>(a.value) == std::bit_cast<uint64_t>(value);
}

uint16_t DayNumber(int64_t time_ms) {
  // Times are checked at the door; the clamp only keeps a bad one from wrapping into another day.
  return static_cast<uint16_t>(std::clamp<int64_t>(time_ms / kMsPerDay, 0, 0xFFFE));
}

}  // namespace

std::optional<SampleKind> PartitionHead::ApplySample(const Target& target, const NewSample& sample,
                                                     uint64_t seq) {
  Group& group = *target.group;
  std::optional<SampleKind> late;
  if (sample.time_ms <= group.open.newest_ms(target.slot)) [[unlikely]] {
    late = SampleKind::kLate;
    if (const LateSample* found =
            group.late == nullptr ? nullptr : group.late->Find(target.slot, sample.time_ms);
        found != nullptr) {
      const std::string* histogram =
          found->histogram == kNoHistogram ? nullptr : &group.late->histograms[found->histogram];
      if (SameSample(sample, found->value, found->start_ms, histogram)) return std::nullopt;
      late = SampleKind::kOverwrite;
    } else if (StreamSample open; group.open.Find(target.slot, sample.time_ms, open)) {
      const std::string* histogram =
          open.histogram == kNoHistogram ? nullptr : &group.open.histogram(open.histogram);
      if (SameSample(sample, open.value, open.start_ms, histogram)) return std::nullopt;
      late = SampleKind::kOverwrite;
    }
  }
  if (group.changed != version_ + 1) BeforeChange(group);
  if (group.first_seq == 0) group.first_seq = seq;
  MarkDay(target, sample.time_ms);
  if (late.has_value()) {
    AddLate(group, target.slot, sample, seq);
    return late;
  }
  if (group.open.count(target.slot) >= seal_samples_) FreezeLayer(group, seq);
  const bool first = group.open.newest_ms(target.slot) == INT64_MIN;
  group.open.Append(target.slot, sample);
  return first && !target.created && sample.time_ms <= sealed_ms_ ? SampleKind::kLate
                                                                  : SampleKind::kInOrder;
}

void PartitionHead::MarkDay(const Target& target, int64_t time_ms) {
  Group& group = *target.group;
  const bool same_day = time_ms >= group.day_begin_ms && time_ms < group.day_end_ms;
  const int64_t newest_ms = group.open.newest_ms(target.slot);
  if (same_day && newest_ms >= group.day_begin_ms && newest_ms < group.day_end_ms) return;
  const uint16_t day = DayNumber(time_ms);
  index_.MarkActive(target.ordinal, day);
  group.day_begin_ms = int64_t{day} * kMsPerDay;
  group.day_end_ms = group.day_begin_ms + kMsPerDay;
}

void PartitionHead::AddLate(Group& group, uint32_t slot, const NewSample& sample, uint64_t seq) {
  if (group.late == nullptr) group.late = std::make_unique<LateList>();
  LateSample late{
      .time_ms = sample.time_ms, .start_ms = sample.start_ms, .value = sample.value, .slot = slot};
  if (sample.histogram != nullptr) {
    late.histogram = static_cast<uint32_t>(group.late->histograms.size());
    group.late->histograms.push_back(*sample.histogram);
  }
  group.late->Add(late);
  ++open_late_;
  if (group.late->samples.size() >= kMaxOpenLateSamples) FreezeLate(group, seq);
}

void PartitionHead::Delete(std::span<const SeriesOrdinal> ordinals, TimeRange range,
                           LogPosition position) {
  const MutexLock lock(mu_);
  applied_ = position;
  uint32_t last = kNoGroup;
  for (const SeriesOrdinal ordinal : ordinals) {
    const auto at = static_cast<uint32_t>(ordinal);
    if (at < taps_.size()) {
      if (taps_[at] == kGoneTap) ReportNewSeries(ordinal);
      if (taps_[at] != kNoTap) {
        observer_->OnDelete({.partition = partition_,
                             .position = position,
                             .tap = taps_[at],
                             .start_ms = range.min_ms,
                             .end_ms = range.max_ms});
      }
    }
    if (at >= places_.size() || places_[at].group == kNoGroup || places_[at].group == last)
      continue;
    last = places_[at].group;
    Group& group = *groups_[last];
    FreezeLayer(group, position.seq - 1);
    FreezeLate(group, position.seq - 1);
  }
}

void PartitionHead::Skip(LogPosition position) {
  const MutexLock lock(mu_);
  applied_ = position;
}

// ---- freezing and sealing ----

void PartitionHead::FreezeLayer(Group& group, uint64_t frozen_seq) {
  if (group.open.empty()) return;
  std::shared_ptr<const FrozenLayer> frozen = group.open.Freeze(frozen_seq);
  frozen_bytes_ += frozen->memory_bytes();
  for (SavedView& view : group.views) {
    if (view.open_now == nullptr && !view.open_counts.empty()) view.open_now = frozen;
  }
  group.layers.push_back(std::move(frozen));
}

void PartitionHead::FreezeLate(Group& group, uint64_t frozen_seq) {
  if (group.late == nullptr) return;
  open_late_ -= group.late->samples.size();
  group.late->frozen_seq = frozen_seq;
  group.late->Index();
  group.late->seen = {};
  std::shared_ptr<const LateList> frozen = std::move(group.late);
  frozen_bytes_ += frozen->memory_bytes();
  for (SavedView& view : group.views) {
    if (view.late_now == nullptr && view.late_count > 0) view.late_now = frozen;
  }
  group.lates.push_back(std::move(frozen));
}

bool PartitionHead::IsFull(const Group& group, uint32_t layers) {
  return group.layers.size() >= layers || !group.lates.empty();
}

bool PartitionHead::Wanted(const Group& group, const SealWish& wish) const {
  if (group.empty()) return false;
  return wish.everything || (wish.full && IsFull(group, wish.full_layers)) ||
         (group.first_seq != 0 && group.first_seq < wish.older_than_seq);
}

FrozenPartition PartitionHead::Freeze(const SealWish& wish) {
  FrozenPartition out;
  const MutexLock lock(mu_);
  BASALT_CHECK(sealing_.empty(), "two seals of a partition at once");
  out.last = applied_;
  for (uint32_t number = 0; number < groups_.size(); ++number) {
    if (groups_[number] == nullptr || !Wanted(*groups_[number], wish)) continue;
    Group& group = *groups_[number];
    FreezeLayer(group, applied_.seq);
    FreezeLate(group, applied_.seq);
    group.sealing_layers = group.layers.size();
    group.sealing_lates = group.lates.size();
    group.sealing_first_seq = group.first_seq;
    group.first_seq = 0;
    sealing_.push_back(number);
    for (const auto& layer : group.layers) out.samples += layer->samples;
    for (const auto& late : group.lates) out.samples += late->samples.size();
    out.groups.push_back({.group = GroupId{number},
                          .members = group.members,
                          .layers = group.layers,
                          .lates = group.lates});
  }
  return out;
}

void PartitionHead::Drop() {
  const MutexLock lock(mu_);
  for (const uint32_t number : sealing_) {
    Group& group = *groups_[number];
    BeforeChange(group);
    for (size_t i = 0; i < group.sealing_layers; ++i) {
      frozen_bytes_ -= group.layers[i]->memory_bytes();
      samples_ -= group.layers[i]->samples;
    }
    for (size_t i = 0; i < group.sealing_lates; ++i) {
      frozen_bytes_ -= group.lates[i]->memory_bytes();
      samples_ -= group.lates[i]->samples.size();
    }
    group.layers.erase(group.layers.begin(),
                       group.layers.begin() + static_cast<ptrdiff_t>(group.sealing_layers));
    group.lates.erase(group.lates.begin(),
                      group.lates.begin() + static_cast<ptrdiff_t>(group.sealing_lates));
    group.sealing_layers = group.sealing_lates = 0;
    group.sealing_first_seq = 0;
  }
  ++version_;
  sealing_.clear();
}

void PartitionHead::Keep() {
  const MutexLock lock(mu_);
  for (const uint32_t number : sealing_) {
    Group& group = *groups_[number];
    group.sealing_layers = group.sealing_lates = 0;
    group.first_seq = std::exchange(group.sealing_first_seq, 0);
  }
  sealing_.clear();
}

std::optional<uint64_t> PartitionHead::OldestSeq() const {
  std::optional<uint64_t> oldest;
  const MutexLock lock(mu_);
  for (const auto& group : groups_) {
    if (group == nullptr || group->first_seq == 0) continue;
    if (!oldest.has_value() || group->first_seq < *oldest) oldest = group->first_seq;
  }
  return oldest;
}

LogPosition PartitionHead::applied() const {
  const MutexLock lock(mu_);
  return applied_;
}

HeadStats PartitionHead::Stats() const {
  const MutexLock lock(mu_);
  HeadStats stats{.groups = group_count_, .series = series_count_, .samples = samples_};
  stats.sample_bytes = frozen_bytes_ + open_late_ * sizeof(LateSample);
  stats.bytes = group_count_ * sizeof(Group) + series_count_ * kBytesPerSeries;
  for (const auto& group : groups_) {
    if (group == nullptr) continue;
    stats.bytes += group->open.slot_bytes();
    stats.sample_bytes += group->open.sample_bytes();
    if (group->empty()) continue;
    ++stats.groups_filled;
    stats.filled_series += group->members.size();
    for (uint32_t layers = 1; layers <= HeadStats::kCountedLayers && IsFull(*group, layers);
         ++layers) {
      ++stats.groups_full[layers - 1];
    }
  }
  stats.bytes += stats.sample_bytes;
  return stats;
}

}  // namespace basalt::storage
