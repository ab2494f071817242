// The read side of PartitionHead: views, and putting a series together.
#include <algorithm>
#include <utility>

#include "engine/base/stale.h"
#include "storage/codec/row_summary.h"
#include "storage/head/group.h"
#include "storage/head/partition_head.h"

namespace basalt::storage {
namespace {

// The ranges of `masks` that were deleted from a series after log position `frozen_seq`.
void MasksAfter(const DeleteSnapshot& masks, SeriesOrdinal ordinal, uint64_t frozen_seq,
                std::vector<TimeRange>& out) {
  out.clear();
  if (masks.empty()) return;
  for (const std::shared_ptr<const DeleteMask>& mask : masks.masks()) {
    if (mask->position.seq > frozen_seq &&
        std::binary_search(mask->ordinals.begin(), mask->ordinals.end(), ordinal)) {
      out.push_back(mask->range);
    }
  }
}

template <typename Part>
struct Limited {
  std::shared_ptr<const Part> part;
  size_t limit = SIZE_MAX;  // how many of its samples belong to the view
};

// One series as of a view. What was still open is already read.
struct SeriesParts {
  SeriesOrdinal ordinal = kUnknownOrdinal;
  uint32_t slot = 0;
  std::vector<Limited<FrozenLayer>> layers;
  std::vector<Limited<LateList>> lates;
  SampleColumns open;
  SampleColumns open_late;

