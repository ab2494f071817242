#include "query/exec/aggregate_select.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/base/label_order.h"
#include "query/exec/aggregate.h"
#include "query/exec/assemble.h"
#include "query/exec/quantile.h"
#include "query/number_format.h"

namespace basalt::query::exec {
namespace {

using plan::AggregateOp;

// How often an operator asks whether to go on, in cells whose labels may have to be made: a few
// milliseconds of work.
constexpr uint64_t kCellsBetweenChecks = 4096;

// The smallest and largest of a parameter's values, and whether one is NaN.
struct ParameterRange {
  double min = 0;
  double max = 0;
  bool has_nan = false;
};
ParameterRange RangeOf(const Matrix& parameter) {
  ParameterRange out{std::numeric_limits<double>::max(), std::numeric_limits<double>::lowest(),
                     false};
  for (const double v : parameter.values(parameter.rows().front())) {
    out.has_nan = out.has_nan || std::isnan(v);
    out.min = std::min(out.min, v);
    out.max = std::max(out.max, v);
  }
  // Then neither bound says anything.
  if (out.has_nan) out.min = out.max = std::numeric_limits<double>::quiet_NaN();
  return out;
}

struct Candidate {
  uint32_t row = 0;
  double value = 0;  // 0 for histograms
};

// A binary heap whose root is the candidate to be replaced next. The sift rules decide which of
// equal values stay, so they are those of the textbook heap that upstream uses, and not the
// standard library's.
class CandidateHeap {
 public:
  // `ascending`: the smallest value is the root (topk). NaN is before everything.
  explicit CandidateHeap(bool ascending) : ascending_(ascending) {}

  void Clear() {
    items_.clear();
    lost_.reset();
  }
  [[nodiscard]] size_t size() const { return items_.size(); }
  [[nodiscard]] const std::vector<Candidate>& items() const { return items_; }
  [[nodiscard]] const Candidate& root() const { return items_.front(); }

  void Push(Candidate c) {
    items_.push_back(c);
    for (size_t i = items_.size() - 1; i > 0;) {
      const size_t parent = (i - 1) / 2;
      if (!Before(items_[i], items_[parent])) break;
      std::swap(items_[i], items_[parent]);
      i = parent;
    }
  }
  // A candidate that is not among the chosen, or not any more.
  void Lose(double value) {
    if (!lost_.has_value() || Before({0, *lost_}, {0, value})) lost_ = value;
  }
  // True if somebody was left out who is as good as the worst of the chosen: then the order in
  // which they came decided.
  [[nodiscard]] bool tied() const {
    if (!lost_.has_value() || items_.empty()) return false;
    const double worst = root().value;
    return worst == *lost_ || (std::isnan(worst) && std::isnan(*lost_));
  }
  void ReplaceRoot(Candidate c) {
    Lose(items_[0].value);
    items_[0] = c;
    for (size_t i = 0;;) {
      size_t child = 2 * i + 1;
      if (child >= items_.size()) return;
      if (child + 1 < items_.size() && Before(items_[child + 1], items_[child])) ++child;
      if (!Before(items_[child], items_[i])) return;
      std::swap(items_[i], items_[child]);
      i = child;
    }
  }
  // Best first.
  std::vector<Candidate> Sorted() const {
    std::vector<Candidate> out = items_;
    std::stable_sort(out.begin(), out.end(), [this](const Candidate& a, const Candidate& b) {
      if (std::isnan(a.value) || std::isnan(b.value))
        return !std::isnan(a.value) && std::isnan(b.value);
      return ascending_ ? a.value > b.value : a.value < b.value;
    });
    return out;
  }

