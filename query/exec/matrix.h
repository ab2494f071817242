// query/exec/matrix.h -- series over a grid of steps: what operators take and give.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/labels.h"
#include "query/float_histogram.h"
#include "query/plan/grid.h"
#include "storage/reader.h"

namespace basalt::query::exec {

// Labels of a row: built only when somebody asks for the whole set, since a count over 200 k series
// never does. Points into a selection (which the query's context keeps alive) or shares an owned
// set. A value type.
class RowLabels {
 public:
  RowLabels() = default;
  RowLabels(const storage::Selection* selection, size_t index)
      : selection_(selection), index_(static_cast<uint32_t>(index)) {}
  explicit RowLabels(Labels labels) : owned_(std::make_shared<const Labels>(std::move(labels))) {}

  // Empty if absent.
  [[nodiscard]] std::string_view Get(std::string_view name) const {
    if (selection_ != nullptr) return selection_->label(index_, name);
    return owned_ == nullptr ? std::string_view() : owned_->Get(name);
  }
  // What Get gives stays in one place as long as the query runs.
  [[nodiscard]] bool in_selection() const { return selection_ != nullptr; }
  [[nodiscard]] std::string_view metric_name() const { return Get(kMetricName); }
  // Appended, sorted by name; good while the row's labels are.
  void AppendViews(std::vector<LabelView>& out) const {
    if (selection_ != nullptr) return selection_->AppendLabels(index_, out);
    if (owned_ == nullptr) return;
    for (const Label& label : *owned_) out.push_back({label.name, label.value});
  }
  [[nodiscard]] Labels ToLabels() const {
    if (selection_ != nullptr) return selection_->labels(index_);
    return owned_ == nullptr ? Labels() : *owned_;
  }

 private:
  const storage::Selection* selection_ = nullptr;
  uint32_t index_ = 0;
  std::shared_ptr<const Labels> owned_;
};

enum class CellKind : uint8_t { kAbsent, kFloat, kHistogram };

// One series. Its cells cover steps [first, first + count); outside it is absent, and a row has a
// value at both ends.
struct Row {
  RowLabels labels;
  size_t offset = 0;   // of its first cell in the matrix
  uint32_t first = 0;  // step
  uint32_t count = 0;
  uint32_t partition = 0;  // where its samples came from; aggregations fold partition by partition
  bool drop_name = false;  // __name__ goes when the query ends (label_replace may still use it)

  [[nodiscard]] uint32_t end() const { return first + count; }
};

// A cell by value.
struct Cell {
  CellKind kind = CellKind::kAbsent;
  double value = 0;
  HistogramPtr histogram;

  static Cell Float(double v) { return {CellKind::kFloat, v, nullptr}; }
  static Cell Histogram(HistogramPtr h) { return {CellKind::kHistogram, 0, std::move(h)}; }
  static Cell Histogram(FloatHistogram h) {
    return Histogram(std::make_shared<const FloatHistogram>(std::move(h)));
  }
  [[nodiscard]] bool present() const { return kind != CellKind::kAbsent; }
};

// Rows over one grid, cells end to end in columns. A value type; thread-compatible.
class Matrix {
 public:
  Matrix() = default;
  explicit Matrix(plan::Grid grid) : grid_(grid) {}

  [[nodiscard]] const plan::Grid& grid() const { return grid_; }
  [[nodiscard]] size_t steps() const { return grid_.size(); }
  [[nodiscard]] std::vector<Row>& rows() { return rows_; }
  [[nodiscard]] const std::vector<Row>& rows() const { return rows_; }
  [[nodiscard]] size_t size() const { return rows_.size(); }
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  [[nodiscard]] bool has_histograms() const { return !histograms_.empty(); }

  // The cells of a row; `histograms` is empty if the matrix has none.
  [[nodiscard]] std::span<const double> values(const Row& row) const {
    return std::span(values_).subspan(row.offset, row.count);
  }
  [[nodiscard]] std::span<double> values(const Row& row) {
    return std::span(values_).subspan(row.offset, row.count);
  }
  [[nodiscard]] std::span<const CellKind> kinds(const Row& row) const {
    return std::span(kinds_).subspan(row.offset, row.count);
  }
  [[nodiscard]] std::span<CellKind> kinds(const Row& row) {
    return std::span(kinds_).subspan(row.offset, row.count);
  }
  [[nodiscard]] CellKind kind(const Row& row, size_t step) const {
    if (step < row.first || step >= row.end()) return CellKind::kAbsent;
    return kinds_[row.offset + step - row.first];
  }
  // Only for float cells.
  [[nodiscard]] double value(const Row& row, size_t step) const {
    return values_[row.offset + step - row.first];
  }
  // Only for histogram cells.
  [[nodiscard]] const HistogramPtr& histogram(const Row& row, size_t step) const {
    return histograms_[row.offset + step - row.first];
  }
  void SetHistogram(const Row& row, size_t step, HistogramPtr h) {
    histograms_[row.offset + step - row.first] = std::move(h);
  }
  [[nodiscard]] Cell cell(const Row& row, size_t step) const;

  // Building: Begin, then Append* at rising steps, then End. End keeps the row if it has any value.
  void Begin(RowLabels labels, bool drop_name, uint32_t partition = 0);
  void Append(size_t step, double value);
  void Append(size_t step, HistogramPtr histogram);
  void Append(size_t step, Cell cell);
  bool End();
  // A whole row of floats at once; there is a value at both ends.
  void AppendRow(RowLabels labels, bool drop_name, uint32_t partition, uint32_t first,
                 std::span<const CellKind> kinds, std::span<const double> values);
  void Reserve(size_t rows, size_t cells);
  // Keeps the grid and the memory.
  void Clear();

  // Samples as Prometheus counts them against its limit: a histogram counts by its size.
  [[nodiscard]] uint64_t CountSamples() const;
  [[nodiscard]] uint64_t CountSamples(const Row& row) const;

  // Appends the rows of `other`, which has the same grid.
  void Concatenate(Matrix&& other);
  // Makes cells at both ends of each row present again, dropping rows without any, after cells were
  // cleared.
  void Trim();

 private:
  void Pad(size_t step);

  plan::Grid grid_;
  std::vector<Row> rows_;
  std::vector<double> values_;
  std::vector<CellKind> kinds_;
  std::vector<HistogramPtr> histograms_;  // empty, or parallel to values_
  Row open_;
};

// How many float samples a histogram counts for.
uint64_t HistogramWeight(const FloatHistogram& histogram);

// A matrix with one row without labels, present at every step: how scalars are held.
Matrix ScalarMatrix(plan::Grid grid, double value);

}  // namespace basalt::query::exec
