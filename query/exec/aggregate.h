// query/exec/aggregate.h -- sum, avg, count, min, max, group, stddev, stdvar: states that rows are
// added to, and that merge (stddev and stdvar do not yet).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "query/exec/annotations.h"
#include "query/exec/grouper.h"
#include "query/exec/matrix.h"
#include "query/plan/plan.h"

namespace basalt::query::exec {

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
  // Of a state.
  enum Flag : uint8_t {
    kSeen = 1,
    kFloat = 2,
    kHistogram = 4,
    kIncompatible = 8,  // the group has histograms that do not mix: no result
    kIncremental = 16,  // the mean is kept because the sum would overflow
    kReset = 32,        // a histogram that says it was reset was added
    kNoReset = 64,      // and one that says it was not
  };
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
