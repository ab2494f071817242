#include "storage/parts/run_builder.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "storage/codec/histogram_column.h"
#include "storage/codec/keys.h"
#include "storage/codec/row_summary.h"
#include "storage/codec/superblock_builder.h"
#include "storage/codec/time_column.h"

namespace basalt::storage {

struct RunBuilder::Impl {
  explicit Impl(RunWriter w) : writer(std::move(w)) {}

  Status AddRow(RowInput row, const SeriesPlace& place, std::span<const int64_t> time_ms);
  Status FinishBlock();
  Status WriteColumns();
  // The number of these times among the run's columns.
  uint32_t NumberOf(GroupId group, std::span<const int64_t> time_ms);

  RunWriter writer;
  SuperblockBuilder builder;
  TimeColumnSet columns;
  std::unordered_map<uint32_t, uint32_t> last_column;  // by group: the number of its last row's
  SuperblockInput open;                                // what `builder` holds
  SeriesPlace block_place;                             // of the superblock before
  uint16_t block_row = 0;                              // likewise
  bool any_block = false;
  uint64_t samples = 0;
};

uint32_t RunBuilder::Impl::NumberOf(GroupId group, std::span<const int64_t> time_ms) {
  // Mostly those of the group's row before, and comparing is cheaper than hashing.
  const auto [last, is_new] = last_column.try_emplace(static_cast<uint32_t>(group), 0);
  if (is_new || !std::ranges::equal(columns[last->second], time_ms))
    last->second = columns.Add(time_ms);
  return last->second;
}

Status RunBuilder::Impl::AddRow(RowInput row, const SeriesPlace& place,
                                std::span<const int64_t> time_ms) {
  if (builder.EstimatedBytes() >= kSuperblockTargetBytes ||
      builder.row_count() >= kMaxRowsPerSuperblock) {
    BASALT_TRY(FinishBlock());
  }
  // Always shared: the series of a target have equal times, and neighbours in series order are of
  // many targets.
  const uint32_t number = NumberOf(place.group, time_ms);
  if (const auto known = builder.FindSharedColumn(number)) {
    row.time_column = *known;
  } else {
    BASALT_TRY_ASSIGN(row.time_column, builder.AddSharedColumn(number, time_ms));
  }
  BASALT_TRY(builder.AddRow(row));
  if (builder.row_count() == 1) {
    open = {};
    open.place = place;
    open.min_ms = time_ms.front();
    open.max_ms = time_ms.back();
    // Tells superblocks apart whose first rows share their place.
    if (any_block && block_place == place) {
      if (block_row == UINT16_MAX) {
        return ResourceExhausted("run: more than 65536 superblocks of one metric and group");
      }
      open.row = static_cast<uint16_t>(block_row + 1);
    }
  }
  open.last_place = place;
  open.min_ms = std::min(open.min_ms, time_ms.front());
  open.max_ms = std::max(open.max_ms, time_ms.back());
  open.samples += static_cast<uint32_t>(time_ms.size());
  ++open.rows;
  samples += time_ms.size();
  return OkStatus();
}

Status RunBuilder::Impl::FinishBlock() {
  if (builder.row_count() == 0) return OkStatus();
  const std::string bytes = builder.Finish();
  block_place = open.place;
  block_row = open.row;
  any_block = true;
  open.bytes = bytes;
  return writer.Add(open);
}

Status RunBuilder::Impl::WriteColumns() {
  // Their group is the number of the first column of the superblock.
  for (uint32_t next = 0; next < columns.size();) {
    const uint32_t first = next;
    SuperblockInput block;
    block.place.tenant = kTimesTenant;
    block.place.metric = MetricId{kTimesMetric};
    block.place.group = GroupId{first};
    block.min_ms = columns[first].front();
    block.max_ms = columns[first].back();
    do {
      const std::span<const int64_t> times = columns[next];
      BASALT_TRY_ASSIGN(const uint32_t local, builder.AddColumn(times));
      BASALT_CHECK(local == next - first, "time columns are numbered apart");
      block.min_ms = std::min(block.min_ms, times.front());
      block.max_ms = std::max(block.max_ms, times.back());
      ++next;
    } while (next < columns.size() && builder.EstimatedBytes() < kSuperblockTargetBytes &&
             next - first < kMaxColumnsPerSuperblock);
    block.last_place = block.place;
    const std::string bytes = builder.Finish();
    block.bytes = bytes;
    BASALT_TRY(writer.Add(block));
  }
  return OkStatus();
}

RunBuilder::RunBuilder(RunWriter writer) : impl_(std::make_unique<Impl>(std::move(writer))) {}
RunBuilder::~RunBuilder() = default;
RunBuilder::RunBuilder(RunBuilder&&) noexcept = default;

uint64_t RunBuilder::samples() const { return impl_->samples; }
uint64_t RunBuilder::bytes() const { return impl_->writer.bytes(); }
void RunBuilder::SetShape(uint64_t shape, bool raw_gone) {
  impl_->writer.SetShape(shape, raw_gone);
}

Status RunBuilder::AddFloats(SeriesOrdinal ordinal, const SeriesPlace& place,
                             std::span<const int64_t> time_ms, std::span<const double> values,
                             std::span<const int64_t> start_ms) {
  for (size_t i = 0; i < time_ms.size(); i += kMaxSamplesPerRow) {
    const size_t n = std::min(kMaxSamplesPerRow, time_ms.size() - i);
    const auto times = time_ms.subspan(i, n);
    RowInput row;
    row.ordinal = ordinal;
    row.group = place.group;
    row.values = values.subspan(i, n);
    if (!start_ms.empty()) row.start_ms = start_ms.subspan(i, n);
    RowSummary summary;
    if (n >= kMinSummarySamples) {
      summary = SummarizeRow(times, row.values, row.start_ms);
      row.summary = &summary;
    }
    BASALT_TRY(impl_->AddRow(row, place, times));
  }
  return OkStatus();
}

Status RunBuilder::AddBuckets(SeriesOrdinal ordinal, const SeriesPlace& place,
                              std::span<const int64_t> time_ms, std::span<const double> values) {
  BASALT_CHECK(time_ms.size() <= kMaxSamplesPerRow);
  RowInput row;
  row.ordinal = ordinal;
  row.group = place.group;
  row.values = values;
  return impl_->AddRow(row, place, time_ms);
}

Status RunBuilder::AddHistograms(SeriesOrdinal ordinal, const SeriesPlace& place,
                                 std::span<const HistogramPoint> points) {
  std::vector<int64_t> times;
  while (!points.empty()) {
    const auto row_points = points.first(HistogramsThatFit(points));
    times.clear();
    for (const HistogramPoint& point : row_points) times.push_back(point.time_ms);
    RowInput row;
    row.ordinal = ordinal;
    row.group = place.group;
    row.histograms = row_points;
    BASALT_TRY(impl_->AddRow(row, place, times));
    points = points.subspan(row_points.size());
  }
  return OkStatus();
}

Result<FinishedRun> RunBuilder::Finish(LogPosition after, LogPosition last,
                                       LogPosition deletes_applied) {
  BASALT_TRY(impl_->FinishBlock());
  BASALT_TRY(impl_->WriteColumns());
  return impl_->writer.Finish(after, last, deletes_applied);
}

}  // namespace basalt::storage
