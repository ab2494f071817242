// engine/slo/tap_index.h -- which series feed which SLOs: asked once for each new series.
//
// Terms are found by the metric name they ask for, so a series that no SLO knows costs one look-up.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/labels.h"
#include "engine/slo/definition.h"

namespace basalt::slo {

using SloIndex = uint32_t;

// What a series adds to an SLO for each event it counts.
struct Contribution {
  SloIndex slo = 0;
  int64_t bad = 0;
  int64_t total = 0;
  MeasureIndex measure = 0;
  friend bool operator==(const Contribution&, const Contribution&) = default;
};

// Immutable; thread-safe.
class TapIndex {
 public:
  // Keeps a borrow of `definitions`. Their regular expressions have been checked by the parser.
  explicit TapIndex(const std::vector<Definition>& definitions);
  ~TapIndex();
  TapIndex(const TapIndex&) = delete;
  TapIndex& operator=(const TapIndex&) = delete;

  // The SLOs that count this series, by measure and by their index; empty for most series.
  [[nodiscard]] std::vector<Contribution> Match(TenantId tenant, const Labels& labels) const;

  // `up`, which tells that a target was there although it had no counter of ours.
  [[nodiscard]] static bool IsPresence(const Labels& labels) {
    return labels.metric_name() == "up";
  }

  // Matchers that select at least all series of an SLO from storage, a set for each term. `le` is
  // left out: storage compares it as text, and 0.5 is also written 0.50. Match() decides.
  [[nodiscard]] std::vector<storage::MatcherSet> StorageSelectors(SloIndex slo) const;

  // All that any term asks for; the first is kCounter.
  [[nodiscard]] const std::vector<Measure>& measures() const { return measures_; }

  // Metric names that any term asks for by equality, sorted, `up` included.
  [[nodiscard]] const std::vector<std::string>& metric_names() const { return metric_names_; }

 private:
  struct Term;
  MeasureIndex MeasureOf(const Measure& measure);
  [[nodiscard]] bool Matches(const Term& term, TenantId tenant, const Labels& labels) const;

  const std::vector<Definition>& definitions_;
  std::vector<std::unique_ptr<Term>> terms_;
  std::unordered_map<std::string, std::vector<const Term*>, StringHash, StringEq> by_name_;
  std::vector<const Term*> unnamed_;
  std::vector<std::string> metric_names_;
  std::vector<Measure> measures_{Measure{}};
};

}  // namespace basalt::slo
