#include "storage/parts/run_builder.h"

#include <rocksdb/env.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "storage/codec/histogram_column.h"
#include "storage/codec/keys.h"
#include "storage/codec/row_summary.h"
#include "storage/codec/superblock_builder.h"
#include "storage/codec/time_column.h"
#include "storage/parts/rocks.h"
#include "storage/parts/run_writer_impl.h"

namespace basalt::storage {

namespace {

// Superblocks in order, first in memory and then in a file.
class Spool {
 public:
  Spool(rocksdb::Env* env, std::string path, size_t memory_bytes)
      : env_(env), path_(std::move(path)), memory_bytes_(memory_bytes) {}
  ~Spool() {
    if (file_ == nullptr) return;
    file_.reset();
    (void)env_->DeleteFile(path_);
  }

  Status Add(const SuperblockInput& block) {
    blocks_.push_back(block);
    blocks_.back().bytes = {};
    sizes_.push_back(block.bytes.size());
    if (file_ == nullptr && memory_.size() + block.bytes.size() <= memory_bytes_) {
      memory_ += block.bytes;
      return OkStatus();
    }
    if (file_ == nullptr) {
      in_memory_ = blocks_.size() - 1;
      BASALT_TRY(FromRocks(env_->NewWritableFile(path_, &file_, rocksdb::EnvOptions()),
                           "create " + path_));
    }
    return FromRocks(file_->Append(ToSlice(block.bytes)), "write " + path_);
  }

  Status Replay(RunWriter& writer) {
    std::unique_ptr<rocksdb::SequentialFile> in;
    if (file_ != nullptr) {
      BASALT_TRY(FromRocks(file_->Close(), "write " + path_));
      BASALT_TRY(
          FromRocks(env_->NewSequentialFile(path_, &in, rocksdb::EnvOptions()), "open " + path_));
    }
    size_t at = 0;
    std::string scratch;
    for (size_t i = 0; i < blocks_.size(); ++i) {
      SuperblockInput block = blocks_[i];
      if (in == nullptr || i < in_memory_) {
        block.bytes = std::string_view(memory_).substr(at, sizes_[i]);
        at += sizes_[i];
      } else {
        scratch.resize(sizes_[i]);
        rocksdb::Slice read;
        BASALT_TRY(FromRocks(in->Read(sizes_[i], &read, scratch.data()), "read " + path_));
        if (read.size() != sizes_[i]) return DataLoss("read " + path_ + ": it ended early");
        block.bytes = ToView(read);
      }
      BASALT_TRY(writer.Add(block));
    }
    return OkStatus();
  }

 private:
  rocksdb::Env* const env_;
  const std::string path_;
  const size_t memory_bytes_;
  std::vector<SuperblockInput> blocks_;  // without their bytes
  std::vector<size_t> sizes_;
  std::string memory_;
  size_t in_memory_ = 0;  // blocks before the file's first one
  std::unique_ptr<rocksdb::WritableFile> file_;
};

}  // namespace

struct RunBuilder::Impl {
  Impl(RunWriter w, rocksdb::Env* env, const std::string& path, size_t spool_bytes)
      : writer(std::move(w)), spool(env, path + ".spool", spool_bytes) {}

  Status AddRow(RowInput row, const SeriesPlace& place, std::span<const int64_t> time_ms);
  Status FinishBlock();
  Status WriteColumns();

  RunWriter writer;
  Spool spool;
  SuperblockBuilder builder;
  TimeColumnSet columns;
  SuperblockInput open;     // what `builder` holds
  SeriesPlace block_place;  // of the superblock before
  uint16_t block_row = 0;   // likewise
  bool any_block = false;
  uint64_t samples = 0;
};

Status RunBuilder::Impl::AddRow(RowInput row, const SeriesPlace& place,
                                std::span<const int64_t> time_ms) {
  if (builder.EstimatedBytes() >= kSuperblockTargetBytes ||
      builder.row_count() >= kMaxRowsPerSuperblock) {
    BASALT_TRY(FinishBlock());
  }
  // Always shared: the series of a target have equal times, and neighbours in series order are of
  // many targets.
  BASALT_TRY_ASSIGN(row.time_column, builder.AddSharedColumn(columns.Add(time_ms), time_ms));
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
  return spool.Add(open);
}

Status RunBuilder::Impl::WriteColumns() {
  // Their "place" is metric 0, and the group is the number of the first column of the superblock.
  for (uint32_t next = 0; next < columns.size();) {
    const uint32_t first = next;
    SuperblockInput block;
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

RunBuilder::RunBuilder(RunWriter writer, size_t spool_bytes) {
  rocksdb::Env* const env = writer.impl_->env;
  const std::string path = writer.impl_->path;
  impl_ = std::make_unique<Impl>(std::move(writer), env, path, spool_bytes);
}
RunBuilder::~RunBuilder() = default;
RunBuilder::RunBuilder(RunBuilder&&) noexcept = default;

uint64_t RunBuilder::samples() const { return impl_->samples; }

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
  BASALT_TRY(impl_->spool.Replay(impl_->writer));
  return impl_->writer.Finish(after, last, deletes_applied);
}

}  // namespace basalt::storage
