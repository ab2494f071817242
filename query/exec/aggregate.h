// query/exec/aggregate.h -- sum, avg, count, min, max, group, stddev, stdvar: states that rows are
// added to, and that merge (stddev and stdvar do not yet).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/base/hash.h"
#include "query/exec/annotations.h"
#include "query/exec/matrix.h"
#include "query/plan/plan.h"

namespace basalt::query::exec {

// Finds which group a row belongs to. Groups are numbered in the order in which they first show up.
// One thread.
class Grouper {
 public:
  explicit Grouper(const plan::Grouping& grouping) : grouping_(grouping) {}

  uint32_t Find(const RowLabels& labels);
  uint32_t Find(const Labels& group);  // a group's own labels
  [[nodiscard]] size_t size() const { return labels_.size(); }
  [[nodiscard]] const Labels& labels(size_t group) const { return labels_[group]; }

 private:
  // `key_` holds the group's identity; makes the group if it is new.
  template <typename MakeLabels>
  uint32_t FindKey(MakeLabels&& make_labels);

  plan::Grouping grouping_;
  std::vector<Labels> labels_;
  absl::flat_hash_map<std::string, uint32_t, StringHash, StringEq> by_key_;
  std::string key_;
  std::vector<std::string_view> values_;
  // The values found last, if they stay in their places: neighbours mostly have the same.
  std::vector<std::string_view> last_values_;
  uint32_t last_group_ = 0;
};

// The states of all groups at all steps. A partition's states travel to the merge as they are.
class Aggregation {
 public:
  Aggregation(plan::PartialAggregation plan, plan::Grid grid);

  void Add(const Matrix& matrix, const Row& row, Annotations& annotations);
  // A row of floats: the same, without a matrix around it. `gapless`: all kinds are kFloat.
  void AddFloats(const RowLabels& labels, bool drop_name, uint32_t first, bool gapless,
                 std::span<const CellKind> kinds, std::span<const double> values);
  // A row of which only matters where it has a value (count, group): step s does if bit s % 64 of
  // present[s / 64] is set.
  void AddPresent(const RowLabels& labels, std::span<const uint64_t> present);
  // `other` has the same plan and grid and comes after this one in partition order.
  void Merge(const Aggregation& other, Annotations& annotations);
  // A row a group that has any value.
  Matrix Finish(Annotations& annotations);
  // How many (group, step) states there are.
  [[nodiscard]] size_t cells() const { return flags_.size(); }

 private:
  struct HistogramState {
    FloatHistogram value;  // the sum, or the mean once `incremental`
    std::optional<FloatHistogram> correction;
    bool incremental = false;
    std::string metric;  // of the first one, for annotations
  };

  void Grow();
  void AddFloat(size_t cell, double v);
  // Adds to cells [base, base + values.size()), all of which hold floats already. False: this
  // operation, or these values, need AddFloat.
  bool AddToFloats(size_t base, std::span<const double> values);
  void AddHistogram(size_t cell, const HistogramPtr& h, const Row& row, Annotations& annotations);
  void AverageFloat(size_t cell, double v);
  void AverageHistogram(size_t cell, const FloatHistogram& h, HistogramState& state,
                        std::string_view metric, Annotations& annotations);
  bool Ok(size_t cell, bool incompatible, bool reconciled, std::string_view metric,
          Annotations& annotations);
  void MergeCell(size_t cell, const Aggregation& other, size_t other_cell,
                 Annotations& annotations);
  void MergeAverages(size_t cell, const Aggregation& other, size_t other_cell);
  void MergeHistograms(size_t cell, const Aggregation& other, size_t other_cell,
                       Annotations& annotations);
  Cell FinishCell(size_t cell, Annotations& annotations);

  plan::PartialAggregation plan_;
  plan::Grid grid_;
  size_t steps_;
  Grouper groups_;
  std::vector<uint8_t> drop_name_;  // a group
  // A state a (group, step).
  std::vector<uint8_t> flags_;
  std::vector<double> value_;       // sum, extreme, mean, or sum of squares of differences
  std::vector<double> correction_;  // of sums; the mean for stddev
  std::vector<double> count_;
  absl::flat_hash_map<size_t, HistogramState> histograms_;
};

}  // namespace basalt::query::exec