  // Empty again, with its memory.
  void Reset() {
    ordinal = kUnknownOrdinal;
    layers.clear();
    lates.clear();
    open.Clear();
    open_late.Clear();
  }
  [[nodiscard]] bool only_open() const {
    return layers.empty() && lates.empty() && open_late.empty();
  }
};

void Assemble(SeriesParts& series, TimeRange range, const DeleteSnapshot& masks,
              SampleColumns& out) {
  std::vector<SampleColumns> parts(series.layers.size() + series.lates.size() + 2);
  std::vector<TimeRange> erased;
  size_t n = 0;
  for (const auto& [layer, limit] : series.layers) {
    layer->Read(series.slot, static_cast<uint16_t>(std::min<size_t>(limit, UINT16_MAX)), range,
                parts[n]);
    MasksAfter(masks, series.ordinal, layer->frozen_seq, erased);
    parts[n++].Erase(erased);
  }
  parts[n++] = std::move(series.open);
  for (const auto& [late, limit] : series.lates) {
    late->Read(series.slot, limit, range, parts[n]);
    MasksAfter(masks, series.ordinal, late->frozen_seq, erased);
    parts[n++].Erase(erased);
  }
  parts[n++] = std::move(series.open_late);
  MergeByPrecedence(parts, out);
}

// Series copied under one hold of the partition's lock: about 4 us of decoding open streams.
constexpr size_t kSeriesPerHold = 16;
// Series of which only the newest sample is asked: about as long.
constexpr size_t kNewestPerHold = 256;

}  // namespace

void ReadFrozen(const FrozenGroup& group, uint32_t slot, TimeRange range,
                const DeleteSnapshot& masks, SampleColumns& out) {
  // As nearly all are. Each layer's samples are newer than all of the layers before it.
  if (group.lates.empty() && masks.empty()) {
    out.Clear();
    for (const auto& layer : group.layers) layer->Append(slot, UINT16_MAX, range, out);
    return;
  }
  SeriesParts series{.ordinal = group.members[slot],
                     .slot = slot,
                     .layers = {},
                     .lates = {},
                     .open = {},
                     .open_late = {}};
  for (const auto& layer : group.layers) series.layers.push_back({layer});
  for (const auto& late : group.lates) series.lates.push_back({late});
  Assemble(series, range, masks, out);
}

void PartitionHead::BeforeChange(Group& group) {
  // Views newer than the last change look at the group as it is.
  if (!views_.empty() && views_.rbegin()->first >= group.changed) {
    SavedView saved{.from = group.changed,
                    .to = version_,
                    .layers = group.layers,
                    .lates = group.lates,
                    .open_counts = {},
                    .late_count = group.late == nullptr ? 0 : group.late->samples.size(),
                    .open_now = nullptr,
                    .late_now = nullptr};
    if (!group.open.empty()) saved.open_counts = group.open.Counts();
    if (group.views.empty() && !group.members.empty()) {
      groups_with_views_.push_back(places_[static_cast<uint32_t>(group.members.front())].group);
    }
    group.views.push_back(std::move(saved));
  }
  group.changed = version_ + 1;
}

uint64_t PartitionHead::OpenView() {
  const MutexLock lock(mu_);
  ++views_[version_];
  return version_;
}

void PartitionHead::CloseView(uint64_t view) {
  const MutexLock lock(mu_);
  const auto it = views_.find(view);
  BASALT_CHECK(it != views_.end(), "a view is closed that is not open");
  if (--it->second > 0) return;
  views_.erase(it);
  std::erase_if(groups_with_views_, [this](uint32_t number) BASALT_NO_THREAD_SAFETY_ANALYSIS {
    Group& group = *groups_[number];
    std::erase_if(group.views, [this](const SavedView& saved) BASALT_NO_THREAD_SAFETY_ANALYSIS {
      const auto user = views_.lower_bound(saved.from);
      return user == views_.end() || user->first > saved.to;
    });
    return group.views.empty();
  });
}

void PartitionHead::Read(uint64_t view, std::span<const SeriesOrdinal> ordinals, TimeRange range,
                         const DeleteSnapshot& masks, std::vector<SampleColumns>& out) const {
  out.resize(ordinals.size());
  std::vector<SeriesParts> held(std::min(ordinals.size(), kSeriesPerHold));
  for (size_t begin = 0; begin < ordinals.size(); begin += kSeriesPerHold) {
    const size_t end = std::min(ordinals.size(), begin + kSeriesPerHold);
    for (SeriesParts& series : held) series.Reset();
    {
      const MutexLock lock(mu_);
      for (size_t i = begin; i < end; ++i) {
        SeriesParts& series = held[i - begin];
        const auto at = static_cast<uint32_t>(ordinals[i]);
        if (at >= places_.size() || places_[at].group == kNoGroup) continue;
        const Group& group = *groups_[places_[at].group];
        const uint32_t slot = places_[at].slot;
        series.ordinal = ordinals[i];
        series.slot = slot;
        if (view >= group.changed) {
          for (const auto& layer : group.layers) series.layers.push_back({layer});
          for (const auto& late : group.lates) series.lates.push_back({late});
          group.open.Read(slot, UINT16_MAX, range, series.open);
          if (group.late != nullptr) {
            group.late->Index();
            group.late->Read(slot, SIZE_MAX, range, series.open_late);
          }
          continue;
        }
        const auto saved =
            std::find_if(group.views.begin(), group.views.end(),
                         [view](const SavedView& s) { return s.from <= view && view <= s.to; });
        BASALT_CHECK(saved != group.views.end(), "a view is read that is not open");
        for (const auto& layer : saved->layers) series.layers.push_back({layer});
        for (const auto& late : saved->lates) series.lates.push_back({late});
        if (slot < saved->open_counts.size()) {
          const uint16_t limit = saved->open_counts[slot];
          if (saved->open_now != nullptr) {
            series.layers.push_back({saved->open_now, limit});
          } else {
            group.open.Read(slot, limit, range, series.open);
          }
        }
        if (saved->late_now != nullptr) {
          series.lates.push_back({saved->late_now, saved->late_count});
        } else if (saved->late_count > 0) {
          group.late->Index();
          group.late->Read(slot, saved->late_count, range, series.open_late);
        }
      }
    }
    for (size_t i = begin; i < end; ++i) {
      SeriesParts& series = held[i - begin];
      if (series.only_open()) {
        out[i].Clear();
        std::swap(out[i], series.open);  // the usual case, without a copy
      } else {
        Assemble(series, range, masks, out[i]);
      }
    }
  }
}

void PartitionHead::FindNewest(uint64_t view, std::span<const SeriesOrdinal> ordinals,
                               TimeRange range, std::vector<Newest>& out) const {
  out.assign(ordinals.size(), {});
  const auto find = [&](SeriesOrdinal ordinal) BASALT_REQUIRES(mu_) -> Newest {
    constexpr Newest kUnknown{.known = false};
    const auto at = static_cast<uint32_t>(ordinal);
    if (at >= places_.size() || places_[at].group == kNoGroup) return {};
    const Group& group = *groups_[places_[at].group];
    if (view < group.changed) return kUnknown;
    if (group.empty()) return {};
    if (group.late != nullptr || !group.lates.empty()) return kUnknown;
    // Without late ones, no sample is newer than this.
    const uint32_t slot = places_[at].slot;
    const int64_t newest_ms = group.open.newest_ms(slot);
    if (newest_ms < range.min_ms) return {};
    const std::optional<double> value = group.open.newest_value(slot);
    if (newest_ms > range.max_ms || !value.has_value()) return kUnknown;
    return {.time_ms = newest_ms, .stale = IsStaleMarker(*value)};
  };
  for (size_t begin = 0; begin < ordinals.size(); begin += kNewestPerHold) {
    const size_t end = std::min(ordinals.size(), begin + kNewestPerHold);
    const MutexLock lock(mu_);
    for (size_t i = begin; i < end; ++i) out[i] = find(ordinals[i]);
  }
}

}  // namespace basalt::storage
