// The usual way of samples into PartitionHead: floats of series that are known, many of one target
// at one time. What is not usual about one of them (late, identical, the first of a day, in a full
// layer) is left to ApplySample, one sample at a time.
#include <algorithm>

#include "storage/head/group.h"
#include "storage/head/partition_head.h"

namespace basalt::storage {
namespace {

// Samples whose places are looked up before they are applied. Few enough that looking them up again
// costs nothing where runs are short.
constexpr size_t kMaxScrape = 256;

}  // namespace

bool PartitionHead::AllKnown(const IngestBatch& batch) const {
  if (!batch.sample_start_ms.empty()) return false;
  // An ordinal that is unknown is above all others.
  static_assert(kUnknownOrdinal == SeriesOrdinal{0xFFFF'FFFF});
  uint32_t largest = 0;
  for (const BatchSeries& series : batch.series)
    largest = std::max(largest, static_cast<uint32_t>(series.ordinal));
  if (largest >= known_series_) return false;
  return batch.ids_from_index ||
         std::all_of(batch.series.begin(), batch.series.end(), [this](const BatchSeries& series) {
           return series.id == SeriesId{} || index_.id(series.ordinal) == series.id;
         });
}

void PartitionHead::ApplyKnown(const IngestBatch& batch, uint64_t seq, ApplyCounts& counts) {
  if (places_.size() < known_series_) places_.resize(known_series_);
  slots_.resize(kMaxScrape);
  const auto ordinal_of = [&batch](size_t i) {
    return batch.series[batch.sample_series[i]].ordinal;
  };
  const size_t n = batch.sample_ms.size();
  for (size_t first = 0; first < n;) {
    const int64_t time_ms = batch.sample_ms[first];
    const uint32_t number = places_[static_cast<uint32_t>(ordinal_of(first))].group;
    const size_t end = std::min(n, first + kMaxScrape);
    size_t i = first;
    for (; i < end && batch.sample_ms[i] == time_ms; ++i) {
      const Place place = places_[static_cast<uint32_t>(ordinal_of(i))];
      if (place.group != number) break;
      slots_[i - first] = place.slot;
    }
    if (number == kNoGroup) {  // gave its place up, or has had none since the start
      for (; first < i; ++first) ApplyFloat(batch, first, PlaceOf(ordinal_of(first)), seq, counts);
    } else {
      ApplyScrape(batch, first, i - first, *groups_[number], seq, counts);
      first = i;
    }
  }
}

void PartitionHead::ApplyScrape(const IngestBatch& batch, size_t first, size_t count, Group& group,
                                uint64_t seq, ApplyCounts& counts) {
  const std::span<const uint16_t> slots(slots_.data(), count);
  const std::span<const double> values(batch.sample_value.data() + first, count);
  const int64_t time_ms = batch.sample_ms[first];
  for (size_t done = 0; done < count;) {
    size_t taken = 0;
    // The index knows of the day if it knows of it for the group and for the series.
    if (time_ms >= group.day_begin_ms && time_ms < group.day_end_ms &&
        time_ms > group.open.newest_ms(slots[done])) {
      if (group.changed != version_ + 1) BeforeChange(group);
      taken = group.open.AppendScrape(
          slots.subspan(done), time_ms, values.subspan(done),
          {.newest_from_ms = group.day_begin_ms, .max_samples = seal_samples_});
    }
    if (taken > 0) {
      if (group.first_seq == 0) group.first_seq = seq;
      samples_ += taken;
      counts.accepted += taken;
      newest_ms_ = std::max(newest_ms_, time_ms);
    }
    const auto ordinal_of = [&](size_t i) {
      return batch.series[batch.sample_series[first + i]].ordinal;
    };
    for (size_t i = done; observer_ != nullptr && i < done + taken; ++i) {
      const SeriesOrdinal ordinal = ordinal_of(i);
      if (taps_[static_cast<uint32_t>(ordinal)] == kNoTap) continue;
      Report({.ordinal = ordinal, .slot = slots[i], .created = false, .group = &group},
             {.time_ms = time_ms, .start_ms = kNoStartMs, .value = values[i], .histogram = nullptr},
             SampleKind::kInOrder);
    }
    done += taken;
    if (done == count) break;
    ApplyFloat(
        batch, first + done,
        {.ordinal = ordinal_of(done), .slot = slots[done], .created = false, .group = &group}, seq,
        counts);
    ++done;
  }
}

}  // namespace basalt::storage
