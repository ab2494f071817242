#include "storage/head/seal.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "storage/codec/histogram_column.h"
#include "storage/codec/keys.h"
#include "storage/codec/row_summary.h"
#include "storage/codec/superblock_builder.h"
#include "storage/codec/time_column.h"

namespace basalt::storage {
namespace {

// One finished superblock, kept until the run's time columns are known: their keys come first. A
// seal of one partition is a few MiB at 0.3 bytes a sample.
struct FinishedBlock {
  SeriesPlace place;
  uint16_t row = 0;
  SeriesPlace last_place;
  int64_t min_ms = INT64_MAX;
  int64_t max_ms = INT64_MIN;
  uint32_t samples = 0;
  std::string bytes;
};

// The run of one day.
class DayWriter {
 public:
  // A stretch of one series without histograms, or of nothing else.
  Status AddFloats(SeriesOrdinal ordinal, const SeriesPlace& place,
                   std::span<const int64_t> time_ms, std::span<const double> values,
                   std::span<const int64_t> start_ms);
  Status AddHistograms(SeriesOrdinal ordinal, const SeriesPlace& place,
                       std::span<const HistogramPoint> points);
  Result<FinishedRun> Finish(RunWriter writer, LogPosition after, LogPosition last);

 private:
  Status AddRow(RowInput row, const SeriesPlace& place, std::span<const int64_t> time_ms);
  void FinishBlock();

