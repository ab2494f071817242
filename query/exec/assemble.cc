#include "query/exec/assemble.h"

#include <algorithm>
#include <utility>

namespace basalt::query::exec {

Status SameLabelsetError() {
  return FailedPrecondition("vector cannot contain metrics with the same labelset");
}

Result<Matrix> MergeDuplicates(Matrix matrix) {
  if (matrix.size() < 2) return matrix;
  // The rows of each label set, in order.
  absl::flat_hash_map<std::string, size_t, StringHash, StringEq> by_labels;
  std::vector<std::vector<size_t>> sets;
  std::string key;
  std::vector<LabelView> views;
  by_labels.reserve(matrix.size());
  sets.reserve(matrix.size());
  for (size_t i = 0; i < matrix.size(); ++i) {
    key.clear();
    views.clear();
    matrix.rows()[i].labels.AppendViews(views);
    AppendCanonical(views, key);
    const auto [it, added] = by_labels.try_emplace(key, sets.size());
    if (added) sets.emplace_back();
    sets[it->second].push_back(i);
  }
  if (sets.size() == matrix.size()) return matrix;

  Matrix out(matrix.grid());
  for (const std::vector<size_t>& set : sets) {
    const Row& first = matrix.rows()[set[0]];
    uint32_t from = first.first;
    uint32_t to = first.end();
    // Whether the name goes is decided by the value that comes first in time.
    bool drop_name = first.drop_name;
    for (const size_t i : set) {
      const Row& row = matrix.rows()[i];
      if (row.first < from) drop_name = row.drop_name;
      from = std::min(from, row.first);
      to = std::max(to, row.end());
    }
    out.Begin(first.labels, drop_name, first.partition);
    for (size_t step = from; step < to; ++step) {
      bool found = false;
      for (const size_t i : set) {
        const Row& row = matrix.rows()[i];
        if (matrix.kind(row, step) == CellKind::kAbsent) continue;
        if (found) return SameLabelsetError();
        found = true;
        out.Append(step, matrix.cell(row, step));
      }
    }
    out.End();
  }
  return out;
}

Status RowCollector::Put(const Labels& labels, bool drop_name, size_t step, Cell cell) {
  std::string key;
  AppendCanonical(labels, key);
  const auto [it, added] = by_labels_.try_emplace(key, rows_.size());
  if (!added && !rows_[it->second].cells.empty() && rows_[it->second].cells.back().first == step) {
    if (!grid_.instant()) return SameLabelsetError();
    rows_.push_back({labels, drop_name, {}});
    rows_.back().cells.emplace_back(step, std::move(cell));
    return OkStatus();
  }
  if (added) rows_.push_back({labels, drop_name, {}});
  rows_[it->second].cells.emplace_back(step, std::move(cell));
  return OkStatus();
}

Matrix RowCollector::Finish() {
  Matrix out(grid_);
  for (Collected& row : rows_) {
    out.Begin(RowLabels(std::move(row.labels)), row.drop_name);
    for (auto& [step, cell] : row.cells) out.Append(step, std::move(cell));
    out.End();
  }
  return out;
}

void DropMetadataLabels(Labels& labels) {
  labels.Remove(kMetricName);
  labels.Remove("__type__");
  labels.Remove("__unit__");
}

std::string BracedText(const Labels& labels) {
  std::string out = "{";
  for (const Label& label : labels) {
    if (out.size() > 1) out += ", ";
    if (IsLegacyLabelName(label.name)) {
      out += label.name;
    } else {
      AppendQuoted(label.name, out);
    }
    out += '=';
    AppendQuoted(label.value, out);
  }
  out += '}';
  return out;
}

}  // namespace basalt::query::exec
