#include "query/exec/matrix.h"

#include <algorithm>
#include <iterator>

namespace basalt::query::exec {

Cell Matrix::cell(const Row& row, size_t step) const {
  switch (kind(row, step)) {
    case CellKind::kAbsent:
      return {};
    case CellKind::kFloat:
      return Cell::Float(value(row, step));
    case CellKind::kHistogram:
      return Cell::Histogram(histogram(row, step));
  }
  return {};
}

void Matrix::Begin(RowLabels labels, bool drop_name, uint32_t partition) {
  open_ = {.labels = std::move(labels),
           .offset = values_.size(),
           .partition = partition,
           .drop_name = drop_name};
}

void Matrix::Pad(size_t step) {
  if (open_.count == 0) {
    open_.first = static_cast<uint32_t>(step);
    return;
  }
  const size_t gap = step - open_.end();
  if (gap == 0) return;
  values_.resize(values_.size() + gap);
  kinds_.resize(kinds_.size() + gap, CellKind::kAbsent);
  if (!histograms_.empty()) histograms_.resize(values_.size());
  open_.count += static_cast<uint32_t>(gap);
}

void Matrix::Append(size_t step, double value) {
  Pad(step);
  values_.push_back(value);
  kinds_.push_back(CellKind::kFloat);
  if (!histograms_.empty()) histograms_.emplace_back();
  ++open_.count;
}

void Matrix::Append(size_t step, HistogramPtr histogram) {
  Pad(step);
  values_.push_back(0);
  kinds_.push_back(CellKind::kHistogram);
  histograms_.resize(values_.size());
  histograms_.back() = std::move(histogram);
  ++open_.count;
}

void Matrix::Append(size_t step, Cell cell) {
  if (cell.kind == CellKind::kFloat) Append(step, cell.value);
  if (cell.kind == CellKind::kHistogram) Append(step, std::move(cell.histogram));
}

bool Matrix::End() {
  if (open_.count == 0) return false;
  rows_.push_back(std::move(open_));
  return true;
}

void Matrix::AppendRow(RowLabels labels, bool drop_name, uint32_t partition, uint32_t first,
                       std::span<const CellKind> kinds, std::span<const double> values) {
  rows_.push_back({.labels = std::move(labels),
                   .offset = values_.size(),
                   .first = first,
                   .count = static_cast<uint32_t>(kinds.size()),
                   .partition = partition,
                   .drop_name = drop_name});
  values_.insert(values_.end(), values.begin(), values.end());
  kinds_.insert(kinds_.end(), kinds.begin(), kinds.end());
  if (!histograms_.empty()) histograms_.resize(values_.size());
}

void Matrix::Reserve(size_t rows, size_t cells) {
  rows_.reserve(rows);
  values_.reserve(cells);
  kinds_.reserve(cells);
}

void Matrix::Clear() {
  rows_.clear();
  values_.clear();
  kinds_.clear();
  histograms_.clear();
}

uint64_t Matrix::CountSamples(const Row& row) const {
  uint64_t samples = 0;
  const auto cells = kinds(row);
  for (size_t i = 0; i < cells.size(); ++i) {
    if (cells[i] == CellKind::kFloat) ++samples;
    if (cells[i] == CellKind::kHistogram) samples += HistogramWeight(*histograms_[row.offset + i]);
  }
  return samples;
}

uint64_t Matrix::CountSamples() const {
  uint64_t samples = 0;
  for (const Row& row : rows_) samples += CountSamples(row);
  return samples;
}

void Matrix::Concatenate(Matrix&& other) {
  if (rows_.empty()) {
    *this = std::move(other);
    return;
  }
  const size_t shift = values_.size();
  values_.insert(values_.end(), other.values_.begin(), other.values_.end());
  kinds_.insert(kinds_.end(), other.kinds_.begin(), other.kinds_.end());
  if (!other.histograms_.empty()) {
    histograms_.resize(shift);
    std::move(other.histograms_.begin(), other.histograms_.end(), std::back_inserter(histograms_));
  }
  if (!histograms_.empty()) histograms_.resize(values_.size());
  rows_.reserve(rows_.size() + other.rows_.size());
  for (Row& row : other.rows_) {
    row.offset += shift;
    rows_.push_back(std::move(row));
  }
}

void Matrix::Trim() {
  for (Row& row : rows_) {
    const auto cells = kinds(row);
    size_t from = 0;
    size_t to = cells.size();
    while (from < to && cells[from] == CellKind::kAbsent) ++from;
    while (to > from && cells[to - 1] == CellKind::kAbsent) --to;
    row.offset += from;
    row.first += static_cast<uint32_t>(from);
    row.count = static_cast<uint32_t>(to - from);
  }
  std::erase_if(rows_, [](const Row& row) { return row.count == 0; });
}

uint64_t HistogramWeight(const FloatHistogram& h) {
  // Upstream's accounting: bytes of the structure, its slices and the time, in units of a 16-byte
  // float sample.
  constexpr size_t kStructBytes = 168;
  const size_t bytes = kStructBytes + 8 * (h.positive_spans.size() + h.negative_spans.size() +
                                           h.positive_buckets.size() + h.negative_buckets.size() +
                                           h.custom_values.size());
  return (bytes + 8) / 16;
}

Matrix ScalarMatrix(plan::Grid grid, double value) {
  Matrix out(grid);
  out.Begin(RowLabels(), false);
  for (size_t step = 0; step < grid.size(); ++step) out.Append(step, value);
  out.End();
  return out;
}

}  // namespace basalt::query::exec
