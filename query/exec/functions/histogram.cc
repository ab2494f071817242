// Functions of histograms: statistics of native ones, quantiles and fractions of native and classic
// ones.
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/base/hash.h"
#include "engine/base/kahan.h"
#include "query/exec/assemble.h"
#include "query/exec/functions/vector.h"
#include "query/exec/quantile.h"
#include "query/number_format.h"

namespace basalt::query::exec {
namespace {

using plan::FunctionId;

constexpr std::string_view kBucketLabel = "le";

double Variance(const FloatHistogram& h) {
  const double mean = h.sum / h.count;
  double variance = 0;
  double correction = 0;
  for (const HistogramBucket& b : AllBuckets(h)) {
    if (b.count == 0) continue;
    // Each observation is taken to lie in the middle of its bucket, on the scale of the buckets.
    double value = 0;
    if (h.uses_custom_buckets()) {
      value = (b.upper + b.lower) / 2;
    } else if (b.lower > 0 || b.upper < 0) {
      value = std::sqrt(b.upper * b.lower);
      if (b.upper < 0) value = -value;
    }
    const double delta = value - mean;
    KahanAdd(b.count * delta * delta, variance, correction);
  }
  return (variance + correction) / h.count;
}

double Statistic(FunctionId id, const FloatHistogram& h) {
  switch (id) {
    case FunctionId::kHistogramCount:
      return h.count;
    case FunctionId::kHistogramSum:
      return h.sum;
    case FunctionId::kHistogramAvg:
      return h.sum / h.count;
    case FunctionId::kHistogramStdvar:
      return Variance(h);
    default:
      return std::sqrt(Variance(h));
  }
}

// The bound in a bucket's `le` label.
std::optional<double> ParseBound(std::string_view text) {
  if (!text.empty() && text[0] == '+') {
    text.remove_prefix(1);
    if (!text.empty() && (text[0] == '-' || text[0] == '+')) return std::nullopt;
  }
  double out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

// The rows that make up one histogram: classic buckets, or a native one.
struct Family {
  Labels labels;                                     // without le
  std::vector<std::pair<uint32_t, double>> buckets;  // row and bound
  std::optional<uint32_t> native;                    // row
  bool drop_name = true;
};

// What quantile and fraction share: which rows belong together, and who is there at a step.
class Families {
 public:
  Families(const Matrix& m, plan::PosRange pos, Annotations& annotations)
      : matrix_(m), pos_(pos), annotations_(annotations) {
    for (uint32_t i = 0; i < m.size(); ++i) AddRow(i);
  }

  // f(number of the family, labels, histogram or null, buckets) for each histogram of the step:
  // native ones first, then classic ones.
  template <typename F>
  Status ForEach(size_t step, F&& f) {
    WarnOfBadBounds(step);
    for (size_t i = 0; i < families_.size(); ++i) {
      const Family& family = families_[i];
      if (!NativeAt(family, step)) continue;
      if (HasBuckets(family, step)) {
        annotations_.MixedClassicNative(family.labels.metric_name(), pos_);
        continue;
      }
      BASALT_TRY(f(i, family.labels, matrix_.histogram(matrix_.rows()[*family.native], step).get(),
                   buckets_));
    }
    for (size_t i = 0; i < families_.size(); ++i) {
      const Family& family = families_[i];
      if (NativeAt(family, step)) continue;
      buckets_.clear();
      for (const auto& [row, bound] : family.buckets) {
        const Row& r = matrix_.rows()[row];
        if (matrix_.kind(r, step) == CellKind::kFloat)
          buckets_.push_back({bound, matrix_.value(r, step)});
      }
      if (!buckets_.empty()) BASALT_TRY(f(i, family.labels, nullptr, buckets_));
    }
    return OkStatus();
  }

 private:
  void AddRow(uint32_t i) {
    const Row& row = matrix_.rows()[i];
    bool floats = false;
    bool histograms = false;
    for (const CellKind kind : matrix_.kinds(row)) {
      floats = floats || kind == CellKind::kFloat;
      histograms = histograms || kind == CellKind::kHistogram;
    }
    const Labels labels = row.labels.ToLabels();
    if (floats) {
      const std::string_view le = labels.Get(kBucketLabel);
      if (const auto bound = ParseBound(le)) {
        Labels rest = labels;
        rest.Remove(kBucketLabel);
        FamilyOf(rest).buckets.emplace_back(i, *bound);
      } else {
        bad_.push_back(i);
      }
    }
    if (histograms) FamilyOf(labels).native = i;
  }

  Family& FamilyOf(const Labels& labels) {
    std::string key;
    AppendCanonical(labels, key);
    const auto [it, added] = by_labels_.try_emplace(key, families_.size());
    if (added) families_.push_back({labels, {}, std::nullopt});
    return families_[it->second];
  }

  [[nodiscard]] bool NativeAt(const Family& family, size_t step) const {
    return family.native.has_value() &&
           matrix_.kind(matrix_.rows()[*family.native], step) == CellKind::kHistogram;
  }
  [[nodiscard]] bool HasBuckets(const Family& family, size_t step) const {
    for (const auto& [row, bound] : family.buckets) {
      if (matrix_.kind(matrix_.rows()[row], step) == CellKind::kFloat) return true;
    }
    return false;
  }
  void WarnOfBadBounds(size_t step) {
    for (const uint32_t i : bad_) {
      const Row& row = matrix_.rows()[i];
      if (matrix_.kind(row, step) != CellKind::kFloat) continue;
      annotations_.BadBucketLabel(row.labels.metric_name(), row.labels.Get(kBucketLabel), pos_);
    }
  }

  const Matrix& matrix_;
  plan::PosRange pos_;
  Annotations& annotations_;
  std::vector<Family> families_;
  std::vector<uint32_t> bad_;  // rows whose le is no number
  absl::flat_hash_map<std::string, size_t, StringHash, StringEq> by_labels_;
  std::vector<ClassicBucket> buckets_;
};

// A value a family and step. Families have labels of their own, so unlike RowCollector this looks
// nothing up by them. Rows come in the order in which families first have a value.
class FamilyRows {
 public:
  explicit FamilyRows(const plan::Grid& grid) : grid_(grid) {}

  // Steps must not fall.
  Status Put(size_t family, const Labels& labels, size_t step, Cell cell) {
    if (family >= row_.size()) row_.resize(family + 1, SIZE_MAX);
    if (row_[family] == SIZE_MAX) {
      row_[family] = rows_.size();
      rows_.push_back({labels, {}});
    }
    rows_[row_[family]].values.emplace_back(static_cast<uint32_t>(step), cell.value);
    return OkStatus();
  }
  Matrix Finish() {
    Matrix out(grid_);
    for (Collected& row : rows_) {
      out.Begin(RowLabels(std::move(row.labels)), true);
      for (const auto& [step, value] : row.values) out.Append(step, value);
      out.End();
    }
    return out;
  }

 private:
  struct Collected {
    Labels labels;
    std::vector<std::pair<uint32_t, double>> values;
  };
  plan::Grid grid_;
  std::vector<size_t> row_;  // by family
  std::vector<Collected> rows_;
};

// "0.5", "1.0": the value of a quantile label, as OpenMetrics spells it.
std::string QuantileText(double q) {
  std::string out = FormatShort(q);
  if (std::isfinite(q) && out.find_first_of(".e") == std::string::npos) out += ".0";
  return out;
}

void CheckQuantile(double q, plan::PosRange pos, Annotations& annotations) {
  if (std::isnan(q) || q < 0 || q > 1) annotations.InvalidQuantile(q, pos);
}

double QuantileOf(double q, const Labels& labels, const FloatHistogram* native,
                  std::vector<ClassicBucket>& buckets, plan::PosRange pos, int64_t time_ms,
                  Annotations& annotations) {
  if (native != nullptr)
    return HistogramQuantile(q, *native, labels.metric_name(), pos, annotations);
  const ClassicQuantile result = BucketQuantile(q, buckets);
  if (result.forced_monotonic) {
    annotations.ForcedMonotonicity(labels.metric_name(), pos, time_ms, result.min_bucket,
                                   result.max_bucket, result.max_diff);
  }
  return result.value;
}

}  // namespace

Result<Matrix> HistogramFunction(CallInput& in) {
  const Matrix& m = in.args[0];
  Matrix out(in.grid);
  if (!m.has_histograms()) return out;
  for (const Row& row : m.rows()) {
    out.Begin(row.labels, true, row.partition);
    for (size_t step = row.first; step < row.end(); ++step) {
      if (m.kind(row, step) != CellKind::kHistogram) continue;
      out.Append(step, Statistic(in.node.function, *m.histogram(row, step)));
    }
    out.End();
  }
  return out;
}

Result<Matrix> BucketFunction(CallInput& in) {
  const FunctionId id = in.node.function;
  const size_t vector_arg = id == FunctionId::kHistogramQuantiles  ? 0
                            : id == FunctionId::kHistogramQuantile ? 1
                                                                   : 2;
  const plan::PosRange pos = in.node.arg_pos[vector_arg];
  Families families(in.args[vector_arg], pos, in.annotations);
  FamilyRows out(in.grid);
  RowCollector quantiles(in.grid);
  for (size_t step = 0; step < in.grid.size(); ++step) {
    const int64_t time_ms = in.grid.at(step);
    if (id == FunctionId::kHistogramFraction) {
      const double lower = in.scalar(0, step);
      const double upper = in.scalar(1, step);
      BASALT_TRY(families.ForEach(step, [&](size_t family, const Labels& labels,
                                            const FloatHistogram* native, auto& buckets) {
        const double share = native != nullptr
                                 ? HistogramFraction(lower, upper, *native, labels.metric_name(),
                                                     pos, in.annotations)
                                 : BucketFraction(lower, upper, buckets);
        return out.Put(family, labels, step, Cell::Float(share));
      }));
      continue;
    }
    if (id == FunctionId::kHistogramQuantile) {
      const double q = in.scalar(0, step);
      CheckQuantile(q, in.node.arg_pos[0], in.annotations);
      BASALT_TRY(families.ForEach(step, [&](size_t family, const Labels& labels,
                                            const FloatHistogram* native, auto& buckets) {
        const double v = QuantileOf(q, labels, native, buckets, pos, time_ms, in.annotations);
        return out.Put(family, labels, step, Cell::Float(v));
      }));
      continue;
    }
    for (size_t i = 2; i < in.args.size(); ++i) {
      const double q = in.scalar(i, step);
      CheckQuantile(q, in.node.arg_pos[i], in.annotations);
      BASALT_TRY(families.ForEach(
          step, [&](size_t, const Labels& labels, const FloatHistogram* native, auto& buckets) {
            Labels with_quantile = labels;
            with_quantile.Set(in.text(1), QuantileText(q));
            const double v = QuantileOf(q, labels, native, buckets, pos, time_ms, in.annotations);
            return quantiles.Put(with_quantile, true, step, Cell::Float(v));
          }));
    }
  }
  return id == FunctionId::kHistogramQuantiles ? quantiles.Finish() : out.Finish();
}

}  // namespace basalt::query::exec