 private:
  [[nodiscard]] bool Before(const Candidate& a, const Candidate& b) const {
    if (std::isnan(a.value)) return true;
    return ascending_ ? a.value < b.value : a.value > b.value;
  }
  bool ascending_;
  std::vector<Candidate> items_;
  std::optional<double> lost_;  // the best of those
};

// Where a label set falls in [0, 1) for limit_ratio: by the hash that upstream takes, over the
// bytes it takes it of.
double SampleOffset(const Labels& labels) {
  std::string bytes;
  const auto append = [&bytes](std::string_view s) {
    constexpr size_t kLongSize = 255;
    if (s.size() < kLongSize) {
      bytes += static_cast<char>(s.size());
    } else {
      bytes += static_cast<char>(kLongSize);
      for (int shift = 0; shift < 24; shift += 8)
        bytes += static_cast<char>(s.size() >> shift & 0xFF);
    }
    bytes += s;
  };
  for (const Label& label : labels) {
    append(label.name);
    append(label.value);
  }
  constexpr double kMaxHash = 18446744073709551615.0;
  return static_cast<double>(XXH64(bytes.data(), bytes.size(), 0)) / kMaxHash;
}

bool InRatio(double ratio, double offset) {
  return (ratio >= 0 && offset < ratio) || (ratio < 0 && offset >= 1.0 + ratio);
}

// Chooses rows step by step.
class Selector {
 public:
  Selector(const SelectInput& in, const Matrix& matrix)
      : in_(in), matrix_(matrix), chosen_(matrix.size()) {
    Grouper grouper(in.node.grouping);
    for (const Row& row : matrix.rows()) group_.push_back(grouper.Find(row.labels));
    heaps_.assign(grouper.size(), CandidateHeap(in.node.op != AggregateOp::kBottomk));
    if (in.node.op == AggregateOp::kLimitRatio) {
      for (const Row& row : matrix.rows()) offset_.push_back(SampleOffset(row.labels.ToLabels()));
    }
  }

  void Step(size_t step, double parameter) {
    for (CandidateHeap& heap : heaps_) heap.Clear();
    const bool ratio = in_.node.op == AggregateOp::kLimitRatio;
    // The number of series bounds k, so that the conversion cannot overflow.
    const double k = std::min(std::trunc(parameter), static_cast<double>(matrix_.size()));
    if (ratio ? parameter == 0 : k < 1) return;
    if (in_.node.op == AggregateOp::kLimitk) {
      for (uint32_t group = 0; group < heaps_.size(); ++group) TakeFirst(group, step, k);
    } else {
      for (uint32_t i = 0; i < matrix_.size(); ++i)
        OfferRow(i, step, ratio ? std::clamp(parameter, -1.0, 1.0) : k);
    }
    const bool sorted = in_.node.op == AggregateOp::kTopk || in_.node.op == AggregateOp::kBottomk;
    for (uint32_t group = 0; group < heaps_.size() && sorted; ++group) {
      if (heaps_[group].tied()) ChooseByLabels(group, step, k);
    }
    for (const CandidateHeap& heap : heaps_) {
      for (const Candidate& c : sorted ? heap.Sorted() : heap.items()) {
        chosen_[c.row].push_back(static_cast<uint32_t>(step));
        order_.push_back(c.row);
      }
    }
  }

  // Instant queries keep the order of choice, others that of the rows.
  Matrix Finish() {
    Matrix out(in_.grid);
    const auto emit = [&](uint32_t i) {
      const Row& row = matrix_.rows()[i];
      out.Begin(row.labels, row.drop_name);
      for (const uint32_t step : chosen_[i]) out.Append(step, matrix_.cell(row, step));
      out.End();
    };
    if (in_.grid.instant()) {
      for (const uint32_t i : order_) emit(i);
    } else {
      for (uint32_t i = 0; i < matrix_.size(); ++i) emit(i);
    }
    return out;
  }

 private:
  void OfferRow(uint32_t i, size_t step, double k) {
    const Row& row = matrix_.rows()[i];
    const CellKind kind = matrix_.kind(row, step);
    if (kind == CellKind::kAbsent) return;
    Offer(kind, {i, kind == CellKind::kFloat ? matrix_.value(row, step) : 0}, k);
  }

  // limitk: the first ones in the order of their labels. That is upstream's order too as soon as
  // blocks are read (a merge of several queriers sorts); its head alone gives series as they were
  // created.
  void TakeFirst(uint32_t group, size_t step, double k) {
    for (const uint32_t i : ByLabels(group)) {
      if (static_cast<double>(heaps_[group].size()) >= k) return;
      OfferRow(i, step, k);
    }
  }

  // Where equal values are too many, the rows of the group are offered in the order of their
  // labels, so that how series lie in partitions does not show. (Upstream: as TakeFirst says.)
  void ChooseByLabels(uint32_t group, size_t step, double k) {
    heaps_[group].Clear();
    for (const uint32_t i : ByLabels(group)) {
      if (matrix_.kind(matrix_.rows()[i], step) == CellKind::kFloat) OfferRow(i, step, k);
    }
  }

