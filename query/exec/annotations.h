// query/exec/annotations.h -- warnings and infos gathered while a query runs. Texts are Prometheus'
// to the letter.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/base/hash.h"
#include "query/promql/ast.h"

namespace basalt::query::exec {

// A set, deduplicated by text; of equal texts the position of the last one is shown. One thread;
// tasks have one each and are merged in the order of the data, so that the list does not depend on
// threads.
class Annotations {
 public:
  using Pos = promql::PosRange;

  // `text` without Prometheus' prefix "PromQL warning: " / "PromQL info: " and without position.
  void Warn(std::string_view text, Pos pos) { Add(true, text, pos); }
  void Info(std::string_view text, Pos pos) { Add(false, text, pos); }
  void Merge(const Annotations& other);
  [[nodiscard]] bool empty() const { return list_.empty(); }

  // "PromQL info: <text> (1:5)", in the order of first appearance.
  void Render(std::string_view query, std::vector<std::string>& warnings,
              std::vector<std::string>& infos) const;

  // Those that more than one place says.
  void InvalidQuantile(double q, Pos pos);
  void InvalidRatio(double ratio, double capped, Pos pos);
  void BadBucketLabel(std::string_view metric, std::string_view label, Pos pos);
  void MixedFloatsHistograms(std::string_view metric, Pos pos);
  void MixedFloatsHistogramsInAggregation(Pos pos);
  void MixedClassicNative(std::string_view metric, Pos pos);
  void NotCounterHistogram(std::string_view metric, Pos pos);
  void NotGaugeHistogram(std::string_view metric, Pos pos);
  void MixedExponentialCustom(std::string_view metric, Pos pos);
  void PossibleNonCounter(std::string_view metric, Pos pos);
  void IncompatibleTypes(std::string_view lhs, std::string_view op, std::string_view rhs, Pos pos);
  void IncompatibleBuckets(std::string_view op, Pos pos);
  void HistogramIgnoredInAggregation(std::string_view aggregation, Pos pos);
  void HistogramIgnoredInMixedRange(std::string_view metric, Pos pos);
  void QuantileNaNResult(std::string_view metric, Pos pos);
  void QuantileNaNSkew(std::string_view metric, Pos pos);
  void FractionNaNs(std::string_view metric, Pos pos);
  // `operation`: "addition", "subtraction", "aggregation".
  void CounterResetCollision(std::string_view operation, Pos pos);
  void MismatchedCustomBuckets(std::string_view operation, Pos pos);
  void SortInRangeQuery(Pos pos);
  void StartTimeOverlap(std::string_view metric, Pos pos);
  void ForcedMonotonicity(std::string_view metric, Pos pos, int64_t time_ms, double min_bucket,
                          double max_bucket, double max_diff);

 private:
  struct Monotonicity {
    int64_t first_ms, last_ms;
    double min_bucket, max_bucket, max_diff;
    int samples;
  };
  struct Entry {
    bool warning = false;
    std::string text;
    Pos pos;
    std::optional<Monotonicity> monotonicity;
    int overlaps = 0;  // how often a start time overlap was said
  };

  Entry& Add(bool warning, std::string_view text, Pos pos);

  std::vector<Entry> list_;
  absl::flat_hash_map<std::string, size_t, StringHash, StringEq> by_text_;
};

}  // namespace basalt::query::exec
