#include "storage/run_rows.h"

#include <algorithm>
#include <optional>

#include "storage/codec/keys.h"

namespace basalt::storage {
namespace {

// Decoded shared time columns kept a run; they are a few KiB each, and the groups of a selection
// take turns.
constexpr size_t kMaxCachedColumns = 256;

}  // namespace

struct RunRows::OpenBlock {
  size_t index = SIZE_MAX;
  PinnedBytes bytes;
  std::optional<Superblock> block;
  RowDecoder decoder;
  std::map<uint32_t, std::vector<int64_t>> columns;  // decoded inline time columns
};

struct RunRows::OpenRun {
  std::shared_ptr<const Run> run;
  OpenBlock rows;                                   // the last superblock of rows
  OpenBlock times;                                  // the last superblock of shared time columns
  std::map<uint32_t, std::vector<int64_t>> shared;  // decoded, by the run's number
};

RunRows::RunRows(std::vector<std::shared_ptr<const Run>> runs, TimeRange range) : range_(range) {
  for (auto& run : runs) {
    runs_.push_back(std::make_unique<OpenRun>());
    runs_.back()->run = std::move(run);
  }
}

RunRows::~RunRows() = default;

Result<RunRows::OpenBlock*> RunRows::Open(OpenRun& run, size_t i) {
  OpenBlock& open = run.rows;
  if (open.index == i) return &open;
  open.index = SIZE_MAX;
  open.columns.clear();
  open.block.reset();
  BASALT_TRY_ASSIGN(open.bytes, run.run->Read(i));
  Result<Superblock> block = Superblock::Open(open.bytes.view());
  if (!block.ok()) return run.run->Quarantine(i, block.status());
  open.block = *block;
  open.decoder.Reset(*open.block);
  open.index = i;
  return &open;
}

Result<std::span<const int64_t>> RunRows::Times(OpenRun& run, OpenBlock& open, uint32_t column) {
  BASALT_TRY_ASSIGN(const TimeColumnInfo info, open.block->column(column));
  if (!info.shared.has_value()) {
    std::vector<int64_t>& times = open.columns[column];
    if (times.empty()) {
      times.resize(info.samples);
      BASALT_TRY(open.block->DecodeTimeColumn(column, times));
    }
    return std::span<const int64_t>(times);
  }
  if (const auto it = run.shared.find(*info.shared); it != run.shared.end()) {
    if (it->second.size() != info.samples)
      return DataLoss("time column: its length differs from the superblock's");
    return std::span<const int64_t>(it->second);
  }
  // The superblock of columns that begins at or before the number.
  BASALT_TRY_ASSIGN(const auto directory, run.run->Directory());
  size_t at = SIZE_MAX;
  for (size_t i = 0; i < directory.size() && directory[i].place.metric == MetricId{kTimesMetric};
       ++i) {
    if (static_cast<uint32_t>(directory[i].place.group) <= *info.shared) at = i;
  }
  if (at == SIZE_MAX)
    return DataLoss("time column " + std::to_string(*info.shared) + " is not in the run");
  OpenBlock& times = run.times;
  if (times.index != at) {
    times.index = SIZE_MAX;
    times.block.reset();
    BASALT_TRY_ASSIGN(times.bytes, run.run->Read(at));
    Result<Superblock> block = Superblock::Open(times.bytes.view());
    if (!block.ok()) return run.run->Quarantine(at, block.status());
    times.block = *block;
    times.index = at;
  }
  const uint32_t local = *info.shared - static_cast<uint32_t>(directory[at].place.group);
  if (local >= times.block->column_count()) {
    return DataLoss("time column " + std::to_string(*info.shared) + " is not in its superblock");
  }
  BASALT_TRY_ASSIGN(const TimeColumnInfo kept, times.block->column(local));
  if (kept.samples != info.samples)
    return DataLoss("time column: its length differs from the superblock's");
  if (run.shared.size() >= kMaxCachedColumns) run.shared.clear();
  std::vector<int64_t> decoded(kept.samples);
  BASALT_TRY(times.block->DecodeTimeColumn(local, decoded));
  return std::span<const int64_t>(
      run.shared.emplace(*info.shared, std::move(decoded)).first->second);
}

void RunRows::Read(const SeriesSet& series, size_t begin, size_t n, const DeleteSnapshot& deletes,
                   std::vector<std::vector<SampleColumns>>& parts, std::vector<Status>& errors) {
  parts.assign(n, {});
  for (const auto& run : runs_) {
    std::map<size_t, Wanted> blocks;
    Status failed;
    for (size_t i = 0; i < n; ++i) {
      const auto found = run->run->Find(series.place(begin + i));
      if (!found.ok()) {
        failed = found.status();
        break;
      }
      for (size_t b = found->first; b < found->second; ++b) {
        blocks[b].series.emplace_back(series.ordinal(begin + i), static_cast<uint32_t>(i));
      }
    }
    if (!failed.ok()) {
      errors.push_back(failed);
      continue;
    }
    const auto directory = run->run->Directory();
    if (!directory.ok()) {
      errors.push_back(directory.status());
      continue;
    }
    for (auto& [b, wanted] : blocks) {
      const SuperblockRef& ref = (*directory)[b];
      if (ref.max_ms < range_.min_ms || ref.min_ms > range_.max_ms) continue;
      if (Status status = ReadBlock(*run, b, wanted, deletes, parts); !status.ok()) {
        errors.push_back(status.code() == StatusCode::kDataLoss ? run->run->Quarantine(b, status)
                                                                : status);
      }
    }
  }
}

Status RunRows::ReadBlock(OpenRun& run, size_t b, Wanted& wanted, const DeleteSnapshot& deletes,
                          std::vector<std::vector<SampleColumns>>& parts) {
  BASALT_TRY_ASSIGN(OpenBlock * open, Open(run, b));
  const Superblock& block = *open->block;
  std::sort(wanted.series.begin(), wanted.series.end());
  ordinals_.clear();
  for (const auto& [ordinal, index] : wanted.series) ordinals_.push_back(ordinal);
  matches_.clear();
  block.FindRows(ordinals_, matches_);
  const bool spared = deletes.Spares(run.run->info());
  std::vector<TimeRange> masks;
  // Put aside until the whole block is read: of a damaged one nothing is shown.
  std::vector<std::pair<uint32_t, SampleColumns>> rows;
  for (const RowMatch& match : matches_) {
    BASALT_TRY_ASSIGN(const RowInfo info, block.row(match.row));
    if (info.max_ms < range_.min_ms || info.min_ms > range_.max_ms) continue;
    BASALT_TRY_ASSIGN(const std::span<const int64_t> column, Times(run, *open, info.time_column));
    const auto [ordinal, index] = wanted.series[match.wanted];
    SampleColumns& part = rows.emplace_back(index, SampleColumns()).second;
    if (info.kind == RowKind::kHistogram) {
      BASALT_TRY(open->decoder.Histograms(match.row, column, points_));
      for (HistogramPoint& point : points_) {
        part.AddHistogram(point.time_ms, std::move(point.histogram), point.start_ms);
      }
    } else {
      part.time_ms.resize(info.samples);
      part.values.resize(info.samples);
      BASALT_TRY(block.SelectTimes(match.row, column, part.time_ms));
      BASALT_TRY(open->decoder.Values(match.row, part.values));
      if (info.has_starts) {
        part.start_ms.resize(info.samples);
        BASALT_TRY(block.DecodeStarts(match.row, part.start_ms));
      }
    }
    part.Clip(range_);
    if (!spared) {
      masks.clear();
      deletes.AppendMasks(run.run->info(), ordinal, masks);
      part.Erase(masks);
    }
  }
  for (auto& [index, part] : rows) parts[index].push_back(std::move(part));
  return OkStatus();
}

}  // namespace basalt::storage
