#include "storage/parts/row_stream.h"

#include <utility>

namespace basalt::storage {

Status RowStream::LoadColumns(size_t i) {
  BASALT_TRY_ASSIGN(const PinnedBytes bytes, run_->Read(i, CacheUse::kPass));
  const Result<Superblock> block = Superblock::Open(bytes.view());
  if (!block.ok()) return run_->Quarantine(i, block.status());
  if (static_cast<uint32_t>((*directory_)[i].place.group) != shared_columns_.size()) {
    return run_->Quarantine(i, DataLoss("time columns are not numbered in a row"));
  }
  for (uint32_t c = 0; c < block->column_count(); ++c) {
    BASALT_TRY_ASSIGN(const TimeColumnInfo info, block->column(c));
    std::vector<int64_t>& times = shared_columns_.emplace_back(info.samples);
    if (Status status = block->DecodeTimeColumn(c, times); !status.ok()) {
      return run_->Quarantine(i, status);
    }
  }
  return OkStatus();
}

Status RowStream::Start() {
  BASALT_TRY_ASSIGN(directory_, run_->Directory());
  rows_end_ = TimesBegin(*directory_);
  for (size_t i = rows_end_; i < directory_->size(); ++i) BASALT_TRY(LoadColumns(i));
  return NextBlock();
}

Status RowStream::NextBlock() {
  block_.reset();
  block_columns_.clear();
  ordinal_ = kUnknownOrdinal;
  row_ = 0;
  while (next_block_ < rows_end_) {
    const size_t i = next_block_++;
    BASALT_TRY_ASSIGN(bytes_, run_->Read(i, CacheUse::kPass));
    const Result<Superblock> block = Superblock::Open(bytes_.view());
    if (!block.ok()) return run_->Quarantine(i, block.status());
    if (block->row_count() == 0) continue;
    block_ = *block;
    decoder_.Reset(*block_);
    ordinal_ = block_->ordinal(0);
    return OkStatus();
  }
  return OkStatus();
}

Result<std::span<const int64_t>> RowStream::Times(uint32_t column) {
  BASALT_TRY_ASSIGN(const TimeColumnInfo info, block_->column(column));
  if (info.shared.has_value()) {
    if (*info.shared >= shared_columns_.size() ||
        shared_columns_[*info.shared].size() != info.samples) {
      return DataLoss("time column " + std::to_string(*info.shared) + " is not as the row says");
    }
    return std::span<const int64_t>(shared_columns_[*info.shared]);
  }
  std::vector<int64_t>& times = block_columns_[column];
  if (times.empty()) {
    times.resize(info.samples);
    BASALT_TRY(block_->DecodeTimeColumn(column, times));
  }
  return std::span<const int64_t>(times);
}

Status RowStream::TakeRow(std::vector<MergeSample>& samples,
                          std::vector<HistogramPoint>& histograms) {
  BASALT_TRY_ASSIGN(const RowInfo info, block_->row(row_));
  BASALT_TRY_ASSIGN(const std::span<const int64_t> column, Times(info.time_column));
  if (info.kind == RowKind::kHistogram) {
    BASALT_TRY(decoder_.Histograms(row_, column, points_));
    for (HistogramPoint& point : points_) {
      MergeSample sample;
      sample.time_ms = point.time_ms;
      sample.precedence = precedence_;
      sample.histogram = static_cast<int32_t>(histograms.size());
      samples.push_back(sample);
      histograms.push_back(std::move(point));
    }
    return OkStatus();
  }
  times_.resize(info.samples);
  values_.resize(info.samples);
  BASALT_TRY(block_->SelectTimes(row_, column, times_));
  BASALT_TRY(decoder_.Values(row_, values_));
  starts_.clear();
  if (info.has_starts) {
    starts_.resize(info.samples);
    BASALT_TRY(block_->DecodeStarts(row_, starts_));
  }
  for (size_t i = 0; i < times_.size(); ++i) {
    samples.push_back({.time_ms = times_[i],
                       .start_ms = starts_.empty() ? kNoStartMs : starts_[i],
                       .value = values_[i],
                       .precedence = precedence_});
  }
  return OkStatus();
}

Status RowStream::NextRow() {
  if (++row_ == block_->row_count()) return NextBlock();
  ordinal_ = block_->ordinal(row_);
  return OkStatus();
}

Status RowStream::Blame(const Status& status) const {
  return status.code() == StatusCode::kDataLoss ? run_->Quarantine(next_block_ - 1, status)
                                                : status;
}

Status RowStream::TakeSeries(std::vector<MergeSample>& samples,
                             std::vector<HistogramPoint>& histograms) {
  const SeriesOrdinal series = ordinal_;
  while (ordinal_ == series) {
    if (const Status status = TakeRow(samples, histograms); !status.ok()) return Blame(status);
    BASALT_TRY(NextRow());
  }
  return OkStatus();
}

Result<bool> RowStream::TakeRowColumns(std::vector<int64_t>& time_ms, std::vector<double>& values) {
  BASALT_TRY_ASSIGN(const RowInfo info, block_->row(row_));
  if (info.kind == RowKind::kHistogram || info.has_starts) return false;
  BASALT_TRY_ASSIGN(const std::span<const int64_t> column, Times(info.time_column));
  const size_t before = time_ms.size();
  time_ms.resize(before + info.samples);
  BASALT_TRY(block_->SelectTimes(row_, column, std::span(time_ms).subspan(before)));
  if (before > 0 && time_ms[before] <= time_ms[before - 1]) {
    time_ms.resize(before);
    return false;
  }
  values.resize(before + info.samples);
  BASALT_TRY(decoder_.Values(row_, std::span(values).subspan(before)));
  return true;
}

Result<bool> RowStream::TakeColumns(std::vector<int64_t>& time_ms, std::vector<double>& values) {
  const SeriesOrdinal series = ordinal_;
  while (ordinal_ == series) {
    const Result<bool> taken = TakeRowColumns(time_ms, values);
    if (!taken.ok()) return Blame(taken.status());
    if (!*taken) return false;
    BASALT_TRY(NextRow());
  }
  return true;
}

}  // namespace basalt::storage
