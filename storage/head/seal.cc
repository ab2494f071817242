#include "storage/head/seal.h"

#include <algorithm>
#include <map>
#include <span>
#include <utility>

#include "storage/codec/keys.h"
#include "storage/parts/run_builder.h"

namespace basalt::storage {
namespace {

// The runs under way, by day. Rows reach back a few days at most, so few are open at once.
class DayRuns {
 public:
  DayRuns(RunStore& runs, PartitionId partition) : runs_(runs), partition_(partition) {}

  Result<RunBuilder*> At(uint16_t day) {
    auto it = builders_.find(day);
    if (it == builders_.end()) {
      BASALT_TRY_ASSIGN(RunWriter writer, runs_.NewRun(partition_, day, kSealLevel));
      it = builders_.try_emplace(day, std::move(writer)).first;
    }
    return &it->second;
  }
  Result<std::vector<FinishedRun>> Finish(LogPosition after, LogPosition last) {
    std::vector<FinishedRun> finished;
    for (auto& [day, builder] : builders_) {
      BASALT_TRY_ASSIGN(FinishedRun run, builder.Finish(after, last, /*deletes_applied=*/last));
      finished.push_back(std::move(run));
    }
    return finished;
  }

 private:
  RunStore& runs_;
  const PartitionId partition_;
  std::map<uint16_t, RunBuilder> builders_;
};

// Cuts one series at midnights and between floats and histograms.
Status AddSeries(SeriesOrdinal ordinal, const SeriesPlace& place, SampleColumns& samples,
                 DayRuns& days) {
  SampleColumns floats;
  std::vector<HistogramPoint> points;
  for (size_t begin = 0; begin < samples.size();) {
    BASALT_TRY_ASSIGN(const uint16_t day, DayOf(samples.time_ms[begin]));
    const auto end =
        static_cast<size_t>(std::lower_bound(samples.time_ms.begin(), samples.time_ms.end(),
                                             DayStartMs(day) + kMsPerDay) -
                            samples.time_ms.begin());
    BASALT_TRY_ASSIGN(RunBuilder* const writer, days.At(day));
    if (samples.histogram.empty()) {
      const std::span<const int64_t> starts(samples.start_ms);
      BASALT_TRY(writer->AddFloats(ordinal, place,
                                   std::span(samples.time_ms).subspan(begin, end - begin),
                                   std::span(samples.values).subspan(begin, end - begin),
                                   starts.empty() ? starts : starts.subspan(begin, end - begin)));
    } else {
      floats.Clear();
      points.clear();
      for (size_t i = begin; i < end; ++i) {
        if (samples.IsHistogram(i)) {
          points.push_back({.time_ms = samples.time_ms[i],
                            .start_ms = samples.StartAt(i),
                            .histogram = std::move(
                                samples.histograms[static_cast<size_t>(samples.histogram[i])])});
        } else {
          floats.Add(samples.time_ms[i], samples.values[i], samples.StartAt(i));
        }
      }
      if (!floats.empty()) {
        BASALT_TRY(
            writer->AddFloats(ordinal, place, floats.time_ms, floats.values, floats.start_ms));
      }
      BASALT_TRY(writer->AddHistograms(ordinal, place, points));
    }
    begin = end;
  }
  return OkStatus();
}

// What of a series is not in `left`, but would be without deletes. A time counts for the last
// delete that has it: whatever was there before that one is gone by it for certain.
void CountRemoved(const FrozenGroup& group, uint32_t slot, SeriesOrdinal ordinal,
                  const DeleteSnapshot& masks, const SampleColumns& left,
                  std::map<LogPosition, uint64_t>& removed) {
  std::vector<DeletedRange> deleted;
  masks.AppendDeleted(RunInfo{}, ordinal, deleted);
  if (deleted.empty()) return;
  static const DeleteSnapshot none{{}};
  SampleColumns all;
  ReadFrozen(group, slot, TimeRange{}, none, all);
  for (const int64_t time_ms : all.time_ms) {
    if (std::binary_search(left.time_ms.begin(), left.time_ms.end(), time_ms)) continue;
    const auto by = std::find_if(deleted.rbegin(), deleted.rend(), [&](const DeletedRange& d) {
      return d.range.min_ms <= time_ms && time_ms <= d.range.max_ms;
    });
    if (by != deleted.rend()) ++removed[by->position];
  }
}

}  // namespace

Result<std::vector<FinishedRun>> WriteFrozen(const FrozenPartition& frozen, PartitionId partition,
                                             const PartitionIndex& index,
                                             const DeleteSnapshot& masks, LogPosition after,
                                             RunStore& runs,
                                             std::map<LogPosition, uint64_t>& removed) {
  // Where each series' samples are.
  struct Source {
    uint32_t group = 0;  // index in frozen.groups
    uint32_t slot = 0;
  };
  std::vector<SeriesOrdinal> ordinals;
  std::vector<Source> sources(index.series_count());  // by ordinal
  for (uint32_t g = 0; g < frozen.groups.size(); ++g) {
    for (uint32_t slot = 0; slot < frozen.groups[g].members.size(); ++slot) {
      ordinals.push_back(frozen.groups[g].members[slot]);
      sources[static_cast<uint32_t>(ordinals.back())] = {.group = g, .slot = slot};
    }
  }
  index.SortBySeriesOrder(ordinals);

  DayRuns days(runs, partition);
  SampleColumns samples;
  for (const SeriesOrdinal ordinal : ordinals) {
    const Source& source = sources[static_cast<uint32_t>(ordinal)];
    ReadFrozen(frozen.groups[source.group], source.slot, TimeRange{}, masks, samples);
    if (!masks.empty()) {
      CountRemoved(frozen.groups[source.group], source.slot, ordinal, masks, samples, removed);
    }
    if (samples.empty()) continue;
    BASALT_TRY(AddSeries(ordinal, index.place(ordinal), samples, days));
  }
  return days.Finish(after, frozen.last);
}

}  // namespace basalt::storage
