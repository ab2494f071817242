// engine/ingest/fold_rules.h -- which new series may be folded, and which of their labels become
// `__other__`.
//
// Only counters: by the metadata of the metric or of its family, else by the suffixes _total,
// _count, _sum and _bucket. Of a metric's labels, those with the most distinct values go: the one
// with the most, and all others with more than kKeptValues; `__name__`, `job` and `le` always stay.
// The decision and what was refused: docs/0001-cardinality-firewall.md.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/labels.h"
#include "engine/base/time.h"
#include "storage/ingest_batch.h"

namespace basalt::ingest {

inline constexpr std::string_view kOtherValue = "__other__";

// What is stored of a metric already; asked when its first series overflows. Errors count as
// nothing known: the decision is then made by what overflows.
class FoldKnowledge {
 public:
  virtual ~FoldKnowledge() = default;
  // Of the metric of this very name; nullopt if it has none.
  [[nodiscard]] virtual std::optional<storage::MetricType> TypeOf(
      std::string_view metric) const = 0;
  // How many distinct values each label of the metric has, in stored series that are active.
  [[nodiscard]] virtual std::vector<std::pair<std::string, uint64_t>> DistinctValues(
      std::string_view metric) const = 0;
  // Up to `limit` of the values of one of these labels.
  [[nodiscard]] virtual std::vector<std::string> Values(std::string_view metric,
                                                        std::string_view label,
                                                        size_t limit) const = 0;
};

// Of one tenant. Thread-compatible.
class FoldRules {
 public:
  // Labels with at most this many values are no explosion: they stay, and with them what people
  // look at (code, method, region).
  static constexpr size_t kKeptValues = 10;
  // Folded series of a metric. Beyond it all labels that may go do.
  static constexpr size_t kMaxGroups = 256;
  // Metrics with folds; series of further ones are refused.
  static constexpr size_t kMaxMetrics = 10'000;
  // A metric that was taken for no counter is looked at again: its metadata may come late.
  static constexpr Duration kLookAgain = std::chrono::minutes(1);

  // Whether series of this metric are folded at all.
  bool IsCounter(std::string_view metric, std::chrono::nanoseconds now,
                 const FoldKnowledge& knowledge);
  // Takes note of the labels of a series that overflows (sorted; of a metric that IsCounter),
  // before Fold is asked about it: called for all those of a request first, so that the first of
  // them is not judged alone.
  void Learn(std::span<const LabelView> labels, const FoldKnowledge& knowledge);
  // The labels of the series that stands for it, canonical. nullopt: no label would change, or the
  // metric has kMaxGroups. `is_group` tells whether there is such a series already.
  std::optional<std::string> Fold(std::span<const LabelView> labels,
                                  const std::function<bool(std::string_view)>& is_group);

  [[nodiscard]] size_t metrics() const { return metrics_.size(); }

 private:
  struct LabelUse {
    uint64_t stored = 0;  // distinct values in the store
    // Hashes of those that overflowed, and of those in the store if they are few: together, or one
    // stored and another new value would count as one. Up to kKeptValues + 1.
    absl::flat_hash_set<uint64_t> values;
    [[nodiscard]] uint64_t distinct() const { return std::max<uint64_t>(stored, values.size()); }
  };
  struct Metric {
    bool is_counter = false;
    std::chrono::nanoseconds looked{0};
    bool has_knowledge = false;
    std::map<std::string, LabelUse, std::less<>> labels;  // by name; those that may go
    std::string most;  // of these, the one with the most values when the first was folded
    bool all_go = false;
    size_t groups = 0;
  };
  [[nodiscard]] static bool Goes(const Metric& metric, std::string_view name);
  static std::string Replace(const Metric& metric, std::span<const LabelView> labels);

  absl::flat_hash_map<std::string, Metric> metrics_;
};

}  // namespace basalt::ingest