  SuperblockBuilder builder_;
  TimeColumnSet columns_;
  FinishedBlock open_;  // what builder_ holds
  std::vector<FinishedBlock> blocks_;
};

Status DayWriter::AddRow(RowInput row, const SeriesPlace& place, std::span<const int64_t> time_ms) {
  if (builder_.EstimatedBytes() >= kSuperblockTargetBytes ||
      builder_.row_count() >= kMaxRowsPerSuperblock) {
    FinishBlock();
  }
  // Always shared: the series of a target have equal times, and neighbours in series order are of
  // many targets.
  BASALT_TRY_ASSIGN(row.time_column, builder_.AddSharedColumn(columns_.Add(time_ms), time_ms));
  BASALT_TRY(builder_.AddRow(row));
  if (builder_.row_count() == 1) {
    open_.place = place;
    // Tells superblocks apart whose first rows share their place.
    const FinishedBlock* before = blocks_.empty() ? nullptr : &blocks_.back();
    open_.row = before != nullptr && before->place == place ? static_cast<uint16_t>(before->row + 1)
                                                            : uint16_t{0};
  }
  open_.last_place = place;
  open_.min_ms = std::min(open_.min_ms, time_ms.front());
  open_.max_ms = std::max(open_.max_ms, time_ms.back());
  open_.samples += static_cast<uint32_t>(time_ms.size());
  return OkStatus();
}

void DayWriter::FinishBlock() {
  if (builder_.row_count() == 0) return;
  open_.bytes = builder_.Finish();
  blocks_.push_back(std::exchange(open_, {}));
}

Status DayWriter::AddFloats(SeriesOrdinal ordinal, const SeriesPlace& place,
                            std::span<const int64_t> time_ms, std::span<const double> values,
                            std::span<const int64_t> start_ms) {
  for (size_t i = 0; i < time_ms.size(); i += kMaxSamplesPerRow) {
    const size_t n = std::min(kMaxSamplesPerRow, time_ms.size() - i);
    const auto times = time_ms.subspan(i, n);
    const auto starts = start_ms.empty() ? start_ms : start_ms.subspan(i, n);
    RowInput row{.ordinal = ordinal, .group = place.group};
    row.values = values.subspan(i, n);
    row.start_ms = starts;
    RowSummary summary;
    if (n >= kMinSummarySamples) {
      summary = SummarizeRow(times, row.values, starts);
      row.summary = &summary;
    }
    BASALT_TRY(AddRow(row, place, times));
  }
  return OkStatus();
}

Status DayWriter::AddHistograms(SeriesOrdinal ordinal, const SeriesPlace& place,
                                std::span<const HistogramPoint> points) {
  std::vector<int64_t> times;
  while (!points.empty()) {
    const auto row_points = points.first(HistogramsThatFit(points));
    times.clear();
    for (const HistogramPoint& point : row_points) times.push_back(point.time_ms);
    RowInput row{.ordinal = ordinal, .group = place.group};
    row.histograms = row_points;
    BASALT_TRY(AddRow(row, place, times));
    points = points.subspan(row_points.size());
  }
  return OkStatus();
}

Result<FinishedRun> DayWriter::Finish(RunWriter writer, LogPosition after, LogPosition last) {
  FinishBlock();
  // The columns' superblocks: "place" is metric 0, and the group is the number of the first column.
  for (uint32_t next = 0; next < columns_.size();) {
    FinishedBlock block;
    block.place = block.last_place = {.metric = MetricId{kTimesMetric}, .group = GroupId{next}};
    do {
      const std::span<const int64_t> times = columns_[next];
      BASALT_TRY_ASSIGN(const uint32_t local, builder_.AddColumn(times));
      BASALT_CHECK(next - static_cast<uint32_t>(block.place.group) == local,
                   "time columns are numbered apart");
      block.min_ms = std::min(block.min_ms, times.front());
      block.max_ms = std::max(block.max_ms, times.back());
      ++next;
    } while (next < columns_.size() && builder_.EstimatedBytes() < kSuperblockTargetBytes &&
             next - static_cast<uint32_t>(block.place.group) < kMaxColumnsPerSuperblock);
    block.bytes = builder_.Finish();
    BASALT_TRY(writer.Add({.place = block.place,
                           .row = 0,
                           .last_place = block.last_place,
                           .min_ms = block.min_ms,
                           .max_ms = block.max_ms,
                           .samples = 0,
                           .bytes = block.bytes}));
  }
  for (const FinishedBlock& block : blocks_) {
    BASALT_TRY(writer.Add({.place = block.place,
                           .row = block.row,
                           .last_place = block.last_place,
                           .min_ms = block.min_ms,
                           .max_ms = block.max_ms,
                           .samples = block.samples,
                           .bytes = block.bytes}));
  }
  return writer.Finish(after, last, /*deletes_applied=*/last);
}

// Cuts one series at midnights and between floats and histograms.
Status AddSeries(SeriesOrdinal ordinal, const SeriesPlace& place, SampleColumns& samples,
                 std::map<uint16_t, std::unique_ptr<DayWriter>>& days) {
  SampleColumns floats;
  std::vector<HistogramPoint> points;
  for (size_t begin = 0; begin < samples.size();) {
    BASALT_TRY_ASSIGN(const uint16_t day, DayOf(samples.time_ms[begin]));
    const auto end =
        static_cast<size_t>(std::lower_bound(samples.time_ms.begin(), samples.time_ms.end(),
                                             DayStartMs(day) + kMsPerDay) -
                            samples.time_ms.begin());
    std::unique_ptr<DayWriter>& writer = days[day];
    if (writer == nullptr) writer = std::make_unique<DayWriter>();
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

}  // namespace

Result<std::vector<FinishedRun>> WriteFrozen(const FrozenPartition& frozen, PartitionId partition,
                                             const PartitionIndex& index,
                                             const DeleteSnapshot& masks, LogPosition after,
                                             RunStore& runs) {
  // Where each series' samples are.
  struct Source {
    uint32_t group = 0;  // index in frozen.groups
    uint32_t slot = 0;
  };
  std::vector<SeriesOrdinal> ordinals;
  absl::flat_hash_map<uint32_t, Source> sources;  // by ordinal
  for (uint32_t g = 0; g < frozen.groups.size(); ++g) {
    for (uint32_t slot = 0; slot < frozen.groups[g].members.size(); ++slot) {
      ordinals.push_back(frozen.groups[g].members[slot]);
      sources.emplace(static_cast<uint32_t>(ordinals.back()), Source{g, slot});
    }
  }
  index.SortBySeriesOrder(ordinals);

  std::map<uint16_t, std::unique_ptr<DayWriter>> days;
  SampleColumns samples;
  for (const SeriesOrdinal ordinal : ordinals) {
    const Source& source = sources.at(static_cast<uint32_t>(ordinal));
    ReadFrozen(frozen.groups[source.group], source.slot, TimeRange{}, masks, samples);
    BASALT_TRY(AddSeries(ordinal, index.place(ordinal), samples, days));
  }
  std::vector<FinishedRun> finished;
  for (auto& [day, writer] : days) {
    BASALT_TRY_ASSIGN(RunWriter run, runs.NewRun(partition, day, kSealLevel));
    BASALT_TRY_ASSIGN(FinishedRun done, writer->Finish(std::move(run), after, frozen.last));
    finished.push_back(std::move(done));
    writer.reset();
  }
  return finished;
}

}  // namespace basalt::storage
