#include "query/exec/aggregate.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/base/kahan.h"
#include "query/exec/histogram_ops.h"

namespace basalt::query::exec {
namespace {

using plan::AggregateOp;

bool NeedsCorrection(AggregateOp op) {
  return op == AggregateOp::kSum || op == AggregateOp::kAvg || op == AggregateOp::kStddev ||
         op == AggregateOp::kStdvar;
}
bool NeedsCount(AggregateOp op) {
  return op == AggregateOp::kAvg || op == AggregateOp::kCount || op == AggregateOp::kStddev ||
         op == AggregateOp::kStdvar;
}

}  // namespace

Aggregation::Aggregation(plan::PartialAggregation plan, plan::Grid grid)
    : plan_(std::move(plan)), grid_(grid), steps_(grid.size()), groups_(plan_.grouping) {}

void Aggregation::Grow() {
  const size_t cells = groups_.size() * steps_;
  if (flags_.size() == cells) return;
  drop_name_.resize(groups_.size());
  flags_.resize(cells);
  value_.resize(cells);
  if (NeedsCorrection(plan_.op)) correction_.resize(cells);
  if (NeedsCount(plan_.op)) count_.resize(cells);
}

void Aggregation::Add(const Matrix& matrix, const Row& row, Annotations& annotations) {
  const uint32_t group = groups_.Find(row.labels);
  Grow();
  if (row.drop_name) drop_name_[group] = 1;
  const auto kinds = matrix.kinds(row);
  const auto values = matrix.values(row);
  const size_t base = group * steps_ + row.first;
  for (size_t i = 0; i < kinds.size(); ++i) {
    if (kinds[i] == CellKind::kFloat) {
      AddFloat(base + i, values[i]);
    } else if (kinds[i] == CellKind::kHistogram) {
      AddHistogram(base + i, matrix.histogram(row, row.first + i), row, annotations);
    }
  }
}

void Aggregation::AddFloats(const RowLabels& labels, bool drop_name, uint32_t first, bool gapless,
                            std::span<const CellKind> kinds, std::span<const double> values) {
  const uint32_t group = groups_.Find(labels);
  Grow();
  if (drop_name) drop_name_[group] = 1;
  const size_t base = group * steps_ + first;
  if (gapless && AddToFloats(base, values)) return;
  for (size_t i = 0; i < kinds.size(); ++i) {
    if (kinds[i] == CellKind::kFloat) AddFloat(base + i, values[i]);
  }
}

void Aggregation::AddPresent(const RowLabels& labels, std::span<const uint64_t> present) {
  const size_t base = groups_.Find(labels) * steps_;
  Grow();
  for (size_t word = 0; word < present.size(); ++word) {
    uint64_t bits = present[word];
    for (; bits != 0; bits &= bits - 1)
      AddFloat(base + word * 64 + static_cast<size_t>(std::countr_zero(bits)), 1.0);
  }
}

// The loops have no branch, so that compilers make vectors of them; each cell sees the same
// operations in the same order as in AddFloat.
bool Aggregation::AddToFloats(size_t base, std::span<const double> values) {
  const size_t n = values.size();
  const uint8_t* const flags = flags_.data() + base;
  unsigned other = 0;
  for (size_t i = 0; i < n; ++i) other |= flags[i] ^ (kSeen | kFloat);
  if (other != 0) return false;
  const double* const v = values.data();
  double* const value = value_.data() + base;
  switch (plan_.op) {
    case AggregateOp::kCount:
      for (size_t i = 0; i < n; ++i) count_[base + i] += 1;
      return true;
    case AggregateOp::kGroup:
      return true;
    case AggregateOp::kMin:
      for (size_t i = 0; i < n; ++i)
        value[i] = value[i] > v[i] || std::isnan(value[i]) ? v[i] : value[i];
      return true;
    case AggregateOp::kMax:
      for (size_t i = 0; i < n; ++i)
        value[i] = value[i] < v[i] || std::isnan(value[i]) ? v[i] : value[i];
      return true;
    case AggregateOp::kSum: {
      double* const correction = correction_.data() + base;
      for (size_t i = 0; i < n; ++i) {
        const double total = value[i] + v[i];
        const double lost = std::fabs(value[i]) >= std::fabs(v[i]) ? (value[i] - total) + v[i]
                                                                   : (v[i] - total) + value[i];
        const double next = correction[i] + lost;
        correction[i] = std::isinf(total) ? 0 : next;
        value[i] = total;
      }
      return true;
    }
    case AggregateOp::kAvg: {
      unsigned infinite = 0;
      for (size_t i = 0; i < n; ++i) infinite |= static_cast<unsigned>(std::isinf(value[i] + v[i]));
      if (infinite != 0) return false;
      double* const correction = correction_.data() + base;
      double* const count = count_.data() + base;
      for (size_t i = 0; i < n; ++i) {
        const double total = value[i] + v[i];
        correction[i] += std::fabs(value[i]) >= std::fabs(v[i]) ? (value[i] - total) + v[i]
                                                                : (v[i] - total) + value[i];
        value[i] = total;
        count[i] += 1;
      }
      return true;
    }
    default:
      return false;
  }
}

void Aggregation::AddFloat(size_t cell, double v) {
  uint8_t& flags = flags_[cell];
  if ((flags & kIncompatible) != 0) return;
  const bool first = (flags & kSeen) == 0;
  flags |= kSeen | kFloat;
  double& value = value_[cell];
  switch (plan_.op) {
    case AggregateOp::kCount:
      ++count_[cell];
      break;
    case AggregateOp::kGroup:
      value = 1;
      break;
    case AggregateOp::kMin:
      if (first || value > v || std::isnan(value)) value = v;
      break;
    case AggregateOp::kMax:
      if (first || value < v || std::isnan(value)) value = v;
      break;
    case AggregateOp::kSum:
      if (first) {
        value = v;  // 0 + v would lose the sign of -0
      } else {
        KahanAdd(v, value, correction_[cell]);
      }
      break;
    case AggregateOp::kAvg:
      ++count_[cell];
      if (first) {
        value = v;
      } else {
        AverageFloat(cell, v);
      }
      break;
    case AggregateOp::kStddev:
    case AggregateOp::kStdvar: {
      ++count_[cell];
      double& mean = correction_[cell];
      if (first) {
        mean = v;
        value = std::isfinite(v) ? 0 : std::numeric_limits<double>::quiet_NaN();
        break;
      }
      const double delta = v - mean;
      mean += delta / count_[cell];
      value += delta * (v - mean);
      break;
    }
    default:
      BASALT_CHECK(false, "not an aggregation with a state");
  }
}

void Aggregation::AverageFloat(size_t cell, double v) {
  const double count = count_[cell];
  double& value = value_[cell];
  double& correction = correction_[cell];
  if ((flags_[cell] & kIncremental) == 0) {
    double next = value;
    double next_correction = correction;
    KahanAdd(v, next, next_correction);
    if (!std::isinf(next)) {
      value = next;
      correction = next_correction;
      return;
    }
    flags_[cell] |= kIncremental;
    value /= count - 1;
    correction /= count - 1;
  }
  const double q = (count - 1) / count;
  value *= q;
  correction *= q;
  KahanAdd(v / count, value, correction);
}

void Aggregation::Merge(const Aggregation& other, Annotations& annotations) {
  for (size_t g = 0; g < other.groups_.size(); ++g) {
    const uint32_t group = groups_.Find(other.groups_.labels(g));
    Grow();
    drop_name_[group] |= other.drop_name_[g];
    for (size_t step = 0; step < steps_; ++step) {
      MergeCell(group * steps_ + step, other, g * steps_ + step, annotations);
    }
  }
}

void Aggregation::MergeCell(size_t cell, const Aggregation& other, size_t from,
                            Annotations& annotations) {
  if ((other.flags_[from] & kSeen) == 0) return;
  if ((flags_[cell] & kSeen) == 0) {
    flags_[cell] = other.flags_[from];
    value_[cell] = other.value_[from];
    if (!correction_.empty()) correction_[cell] = other.correction_[from];
    if (!count_.empty()) count_[cell] = other.count_[from];
    const auto it = other.histograms_.find(from);
    if (it != other.histograms_.end()) histograms_[cell] = it->second;
    return;
  }
  const double v = other.value_[from];
  switch (plan_.op) {
    case AggregateOp::kCount:
      count_[cell] += other.count_[from];
      break;
    case AggregateOp::kGroup:
      break;
    case AggregateOp::kMin:
      if (value_[cell] > v || std::isnan(value_[cell])) value_[cell] = v;
      break;
    case AggregateOp::kMax:
      if (value_[cell] < v || std::isnan(value_[cell])) value_[cell] = v;
      break;
    case AggregateOp::kSum:
      KahanAdd(v, value_[cell], correction_[cell]);
      KahanAdd(other.correction_[from], value_[cell], correction_[cell]);
      MergeHistograms(cell, other, from, annotations);
      break;
    case AggregateOp::kAvg:
      MergeHistograms(cell, other, from, annotations);
      MergeAverages(cell, other, from);
      count_[cell] += other.count_[from];
      break;
    default:
      BASALT_CHECK(false, "states of this aggregation do not merge");
  }
  flags_[cell] |= other.flags_[from];
}

void Aggregation::MergeAverages(size_t cell, const Aggregation& other, size_t from) {
  double& value = value_[cell];
  double& correction = correction_[cell];
  double theirs = other.value_[from];
  double their_correction = other.correction_[from];
  const double ours_n = count_[cell];
  const double theirs_n = other.count_[from];
  const bool our_mean = (flags_[cell] & kIncremental) != 0;
  const bool their_mean = (other.flags_[from] & kIncremental) != 0;
  if (!our_mean && !their_mean) {
    double next = value;
    double next_correction = correction;
    KahanAdd(theirs, next, next_correction);
    KahanAdd(their_correction, next, next_correction);
    if (!std::isinf(next)) {
      value = next;
      correction = next_correction;
      return;
    }
  }
  // As soon as one of the sums does not fit a double, means are merged by their weights.
  if (!our_mean) {
    value /= ours_n;
    correction /= ours_n;
  }
  if (!their_mean) {
    theirs /= theirs_n;
    their_correction /= theirs_n;
  }
  const double n = ours_n + theirs_n;
  value *= ours_n / n;
  correction *= ours_n / n;
  KahanAdd(theirs * (theirs_n / n), value, correction);
  KahanAdd(their_correction * (theirs_n / n), value, correction);
  flags_[cell] |= kIncremental;
}

Cell Aggregation::FinishCell(size_t cell, Annotations& annotations) {
  const uint8_t flags = flags_[cell];
  if ((flags & kSeen) == 0) return {};
  switch (plan_.op) {
    case AggregateOp::kCount:
      return Cell::Float(count_[cell]);
    case AggregateOp::kStdvar:
      return Cell::Float(value_[cell] / count_[cell]);
    case AggregateOp::kStddev:
      return Cell::Float(std::sqrt(value_[cell] / count_[cell]));
    case AggregateOp::kSum:
    case AggregateOp::kAvg:
      break;
    default:
      return Cell::Float(value_[cell]);
  }
  if ((flags & kFloat) != 0 && (flags & kHistogram) != 0) {
    annotations.MixedFloatsHistogramsInAggregation(plan_.expr_pos);
    return {};
  }
  if ((flags & kIncompatible) != 0) return {};
  if ((flags & kReset) != 0 && (flags & kNoReset) != 0) {
    annotations.CounterResetCollision("aggregation", plan_.expr_pos);
  }
  const bool average = plan_.op == AggregateOp::kAvg;
  if ((flags & kHistogram) != 0) {
    HistogramState& state = histograms_.find(cell)->second;
    if (average && !state.incremental) {
      Divide(state.value, count_[cell]);
      if (state.correction.has_value()) Divide(*state.correction, count_[cell]);
    }
    if (state.correction.has_value()) exec::Add(state.value, *state.correction);
    Compact(state.value);
    return Cell::Histogram(std::move(state.value));
  }
  if (average && (flags & kIncremental) == 0) {
    return Cell::Float(value_[cell] / count_[cell] + correction_[cell] / count_[cell]);
  }
  return Cell::Float(value_[cell] + correction_[cell]);
}

Matrix Aggregation::Finish(Annotations& annotations) {
  Matrix out(grid_);
  out.Reserve(groups_.size(), cells());
  for (size_t g = 0; g < groups_.size(); ++g) {
    out.Begin(RowLabels(groups_.labels(g)), drop_name_[g] != 0);
    for (size_t step = 0; step < steps_; ++step)
      out.Append(step, FinishCell(g * steps_ + step, annotations));
    out.End();
  }
  return out;
}

}  // namespace basalt::query::exec
