#include "storage/store_cursor.h"

#include <algorithm>
#include <utility>

#include "storage/codec/row_summary.h"

namespace basalt::storage {
namespace {

// Few at first, so that a selection of three series is not planned as one of thousands; then as
// many as come to about kBatchSamples, so that what is decoded is still in a core's cache when it
// is looked at.
constexpr size_t kFirstBatchSeries = 32;
constexpr size_t kMaxBatchSeries = 512;
constexpr size_t kMinBatchSeries = 4;
constexpr size_t kBatchSamples = 48 << 10;
// What a batch holds at most, unless one series alone is more: a first batch may be of 32 series
// over a year. 2 MiB of values, and a millisecond or so in which nobody asks whether to go on.
constexpr size_t kMaxBatchSamples = 256 << 10;
// Likewise rows, most of which may be answered from summaries.
constexpr size_t kMaxBatchRows = 16 << 10;

}  // namespace

StoreCursor::StoreCursor(CursorSource source, size_t begin, size_t end, const ReadOptions& options)
    : source_(std::move(source)),
      next_(begin),
      end_(end),
      options_(options),
      runs_(source_.runs, options.range),
      batch_series_(kFirstBatchSeries) {}

Result<bool> StoreCursor::Next(SeriesColumns& columns) {
  while (true) {
    if (!errors_.empty()) {
      Status error = std::move(errors_.back());
      errors_.pop_back();
      if (error.code() == StatusCode::kDataLoss && source_.on_damage) source_.on_damage(error);
      return error;
    }
    while (at_ < loaded_) {
      const size_t i = at_++;
      if (ShowPlanned(i, columns)) return true;
    }
    if (next_ >= end_) return false;
    LoadBatch();
  }
}

void StoreCursor::LoadBatch() {
  batch_begin_ = next_;
  size_t n = std::min(batch_series_, end_ - next_);
  at_ = 0;
  source_.head->Read(source_.head_view, source_.series->ordinals().subspan(batch_begin_, n),
                     options_.range, *source_.deletes, head_);
  pieces_.clear();
  do {
    for (bool fits = false; !fits;) {
      if (!runs_.empty())
        runs_.Find(*source_.series, batch_begin_, n, *source_.deletes, pieces_, errors_);
      Plan(n);
      fits = n == 1 || decodes_ <= kMaxBatchSamples;
      if (!fits) n = std::max<size_t>(n * kMaxBatchSamples / decodes_, 1);
    }
    largest_batch_ = std::max(largest_batch_, decodes_);
  } while (!DecodeBatch());
  next_ += n;
  loaded_ = n;
  const size_t each = decodes_ / n + 1;
  const size_t rows = pieces_.size() / n + 1;
  batch_series_ = std::clamp(kBatchSamples / each, each > kBatchSamples ? 1 : kMinBatchSeries,
                             std::clamp<size_t>(kMaxBatchRows / rows, 1, kMaxBatchSeries));
}

void StoreCursor::Plan(size_t n) {
  planned_.assign(n, {});
  summaries_.clear();
  parts_.clear();
  offsets_.assign(pieces_.size(), SIZE_MAX);
  by_series_.resize(pieces_.size());
  // Stable, so that the pieces of a series stay in the order of precedence.
  ends_.assign(n + 1, 0);
  for (const RowPiece& piece : pieces_) ++ends_[piece.series + 1];
  for (size_t i = 0; i < n; ++i) {
    planned_[i].pieces_begin = ends_[i];
    ends_[i + 1] += ends_[i];
    planned_[i].pieces_end = ends_[i + 1];
  }
  for (uint32_t p = 0; p < pieces_.size(); ++p) by_series_[ends_[pieces_[p].series]++] = p;
  size_t samples = 0;
  decodes_ = 0;
  bool starts = false;
  for (uint32_t i = 0; i < n; ++i) {
    PlanSeries(i);
    Planned& planned = planned_[i];
    if (planned.merge) {
      for (uint32_t k = planned.pieces_begin; k < planned.pieces_end; ++k)
        decodes_ += pieces_[by_series_[k]].count;
    }
    if (planned.merge || !planned.values) continue;
    planned.offset = samples;
    starts = starts || planned.starts;
    size_t offset = samples;
    for (uint32_t k = planned.pieces_begin; k < planned.pieces_end; ++k) {
      size_t& at = offsets_[by_series_[k]];
      if (at == SIZE_MAX) continue;  // summarized
      at = offset;
      offset += pieces_[by_series_[k]].count;
    }
    // The head's samples follow those of the runs.
    samples = offset + (planned.samples > 0 ? head_[i].size() : 0);
  }
  samples_ = samples;
  any_starts_ = starts;
  decodes_ += samples;
}

bool StoreCursor::CanSummarize(const RowPiece& piece, RowSummary& summary) const {
  if (options_.summaries == SummaryUse::kNone || options_.summaries == SummaryUse::kLatest ||
      options_.times_only || !piece.whole() || !piece.info.has_summary) {
    return false;
  }
  for (const int64_t cut : options_.cuts) {
    if (piece.info.min_ms < cut && cut <= piece.info.max_ms) return false;
  }
  const auto found = runs_.Summary(piece);
  if (!found.ok() || !found->has_value()) return false;
  summary = **found;
  switch (options_.summaries) {
    case SummaryUse::kNone:
    case SummaryUse::kLatest:
      return false;
    case SummaryUse::kEnds:
      return summary.count > 0 && !summary.has_nan;
    case SummaryUse::kIncrease:
      return summary.count > 0 && !summary.has_nan && (!summary.has_resets || summary.resets > 0);
  }
  return false;
}

void StoreCursor::PlanSeries(uint32_t i) {
  Planned& planned = planned_[i];
  const SampleColumns& head = head_[i];
  const bool any_row = planned.pieces_begin < planned.pieces_end;
  if (!any_row) return;  // the head's columns are shown as they are
  // Do all parts follow each other?
  int64_t before = INT64_MIN;
  bool values = !options_.times_only;
  for (uint32_t k = planned.pieces_begin; k < planned.pieces_end; ++k) {
    const RowPiece& piece = pieces_[by_series_[k]];
    if (!piece.plain() || piece.first_ms() <= before) {
      planned.merge = true;
      break;
    }
    before = piece.last_ms();
    planned.starts = planned.starts || piece.info.has_starts;
  }
  if (!head.empty()) {
    planned.merge = planned.merge || !head.histogram.empty() || head.time_ms.front() <= before;
    planned.starts = planned.starts || !head.start_ms.empty();
    values = true;
  }
  if (planned.merge) {
    planned.merged = static_cast<uint32_t>(parts_.size());
    parts_.emplace_back();
    return;
  }
  if (!values) {
    // Without a stale marker nobody needs the values.
    for (uint32_t k = planned.pieces_begin; k < planned.pieces_end && !values; ++k) {
      const RowPiece& piece = pieces_[by_series_[k]];
      const auto summary = runs_.Summary(piece);
      values = !summary.ok() || !summary->has_value() || (*summary)->has_stale;
    }
  }
  planned.values = values;
  if (options_.summaries == SummaryUse::kLatest && values && head.empty() && PlanLatest(planned))
    return;
  planned.rows_begin = static_cast<uint32_t>(summaries_.size());
  for (uint32_t k = planned.pieces_begin; k < planned.pieces_end; ++k) {
    const RowPiece& piece = pieces_[by_series_[k]];
    RowSummary summary;
    // A start timestamp may say that a counter began anew between two rows.
    const bool starts = planned.starts && options_.summaries == SummaryUse::kIncrease;
    if (!starts && CanSummarize(piece, summary)) {
      summaries_.push_back({planned.samples, summary});
      continue;
    }
    if (values) offsets_[by_series_[k]] = 0;  // placed by the caller
    planned.samples += piece.count;
  }
  planned.rows_end = static_cast<uint32_t>(summaries_.size());
}

// The last sample of the last row, from its summary. False if that is a stale marker, lies beyond
// the range, or the row has none.
bool StoreCursor::PlanLatest(Planned& planned) {
  const RowPiece& piece = pieces_[by_series_[planned.pieces_end - 1]];
  if (!piece.info.has_summary || piece.first + piece.count != piece.info.samples) return false;
  const auto summary = runs_.Summary(piece);
  if (!summary.ok() || !summary->has_value()) return false;
  const RowSummary& row = **summary;
  if (row.count == 0 || row.last_ms != piece.last_ms()) return false;
  planned.rows_begin = static_cast<uint32_t>(summaries_.size());
  summaries_.push_back({0, row});
  planned.rows_end = static_cast<uint32_t>(summaries_.size());
  return true;
}

bool StoreCursor::Summarized(uint32_t p) const {
  const Planned& planned = planned_[pieces_[p].series];
  return !planned.merge && planned.values && offsets_[p] == SIZE_MAX;
}

bool StoreCursor::DecodeBatch() {
  // They only grow: what is in them is written before it is shown.
  if (values_.size() < samples_) values_.resize(samples_);
  if (any_starts_ && starts_.size() < samples_) starts_.resize(samples_);
  for (uint32_t p = 0; p < pieces_.size(); ++p) {
    RowPiece& piece = pieces_[p];
    const Planned& planned = planned_[piece.series];
    if (Summarized(p)) continue;
    Status status = runs_.LoadTimes(piece);
    if (!status.ok()) {
      // told below
    } else if (planned.merge) {
      status = runs_.Decode(piece, source_.series->ordinal(batch_begin_ + piece.series),
                            *source_.deletes, parts_[planned.merged].emplace_back());
    } else if (offsets_[p] != SIZE_MAX) {
      const size_t at = offsets_[p];
      status = runs_.Decode(
          piece, std::span(values_).subspan(at, piece.count),
          planned.starts ? std::span(starts_).subspan(at, piece.count) : std::span<int64_t>());
    }
    if (status.ok()) continue;
    runs_.Damaged(piece, status, errors_);
    return false;
  }
  return true;
}

bool StoreCursor::ShowPlanned(size_t i, SeriesColumns& columns) {
  const Planned& planned = planned_[i];
  SampleColumns& head = head_[i];
  columns = {};
  columns.series = batch_begin_ + i;
  if (planned.merge) {
    auto& parts = parts_[planned.merged];
    parts.push_back(std::move(head));  // above all runs
    MergeByPrecedence(parts, merged_);
    return ShowMerged(merged_, columns);
  }
  columns.rows =
      std::span(summaries_).subspan(planned.rows_begin, planned.rows_end - planned.rows_begin);
  if (planned.samples == 0) {
    if (head.empty()) return !columns.rows.empty();
    if (!head.histogram.empty()) return ShowMerged(head, columns);
    columns.values = head.values;
    columns.start_ms = head.start_ms;
    ShowTimes(planned, head, columns);
    // Rows that stand before all samples stay before them.
    return true;
  }
  const size_t count = planned.samples + head.size();
  if (planned.values) {
    std::copy(head.values.begin(), head.values.end(),
              values_.begin() + static_cast<ptrdiff_t>(planned.offset + planned.samples));
    columns.values = std::span(values_).subspan(planned.offset, count);
    if (planned.starts) {
      columns.start_ms = std::span(starts_).subspan(planned.offset, count);
      const auto own = std::span(starts_).subspan(planned.offset + planned.samples, head.size());
      for (size_t k = 0; k < own.size(); ++k) own[k] = head.StartAt(k);
    }
  }
  ShowTimes(planned, head, columns);
  return true;
}

void StoreCursor::ShowTimes(const Planned& planned, const SampleColumns& head,
                            SeriesColumns& columns) {
  key_.clear();
  for (uint32_t k = planned.pieces_begin; k < planned.pieces_end; ++k) {
    const uint32_t p = by_series_[k];
    const RowPiece& piece = pieces_[p];
    if (Summarized(p)) continue;
    key_.push_back({piece.times, piece.first, piece.count});
  }
  if (!head.empty()) key_.push_back({0, 0, static_cast<uint32_t>(head.size())});
  const bool same =
      key_ == times_key_ &&
      (head.empty() || std::equal(head.time_ms.begin(), head.time_ms.end(),
                                  times_.end() - static_cast<ptrdiff_t>(head.size())));
  if (!same) {
    std::swap(key_, times_key_);
    ++times_number_;
    times_.clear();
    for (uint32_t k = planned.pieces_begin; k < planned.pieces_end; ++k) {
      const uint32_t p = by_series_[k];
      if (Summarized(p)) continue;
      const auto part = pieces_[p].time_ms();
      times_.insert(times_.end(), part.begin(), part.end());
    }
    times_.insert(times_.end(), head.time_ms.begin(), head.time_ms.end());
  }
  columns.time_ms = times_;
  columns.times = times_number_;
}

// Splits floats from histograms and lends the columns out.
bool StoreCursor::ShowMerged(SampleColumns& merged, SeriesColumns& columns) {
  if (merged.empty()) return false;
  if (merged.histogram.empty()) {
    columns.values = merged.values;
    columns.start_ms = merged.start_ms;
    columns.time_ms = merged.time_ms;
    return true;
  }
  floats_.Clear();
  points_.clear();
  for (size_t i = 0; i < merged.size(); ++i) {
    if (merged.IsHistogram(i)) {
      points_.push_back(
          {.time_ms = merged.time_ms[i],
           .start_ms = merged.StartAt(i),
           .histogram = std::move(merged.histograms[static_cast<size_t>(merged.histogram[i])])});
    } else {
      floats_.Add(merged.time_ms[i], merged.values[i], merged.StartAt(i));
    }
  }
  columns.values = floats_.values;
  columns.start_ms = floats_.start_ms;
  columns.time_ms = floats_.time_ms;
  columns.histograms = points_;
  return true;
}

}  // namespace basalt::storage