  // The rows of a group in the order of their labels; as they are, if there are too many to sort.
  const std::vector<uint32_t>& ByLabels(uint32_t group) {
    // Sorting so many takes 20 ms.
    constexpr size_t kMaxSortedRows = 16'384;
    if (by_labels_.empty()) {
      by_labels_.resize(heaps_.size());
      sorted_.resize(heaps_.size());
      for (uint32_t i = 0; i < group_.size(); ++i) by_labels_[group_[i]].push_back(i);
    }
    std::vector<uint32_t>& rows = by_labels_[group];
    if (std::exchange(sorted_[group], uint8_t{1}) != 0 || rows.size() > kMaxSortedRows) return rows;
    std::vector<Labels> labels;
    labels.reserve(rows.size());
    for (const uint32_t i : rows) labels.push_back(matrix_.rows()[i].labels.ToLabels());
    std::vector<uint32_t> sorted;
    for (const uint32_t i :
         SortedOrder(rows.size(), [&labels](size_t i) -> const Labels& { return labels[i]; })) {
      sorted.push_back(rows[i]);
    }
    rows = std::move(sorted);
    return rows;
  }

  void Offer(CellKind kind, Candidate c, double k) {
    CandidateHeap& heap = heaps_[group_[c.row]];
    switch (in_.node.op) {
      case AggregateOp::kLimitk:
        heap.Push(c);
        return;
      case AggregateOp::kLimitRatio:
        if (InRatio(k, offset_[c.row])) heap.Push(c);
        return;
      default:
        break;
    }
    const bool top = in_.node.op == AggregateOp::kTopk;
    if (kind == CellKind::kHistogram) {
      in_.annotations.HistogramIgnoredInAggregation(top ? "topk" : "bottomk", in_.pos);
    } else if (static_cast<double>(heap.size()) < k) {
      heap.Push(c);
    } else {
      const double worst = heap.root().value;
      const bool better = top ? worst < c.value : worst > c.value;
      if (better || (std::isnan(worst) && !std::isnan(c.value))) {
        heap.ReplaceRoot(c);
      } else {
        heap.Lose(c.value);
      }
    }
  }

  const SelectInput& in_;
  const Matrix& matrix_;
  std::vector<uint32_t> group_;
  std::vector<double> offset_;  // limit_ratio
  std::vector<CandidateHeap> heaps_;
  std::vector<std::vector<uint32_t>> by_labels_;  // rows, by group; filled when asked for
  std::vector<uint8_t> sorted_;  // a bool a group: by_labels_ is in the order of labels
  std::vector<std::vector<uint32_t>> chosen_;  // steps, by row
  std::vector<uint32_t> order_;
};

std::string Printed(double v) { return FormatShort(v); }

// False if there is nothing to select at any step.
Result<bool> CheckParameter(const SelectInput& in, const ParameterRange& p) {
  if (in.node.op == AggregateOp::kLimitRatio) {
    if (p.max == 0 && p.min == 0) return false;
    if (p.has_nan) return FailedPrecondition("Ratio value is NaN");
    if (p.max > 1) in.annotations.InvalidRatio(p.max, 1, in.node.parameter_pos);
    if (p.min < -1) in.annotations.InvalidRatio(p.min, -1, in.node.parameter_pos);
    return true;
  }
  if (p.max < 1) return false;
  if (p.has_nan) return FailedPrecondition("Parameter value is NaN");
  constexpr double kMin = -9223372036854775808.0;
  constexpr double kMax = 9223372036854774784.0;  // the largest double that fits
  if (p.min <= kMin)
    return FailedPrecondition("Scalar value " + Printed(p.min) + " underflows int64");
  if (p.max >= kMax)
    return FailedPrecondition("Scalar value " + Printed(p.max) + " overflows int64");
  return true;
}

}  // namespace

Result<Matrix> SelectRows(const SelectInput& in, const Matrix& matrix, const Matrix& parameter) {
  BASALT_TRY_ASSIGN(const bool any, CheckParameter(in, RangeOf(parameter)));
  if (!any) return Matrix(in.grid);
  Selector selector(in, matrix);
  const auto values = parameter.values(parameter.rows().front());
  for (size_t step = 0; step < in.grid.size(); ++step) {
    BASALT_TRY(in.context.CheckRunning());
    selector.Step(step, values[step]);
  }
  return selector.Finish();
}

Result<Matrix> QuantileOfGroups(const SelectInput& in, const Matrix& matrix,
                                const Matrix& parameter) {
  const ParameterRange p = RangeOf(parameter);
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  if (p.has_nan) in.annotations.InvalidQuantile(kNaN, in.node.parameter_pos);
  if (p.max > 1) in.annotations.InvalidQuantile(p.max, in.node.parameter_pos);
  if (p.min < 0) in.annotations.InvalidQuantile(p.min, in.node.parameter_pos);

  Grouper grouper(in.node.grouping);
  std::vector<uint32_t> group;
  for (const Row& row : matrix.rows()) group.push_back(grouper.Find(row.labels));
  std::vector<uint8_t> drop_name(grouper.size());
  for (size_t i = 0; i < group.size(); ++i)
    if (matrix.rows()[i].drop_name) drop_name[group[i]] = 1;
  const auto q = parameter.values(parameter.rows().front());
  std::vector<std::vector<std::pair<size_t, double>>> results(grouper.size());
  std::vector<std::vector<double>> values(grouper.size());
  for (size_t step = 0; step < in.grid.size(); ++step) {
    BASALT_TRY(in.context.CheckRunning());
    for (std::vector<double>& v : values) v.clear();
    for (size_t i = 0; i < matrix.size(); ++i) {
      const Row& row = matrix.rows()[i];
      const CellKind kind = matrix.kind(row, step);
      if (kind == CellKind::kHistogram) {
        in.annotations.HistogramIgnoredInAggregation("quantile", in.node.expr_pos);
      } else if (kind == CellKind::kFloat) {
        values[group[i]].push_back(matrix.value(row, step));
      }
    }
    for (size_t g = 0; g < values.size(); ++g) {
      if (!values[g].empty()) results[g].emplace_back(step, Quantile(q[step], values[g]));
    }
  }
  Matrix out(in.grid);
  for (size_t g = 0; g < results.size(); ++g) {
    out.Begin(RowLabels(grouper.labels(g)), drop_name[g] != 0);
    for (const auto& [step, value] : results[g]) out.Append(step, value);
    out.End();
  }
  return out;
}

namespace {

// How often a value was seen at which steps, in their order.
using StepCounts = std::vector<std::pair<uint32_t, double>>;

// Most steps come in their order, since rows are looked at one after the other.
void Count(uint32_t step, StepCounts& counts) {
  if (counts.empty() || counts.back().first < step) {
    counts.emplace_back(step, 1);
    return;
  }
  const auto it = std::lower_bound(counts.begin(), counts.end(), step,
                                   [](const auto& a, uint32_t b) { return a.first < b; });
  if (it->first == step) {
    ++it->second;
  } else {
    counts.emplace(it, step, 1);
  }
}

}  // namespace

Result<Matrix> CountValues(const SelectInput& in, const Matrix& matrix, const std::string& label) {
  // What a label set weighs beside its samples, in samples: a query that finds a million values
  // must not hold them unseen.
  constexpr uint64_t kLabelsWeigh = 20;
  // By result labels, so that the order does not depend on a hash.
  std::map<Labels, StepCounts> counts;
  plan::Grouping grouping = in.node.grouping;
  if (!grouping.without) {
    grouping.labels.push_back(label);
    std::sort(grouping.labels.begin(), grouping.labels.end());
  }
  Grouper grouper(grouping);
  // A row's group but for the value, and the value's bits: text and labels are made once for each.
  absl::flat_hash_map<std::pair<uint32_t, uint64_t>, StepCounts*> known;
  const auto steps_of = [&](Labels labels, const std::string& text) -> Result<StepCounts*> {
    labels.Set(label, text);
    const auto [it, added] =
        counts.try_emplace(grouper.labels(grouper.Find(RowLabels(std::move(labels)))));
    if (added) BASALT_TRY(in.context.Hold(kLabelsWeigh));
    return &it->second;
  };
  uint64_t work = 0;
  for (const Row& row : matrix.rows()) {
    const Labels labels = row.labels.ToLabels();
    Labels but_for_value = labels;
    but_for_value.Set(label, "?");
    const uint32_t group = grouper.Find(RowLabels(std::move(but_for_value)));
    for (uint32_t step = row.first; step < row.end(); ++step) {
      if (work++ % kCellsBetweenChecks == 0) BASALT_TRY(in.context.CheckRunning());
      const CellKind kind = matrix.kind(row, step);
      if (kind == CellKind::kAbsent) continue;
      StepCounts* steps = nullptr;
      if (kind == CellKind::kFloat) {
        const double value = matrix.value(row, step);
        StepCounts*& seen = known[{group, std::bit_cast<uint64_t>(value)}];
        if (seen == nullptr) {
          BASALT_TRY_ASSIGN(seen, steps_of(labels, FormatDecimal(value)));
        }
        steps = seen;
      } else {
        BASALT_TRY_ASSIGN(steps, steps_of(labels, ToString(*matrix.histogram(row, step))));
      }
      Count(step, *steps);
    }
  }
  Matrix out(in.grid);
  for (const auto& [labels, steps] : counts) {
    out.Begin(RowLabels(labels), false);
    for (const auto& [step, count] : steps) out.Append(step, count);
    out.End();
  }
  return out;
}

}  // namespace basalt::query::exec
